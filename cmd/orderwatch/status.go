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

func historyCommand() *cobra.Command {
	command := newCommand("history", exit.NoArguments)
	command.ValidArgsFunction = cobra.NoFileCompletions
	format := outputFlag(command)
	forget := command.Flags().String("forget", "", "forget what is known under this `key`, as -o json and the last column name it")
	command.RunE = func(c *cobra.Command, _ []string) error {
		if c.Flags().Changed("forget") && *forget == "" {
			return exit.Usage(c, "--forget: name a key of orderwatch history")
		}
		s, err := openSession(c)
		if err != nil {
			return err
		}
		defer s.close()
		answer, err := s.History(c.Context(), wire.HistoryRequest{Forget: *forget})
		switch {
		case errors.Is(err, client.ErrNoWorker):
			return fmt.Errorf("no worker answers: %w\nWorkers of a release without this command do not answer it", err)
		case err != nil:
			return refusal(c, output.Clean(*forget), err, map[int]string{http.StatusNotFound: "orderwatch history names the keys"})
		case *forget != "":
			_, err := fmt.Fprintf(c.OutOrStdout(), "forgotten: %s\n", output.Clean(*forget))
			return err
		case *format == output.AsJSON:
			for _, known := range answer.Known {
				if err := output.JSON(c.OutOrStdout(), known); err != nil {
					return err
				}
			}
			return nil
		}
		return printed(c, answer, func(p show.Page) string { return p.History(answer) })
	}
	return command
}
