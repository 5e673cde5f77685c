package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/find"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

func cancelCommand() *cobra.Command {
	command := newCommand("cancel", someOrders)
	command.SuggestFor = []string{"stop", "abort"}
	command.ValidArgsFunction = completeOrders(watcher.Watching, maxOrders)
	outputFlag(command)
	by := command.Flags().String("by", "", "`name` of who cancels, shown to people (default your login name)")
	reason := command.Flags().String("reason", "", "`text` that says why, shown to people")
	command.RunE = func(c *cobra.Command, args []string) error {
		by, err := who(c, *by, "who cancels")
		if err != nil {
			return err
		}
		return eachOrder(c, args, func(ctx context.Context, s *session, order watcher.Order) (watcher.Snapshot, string, error) {
			w, err := s.Cancel(ctx, wire.CancelRequest{Order: order, By: by, Reason: *reason})
			return w, cancelled(w, by), err
		})
	}
	return command
}

// cancelled says what became of a cancel.
func cancelled(w watcher.Snapshot, by string) string {
	who := ""
	if w.Wish != nil && w.Wish.By != by {
		who = " (" + words.Asker(output.Clean(w.Wish.Team), output.Clean(w.Wish.By)) + " had cancelled it already)"
	}
	return "the watch ends now" + who + "; the order itself is NOT cancelled and goes on in ModelArts"
}

func pollCommand() *cobra.Command {
	command := newCommand("poll", someOrders)
	command.ValidArgsFunction = completeOrders(watcher.Watching, maxOrders)
	outputFlag(command)
	command.RunE = func(c *cobra.Command, args []string) error {
		return eachOrder(c, args, func(ctx context.Context, s *session, order watcher.Order) (watcher.Snapshot, string, error) {
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
	if w.LastError != nil && w.LastError.Held.Mendable() {
		return "is polled within half a minute, to find out whether that is mended: " + output.Times(output.Clean(w.LastError.Message), now)
	}
	if w.LastError != nil && w.LastError.AccountHeld() {
		return "is polled when its account may be asked again: " + output.Times(output.Clean(w.LastError.Message), now)
	}
	text := fmt.Sprintf("is polled now, after %s; the last was %s", words.Count(w.Polls, "poll"), show.Page{Now: now}.Ago(w.LastPollAt))
	if w.LastError != nil {
		text += " and did not work: " + show.Error(*w.LastError)
	}
	return text
}

// An action is something that a command does about an order. The text says what became of it.
type action func(context.Context, *session, watcher.Order) (w watcher.Snapshot, text string, err error)

// eachOrder does it about each of the orders that are named, and prints what became of it. The
// error tells of all actions that did not work.
func eachOrder(c *cobra.Command, args []string, do action) error {
	config, err := config.Load()
	if err == nil {
		err = checkNamed(c, config, args)
	}
	if err != nil {
		return err
	}
	s, err := connect(c, config)
	if err != nil {
		return err
	}
	defer s.close()
	var orders []find.Found
	for _, text := range args {
		found, err := s.find(c, text)
		if err != nil {
			return err
		}
		orders = append(orders, found)
	}
	var refused []error
	for i, found := range orders {
		w, text, err := do(c.Context(), s, found.Order)
		if err != nil {
			refused = append(refused, orderRefusal(c, args[i], found, err))
		} else if err := printed(c, w, func(show.Page) string { return found.Order.String() + ": " + text + "\n" }); err != nil {
			return err
		}
		if c.Context().Err() != nil {
			break
		}
	}
	return errors.Join(refused...)
}
