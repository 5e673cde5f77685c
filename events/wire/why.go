package wire

import (
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// A Story says what happened to the latest watch of an order, and how the watch is now.
type Story struct {
	Watch watcher.Snapshot `json:"watch"` // without items and failures
	Lines []StoryLine      `json:"lines"` // oldest first
	// Omitted counts lines that are left out, of changes and conditions, the oldest of these. UnreadBefore is there where so much happened that
	// the events before that time were not read.
	Omitted      int       `json:"omitted,omitempty"`
	UnreadBefore time.Time `json:"unread_before,omitzero"`
}

// A StoryLine is one thing that happened. Its texts have words of the cloud and of those who ask: they are untrusted, but
// show nothing that people cannot see.
type StoryLine struct {
	At    time.Time `json:"at"`
	Until time.Time `json:"until,omitzero"` // of what lasted and is over
	Kind  string    `json:"kind"`           // see package events/story
	Text  string    `json:"text"`           // one line
	Link  string    `json:"link,omitempty"` // of a request, http or https
}
