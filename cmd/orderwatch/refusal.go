package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// refusal says why a call about an order did not work, and what to do.
func refusal(c *cobra.Command, order watcher.Order, err error) error {
	answer, ok := errors.AsType[*wire.ServiceError](err)
	switch {
	case ok && answer.Code == http.StatusNotFound:
		return fmt.Errorf("%s: %s\nCheck the name (orderwatch list), or have it watched: orderwatch watch %s", order, output.Clean(answer.Reason), order)
	case ok && answer.Code == http.StatusGone:
		return fmt.Errorf("%s: %s\nWho asked, as far as events name it: orderwatch events %s. To watch it again: orderwatch watch %s", order, output.Clean(answer.Reason), order, order)
	case ok && answer.Code == http.StatusConflict:
		return fmt.Errorf("%s: its watch has ended already; orderwatch get %s says how", order, order)
	case ok && answer.Code == http.StatusBadRequest:
		return exit.Usage(c, "%s: %s", order, output.Clean(answer.Reason))
	case ok:
		return fmt.Errorf("%s: %s", order, output.Clean(answer.Reason))
	}
	return unanswered(err)
}

// unanswered says what it means that no answer came.
func unanswered(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return exit.Error{Code: exit.Interrupted, Text: "interrupted before an answer came"}
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("no answer in time: is NATS well, and a worker (orderwatch serve) at work? Try again")
	}
	return err
}
