package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
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
	"cmd/orderwatch":              {ours: []string{"events/client", "events/link", "events/wire", "cmd/orderwatch/ask", "cmd/orderwatch/config", "cmd/orderwatch/demo", "cmd/orderwatch/directions", "cmd/orderwatch/doctor", "cmd/orderwatch/exit", "cmd/orderwatch/list", "cmd/orderwatch/natscontext", "cmd/orderwatch/output", "cmd/orderwatch/page", "cmd/orderwatch/serve", "cmd/orderwatch/show", "watcher", "watcher/words", "watcher/modelarts/emulator", "events/schema", "events/teams", "notify/routes", "cmd/orderwatch/find"}},
	"cmd/orderwatch/ask":          {ours: []string{"events/client", "events/wire", "cmd/orderwatch/exit", "cmd/orderwatch/output", "cmd/orderwatch/show", "watcher", "watcher/history", "watcher/words"}},
	"cmd/orderwatch/cmdtest":      {others: []string{}},
	"cmd/orderwatch/config":       {ours: []string{"cmd/orderwatch/output", "events/teams", "notify/routes", "watcher", "watcher/rulefile"}, others: []string{"github.com/kelseyhightower/envconfig"}},
	"cmd/orderwatch/demo":         {ours: []string{"events/client", "events/wire", "cmd/orderwatch/config", "cmd/orderwatch/output", "cmd/orderwatch/page", "cmd/orderwatch/serve", "cmd/orderwatch/show", "watcher", "watcher/modelarts/emulator", "notify/slack/emulator"}},
	"cmd/orderwatch/directions":   {ours: []string{"cmd/orderwatch/config", "cmd/orderwatch/output", "cmd/orderwatch/show", "notify/routes", "watcher", "watcher/words"}, others: []string{}},
	"cmd/orderwatch/doctor":       {ours: []string{"events/client", "events/inspect", "events/link", "events/store", "events/wire", "cmd/orderwatch/config", "cmd/orderwatch/exit", "cmd/orderwatch/output", "cmd/orderwatch/serve", "notify/slack", "watcher", "watcher/foreign", "watcher/modelarts", "watcher/modelarts/answer", "watcher/sweep", "watcher/words"}},
	"cmd/orderwatch/exit":         {others: []string{"github.com/spf13/cobra"}},
	"cmd/orderwatch/list":         {ours: []string{"cmd/orderwatch/exit", "cmd/orderwatch/find", "cmd/orderwatch/output", "cmd/orderwatch/show", "events/client", "events/wire", "watcher", "watcher/words"}, others: []string{}},
	"cmd/orderwatch/natscontext":  {ours: []string{"cmd/orderwatch/config", "cmd/orderwatch/output"}, others: []string{"github.com/nats-io/nats.go"}},
	"cmd/orderwatch/output":       {ours: []string{"watcher/foreign"}, others: []string{"github.com/mattn/go-runewidth", "golang.org/x/term"}},
	"cmd/orderwatch/page":         {ours: []string{"cmd/orderwatch/config", "cmd/orderwatch/page/screens", "cmd/orderwatch/serve", "events/client", "events/index", "events/inspect", "events/link", "events/store", "events/story", "events/tally", "events/teams", "events/usual", "events/wire", "watcher", "watcher/foreign", "watcher/words"}, others: []string{"github.com/nats-io/nats.go", "github.com/prometheus/client_golang/prometheus", "github.com/prometheus/client_golang/prometheus/promauto", "github.com/prometheus/client_golang/prometheus/promhttp", "golang.org/x/crypto/bcrypt"}},
	"cmd/orderwatch/page/screens": {ours: []string{"cmd/orderwatch/output", "cmd/orderwatch/show", "events/tally", "events/wire", "watcher", "watcher/foreign", "watcher/history", "watcher/words"}, others: []string{}},
	"cmd/orderwatch/serve":        {ours: []string{"events/link", "events/store", "events/sweeper", "events/wire", "cmd/orderwatch/config", "cmd/orderwatch/exit", "cmd/orderwatch/output", "watcher", "watcher/modelarts", "watcher/modelarts/login", "events", "notify", "notify/outbox", "notify/slack"}},
	"cmd/orderwatch/show":         {ours: []string{"cmd/orderwatch/output", "events/wire", "watcher", "watcher/history", "watcher/words"}, others: []string{}},
	"cmd/orderwatch/faults":       {},
	"cmd/orderwatch/install":      {},
	"cmd/orderwatch/image":        {},
	"cmd/orderwatch/page/browser": {},
	"cmd/orderwatch/rig":          {ours: []string{"events/eventstest", "events/schema/schematest", "watcher"}},
	"cmd/orderwatch/rig/clinic":   {ours: []string{"cmd/orderwatch/rig", "notify/slack/emulator", "watcher/modelarts/emulator"}},
	"cmd/orderwatch/rig/guarded":  {ours: []string{"cmd/orderwatch/rig"}},
	"deploy/examples/go":          {others: []string{"github.com/nats-io/nats.go", "github.com/nats-io/nats.go/jetstream", "github.com/cloudevents/sdk-go/v2/event"}},
	"watcher/foreign":             {},
	"watcher/words":               {},
	"watcher/rulefile":            {ours: []string{"watcher", "watcher/foreign", "watcher/words"}, others: []string{"go.yaml.in/yaml/v3"}},
	"cmd/orderwatch/find":         {ours: []string{"cmd/orderwatch/output", "events/wire", "watcher"}, others: []string{}},
	"watcher/notable":             {ours: []string{"watcher/foreign", "watcher/history"}, others: []string{}},
	"events/story":                {ours: []string{"events/store", "events/teams", "events/wire", "watcher", "watcher/foreign", "watcher/notable", "watcher/words"}, others: []string{}},
	"watcher":                     {ours: []string{"watcher/foreign", "watcher/history", "watcher/notable", "watcher/room", "watcher/schedule", "watcher/words"}, others: []string{}},
	"watcher/room":                {others: []string{"golang.org/x/sync/semaphore"}},
	"watcher/history":             {others: []string{}},
	"watcher/schedule":            {others: []string{"github.com/cenkalti/backoff/v4"}},
	"watcher/sweep":               {others: []string{"golang.org/x/time/rate"}},
	"watcher/modelarts":           {ours: []string{"watcher", "watcher/foreign", "watcher/modelarts/answer", "watcher/modelarts/endpoint", "watcher/modelarts/login", "watcher/modelarts/turns", "watcher/sweep"}},
	"watcher/modelarts/turns":     {ours: []string{"watcher"}, others: []string{"golang.org/x/time/rate"}},
	"watcher/modelarts/answer":    {ours: []string{"watcher", "watcher/foreign", "watcher/sweep"}},
	"watcher/modelarts/endpoint":  {ours: []string{"watcher", "watcher/modelarts/answer"}},
	"watcher/modelarts/login":     {ours: []string{"watcher", "watcher/foreign", "watcher/modelarts/answer", "watcher/modelarts/endpoint"}},
	"watcher/modelarts/emulator":  {},
	"watcher/modelarts/rig":       {ours: []string{"watcher", "watcher/modelarts", "watcher/modelarts/login"}},
	"events":                      {ours: []string{"watcher", "events/index", "events/schema", "events/inspect", "events/link", "events/store", "events/story", "events/sweeper", "events/teams", "events/usual", "events/wire", "watcher/history", "watcher/sweep"}},
	"events/client":               {ours: []string{"watcher", "events/link", "events/wire"}},
	"events/eventstest":           {ours: []string{"events/schema/schematest", "events/store", "events/wire", "watcher"}},
	"events/index":                {ours: []string{"events/store", "events/teams", "events/wire", "watcher", "watcher/history"}, others: []string{"github.com/nats-io/nats.go/jetstream"}},
	"events/inspect":              {ours: []string{"watcher", "events/index", "events/link", "events/store", "events/wire"}},
	"events/link":                 {},
	"events/recall":               {ours: []string{"watcher"}, others: []string{}},
	"events/store":                {ours: []string{"watcher", "events/link", "events/recall", "events/teams", "events/wire"}},
	"events/sweeper":              {ours: []string{"watcher", "watcher/sweep", "events/link", "events/store"}},
	"events/teams":                {ours: []string{"watcher", "watcher/foreign", "watcher/rulefile", "events/wire"}, others: []string{"go.yaml.in/yaml/v3"}},
	"events/tally":                {ours: []string{"events/link", "events/store", "events/teams", "events/wire", "notify/message", "watcher", "watcher/foreign", "watcher/history"}, others: []string{"github.com/nats-io/nats.go"}},
	"events/usual":                {ours: []string{"events/link", "events/store", "events/wire", "watcher", "watcher/history"}},
	"events/wire":                 {ours: []string{"watcher", "watcher/foreign", "watcher/history"}},
	"events/wire/wiretest":        {ours: []string{"events/eventstest", "watcher"}},
	"events/proxy":                {},
	"events/schema":               {},
	"events/schema/schematest":    {ours: []string{"events/schema"}, others: []string{"github.com/santhosh-tekuri/jsonschema/v6"}},
	"notify":                      {ours: []string{"watcher", "watcher/foreign", "notify/message"}},
	"notify/outbox":               {ours: []string{"watcher", "watcher/foreign", "notify/message", "notify/routes", "notify/slack"}},
	"notify/slack":                {ours: []string{"watcher/foreign"}},
	"notify/routes":               {ours: []string{"watcher", "watcher/foreign", "watcher/rulefile", "watcher/words"}},
	"notify/message":              {ours: []string{"watcher", "watcher/foreign", "watcher/history", "watcher/words", "notify/redact"}},
	"notify/redact":               {},
	"notify/slack/emulator":       {},
	"notify/slack/slacktest":      {},
	"watcher/watchertest":         {ours: []string{"watcher"}},
}

