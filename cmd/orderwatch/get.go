package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/events/client"
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

func whyCommand() *cobra.Command {
	command := newCommand("why", oneOrder)
	command.SuggestFor = []string{"story", "timeline", "log"}
	command.ValidArgsFunction = completeOrders("", 1)
	outputFlag(command)
	all := command.Flags().Bool("all", false, "cut no line")
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
		story, err := s.Why(c.Context(), found.Order)
		if errors.Is(err, client.ErrNoWorker) {
			if _, err := s.Get(c.Context(), found.Order); err == nil {
				name := found.Order.String()
				return fmt.Errorf("the workers are of a release before this command, and do not answer it\nWhat is kept: orderwatch events %s; how it is now: orderwatch get %s", name, name)
			}
		}
		if err != nil {
			return orderRefusal(c, found.Order, err)
		}
		return printed(c, story, func(p show.Page) string {
			p.All = *all
			return p.Story(story)
		})
	}
	return command
}
