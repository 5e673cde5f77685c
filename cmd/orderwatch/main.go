// Command orderwatch waits for ModelArts orders: it takes requests from NATS, polls each order
// until it has ended, publishes a completion event, and tells people on Slack.
//
// This package reads command lines and wires the other packages together; those decide the rest. Each command has
// the file of its name, and its help is help/NAME.txt.
//
// Read main.go first, which names all commands, then
//
//   - help.go: how help is read and laid out; man.go makes manual pages of it;
//   - version.go: which commit this program was built from;
//   - flags.go: the flag -o, and what is said of wrong flags;
//   - orders.go: how orders are named, how many arguments there may be, and why the service refuses a call;
//   - client.go: where NATS is, and how a command logs in;
//   - get.go: get and why; actions.go: cancel and poll; serve.go: serve, page, provision and health; status.go: status and
//     history.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(int(run(ctx, os.Args[1:], os.Stdout, os.Stderr)))
}

// run carries out a command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) exit.Code {
	root := newRoot()
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetArgs(args)
	return exit.Status(root.ExecuteContext(ctx), stderr)
}

// newRoot returns the whole program, with all its commands.
func newRoot() *cobra.Command {
	root := newCommand("orderwatch", knownCommand)
	root.RunE = func(c *cobra.Command, _ []string) error { return exit.Usage(c, "name a command") }
	root.Version, root.SilenceUsage, root.SilenceErrors = programVersion(), true, true
	root.SetVersionTemplate(builtFrom().text())
	root.SuggestionsMinimumDistance = 2 // letters that may be wrong
	root.SetUsageTemplate(usageText)
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return exit.Usage(c, "%w", wrongFlag(c, err)) })
	addGroup(root, "Ask and follow:", contextFlag(watchCommand(), getCommand(), whyCommand(), listCommand(), eventsCommand(), cancelCommand(), pollCommand(), renotifyCommand(), historyCommand(), statusCommand())...)
	addGroup(root, "Run:", serveCommand(), pageCommand(), demoCommand(), emulatorCommand(), healthCommand())
	const last = "Set up:"
	addGroup(root, last, append(contextFlag(provisionCommand()), doctorCommand(), routesCommand(), teamsCommand(), schemaCommand(), completionCommand(), manCommand(), versionCommand())...)
	root.SetHelpCommandGroupID(last)
	return root
}
