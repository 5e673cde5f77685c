package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/orderwatch/orderwatch"

// arrows are the imports that the design allows among the packages of this module, and what it
// says of the others. A package that is not listed fails the test: say where it stands.
var arrows = map[string]struct {
	ours   []string
	others []string // the only modules beside the standard library; nil: any
}{
	"cmd/orderwatch":             {ours: []string{"watcher", "watcher/modelarts", "watcher/modelarts/emulator", "events", "events/client", "events/inspect", "events/link", "events/schema", "events/store", "events/wire", "notify", "notify/emulator"}},
	"deploy/examples/go":         {others: []string{"github.com/nats-io/nats.go", "github.com/nats-io/nats.go/jetstream", "github.com/cloudevents/sdk-go/v2/event"}},
	"watcher":                    {others: []string{"github.com/cenkalti/backoff/v4"}},
	"watcher/modelarts":          {ours: []string{"watcher"}},
	"watcher/modelarts/emulator": {},
	"events":                     {ours: []string{"watcher", "events/inspect", "events/link", "events/schema", "events/store", "events/wire"}},
	"events/client":              {ours: []string{"watcher", "events/link", "events/wire"}},
	"events/inspect":             {ours: []string{"watcher", "events/link", "events/store", "events/wire"}},
	"events/link":                {},
	"events/store":               {ours: []string{"watcher", "events/link", "events/wire"}},
	"events/wire":                {ours: []string{"watcher"}},
	"events/proxy":               {},
	"events/schema":              {},
	"events/schema/schematest":   {ours: []string{"events/schema"}, others: []string{"github.com/santhosh-tekuri/jsonschema/v6"}},
	"notify":                     {ours: []string{"watcher"}},
	"notify/emulator":            {},
}

// notWanted are beginnings of packages that no binary of ours contains: the clouds' and loggers'
// kits, and mocks.
var notWanted = []string{
	"github.com/huaweicloud", "github.com/aws", "cloud.google.com", "github.com/Azure",
	"go.uber.org/zap", "github.com/sirupsen/logrus", "github.com/rs/zerolog",
	"github.com/golang/mock", "go.uber.org/mock", "github.com/stretchr/testify",
}

type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
	Standard   bool
}

// list returns the packages as the go command sees them, also those that do not compile.
func list(t *testing.T, args ...string) []listed {
	t.Helper()
	var stderr bytes.Buffer
	command := exec.Command("go", append([]string{"list", "-e", "-json=ImportPath,Imports,Deps,Standard"}, args...)...)
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var packages []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

func TestArrows(t *testing.T) {
	standard := make(map[string]bool)
	for _, p := range list(t, "std") {
		standard[p.ImportPath] = true
	}
	for _, p := range list(t, module+"/...") {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		allowed, ok := arrows[name]
		if !ok {
			t.Errorf("package %s stands nowhere in the design", name)
		}
		for _, path := range p.Imports {
			ours, within := strings.CutPrefix(path, module+"/")
			switch {
			case within && !slices.Contains(allowed.ours, ours):
				t.Errorf("%s imports %s", name, ours)
			case !within && !standard[path] && allowed.others != nil && !slices.Contains(allowed.others, path):
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
}

func TestNothingUnwantedIsInTheBinary(t *testing.T) {
	for _, p := range list(t, module+"/cmd/orderwatch") {
		if len(p.Deps) == 0 {
			t.Errorf("%s depends on nothing", p.ImportPath)
		}
		for _, path := range p.Deps {
			if slices.ContainsFunc(notWanted, func(prefix string) bool {
				return path == prefix || strings.HasPrefix(path, prefix+"/") || strings.HasPrefix(path, prefix+"-")
			}) {
				t.Errorf("%s contains %s", p.ImportPath, path)
			}
		}
	}
}
