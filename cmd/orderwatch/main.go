// Command orderwatch waits for ModelArts orders: it takes requests from NATS, polls each order
// until it has ended, publishes a completion event, and tells people on Slack.
//
// This package wires the others together. Nothing is decided here.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitError = 1 // an error of the program or its surroundings
	exitUsage = 2 // wrong usage
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run carries out a command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := &cobra.Command{
		Use:           "orderwatch",
		Short:         "Wait for Huawei Cloud ModelArts orders, tell programs and people how they end",
		Version:       programVersion(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noArguments,
		RunE:          func(c *cobra.Command, _ []string) error { return usageError{c, errors.New("name a command")} },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetArgs(args)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usageError{c, err} })
	root.AddCommand(serveCommand(), demoCommand(), emulatorCommand(), healthCommand(), versionCommand())

	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "orderwatch:", err)
	if usage, ok := errors.AsType[usageError](err); ok {
		fmt.Fprintf(stderr, "See %s --help.\n", usage.command.CommandPath())
		return exitUsage
	}
	return exitError
}

// A usageError is a command line that is wrong.
type usageError struct {
	command *cobra.Command
	err     error
}

func (e usageError) Error() string { return e.err.Error() }

// noArguments refuses arguments as wrong usage.
func noArguments(c *cobra.Command, args []string) error {
	if err := cobra.NoArgs(c, args); err != nil {
		return usageError{c, err}
	}
	return nil
}
