//go:build long

package main_test

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// releaseBefore is the last commit of the release before this one.
const releaseBefore = "897426160c2037686fb9af3f189b70039f33de91"

// TestRollFromTheReleaseBefore rolls two workers under 500 open watches from the release before, built from the
// repository's history.
func TestRollFromTheReleaseBefore(t *testing.T) {
	t.Parallel()
	rollOpenWatches(t, buildReleaseBefore(t))
}

// buildReleaseBefore builds the worker of the release before, and fails where the history does not have it.
func buildReleaseBefore(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	run := func(where, name string, args ...string) {
		t.Helper()
		command := exec.Command(name, args...)
		command.Dir = where
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s %v: %v\n%sThe release before is built from commit %s: this test needs the repository's whole history (git fetch --unshallow).", name, args, err, out, releaseBefore)
		}
	}
	archive, program := filepath.Join(dir, "sources.tar"), filepath.Join(dir, "orderwatch")
	run("../..", "git", "archive", "--output", archive, releaseBefore)
	run(dir, "tar", "-xf", archive)
	run(dir, "go", "build", "-buildvcs=false", "-o", program, "./cmd/orderwatch")
	return program
}
