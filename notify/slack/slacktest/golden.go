package slacktest

import (
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Golden compares a text with the golden file of this name under testdata, or with -update writes it.
func Golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s differs; run go test with -update and look at the difference\ngot:\n%s", path, got)
	}
}

// GoldenSum is [Golden] of a text and of the value that it shows: the file has the text and a digest of all of the
// value's JSON, which is printed where the file differs.
func GoldenSum(t *testing.T, name, text string, value any) {
	t.Helper()
	all := indented(t, value)
	Golden(t, name, fmt.Sprintf("%s=== sha256 of the JSON\n%x\n", text, sha256.Sum256([]byte(all))))
	if t.Failed() {
		t.Logf("the JSON:\n%s", all)
	}
}

// GoldenJSON compares a value with the golden file of JSON of this name, as Golden does.
func GoldenJSON(t *testing.T, name string, value any) {
	t.Helper()
	Golden(t, name, indented(t, value))
}

// indented returns the value's JSON as people read it.
func indented(t *testing.T, value any) string {
	t.Helper()
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(value); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Goldens returns the golden files of JSON under testdata by their names: at least so many.
func Goldens(t *testing.T, least int) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.json")
	if err != nil || len(paths) < least {
		t.Fatalf("%d goldens (%v)", len(paths), err)
	}
	all := make(map[string][]byte)
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(path)] = raw
	}
	return all
}
