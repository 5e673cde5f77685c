package main_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var testCommand = regexp.MustCompile("go test [^`\n]*")

// TestMeasuringCommands holds of each command of go test in CAPACITY.md, FAULTS.md and NATS.md that the tests or
// benchmarks which it runs are in its package, and so are the flags behind it.
func TestMeasuringCommands(t *testing.T) {
	for _, name := range []string{"CAPACITY.md", "FAULTS.md", "NATS.md"} {
		page, err := os.ReadFile("../../deploy/" + name)
		if err != nil {
			t.Fatal(err)
		}
		commands := testCommand.FindAllString(string(page), -1)
		if len(commands) == 0 {
			t.Errorf("%s names no command", name)
		}
		for _, command := range commands {
			judgeTestCommand(t, name, command)
		}
	}
}

// judgeTestCommand holds one command. One for all packages names no test.
func judgeTestCommand(t *testing.T, page, command string) {
	t.Helper()
	words := strings.Fields(command)
	dir := ""
	for _, word := range words {
		if strings.HasPrefix(word, "./") && word != "./..." {
			dir = word
		}
	}
	if dir == "" {
		return
	}
	text := testsOf(t, filepath.Join("../..", dir))
	if text == "" {
		t.Errorf("%s: %s: no tests are there", page, command)
	}
	behind := false // the package, where the flags are the tests' own
	for i, word := range words {
		behind = behind || word == dir
		if name, _, ok := strings.Cut(strings.TrimPrefix(word, "-"), "="); behind && ok && !strings.Contains(text, `("`+name+`"`) {
			t.Errorf("%s: %s: there is no flag %s", page, command, word)
		}
		kind, ok := map[string]string{"-bench": "Benchmark", "-run": "Test"}[word]
		if !ok || i+1 == len(words) {
			continue
		}
		pattern := strings.Trim(words[i+1], "'")
		if pattern == "^$" {
			continue
		}
		for _, one := range strings.Split(pattern, "|") {
			first, _, _ := strings.Cut(strings.TrimPrefix(one, kind), "/")
			if written := regexp.MustCompile(`(?m)^func ` + kind + `[A-Za-z0-9]*` + strings.TrimSuffix(first, "$") + `[A-Za-z0-9]*\(`); !written.MatchString(text) {
				t.Errorf("%s: %s: nothing there is named %s", page, command, one)
			}
		}
	}
}

// testsOf returns the text of all tests of a package, whatever their build tags.
func testsOf(t *testing.T, dir string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// TestCapacityMetrics holds that each metric of ours and each alert that CAPACITY.md names is there.
func TestCapacityMetrics(t *testing.T) {
	page, err := os.ReadFile("../../deploy/CAPACITY.md")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := os.ReadFile("../../deploy/helm/monitoring/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for pattern, is := range map[string]func(name string) bool{
		"`(orderwatch_[a-z_]+)`": func(name string) bool {
			return slices.ContainsFunc(sources(t, false), func(source []byte) bool { return bytes.Contains(source, []byte(`"`+name+`"`)) })
		},
		"`(Orderwatch[A-Za-z0-9]+)`": func(name string) bool { return bytes.Contains(rules, []byte("alert: "+name+"\n")) },
	} {
		names := regexp.MustCompile(pattern).FindAllSubmatch(page, -1)
		if len(names) == 0 {
			t.Errorf("CAPACITY.md names nothing like %s", pattern)
		}
		for _, name := range names {
			if !is(string(name[1])) {
				t.Errorf("CAPACITY.md names %s, which is not there", name[1])
			}
		}
	}
}
