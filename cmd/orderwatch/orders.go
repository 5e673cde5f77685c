package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/exit"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/watcher"
)

// A deed is something done about an order. The text says what became of it.
type deed func(context.Context, *session, watcher.Order) (w watcher.Snapshot, text string, err error)

// eachOrder does it about each of the orders that are named, and prints what became of it. The
// error tells of all that did not work.
func eachOrder(c *cobra.Command, args []string, format output.Format, do deed) error {
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

// parseOrders reads each PROJECT/ORDER.
func parseOrders(c *cobra.Command, config config.Config, texts []string) (orders []watcher.Order, err error) {
	for _, text := range texts {
		order, err := parseOrder(c, config, text)
		if err != nil {
			return nil, err
		}
		orders = append(orders, order)
	}
	return orders, nil
}

// oneOrder refuses anything but one argument as wrong usage.
func oneOrder(c *cobra.Command, args []string) error {
	if len(args) > 1 {
		return exit.Usage(c, "%d orders are named; name one: %s", len(args), c.UseLine())
	}
	return someOrders(c, args)
}

// someOrders refuses no arguments as wrong usage.
func someOrders(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return exit.Usage(c, "no order is named: %s", c.UseLine())
	}
	return nil
}

// checkChannels refuses what has not the form of a channel's ID as wrong usage of the flag.
func checkChannels(c *cobra.Command, channels ...string) error {
	for _, channel := range channels {
		if !routes.IsChannel(channel) {
			return exit.Usage(c, "--channel: %q must be a channel's ID such as C0123456789, not its name", output.Shorten(channel, 60))
		}
	}
	return nil
}
