package main

import (
	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
)

func getCommand() *cobra.Command {
	command := newCommand("get", oneOrder)
	command.SuggestFor = []string{"show"}
	command.ValidArgsFunction = completeOrders("", 1)
	outputFlag(command)
	all := command.Flags().Bool("all", false, "show every item, request and message, however many there are")
	command.RunE = func(c *cobra.Command, args []string) error {
		s, err := openSession(c)
		if err != nil {
			return err
		}
		defer s.close()
		found, err := s.find(c, args[0])
		if err != nil {
			return err
		}
		w, err := s.Get(c.Context(), found.Order)
		if err != nil {
			return orderRefusal(c, found.Order, err)
		}
		return printed(c, w, func(p show.Page) string {
			p.All = *all
			return p.Watch(w)
		})
	}
	return command
}
