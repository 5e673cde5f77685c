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

// Exit codes. Those after the first two say how what was waited for ended.
const (
	exitError       = 1 // an error of the program or its surroundings
	exitUsage       = 2 // wrong usage, or a request that is rejected
	exitFailed      = 3 // failed or partially_failed
	exitTimedOut    = 4
	exitNotFound    = 5 // not_found or refused
	exitCancelled   = 6
	exitInterrupted = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run carries out a command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if coded, ok := errors.AsType[codedError](err); ok {
		if coded.text != "" {
			fmt.Fprintln(stderr, "orderwatch:", coded.text)
		}
		return coded.code
	}
	fmt.Fprintln(stderr, "orderwatch:", err)
	if usage, ok := errors.AsType[usageError](err); ok {
		fmt.Fprintf(stderr, "See %s --help.\n", usage.command.CommandPath())
		return exitUsage
	}
	return exitError
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
		RunE:          func(c *cobra.Command, _ []string) error { return usageError{c, errors.New("name a command")} },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usageError{c, wrongFlag(c, err)} })
	addGroup(root, "Ask and follow:", contextFlag(watchCommand(), getCommand(), listCommand(), eventsCommand(), cancelCommand(), pollCommand(), renotifyCommand(), statusCommand())...)
	addGroup(root, "Run:", serveCommand(), demoCommand(), emulatorCommand(), healthCommand())
	addGroup(root, "Set up:", doctorCommand(), routesCommand(), schemaCommand(), completionCommand(), manCommand(), versionCommand())
	setHelp(root)
	return root
}

// A usageError is a command line that is wrong.
type usageError struct {
	command *cobra.Command
	err     error
}

func (e usageError) Error() string { return e.err.Error() }

// A codedError ends the program with an exit code of its own. An empty text says nothing.
type codedError struct {
	code int
	text string
}

func (e codedError) Error() string { return e.text }

// noArguments refuses arguments as wrong usage.
func noArguments(c *cobra.Command, args []string) error {
	if err := cobra.NoArgs(c, args); err != nil {
		return usageError{c, err}
	}
	return nil
}
