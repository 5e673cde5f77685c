package main

import (
	"bytes"
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// commands returns the program and all its commands.
func commands(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		all = append(all, commands(sub)...)
	}
	return all
}

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
				if n := width(strings.TrimSuffix(line, "\n")); n > helpWidth {
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
	args := words(call)
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

// words splits a call as a shell does, with double quotes at the most.
func words(call string) (args []string) {
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
	var out, errs bytes.Buffer
	code := run(context.Background(), []string{"lst"}, &out, &errs)
	if code != exitUsage || !strings.Contains(errs.String(), "list") || out.Len() > 0 {
		t.Errorf("code %d, stderr %q, stdout %q", code, &errs, &out)
	}
}
