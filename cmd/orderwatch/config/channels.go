package config

import (
	"fmt"
	"slices"
)

// A SlackChannel is a channel that people may be told in.
type SlackChannel struct {
	ID      string
	Why     string // which setting names it
	Default bool   // it gets what goes to no other
}

// Channels returns the channels, each once, the default one first. With a webhook alone there is none.
func (s Slack) Channels() (all []SlackChannel) {
	if !s.Token.IsSet() {
		return nil
	}
	add := func(id, why string) {
		if !slices.Contains(ChannelIDs(all), id) {
			all = append(all, SlackChannel{id, why, len(all) == 0})
		}
	}
	add(s.Channel, Prefix+"SLACK_CHANNEL")
	for _, channel := range s.ChannelsAllowed {
		add(channel, Prefix+"SLACK_CHANNELS_ALLOWED")
	}
	for _, channel := range s.Routes.Channels() {
		add(channel, fmt.Sprintf("line %d of %s", s.Routes.Line(channel), s.RoutesFile))
	}
	for _, channel := range s.teams.Channels() {
		add(channel, fmt.Sprintf("line %d of %s", s.teams.Line(channel), s.teamsFile))
	}
	return all
}

// ChannelIDs returns the channels' IDs.
func ChannelIDs(channels []SlackChannel) (ids []string) {
	for _, c := range channels {
		ids = append(ids, c.ID)
	}
	return ids
}
