package main

import (
	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/watcher"
)

func getCommand() *cobra.Command {
	command := newCommand("get", oneOrder)
	command.SuggestFor = []string{"show"}
	command.ValidArgsFunction = completeOrders("", 1)
	outputFlag(command)
	all := command.Flags().Bool("all", false, "show every item, request and message, however many there are")
	command.RunE = func(c *cobra.Command, args []string) error {
		config, err := config.Load()
		if err != nil {
			return err
		}
		var order watcher.Order
		byID := isWatchID(args[0])
		if !byID {
			if order, err = parseOrder(c, config, args[0]); err != nil {
				return err
			}
		}
		s, err := connect(c, config)
		if err != nil {
			return err
		}
		defer s.close()
		if byID {
			if order, err = s.orderOf(c.Context(), args[0]); err != nil {
				return err
			}
		}
		w, err := s.Get(c.Context(), order)
		if err != nil {
			return orderRefusal(c, order, err)
		}
		return printed(c, w, func(p show.Page) string {
			p.All = *all
			return p.Watch(w)
		})
	}
	return command
}
