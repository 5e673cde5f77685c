package rig

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/orderwatch/orderwatch/events/eventstest"
)

// Build builds a package's program, with build tags where they are given, once for all tests and
// returns its path.
func Build(t testing.TB, pkg string, tags ...string) string {
	t.Helper()
	path, err := programs(pkg, strings.Join(tags, ","))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var (
	buildDir = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "orderwatch-test-") })
	programs = func() func(pkg, tags string) (string, error) {
		var mu sync.Mutex
		built := make(map[[2]string]string)
		return func(pkg, tags string) (string, error) {
			mu.Lock()
			defer mu.Unlock()
			if path, ok := built[[2]string{pkg, tags}]; ok {
				return path, nil
			}
			dir, err := buildDir()
			if err != nil {
				return "", err
			}
			if err := lookAtSources(); err != nil {
				return "", err
			}
			path := filepath.Join(dir, fmt.Sprintf("program-%d", len(built)))
			if out, err := exec.Command("go", "build", "-ldflags=-w", "-tags", tags, "-o", path, pkg).CombinedOutput(); err != nil {
				return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
			}
			built[[2]string{pkg, tags}] = path
			return path, nil
		}
	}()
)

// lookAtSources opens the module's folders. go test takes an old result for good as long as nothing
// changed that the test opened; of what a program is built from it would not know.
func lookAtSources() error {
	root := "."
	for ; ; root = filepath.Join("..", root) {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		if path, err := filepath.Abs(root); err != nil || path == filepath.Dir(path) {
			return errors.New("no folder above this one has a go.mod")
		}
	}
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Name() == ".git" {
			return fs.SkipDir
		}
		return err
	})
}

// Main runs the tests of a package as [eventstest.Main] does, removes the programs that [Build] built, and
// exits: it is what TestMain calls.
func Main(m *testing.M, atOnce int) {
	code := eventstest.Main(m, atOnce)
	if dir, err := buildDir(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}
