package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
)

// rootText introduces the program to someone who reads nothing else.
const rootText = `orderwatch waits for Huawei Cloud ModelArts orders. You ask for an order to be
watched; a worker (orderwatch serve) asks ModelArts until every item of it has
ended, publishes one completion event on NATS, and tells people on Slack.

An order is written PROJECT/ORDER: the project's id, and the order's name from
the answer that created it (orderName, or the label os.modelarts/order.name of
the pool; not the billing order id, CS…). ORDER alone will do where
ORDERWATCH_MODELARTS_PROJECT_ID is set.

The commands that ask and follow need NATS, and a worker at work somewhere.
ORDERWATCH_NATS_URL says where NATS is, or else a context of the nats tool does:
--context NAME, or the selected one. "orderwatch serve --help" lists all
variables, with the ways to log in. Something does not work? "orderwatch status"
says how the workers are, "orderwatch doctor" why, where it has their
environment. With -o json each prints one
JSON object in each line, for programs.

Exit codes: 0 done, 1 an error of the program or its surroundings, 2 wrong
usage, 130 Ctrl-C. "orderwatch watch --help" lists those of watch --wait.`

const rootExample = `  Try it, with nothing set up
    orderwatch demo

  Say where NATS is
    export ORDERWATCH_NATS_URL=nats://nats.example:4222

  Watch an order, and wait until it has ended
    orderwatch watch --wait my-project/order.pool-5ed5-w4l2n

  Find out why another is late: see all that go on, then look at one
    orderwatch list --state watching
    orderwatch get my-project/order.gpu-60-x7k2p

  Stop watching a third (the order itself goes on)
    orderwatch cancel my-project/order.stuck-b6c1d --reason "wrong flavor"`

// usageText is what follows the introduction in every help, as a template of cobra's.
const usageText = `Usage:
  {{if .HasAvailableSubCommands}}{{.CommandPath}} COMMAND [flags]{{else}}{{.UseLine}}{{end}}
{{- range $group := .Groups}}

{{$group.Title}}{{range $.Commands}}{{if (and (eq .GroupID $group.ID) .IsAvailableCommand)}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}
{{- if and .HasAvailableSubCommands (not .Groups)}}

Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}
{{- if .HasExample}}

Examples:
{{.Example}}{{end}}
{{- if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsagesWrapped 80 | trimTrailingWhitespaces}}{{end}}
{{- if .HasAvailableSubCommands}}

"{{.CommandPath}} COMMAND --help" says more about a command.{{end}}
`

// addGroup adds commands that the help shows together, in this order.
func addGroup(root *cobra.Command, title string, commands ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: title, Title: title})
	for _, c := range commands {
		c.GroupID = title
	}
	root.AddCommand(commands...)
}

// setHelp gives the program and its commands their help.
func setHelp(root *cobra.Command) {
	root.SuggestionsMinimumDistance = 2 // letters that may be wrong
	root.SetUsageTemplate(usageText)
	root.SetHelpCommandGroupID(root.Groups()[len(root.Groups())-1].ID)
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
