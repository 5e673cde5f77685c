package rulefile

import (
	"regexp"

	"github.com/orderwatch/orderwatch/watcher"
)

var channelID = regexp.MustCompile(`^[CDG][A-Z0-9]+$`)

// Channel says what the text must be where it has not the form of Slack's IDs of channels; empty where it has.
func Channel(text string) string {
	if channelID.MatchString(text) {
		return ""
	}
	return "must be a channel's ID such as C0123456789, not its name; the channel's details in Slack show it"
}

// Project says what the text must be where it is no project's ID; empty where it may be one.
func Project(text string) string {
	if err := (watcher.Order{ProjectID: text, Name: "any"}).Validate(); err != nil {
		return "must be a project's ID: 1 to 64 of A-Z a-z 0-9 -"
	}
	return ""
}
