package main

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/wire"
)

func statusCommand() *cobra.Command {
	command := newCommand("status", exit.NoArguments)
	command.ValidArgsFunction = cobra.NoFileCompletions
	outputFlag(command)
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
		return printed(c, status, func(p show.Page) string { return p.Status(status) })
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
