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
	for _, source := range sources(t, true) {
		for _, match := range writtenTest.FindAllSubmatch(source, -1) {
			written[string(match[1])] = true
		}
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

// TestAttentionNamed holds that README names each field of the data of an attention event.
func TestAttentionNamed(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(watcher.Attention{})
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(encoded, &fields); err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "| `orders.attention.<kind>.<project_id>` |")
	text, _, _ := strings.Cut(rest, "| outcome |")
	for field := range fields {
		if !strings.Contains(text, "`"+field+"`") {
			t.Errorf("README does not name the field %s of attention events", field)
		}
	}
}

var metricName = regexp.MustCompile(`(?:Name: |NewDesc\()"(orderwatch_[a-z_]+)"`)

// TestMetricsNamed holds that deploy/README.md names each metric.
func TestMetricsNamed(t *testing.T) {
	readme, err := os.ReadFile("../../deploy/README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, source := range sources(t, false) {
		for _, match := range metricName.FindAllSubmatch(source, -1) {
			found++
			if !strings.Contains(string(readme), "`"+string(match[1])+"`") {
				t.Errorf("deploy/README.md does not name the metric %s", match[1])
			}
		}
	}
	if found == 0 {
		t.Fatal("no metric was found")
	}
}

// sources returns the module's Go files: the tests, or the others.
func sources(t *testing.T, tests bool) (files [][]byte) {
	t.Helper()
	err := filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") != tests {
			return err
		}
		source, err := os.ReadFile(path)
		files = append(files, source)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
