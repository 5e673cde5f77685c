package main

import (
	"fmt"
	"slices"

	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/spf13/cobra"
)

// A slackUse is a channel that people may be told in.
type slackUse struct {
	channel string // its ID
	why     string // which setting names it
	main    bool   // it gets what goes to no other
}

// uses returns the channels, each once, the default one first. With a webhook alone there is none.
func (s SlackConfig) uses() (all []slackUse) {
	if !s.Token.IsSet() {
		return nil
	}
	add := func(channel, why string) {
		named := func(u slackUse) bool { return u.channel == channel }
		if !slices.ContainsFunc(all, named) {
			all = append(all, slackUse{channel, why, len(all) == 0})
		}
	}
	add(s.Channel, envPrefix+"SLACK_CHANNEL")
	for _, channel := range s.ChannelsAllowed {
		add(channel, envPrefix+"SLACK_CHANNELS_ALLOWED")
	}
	for _, channel := range s.Routes.Channels() {
		add(channel, fmt.Sprintf("line %d of %s", s.Routes.Line(channel), s.RoutesFile))
	}
	return all
}

// checkChannels refuses what has not the form of a channel's ID as wrong usage of the flag.
func checkChannels(c *cobra.Command, channels ...string) error {
	for _, channel := range channels {
		if !routes.IsChannel(channel) {
			return usageError{c, fmt.Errorf("--channel: %q must be a channel's ID such as C0123456789, not its name", shorten(channel, 60))}
		}
	}
	return nil
}

// ids returns the channels' IDs.
func ids(uses []slackUse) (channels []string) {
	for _, u := range uses {
		channels = append(channels, u.channel)
	}
	return channels
}
