package main

import (
	"fmt"
	"net/http"

	"github.com/nats-io/nuid"
	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/find"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

func renotifyCommand() *cobra.Command {
	command := newCommand("renotify", arguments(1, 1, "name one watch or order"))
	outputFlag(command)
	by := command.Flags().String("by", "", "`name` of who wants it, shown to people (default your login name)")
	channels := command.Flags().StringSlice("channel", nil, "`ID` of a channel to post it in; may be given several times")
	command.RunE = func(c *cobra.Command, args []string) error {
		by, err := who(c, *by, "who wants it")
		if err != nil {
			return err
		}
		if err := checkChannels(c, *channels...); err != nil {
			return err
		}
		return renotify(c, args[0], wire.RenotifyRequest{By: by, Channels: *channels, RequestID: nuid.Next()})
	}
	return command
}

// renotify asks the workers to post the summary again, and prints what became of it.
func renotify(c *cobra.Command, which string, ask wire.RenotifyRequest) error {
	config, err := config.Load()
	if err == nil {
		err = checkNamed(c, config, []string{which})
	}
	if err != nil {
		return err
	}
	s, err := connect(c, config)
	if err != nil {
		return err
	}
	defer s.close()
	if ask.WatchID = which; !find.IsWatchID(which) {
		found, err := s.find(c, which)
		if err != nil {
			return err
		}
		if ask.Order, ask.WatchID = found.Order, ""; found.Request {
			ask.Order, ask.WatchID = watcher.Order{}, found.WatchID
		}
	}
	done, err := s.Renotify(c.Context(), ask)
	if err != nil {
		return refusal(c, which, err, map[int]string{http.StatusNotFound: "orderwatch list --state ended names watches that have"})
	}
	return printed(c, done, func(show.Page) string {
		return fmt.Sprintf("%s: the summary of watch %s (%s, %s) is posted again when Slack takes it\n",
			output.Clean(done.Order.String()), output.Clean(done.WatchID), output.Clean(string(done.Outcome)), output.Time(done.CompletedAt))
	})
}
