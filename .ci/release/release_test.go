package main

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestDockerfile holds that the release can read the Dockerfile, and takes the image's configuration from it.
func TestDockerfile(t *testing.T) {
	d, err := readDockerfile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	c := d.config
	if c.User != "65532:65532" || !slices.Equal(c.Entrypoint, []string{"/orderwatch"}) || !slices.Equal(c.Cmd, []string{"serve"}) {
		t.Errorf("%+v", c)
	}
	if _, ok := c.ExposedPorts["8080/tcp"]; !ok || len(c.ExposedPorts) != 1 {
		t.Errorf("the ports are %v", c.ExposedPorts)
	}
	if !slices.Contains(c.Env, "ORDERWATCH_HTTP_ADDR=:8080") || !slices.Contains(c.Env, "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt") {
		t.Errorf("the environment is %q", c.Env)
	}
	if c.Healthcheck == nil || !slices.Equal(c.Healthcheck.Test, []string{"CMD", "/orderwatch", "health"}) || c.Healthcheck.Retries != 3 {
		t.Errorf("the check is %+v", c.Healthcheck)
	}
}

// TestDockerfileChanged holds that a change of the Dockerfile which the release would not follow is refused.
func TestDockerfileChanged(t *testing.T) {
	text, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ from, to, says string }{
		{"CMD [\"serve\"]", "CMD [\"serve\"]\nVOLUME /data", "does not know"},
		{"CMD [\"serve\"]", "CMDS [\"serve\"]", "unknown instruction"},
		{"FROM gcr.io/distroless/static-debian12:nonroot", "FROM alpine:3", "begins with alpine:3"},
		{"-s -w -X", "-s -X", "does not build"},
		{"CGO_ENABLED=0", "CGO_ENABLED=1", "does not build"},
		{"FROM --platform=$BUILDPLATFORM golang:1.26.8", "FROM --platform=$BUILDPLATFORM debian:12", "and not by golang"},
		{"COPY --from=build /orderwatch /orderwatch", "COPY --from=build /src /orderwatch", "does not get /orderwatch"},
		{"AS build", "as build", "FromAsCasing"},
	} {
		changed := strings.Replace(string(text), tt.from, tt.to, 1)
		if changed == string(text) {
			t.Fatalf("the Dockerfile has no %q", tt.from)
		}
		path := filepath.Join(t.TempDir(), "Dockerfile")
		if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readDockerfile(path); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v; want %q", tt.to, err, tt.says)
		}
	}
}

// TestChangelog holds which pages fit a tag.
func TestChangelog(t *testing.T) {
	for _, tt := range []struct{ page, says string }{
		{"# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-12-01\n\n- New.\n\n## [0.1.0] - 2026-11-23\n", ""},
		{"# Changelog\n\n## [0.2.0] - 2026-12-01\n\n- New.\n", ""},
		{"# Changelog\n\n## [0.1.0] - 2026-11-23\n", "newest version is 0.1.0"},
		{"# Changelog\n\n## [Unreleased]\n\n- New.\n\n## [0.2.0] - 2026-12-01\n", "unreleased changes"},
		{"# Changelog\n\n## 0.2.0\n\n- New.\n", "no heading of a version"},
		{"# Changelog\n", "has no version"},
	} {
		path := filepath.Join(t.TempDir(), "CHANGELOG.md")
		if err := os.WriteFile(path, []byte(tt.page), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := checkChangelog(path, "0.2.0"); (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%v; want %q for:\n%s", err, tt.says, tt.page)
		}
	}
}

// TestChart holds that each line of the chart and of the manifests that names a version must name the tag's.
func TestChart(t *testing.T) {
	var at string // the version that the sources have
	for file, versions := range chartVersions {
		text, err := os.ReadFile(filepath.Join("../..", file))
		if err != nil {
			t.Fatal(err)
		}
		lines := versions.FindAllSubmatchIndex(text, -1)
		if len(lines) < 2 {
			t.Fatalf("%s has %d lines that name a version", file, len(lines))
		}
		at = string(text[lines[0][2]:lines[0][3]])
		for _, line := range lines {
			source := t.TempDir()
			if err := os.CopyFS(filepath.Join(source, "deploy"), os.DirFS("../../deploy")); err != nil {
				t.Fatal(err)
			}
			changed := string(text[:line[2]]) + "9.9.9" + string(text[line[3]:])
			if err := os.WriteFile(filepath.Join(source, file), []byte(changed), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := checkChart(source, at); err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "9.9.9") {
				t.Errorf("%v for %s of %s", err, text[line[0]:line[1]], file)
			}
		}
	}
	if err := checkChart("../..", at); err != nil {
		t.Error(err)
	}
}

// TestLicences holds which licences are found in a text.
func TestLicences(t *testing.T) {
	bsd := "Redistribution and use in source\nand binary forms, with or without"
	for _, tt := range []struct{ text, want string }{
		{"", ""},
		{bsd, "BSD-2-Clause"},
		{bsd + " Neither the name of Google", "BSD-3-Clause"},
		{"Permission is hereby granted, free\n of charge, to\n----\n                 Apache License", "Apache-2.0 MIT"},
		{"GNU General Public License", "GPL"},
	} {
		if got := strings.Join(slices.Sorted(slices.Values(idsOf(tt.text))), " "); got != tt.want {
			t.Errorf("%q holds %q; want %q", tt.text, got, tt.want)
		}
	}
}

// TestBaseRoot holds what the image's root has without the program.
func TestBaseRoot(t *testing.T) {
	root, err := output(".", nil, "go", "env", "GOROOT")
	if err != nil {
		t.Fatal(err)
	}
	zones, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Fatal(err)
	}
	content, err := pack(epoch, func(tree tree) error { return baseRoot(tree, zones) })
	if err != nil {
		t.Fatal(err)
	}
	modes, files := make(map[string]int64), make(map[string][]byte)
	for archive := tar.NewReader(bytes.NewReader(content)); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if _, twice := modes[header.Name]; twice {
			t.Errorf("%s is there twice", header.Name)
		}
		if dir := filepath.Dir(strings.TrimSuffix(header.Name, "/")); dir != "." && modes[dir+"/"] == 0 {
			t.Errorf("%s comes before its folder", header.Name)
		}
		modes[header.Name] = header.Mode
		if files[header.Name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
	if modes["tmp/"] != 0o1777 || modes["home/nonroot/"] != 0o700 || modes["usr/share/zoneinfo/America/Argentina/Ushuaia"] != 0o644 {
		t.Errorf("the modes are %o, %o and %o", modes["tmp/"], modes["home/nonroot/"], modes["usr/share/zoneinfo/America/Argentina/Ushuaia"])
	}
	if pool := x509.NewCertPool(); !pool.AppendCertsFromPEM(files[certificates]) || bytes.Count(files[certificates], []byte("BEGIN")) < 100 {
		t.Errorf("%d authorities are trusted", bytes.Count(files[certificates], []byte("BEGIN")))
	}
}
