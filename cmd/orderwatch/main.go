// Command orderwatch waits for ModelArts orders: it takes requests from NATS, polls each order
// until it has ended, publishes a completion event, and tells people on Slack.
//
// This package wires the others together. Nothing is decided here.
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
	root := &cobra.Command{
		Use:           "orderwatch",
		Short:         "Wait for Huawei Cloud ModelArts orders, tell programs and people how they end",
		Long:          rootText,
		Example:       rootExample,
		Version:       programVersion(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          knownCommand,
		RunE:          func(c *cobra.Command, _ []string) error { return exit.Usage(c, "name a command") },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return exit.Usage(c, "%w", wrongFlag(c, err)) })
	addGroup(root, "Ask and follow:", contextFlag(watchCommand(), getCommand(), listCommand(), eventsCommand(), cancelCommand(), pollCommand(), renotifyCommand(), statusCommand())...)
	addGroup(root, "Run:", serveCommand(), demoCommand(), emulatorCommand(), healthCommand())
	addGroup(root, "Set up:", doctorCommand(), routesCommand(), schemaCommand(), completionCommand(), manCommand(), versionCommand())
	setHelp(root)
	return root
}
