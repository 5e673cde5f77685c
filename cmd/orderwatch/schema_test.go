package main_test

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/events/schema"
)

// shown returns what a command prints that must succeed.
func shown(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.Command(program, args...).Output()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return string(out)
}

func TestSchemaCommand(t *testing.T) {
	t.Parallel()
	program := rig.Build(t, rig.Worker)
	lines := strings.Split(strings.TrimSpace(shown(t, program, "schema")), "\n")
	if len(lines) != len(schema.Names()) {
		t.Errorf("%d names are listed; want %d: %q", len(lines), len(schema.Names()), lines)
	}
	for _, line := range lines {
		name, about, _ := strings.Cut(line, " ")
		if strings.TrimSpace(about) == "" || len(line) > 80 {
			t.Errorf("%q says too little or too much", line)
		}
		var document struct {
			Schema   string `json:"$schema"`
			AsyncAPI string `json:"asyncapi"`
		}
		if err := json.Unmarshal([]byte(shown(t, program, "schema", name)), &document); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if isAsyncAPI := document.AsyncAPI == "3.0.0"; isAsyncAPI != (name == "asyncapi") || !isAsyncAPI && document.Schema != "https://json-schema.org/draft/2020-12/schema" {
			t.Errorf("%s is of %q, %q", name, document.Schema, document.AsyncAPI)
		}
	}
	lines = strings.Split(strings.TrimSpace(shown(t, program, "schema", "-o", "json")), "\n")
	lines = append(lines, shown(t, program, "schema", "completed", "-o", "json"))
	for _, line := range lines {
		var s struct{ Name, Title string }
		if err := json.Unmarshal([]byte(line), &s); err != nil || s.Title == "" || strings.Count(line, "\n") > 1 {
			t.Errorf("-o json prints %.200q (%v)", line, err)
		}
	}
	if len(lines) != len(schema.Names())+1 {
		t.Errorf("-o json lists %d names", len(lines)-1)
	}
	for _, wrong := range [][]string{{"schema", "complete"}, {"schema", "request", "completed"}, {"schema", ""}, {"schema", "-o", "yaml"}} {
		p := rig.Start(t, program, nil, wrong...)
		<-p.Done
		said := strings.Split(strings.TrimSpace(p.Text()), "\n")
		if code := p.Command.ProcessState.ExitCode(); code != 2 || len(said) > 3 || len(wrong) == 2 && !strings.Contains(p.Text(), "completed, ") {
			t.Errorf("%q exits with %d and says %q", wrong, code, said)
		}
	}
}
