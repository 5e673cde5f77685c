package main

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
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
