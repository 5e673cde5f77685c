// Command release makes of one commit what is released of it, into a folder:
//
//	release -source FOLDER -out FOLDER -version 0.2.0
//
// The source is a clone of the commit, with nothing else in it. From the same source, with the same Go, it makes the
// same bytes, wherever it runs and whatever the build cache holds: .ci/run release runs it twice and compares.
//
// Read the files in this order:
//
//   - main.go: what a release consists of;
//   - changelog.go: which version CHANGELOG.md says is the newest;
//   - build.go: the programs, and the pages of the manual and the completions that one of them prints;
//   - licences.go: the licences of what the programs contain of others;
//   - sbom.go: what the programs contain, for scanners, each with its licence;
//   - archive.go: the archives of the programs;
//   - dockerfile.go: the image's configuration, which is the Dockerfile's;
//   - root.go: what the image's base gives;
//   - image.go: the image, for two platforms, and the files that hold it;
//   - chart.go: which version the chart has, and its package.
package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A release is what is made.
type release struct {
	source  string              // the folder of the sources
	out     string              // the folder of what is released
	work    string              // a folder for what is made in between
	version string              // 0.2.0, without a v
	commit  string              // in full
	at      time.Time           // when the commit was made: the time of all files
	ids     map[string][]string // the licences of each module, with its version, and of Go
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("release: ")
	var r release
	flag.StringVar(&r.source, "source", "", "the `folder` of a clone of the commit")
	flag.StringVar(&r.out, "out", "", "the `folder` that gets what is released")
	flag.StringVar(&r.version, "version", "", "the version, such as 0.2.0")
	tagged := flag.Bool("tagged", false, "the version is a tag's: CHANGELOG.md must have it as its newest, and the chart as its own")
	flag.Parse()
	if err := r.make(*tagged); err != nil {
		log.Fatal(err)
	}
}

func (r *release) make(tagged bool) error {
	var err error
	if r.source, err = filepath.Abs(r.source); err != nil {
		return err
	}
	if r.out, err = filepath.Abs(r.out); err != nil {
		return err
	}
	commit, at, err := head(r.source)
	if err != nil {
		return err
	}
	r.commit, r.at = commit, at
	if tagged {
		if err := checkChangelog(filepath.Join(r.source, "CHANGELOG.md"), r.version); err != nil {
			return err
		}
		if err := checkChart(r.source, r.version); err != nil {
			return err
		}
	}
	if r.work, err = os.MkdirTemp("", "orderwatch-release-"); err != nil {
		return err
	}
	defer os.RemoveAll(r.work)
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	docker, err := readDockerfile(filepath.Join(r.source, "Dockerfile"))
	if err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return r.build(docker) },
		r.licences,
		r.pages,
		r.archives,
		r.sboms,
		func() error { return r.images(docker) },
		r.chart,
		r.sums,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// name returns the name of a file that is released.
func (r *release) name(of string) string { return "orderwatch_" + r.version + "_" + of }

// sums writes SHA256SUMS of all files that are released.
func (r *release) sums() error {
	var sums strings.Builder
	err := filepath.WalkDir(r.out, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(r.out, path)
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(text), filepath.ToSlash(name))
		return err
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), []byte(sums.String()), 0o644)
}
