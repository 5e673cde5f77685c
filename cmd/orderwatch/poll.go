package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

func pollCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "poll PROJECT/ORDER...",
		Short: "Ask ModelArts for orders now instead of at their next turn",
		Long: `Let the watches of orders ask ModelArts now, instead of when their next poll is
due, or as soon as the account may be asked, where it is held. orderwatch get
shows what the poll brought.

Exit code 0 if all are polled, 1 if one is not.`,
		Example: `  orderwatch poll my-project/order.pool-5ed5-w4l2n
  orderwatch get my-project/order.pool-5ed5-w4l2n`,
		Args:              someOrders,
		ValidArgsFunction: completeOrders(watcher.Watching, maxOrders),
	}
	format := outputFlag(command)
	command.RunE = func(c *cobra.Command, args []string) error {
		return eachOrder(c, args, *format, func(ctx context.Context, s *session, order watcher.Order) (watcher.Snapshot, string, error) {
			w, err := s.Poll(ctx, order)
			return w, polled(w, time.Now()), err
		})
	}
	return command
}

// polled says what became of a poll that was asked for.
func polled(w watcher.Snapshot, now time.Time) string {
	if w.Polls == 0 {
		return "is polled now, for the first time"
	}
	if w.LastError != nil && w.LastError.AccountHeld() {
		return "is polled when its account may be asked again: " + output.Clean(w.LastError.Message)
	}
	text := fmt.Sprintf("is polled now, after %s; the last was %s", words.Count(w.Polls, "poll"), show.Page{Now: now}.Ago(w.LastPollAt, ""))
	if w.LastError != nil {
		text += " and did not work: " + show.Error(*w.LastError)
	}
	return text
}
