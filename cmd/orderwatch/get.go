package main

import (
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
)

func getCommand() *cobra.Command {
	var all bool
	command := &cobra.Command{
		Use:   "get PROJECT/ORDER",
		Short: "Show one watch: how far it is, what went wrong, who asked",
		Long: `Show the latest watch of an order: how far the order is, who asked, when it was
polled and will be next, the last error and what it means, each item with a bar
of the time it took, and why items failed. Of many items, those that failed or
go on are shown first, the rest is summed up. orderwatch list names the orders.

Times are in this machine's zone.`,
		Example: `  orderwatch get my-project/order.pool-5ed5-w4l2n
  orderwatch get my-project/order.pool-5ed5-w4l2n --all
  orderwatch get my-project/order.pool-5ed5-w4l2n -o json`,
		SuggestFor:        []string{"show"},
		Args:              oneOrder,
		ValidArgsFunction: completeOrders("", 1),
	}
	format := outputFlag(command)
	command.Flags().BoolVar(&all, "all", false, "show every item, request and message, however many there are")
	command.RunE = func(c *cobra.Command, args []string) error {
		config, err := config.Load()
		if err != nil {
			return err
		}
		order, err := parseOrder(c, config, args[0])
		if err != nil {
			return err
		}
		s, err := connect(c, config)
		if err != nil {
			return err
		}
		defer s.close()
		w, err := s.Get(c.Context(), order)
		if err != nil {
			return refusal(c, order, err)
		}
		out := c.OutOrStdout()
		if *format == output.AsJSON {
			return output.JSON(out, w)
		}
		p := show.Page{Now: time.Now(), Width: output.Columns(out), Paint: output.PaintFor(out), All: all}
		_, err = io.WriteString(out, p.Watch(w))
		return err
	}
	return command
}