// A package has at most so many exported names, and so many files that are no tests. Constants that are
// declared together count as one name, and so do variables; methods and fields do not count.
const (
	mostNames = 15
	mostFiles = 20
)

// manyNames are the packages that may have more names, and how many; manyFiles those that may have
// more files. A package that needs its row no longer fails the test.
var (
	manyNames = map[string]int{
		"cmd/orderwatch/config":       30, // the groups of variables
		"cmd/orderwatch/output":       21,
		"cmd/orderwatch/page/screens": 41, // a view and two functions for each screen, and what views are made of
		"cmd/orderwatch/rig":          29,
		"events/eventstest":           16,
		"events/inspect":              22,
		"events/store":                27,
		"events/wire":                 46,
		"notify/message":              22,
		"notify/slack":                23,
		"notify/slack/emulator":       20,
		"watcher":                     84,
		"watcher/modelarts/login":     17,
		"watcher/modelarts/emulator":  28,
		"watcher/watchertest":         20,
	}
	manyFiles = map[string]int{}
)

// notWanted are beginnings of packages that no binary of ours contains: the clouds' and loggers'
// kits, and mocks.
var notWanted = []string{
	"github.com/huaweicloud", "github.com/aws", "cloud.google.com", "github.com/Azure",
	"go.uber.org/zap", "github.com/sirupsen/logrus", "github.com/rs/zerolog",
	"github.com/golang/mock", "go.uber.org/mock", "github.com/stretchr/testify",
}

