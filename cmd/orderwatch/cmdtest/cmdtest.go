// Package cmdtest has what tests of several packages of the command share: the environment, and golden files.
package cmdtest

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files and what pages show of them")

const prefix = "ORDERWATCH_"

// Setenv sets exactly these variables, given without the prefix ORDERWATCH_ where they have it, and empties any
// other that the program could read.
func Setenv(t testing.TB, vars map[string]string) {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, prefix) || strings.HasPrefix(name, "HW_") {
			t.Setenv(name, "")
		}
	}
	for name, value := range vars {
		if !strings.HasPrefix(name, "HW_") {
			name = prefix + name
		}
		t.Setenv(name, value)
	}
}

// With returns the variables of base, and more pairs of name and value, which win.
func With(base map[string]string, more ...string) map[string]string {
	all := make(map[string]string)
	maps.Copy(all, base)
	for i := 0; i < len(more); i += 2 {
		all[more[i]] = more[i+1]
	}
	return all
}

// Least is what serve cannot do without.
func Least() map[string]string {
	return map[string]string{
		"NATS_URL":          "nats://127.0.0.1:4222",
		"MODELARTS_REGIONS": "cn-north-4",
		"MODELARTS_TOKEN":   "token",
	}
}

// File writes a file that only the user may read, and returns its path.
func File(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Golden compares got with the file, or rewrites the file with -update.
func Golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is out of date: run the test with -update\n%s", path, got)
	}
}

// GoldenPart compares got with what stands in the file between the comments <!-- name --> and <!-- /name -->, or rewrites that with
// -update.
func GoldenPart(t *testing.T, path, name, got string) {
	t.Helper()
	from, to := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), from)
	_, after, foundEnd := strings.Cut(rest, to)
	if !found || !foundEnd {
		t.Fatalf("no %q before %q", from, to)
	}
	Golden(t, path, before+from+got+to+after)
}
