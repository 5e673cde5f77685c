package main

import (
	"io/fs"
	"os"
	"path/filepath"
)

// chart packages the chart by helm, with the release's version as its own and its program's. The package has the times of the
// files, which are given the commit's.
func (r *release) chart() error {
	folder := filepath.Join(r.source, "deploy", "helm")
	err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(path, r.at, r.at)
	})
	if err != nil {
		return err
	}
	_, err = output(r.work, nil, "helm", "package", folder, "--version", r.version, "--app-version", r.version, "--destination", r.out)
	return err
}
