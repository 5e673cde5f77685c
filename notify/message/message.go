// Package message makes what people read of a watch or an account, as Slack shows it. It makes no call: its
// functions depend on nothing but their arguments, so that a message that is delivered again is the same.
//
// It promises that a message keeps Slack's limits whatever it tells of, that no text of others is taken for
// one of Slack's codes, and that no secret is shown. Every text of a completion or an attention is foreign: the
// cloud's, or a requester's. Long foreign text goes into preformatted rich text, where Slack parses nothing.
// All other foreign text is cut, made one line, and escaped.
//
// Read message.go, then of a watch that ended, with what is decided in each file:
//
//	summary.go    which blocks stand in which order, and the facts in two columns
//	title.go      the first line of each outcome, and which outcomes wake somebody
//	fallback.go   the sentence in place of the blocks
//	advice.go     the warning and the advice of each outcome
//	failures.go   which failures of an event are told as one cause where they are many, and the words for a cause
//	thread.go     which failures stand in the message, which in its replies; file.go: the CSV of the others
//	items.go      which other items are listed; requests.go: who asked, and the labels
//
// All else that is told: running.go and together.go (watches), concern.go (one watch that goes on) and
// announce.go (accounts), both by notice.go; log.go (the same in a log). Below them are page.go (blocks, and what
// fits), limits.go (sizes), text.go (cutting, escaping) and secrets.go (which fields are looked through: what a
// secret looks like is decided in package redact).
package message

import (
	"fmt"
	"slices"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
	"github.com/slack-go/slack"
)

// A Message is one post, and the replies and the file in its thread.
type Message struct {
	// Text is a full sentence for push notifications, search and screen readers, escaped, at most
	// 600 UTF-16 units with the mention before it.
	Text string
	// Blocks are what people see: at most 15, at most 6,000 UTF-16 units of escaped text, 125 more for
	// each block included.
	Blocks []slack.Block
	// Brief are the title and the top causes without links or rich text, for a Slack that refuses
	// Blocks. Empty in replies.
	Brief []slack.Block
	// Mention is Slack's code for whom to wake, empty for nobody. It is in Blocks and Brief
	// already; a caller that posts Text alone puts it before.
	Mention string
	// Broadcast shows a reply in the channel, too.
	Broadcast bool
	// Replies go into the post's thread: at most 3, without replies of their own.
	Replies []Message
	// File goes into the thread after the replies; nil where they have room for all.
	File *File
}

// Parts returns how many messages of Slack it takes.
func (m Message) Parts() int {
	if m.File != nil {
		return 2 + len(m.Replies)
	}
	return 1 + len(m.Replies)
}

// Options are what a message depends on beside what it tells of. The zero value mentions nobody and is never late.
type Options struct {
	// Mention is Slack's code for whom to wake for a failure, such as <!here>; empty for nobody. It is put
	// into the message as it is.
	Mention string
	// Now is when the message is posted, for the note that it is late. Zero leaves the note out.
	Now time.Time
	// NoThread leaves the replies out and says in the message where the rest is found.
	NoThread bool
	// File allows for a file where the thread has no room for every failed item.
	File bool
	// Again says who had the message sent again; the zero value is the first time.
	Again watcher.Again
	// Refusal is the channel for which the message was, and which refuses it; the zero value is none.
	Refusal Refusal
	// Secrets are never shown, whatever text they are in; nil is none. [HideSecrets] makes them.
	Secrets *foreign.Secrets
}

// A Refusal is a channel that finally refused a message.
type Refusal struct {
	Channel string // its ID
	Code    string // why, in Slack's words
	Remedy  string // what people can do about it
}

// marks returns the blocks that say why the message stands here: who had it sent again, and when, and
// which channel refuses it.
func marks(o Options) (blocks []slack.Block) {
	if !o.Again.At.IsZero() {
		blocks = append(blocks, smallPrint(":repeat: *Sent again* by "+escape(againBy(o))+" at "+date(o.Again.At)))
	}
	if o.Refusal != (Refusal{}) {
		blocks = append(blocks, smallPrint(fmt.Sprintf(":warning: *Meant for another channel*, but %s refuses it (%s): %s",
			escape(word(o.Refusal.Channel, maxPerson)), escape(word(o.Refusal.Code, maxPerson)), escape(o.Refusal.Remedy))))
	}
	return blocks
}

// againBy names who had the message sent again.
func againBy(o Options) string {
	return known(hideAll(o.Secrets, o.Again.By), maxPerson)
}

// AfterQuiet returns the summary for a message that was posted quietly: since an edit wakes nobody, a
// failure is told in a reply that the channel shows, too.
func (m Message) AfterQuiet(o watcher.Outcome) Message {
	if !Fails(o) {
		return m
	}
	reply := Message{Text: m.Text, Blocks: append(slices.Clone(m.Brief[:len(m.Brief)-1]), section("All of it: in the message above.")), Mention: m.Mention, Broadcast: true}
	m.Replies = append([]Message{reply}, m.Replies...)
	return m
}
