package main

import (
	"bytes"
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
)

// commands returns the program and all its commands.
func commands(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		all = append(all, commands(sub)...)
	}
	return all
}

// helpWidth is how many columns help takes.
const helpWidth = 80

var (
	namedCommand = regexp.MustCompile(`\borderwatch ([a-z]+)\b`)
	namedFlag    = regexp.MustCompile(`(?:^|[\s("'])(--[a-z][a-z-]*)`)
)

// TestHelp holds the help of the program and of each command: it fits a terminal of 80 columns,
// has an example, and names no command and no flag that does not exist.
func TestHelp(t *testing.T) {
	for _, c := range commands(newRoot()) {
		path := strings.Fields(c.CommandPath())[1:]
		t.Run(strings.Join(append([]string{"orderwatch"}, path...), " "), func(t *testing.T) {
			var out, errs bytes.Buffer
			if code := run(context.Background(), append(path, "--help"), &out, &errs); code != 0 || errs.Len() > 0 {
				t.Fatalf("--help ends with %d: %s", code, &errs)
			}
			text := out.String()
			for line := range strings.Lines(text) {
				if n := output.Width(strings.TrimSuffix(line, "\n")); n > helpWidth {
					t.Errorf("%d columns: %s", n, line)
				}
			}
			for _, sub := range c.Commands() {
				if sub.IsAvailableCommand() && !strings.Contains(text, "\n  "+sub.Name()+" ") {
					t.Errorf("does not list %s", sub.Name())
				}
			}
			if !strings.Contains(text, "\nExamples:\n") {
				t.Error("no example")
			}
			for _, match := range namedCommand.FindAllStringSubmatch(text, -1) {
				if named, _, err := newRoot().Find(match[1:]); (err != nil || named.Name() != match[1]) && !slices.Contains(prose, match[1]) {
					t.Errorf("names orderwatch %s, which is no command", match[1])
				}
			}
			for line := range strings.Lines(text) {
				checkFlags(t, c, line)
			}
			for line := range strings.Lines(c.Example) {
				checkExample(t, line)
			}
		})
	}
}

// prose are words that follow the program's name and are no commands.
var prose = []string{"waits", "knows", "command"}

// checkFlags holds that each flag that the line names is one of the command, or of those that the
// line names.
func checkFlags(t *testing.T, c *cobra.Command, line string) {
	t.Helper()
	may := []*cobra.Command{c}
	for _, match := range namedCommand.FindAllStringSubmatch(line, -1) {
		if named, _, err := newRoot().Find(match[1:]); err == nil {
			may = append(may, named)
		}
	}
	for _, match := range namedFlag.FindAllStringSubmatch(line, -1) {
		known := func(c *cobra.Command) bool {
			c.InitDefaultHelpFlag()
			c.InitDefaultVersionFlag()
			return c.Flags().Lookup(strings.TrimPrefix(match[1], "--")) != nil
		}
		if !slices.ContainsFunc(may, known) && !slices.Contains(elsewhere, match[1]) {
			t.Errorf("names %s, which is no flag: %s", match[1], line)
		}
	}
}

// elsewhere are flags that the text of one command says of another.
var elsewhere = []string{"--help", "--context", "--wait"}

// checkExample holds that a line which calls orderwatch is right: the command, its flags and its
// arguments.
func checkExample(t *testing.T, line string) {
	t.Helper()
	_, call, ok := strings.Cut(line, "orderwatch ")
	if !ok {
		return
	}
	call, _, _ = strings.Cut(call, "|")
	call, _, _ = strings.Cut(call, ">")
	args := shellWords(call)
	c, rest, err := newRoot().Find(args)
	if err != nil {
		t.Errorf("%s: %v", line, err)
		return
	}
	if err := c.ParseFlags(rest); err != nil {
		t.Errorf("%s: %v", line, err)
		return
	}
	if err := c.ValidateArgs(c.Flags().Args()); err != nil {
		t.Errorf("%s: %v", line, err)
	}
}

// shellWords splits a call as a shell does, with double quotes at the most.
func shellWords(call string) (args []string) {
	for i, part := range strings.Split(call, `"`) {
		if i%2 == 1 {
			args = append(args, part)
		} else {
			args = append(args, strings.Fields(part)...)
		}
	}
	return args
}

// TestUnknownCommand holds that a slip in a command's name is answered with the one that was meant.
func TestUnknownCommand(t *testing.T) {
	for typed, meant := range map[string]string{
		"lst": "list", "ls": "list", "show": "get", "state": "status", "stop": "cancel", "abort": "cancel", "wait": "watch",
	} {
		var out, errs bytes.Buffer
		code := run(context.Background(), []string{typed}, &out, &errs)
		if code != exit.Misuse || !strings.Contains(errs.String(), "did you mean ") || !strings.Contains(errs.String(), meant+"?") || out.Len() > 0 {
			t.Errorf("%s: code %d, stderr %q, stdout %q", typed, code, &errs, &out)
		}
	}
}

// TestHelpWithFlags holds what is said of a flag or an argument that is wrong: the value, and what
// would be right, in people's words.
func TestHelpWithFlags(t *testing.T) {
	for _, tt := range []struct{ line, says string }{
		{"list --limit abc", `--limit: "abc" must be a whole number`},
		{"list --all=perhaps", `--all: "perhaps" must be true or false`},
		{"list -o yaml", `--output: "yaml" must be text or json`},
		{"list --state gone", `--state: "gone" must be watching or ended`},
		{"list --sate ended", "unknown flag: --sate: did you mean --state?"},
		{"list --nothing", "unknown flag: --nothing\n"},
		{"list -x", "unknown shorthand flag: 'x' in -x\n"},
		{"list proj-a", "orderwatch list --project proj-a\n"},
		{"watch --time 5m p/o", "unknown flag: --time: did you mean --timeout?"},
		{"watch --timeout 5 p/o", `--timeout: "5" must be a duration of 1s or more, such as 90m` + "\n"},
		{"watch --link ftp://x p/o", `--link: "ftp://x" must be`},
		{"watch --expected-items 0 p/o", `--expected-items: "0" must be a whole number from 1 to 10000`},
		{"get p/o..", `"p/o.." is no order: the order's name must be`},
		{"get p.q/o", `"p.q/o" is no order: the project's id must be`},
		{"events p/o..", "the order's name must be"},
	} {
		var out, errs bytes.Buffer
		t.Setenv("ORDERWATCH_NATS_URL", "nats://127.0.0.1:1")
		code := run(context.Background(), strings.Fields(tt.line), &out, &errs)
		if code != exit.Misuse || !strings.Contains(errs.String(), tt.says) || out.Len() > 0 {
			t.Errorf("%s: code %d, stderr %q, stdout %q", tt.line, code, &errs, &out)
		}
	}
}
