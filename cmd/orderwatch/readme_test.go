package main_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/cmdtest"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestREADMEShows holds that README shows a message in Slack and a page of get as the goldens have them, and that
// nobody has to read more than 150 lines of it.
func TestREADMEShows(t *testing.T) {
	const path = "../../README.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte("\n")); n > 150 {
		t.Errorf("README.md has %d lines", n)
	}
	slack, err := os.ReadFile("../../notify/message/testdata/partially_failed_one_item.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, message, _ := strings.Cut(string(slack), "=== message\n")
	message, _, _ = strings.Cut(message, "=== ")
	page, err := os.ReadFile("show/testdata/get/processing-80.txt")
	if err != nil {
		t.Fatal(err)
	}
	for name, example := range map[string]string{"slack": message, "get": strings.TrimRight(string(page), "\n") + "\n"} {
		cmdtest.GoldenPart(t, path, name, "```\n"+example+"```\n")
	}
}

var pageLink = regexp.MustCompile(`\]\(([^):#]+)?(#[^)]+)?\)`)

// TestLinks holds that what the pages link to is there: files, and the headings in them.
func TestLinks(t *testing.T) {
	found := 0
	err := filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".md") || strings.Contains(path, "testdata") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, link := range pageLink.FindAllStringSubmatch(string(text), -1) {
			found++
			to := path
			if link[1] != "" {
				to = filepath.Join(filepath.Dir(path), link[1])
			}
			linked, err := os.ReadFile(to)
			if info, statErr := os.Stat(to); err != nil && (statErr != nil || !info.IsDir()) {
				t.Errorf("%s links to %s: %v", path, link[0], err)
			}
			if link[2] != "" && !slices.Contains(anchors(string(linked)), link[2]) {
				t.Errorf("%s links to %s, where no heading is called so", path, link[0])
			}
		}
		return err
	})
	if err != nil || found == 0 {
		t.Fatalf("%d links: %v", found, err)
	}
}

var (
	heading  = regexp.MustCompile(`(?m)^#+ (.+)$`)
	noAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors returns the page's headings as links name them.
func anchors(page string) (all []string) {
	for _, h := range heading.FindAllStringSubmatch(page, -1) {
		all = append(all, "#"+strings.ReplaceAll(noAnchor.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-"))
	}
	return all
}

// TestCompletionPage holds the example of events/MESSAGES.md to what the code writes: every field is one of the
// types', and it comes back the same.
func TestCompletionPage(t *testing.T) {
	page, err := os.ReadFile("../../events/MESSAGES.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "<!-- completion -->\n```json\n")
	example, _, ok := strings.Cut(rest, "```\n<!-- /completion -->")
	if !ok {
		t.Fatal("MESSAGES.md has no example of a completion")
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
			t.Errorf("the example lacks the field %s", field)
		}
	}
}

var (
	namedTest   = regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9]*)`")
	writtenTest = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9]*)\(`)
)

// TestFaultsNamed holds that the tests exist which FAULTS.md and PROMISES.md name.
func TestFaultsNamed(t *testing.T) {
	written := make(map[string]bool)
	for _, source := range sources(t, true) {
		for _, match := range writtenTest.FindAllSubmatch(source, -1) {
			written[string(match[1])] = true
		}
	}
	for _, name := range []string{"FAULTS.md", "PROMISES.md"} {
		page, err := os.ReadFile("../../deploy/" + name)
		if err != nil {
			t.Fatal(err)
		}
		named := namedTest.FindAllSubmatch(page, -1)
		if len(named) == 0 {
			t.Fatalf("%s names no test", name)
		}
		for _, match := range named {
			if !written[string(match[1])] {
				t.Errorf("%s names %s, which is no test", name, match[1])
			}
		}
	}
}

// TestAttentionNamed holds that events/MESSAGES.md names each field of the data of an attention event.
func TestAttentionNamed(t *testing.T) {
	page, err := os.ReadFile("../../events/MESSAGES.md")
	if err != nil {
		t.Fatal(err)
	}
	var fields []string
	for _, data := range []reflect.Type{reflect.TypeFor[watcher.Attention](), reflect.TypeFor[watcher.OrderAttention]()} {
		for i := range data.NumField() {
			if f := data.Field(i); !f.Anonymous {
				if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "-" { // which no event has
					fields = append(fields, name)
				}
			}
		}
	}
	_, rest, _ := strings.Cut(string(page), "### Attention events")
	text, _, _ := strings.Cut(rest, "## Outcomes")
	for _, field := range fields {
		if !strings.Contains(text, "`"+field+"`") {
			t.Errorf("MESSAGES.md does not name the field %s of attention events", field)
		}
	}
}

// TestPageVariablesNamed holds that deploy/README.md names what the page needs beside its own variables: those by which workers judge
// what it shows, and those of nats-server without which the shipped files are no configuration.
func TestPageVariablesNamed(t *testing.T) {
	readme, err := os.ReadFile("../../deploy/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for heading, names := range map[string][]string{
		"## The page\n": {"ORDERWATCH_TEAMS_FILE", "ORDERWATCH_MODELARTS_NOT_FOUND_GRACE", "ORDERWATCH_SETTLE", "ORDERWATCH_LATE_BY_USUAL"},
		"## Upgrade\n":  {"NATS_PAGE_PASSWORD", "NATS_PAGE_ACTIONS_PASSWORD"},
	} {
		_, section, _ := strings.Cut(string(readme), heading)
		section, _, _ = strings.Cut(section, "\n##")
		for _, name := range names {
			if !strings.Contains(section, "`"+name+"`") {
				t.Errorf("deploy/README.md does not name %s below %q", name, heading)
			}
		}
	}
}

// sources returns the module's Go files: the tests, or the others.
func sources(t *testing.T, tests bool) (files [][]byte) {
	t.Helper()
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == ".ci" && !tests { // tools of their own
			return fs.SkipDir
		}
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
