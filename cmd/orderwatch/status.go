package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/wire"
)

func statusCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "status",
		Short: "Show how the workers are, what is held, late or untold",
		Long: `Show how the installation is, as the worker that answers sees it: how many
workers there are, the accounts that ModelArts is not asked for and why, watches
that are overdue, records that cannot be read, and what people have not been
told. It needs no more than the other commands that ask: orderwatch doctor looks
at more, and needs the worker's environment.

Times are in this machine's zone.

Exit code 0 if a worker answers, however the installation is; 1 if none does, or
NATS is not reached.`,
		Example: `  orderwatch status
  orderwatch status -o json | jq .held_accounts`,
		Args:              exit.NoArguments,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	format := outputFlag(command)
	command.RunE = func(c *cobra.Command, _ []string) error {
		s, err := openSession(c)
		if err != nil {
			return err
		}
		defer s.close()
		status, err := s.Status(c.Context())
		if err != nil {
			return noStatus(err)
		}
		out := c.OutOrStdout()
		if *format == output.AsJSON {
			return output.JSON(out, status)
		}
		p := show.Page{Now: time.Now(), Width: output.Columns(out), Paint: output.PaintFor(out)}
		_, err = io.WriteString(out, p.Status(status))
		return err
	}
	return command
}

// noStatus says why it is not known how the installation is.
func noStatus(err error) error {
	if answer, ok := errors.AsType[*wire.ServiceError](err); ok {
		if answer.Code == http.StatusServiceUnavailable {
			return fmt.Errorf("a worker answers, but not how the installation is: %s", output.Clean(answer.Reason))
		}
		return errors.New(output.Clean(answer.Reason))
	}
	if errors.Is(err, client.ErrNoWorker) {
		return fmt.Errorf("no worker answers: %w\nWithout one requests are kept, but nothing is polled. Workers of a release without this command do not answer it", err)
	}
	return exit.Unanswered(err)
}
