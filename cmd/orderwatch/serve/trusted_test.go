package serve

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestNoCAFile holds that certificates are read from files alone.
func TestNoCAFile(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, what := range map[string]string{"/dev/zero": "a device", pipe: "a pipe", t.TempDir(): "a directory"} {
		if _, err := trusted(path); err == nil || !strings.Contains(err.Error(), "is "+what+", not a file") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
