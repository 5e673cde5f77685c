package main_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/watcher"
)

// TestREADMECompletion holds README's example to what the code writes: every field is one of the
// types', and it comes back the same.
func TestREADMECompletion(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "<!-- completion -->\n```json\n")
	example, _, ok := strings.Cut(rest, "```\n<!-- /completion -->")
	if !ok {
		t.Fatal("README.md has no example of a completion")
	}
	var event struct {
		SpecVersion, ID, Source, Type, Subject, Time, DataContentType string
		Data                                                          watcher.Completion
	}
	decoder := json.NewDecoder(strings.NewReader(example))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&event); err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(event.Data)
	if err != nil {
		t.Fatal(err)
	}
	var got, want map[string]any
	json.Unmarshal(encoded, &got) // it was encoded just now
	json.Unmarshal([]byte(example), &want)
	for field := range got {
		if _, ok := want["data"].(map[string]any)[field]; !ok {
			t.Errorf("README's example lacks the field %s", field)
		}
	}
}

var (
	namedTest   = regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9]*)`")
	writtenTest = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9]*)\(`)
)

// TestFaultsNamed holds that the tests exist which FAULTS.md names.
func TestFaultsNamed(t *testing.T) {
	written := make(map[string]bool)
	err := filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, match := range writtenTest.FindAllSubmatch(source, -1) {
			written[string(match[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	faults, err := os.ReadFile("../../deploy/FAULTS.md")
	if err != nil {
		t.Fatal(err)
	}
	named := namedTest.FindAllSubmatch(faults, -1)
	if len(named) == 0 {
		t.Fatal("FAULTS.md names no test")
	}
	for _, match := range named {
		if !written[string(match[1])] {
			t.Errorf("FAULTS.md names %s, which is no test", match[1])
		}
	}
}
