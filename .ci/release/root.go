package main

import (
	"archive/zip"
	"bytes"
	"encoding/pem"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// baseName is the image upon which the Dockerfile builds. Its layers are not fetched: what the program needs of it is made
// here, from what go.sum and Go itself hold.
const baseName = "gcr.io/distroless/static-debian12:nonroot"

const (
	certificates = "etc/ssl/certs/ca-certificates.crt"
	home         = "home/nonroot"
	nonroot      = 65532 // the base's user
)

// baseConfig is the base's configuration.
func baseConfig() v1.Config {
	return v1.Config{
		User:       "65532",
		WorkingDir: "/" + home,
		Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "SSL_CERT_FILE=/" + certificates},
	}
}

// baseRoot adds what the base's root has: users, certificates, time zones, and folders that some container engines mount
// upon.
func baseRoot(t tree, zones []byte) error {
	for _, name := range []string{"dev", "etc", "etc/ssl", "etc/ssl/certs", "home", "proc", "root", "run", "sys", "usr", "usr/share", "usr/share/zoneinfo"} {
		mode := int64(0o755)
		if name == "root" {
			mode = 0o700
		}
		if err := t.dir(name, mode, 0); err != nil {
			return err
		}
	}
	if err := t.dir(home, 0o700, nonroot); err != nil {
		return err
	}
	if err := t.dir("tmp", 0o1777, 0); err != nil {
		return err
	}
	for _, file := range [][2]string{
		{"etc/passwd", "root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"},
		{"etc/group", "root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n"},
		{"etc/nsswitch.conf", "hosts: files dns\n"},
		{certificates, string(roots())},
	} {
		if err := t.file(file[0], 0o644, []byte(file[1])); err != nil {
			return err
		}
	}
	return timeZones(t, zones)
}

// roots returns the certificates of the authorities that Mozilla trusts, as go.sum holds them: those of this machine may have
// others among them. They are a file, and not in the program (crypto/x509's fallback), so that somebody who adds an
// authority of his own beside them, by SSL_CERT_DIR or upon the file, does not lose them. One that Mozilla trusts only for
// certificates made before some day is left out: a file cannot say so.
func roots() []byte {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	return b.Bytes()
}

// timeZones adds the time zones that Go has: commands print times of the zone that TZ names.
func timeZones(t tree, zones []byte) error {
	files, err := zip.NewReader(bytes.NewReader(zones), int64(len(zones)))
	if err != nil {
		return err
	}
	folders := make(map[string]bool)
	for _, f := range files.File {
		for i, c := range f.Name {
			if folder := f.Name[:i]; c == '/' && !folders[folder] {
				folders[folder] = true
				if err := t.dir("usr/share/zoneinfo/"+folder, 0o755, 0); err != nil {
					return err
				}
			}
		}
		if strings.HasSuffix(f.Name, "/") {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return err
		}
		content, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			return err
		}
		if err := t.file("usr/share/zoneinfo/"+f.Name, 0o644, content); err != nil {
			return err
		}
	}
	return nil
}