type listed struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	// IgnoredGoFiles are those with other build tags, and their tests.
	IgnoredGoFiles []string
	Imports        []string
	Deps           []string
	Standard       bool
}

// list returns the packages as the go command sees them, also those that do not compile.
func list(t *testing.T, args ...string) []listed {
	t.Helper()
	var stderr bytes.Buffer
	command := exec.Command("go", append([]string{"list", "-e", "-json=ImportPath,Dir,GoFiles,IgnoredGoFiles,Imports,Deps,Standard"}, args...)...)
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

// TestFaces holds that no package shows more names than it may, nor has more files.
func TestFaces(t *testing.T) {
	names, files := make(map[string]int), make(map[string]int)
	for _, p := range list(t, module+"/...") {
		seen := make(map[string]bool)
		for _, file := range append(p.GoFiles, p.IgnoredGoFiles...) {
			if !strings.HasSuffix(file, "_test.go") {
				exported(t, filepath.Join(p.Dir, file), seen)
				files[strings.TrimPrefix(p.ImportPath, module+"/")]++
			}
		}
		names[strings.TrimPrefix(p.ImportPath, module+"/")] = len(seen)
	}
	mayHave(t, "exported names", names, mostNames, manyNames)
	mayHave(t, "files", files, mostFiles, manyFiles)
}

// mayHave holds each package's number of things against the bound for all, and the table of those that
// may have more.
func mayHave(t *testing.T, things string, got map[string]int, most int, more map[string]int) {
	t.Helper()
	for name, n := range got {
		if bound := max(most, more[name]); n > bound {
			t.Errorf("%s has %d %s; it may have %d", name, n, things, bound)
		}
	}
	for name, bound := range more {
		if got[name] <= most || got[name] > bound {
			t.Errorf("%s may have %d %s and has %d: remove its row if it needs no more than %d", name, bound, things, got[name], most)
		}
	}
}

// exported adds the names that a file exports; of constants and of variables that are declared
// together the first. What two files declare, for different build tags, is one name.
func exported(t *testing.T, path string, names map[string]bool) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && d.Name.IsExported() {
				names[d.Name.Name] = true
			}
		case *ast.GenDecl:
			exportedBy(d, names)
		}
	}
}

// exportedBy adds the types that a declaration exports, or the first of its constants or variables.
func exportedBy(d *ast.GenDecl, names map[string]bool) {
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Name.IsExported() {
				names[spec.Name.Name] = true
			}
		case *ast.ValueSpec:
			for _, name := range spec.Names {
				if name.IsExported() {
					names[name.Name] = true
					return
				}
			}
		}
	}
}
