package config

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestReadFile holds that only files are read, and no more of one than is allowed.
func TestReadFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, size := range map[string]int{"empty": 0, "full": 1 << 10, "long": 1<<10 + 1} {
		if err := os.WriteFile(at(name), bytes.Repeat([]byte("s"), size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(at("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"link": "full", "loop": "loop", "to-zero": "/dev/zero"} {
		if err := os.Symlink(to, at(link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ path, err string }{
		{at("empty"), ""},
		{at("full"), ""},
		{at("link"), ""},
		{at("long"), "has more than 1.0 KiB"},
		{at("pipe"), "is a pipe, not a file"},
		{"/dev/zero", "is a device, not a file"},
		{"/dev/null", "is a device, not a file"},
		{at("to-zero"), "is a device, not a file"},
		{dir, "is a directory, not a file"},
		{at("loop"), "too many levels"},
		{at("none"), "no such file"},
		{"", "no such file"},
	} {
		content, err := ReadFile(tt.path, 1<<10)
		if tt.err == "" {
			if err != nil || len(content) > 1<<10 {
				t.Errorf("%s: %d bytes, %v", tt.path, len(content), err)
			}
			continue
		}
		if _, ok := errors.AsType[*fs.PathError](err); !ok || !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: got %v, want %q", tt.path, err, tt.err)
		}
	}
}
