package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

func cancelCommand() *cobra.Command {
	var by, reason string
	command := &cobra.Command{
		Use:   "cancel PROJECT/ORDER...",
		Short: "Stop watching orders; the orders themselves go on",
		Long: `Cancel the watches of orders. Each ends at once with the outcome cancelled, and
everybody who asked for it is told who cancelled it and why. The order itself
is NOT cancelled: it goes on in ModelArts, and can be watched again.

Exit code 0 if all are cancelled, 1 if one is not.`,
		Example: `  orderwatch cancel my-project/order.pool-5ed5-w4l2n --reason "wrong flavor"
  orderwatch cancel --by nightly-job my-project/order.a my-project/order.b`,
		SuggestFor:        []string{"stop", "abort"},
		Args:              someOrders,
		ValidArgsFunction: completeOrders(watcher.Watching, maxOrders),
	}
	format := outputFlag(command)
	command.Flags().StringVar(&by, "by", "", "`name` of who cancels, shown to people (default your login name)")
	command.Flags().StringVar(&reason, "reason", "", "`text` that says why, shown to people")
	command.RunE = func(c *cobra.Command, args []string) error {
		by := cmp.Or(by, userName())
		if by == "" {
			return exit.Usage(c, "this machine does not say who you are: say who cancels with --by NAME")
		}
		return eachOrder(c, args, *format, func(ctx context.Context, s *session, order watcher.Order) (watcher.Snapshot, string, error) {
			w, err := s.Cancel(ctx, wire.CancelRequest{Order: order, By: by, Reason: reason})
			if err != nil {
				return w, "", err
			}
			return w, cancelled(w, by), nil
		})
	}
	return command
}

// cancelled says what became of a cancel.
func cancelled(w watcher.Snapshot, by string) string {
	who := ""
	if w.Wish != nil && w.Wish.By != by {
		who = " (" + output.Clean(w.Wish.By) + " had cancelled it already)"
	}
	return "the watch ends now" + who + "; the order itself is NOT cancelled and goes on in ModelArts"
}

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

// An action is something that a command does about an order. The text says what became of it.
type action func(context.Context, *session, watcher.Order) (w watcher.Snapshot, text string, err error)

// eachOrder does it about each of the orders that are named, and prints what became of it. The
// error tells of all actions that did not work.
func eachOrder(c *cobra.Command, args []string, format output.Format, do action) error {
	s, err := openSession(c)
	if err != nil {
		return err
	}
	defer s.close()
	orders, err := parseOrders(c, s.config, args)
	if err != nil {
		return err
	}
	var refused []error
	for _, order := range orders {
		w, text, err := do(c.Context(), s, order)
		if err != nil {
			refused = append(refused, refusal(c, order, err))
		} else if err := printDone(c, format, order, w, text); err != nil {
			return err
		}
		if c.Context().Err() != nil {
			break
		}
	}
	return errors.Join(refused...)
}

func printDone(c *cobra.Command, format output.Format, order watcher.Order, w watcher.Snapshot, text string) error {
	if format == output.AsJSON {
		return output.JSON(c.OutOrStdout(), w)
	}
	_, err := fmt.Fprintf(c.OutOrStdout(), "%s: %s\n", order, text)
	return err
}
