//go:build long

package faults_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
)

// The commits from which tests build what may run beside this release.
const (
	releaseBefore = "897426160c2037686fb9af3f189b70039f33de91" // 0.1.0, which has no page
	pageBefore    = "c0160996ba2ebbe264eaa81bb5bdddecedfe2d70" // the page before this one, which no release has
)

// buildOf builds the program of a commit, once for all tests, and fails where the history does not have it.
func buildOf(t *testing.T, commit string) string {
	t.Helper()
	builds.Lock()
	defer builds.Unlock()
	if path := builds.paths[commit]; path != "" {
		return path
	}
	dir := t.TempDir()
	run := func(where, name string, args ...string) {
		t.Helper()
		command := exec.Command(name, args...)
		command.Dir = where
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s %v: %v\n%sAn earlier release is built from commit %s: this test needs the repository's whole history (git fetch --unshallow).", name, args, err, out, commit)
		}
	}
	archive := filepath.Join(dir, "sources.tar")
	run("../../..", "git", "archive", "--output", archive, commit)
	run(dir, "tar", "-xf", archive)
	built := filepath.Join(dir, "orderwatch")
	run(dir, "go", "build", "-buildvcs=false", "-o", built, "./cmd/orderwatch")
	kept := filepath.Join(filepath.Dir(rig.Build(t, rig.Worker)), "orderwatch-"+commit[:7]) // the test's own folder ends with it
	if err := os.Rename(built, kept); err != nil {
		t.Fatal(err)
	}
	builds.paths[commit] = kept
	return kept
}

var builds = struct {
	sync.Mutex
	paths map[string]string // by commit
}{paths: make(map[string]string)}
