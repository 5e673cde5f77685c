package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// chartVersions matches the lines of the chart, and of the manifests that are made of it, that name their version.
var chartVersions = map[string]*regexp.Regexp{
	"deploy/helm/Chart.yaml": regexp.MustCompile(`(?m)^(?:version|appVersion): "?(.+?)"?$`),
	"deploy/kubernetes.yaml": regexp.MustCompile(`(?m)^ +(?:app\.kubernetes\.io/version: "|helm\.sh/chart: orderwatch-)(.+?)"?$`),
}

// checkChart returns an error where the chart, or the manifests, have another version: who installs from the sources of a tag
// would run the image of another release.
func checkChart(source, version string) error {
	for file, versions := range chartVersions {
		text, err := os.ReadFile(filepath.Join(source, file))
		if err != nil {
			return err
		}
		for _, match := range versions.FindAllSubmatch(text, -1) {
			if string(match[1]) != version {
				return fmt.Errorf("%s has the line %q; the tag is v%s", file, match[0], version)
			}
		}
	}
	return nil
}

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
