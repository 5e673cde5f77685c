// Package exit says with which code the program ends, and writes why.
//
// A command returns an error of this package where its code is not [Trouble]: an [Error], or what
// [Usage] returns. [Status] turns the error of any command into a code, so every error is written once.
//
// Read exit.go: the codes, then [Error] and [Usage], then [Status], which decides between them.
package exit

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// A Code is one that the program ends with.
type Code int

// The codes. Those from [Failed] to [Cancelled] say how the watches ended that the command waited for.
const (
	Done        Code = 0
	Trouble     Code = 1 // an error of the program or its surroundings
	Misuse      Code = 2 // wrong usage, or a request that is rejected
	Failed      Code = 3 // failed or partially_failed
	TimedOut    Code = 4
	NotFound    Code = 5 // not_found or refused
	Cancelled   Code = 6
	Interrupted Code = 130
)

// An Error ends the program with its code. An empty text says nothing.
type Error struct {
	Code Code
	Text string
}

func (e Error) Error() string { return e.Text }

// A misuse is a command line that is wrong.
type misuse struct {
	command *cobra.Command
	err     error
}

func (e misuse) Error() string { return e.err.Error() }

// Usage returns an error that says, as [fmt.Errorf] does, what is wrong with the command line. It ends the
// program with [Misuse], and the help of the command is named.
func Usage(c *cobra.Command, format string, args ...any) error {
	return misuse{c, fmt.Errorf(format, args...)}
}

// NoArguments refuses arguments as wrong usage.
func NoArguments(c *cobra.Command, args []string) error {
	if err := cobra.NoArgs(c, args); err != nil {
		return misuse{c, err}
	}
	return nil
}

// Unanswered says what the error of a call of the service means where no answer came: that the command was
// interrupted, or that nothing answered in time. Other errors, and nil, are returned as they are.
func Unanswered(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return Error{Code: Interrupted, Text: "interrupted before an answer came"}
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("no answer in time: is NATS well, and a worker (orderwatch serve) at work? Try again")
	}
	return err
}

// Status writes what the error of a command says, and returns the code that the program ends with.
func Status(err error, stderr io.Writer) Code {
	if err == nil {
		return Done
	}
	if coded, ok := errors.AsType[Error](err); ok {
		if coded.Text != "" {
			fmt.Fprintln(stderr, "orderwatch:", coded.Text)
		}
		return coded.Code
	}
	fmt.Fprintln(stderr, "orderwatch:", err)
	if wrong, ok := errors.AsType[misuse](err); ok {
		fmt.Fprintf(stderr, "See %s --help.\n", wrong.command.CommandPath())
		return Misuse
	}
	return Trouble
}
