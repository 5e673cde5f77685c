package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/watcher/rulefile"
)

// The most that files hold, in bytes. A larger file is not the one that is meant.
const (
	maxSecretFile = 64 << 10 // a secret; tokens with a catalog in them have some 10 KiB
	MaxCertFile   = 4 << 20  // certificates: what a system trusts has some 250 KiB
)

// ReadFile returns what a regular file holds, at most so many bytes. A device or a pipe is refused: it might never end,
// or never begin. The error is a *[fs.PathError], and shows nothing of what the file holds.
func ReadFile(path string, most int64) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe's other end is not waited for
	if err != nil {
		return nil, err
	}
	defer file.Close()
	stat, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if mode := stat.Mode(); !mode.IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("is %s, not a file", cmp.Or(noFiles[mode.Type()], "something else"))}
	}
	content, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > most {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("has more than %s: it is not the file that is meant", output.Bytes(uint64(most)))}
	}
	return content, nil
}

// ReadRules returns what a file of rules holds: routes, or teams. The error is [ReadFile]'s.
func ReadRules(path string) ([]byte, error) { return ReadFile(path, rulefile.MaxBytes) }

// noFiles are what may stand where a file is wanted.
var noFiles = map[fs.FileMode]string{
	fs.ModeDir: "a directory", fs.ModeNamedPipe: "a pipe", fs.ModeDevice: "a device", fs.ModeDevice | fs.ModeCharDevice: "a device",
}

// CheckFile says why a file with certificates, keys or credentials cannot be read; empty where it can be.
func CheckFile(path string) string {
	if _, err := ReadFile(path, MaxCertFile); err != nil {
		return cannotRead(path, err)
	}
	return ""
}

// cannotRead says why the file cannot be read. It shows an absolute path alone: anything else may
// be the secret itself, put where its path belongs.
func cannotRead(path string, err error) string {
	reason := "cannot be read"
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		reason = e.Err.Error()
	}
	if !filepath.IsAbs(path) {
		return reason + ": give the path of a file"
	}
	return strconv.Quote(path) + ": " + reason + ": give the path of a file that this process may read"
}
