package main

import (
	"embed"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
)

//go:embed help/*.txt
var helpFiles embed.FS

// newCommand returns the command whose help is help/NAME.txt: how it is called in the first line, what it does
// in the second, then what is to be known of it, and examples.
func newCommand(name string, args cobra.PositionalArgs) *cobra.Command {
	text, err := helpFiles.ReadFile("help/" + name + ".txt")
	if err != nil {
		panic(err) // there is no such file
	}
	about, example, _ := strings.Cut(string(text), "\nExamples:\n")
	use, about, _ := strings.Cut(about, "\n")
	short, long, _ := strings.Cut(about, "\n")
	return &cobra.Command{
		Use: use, Short: short, Long: strings.TrimSpace(long), Example: strings.TrimSuffix(example, "\n"), Args: args,
	}
}

// usageText is what follows the introduction in every help, as a template of cobra's.
//
//go:embed help/usage.tmpl
var usageText string

// addGroup adds commands that the help shows together, in this order.
func addGroup(root *cobra.Command, title string, commands ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: title, Title: title})
	for _, c := range commands {
		c.GroupID = title
	}
	root.AddCommand(commands...)
}

// knownCommand refuses a command that does not exist, and names those that may have been meant.
func knownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("unknown command %q", args[0])
	if meant := c.SuggestionsFor(args[0]); len(meant) > 0 {
		text += ": did you mean " + strings.Join(meant, " or ") + "?"
	}
	return exit.Usage(c, "%s", text)
}
