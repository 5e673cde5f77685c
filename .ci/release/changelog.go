package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// versionHeading is the heading of a version in CHANGELOG.md, with the day of its release.
var versionHeading = regexp.MustCompile(`^## \[([^\]]+)\] - \d{4}-\d{2}-\d{2}$`)

// checkChangelog returns an error where the newest version of the page is not this one, or where the page has changes
// that no version has.
func checkChangelog(path, version string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	unreleased := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch match := versionHeading.FindStringSubmatch(line); {
		case match != nil && match[1] != version:
			return fmt.Errorf("CHANGELOG.md's newest version is %s; the tag is v%s", match[1], version)
		case match != nil:
			return nil
		case line == "## [Unreleased]":
			unreleased = true
		case strings.HasPrefix(line, "## "):
			return fmt.Errorf("CHANGELOG.md: %q is no heading of a version, such as ## [0.2.0] - 2026-11-30", line)
		case unreleased && strings.HasPrefix(line, "- "):
			return fmt.Errorf("CHANGELOG.md has unreleased changes: give them a heading such as ## [%s] - 2026-11-30", version)
		}
	}
	return fmt.Errorf("CHANGELOG.md has no version")
}
