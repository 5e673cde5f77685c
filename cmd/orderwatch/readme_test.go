package main_test

import (
	"encoding/json"
	"os"
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
