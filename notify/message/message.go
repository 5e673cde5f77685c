// Package message makes what people read of a watch or an account, as Slack shows it. It makes no call: its
// functions depend on nothing but their arguments, so that a message that is delivered again is the same.
//
// It promises that a message keeps Slack's limits whatever it tells of, that no text of others is taken for
// one of Slack's codes, and that no secret is shown. Every text of a completion or an attention is foreign: the
// cloud's, or a requester's. It goes into rich text, where Slack parses and formats nothing: long text preformatted, all
// other cut and made one line. In the sentence for phones and in Brief, which are mrkdwn, it is escaped.
//
// Read message.go, then of a watch that ended, with what is decided in each file:
//
//	summary.go    which blocks stand in which order
//	title.go      the first line of each outcome, the sentence for phones, and which outcomes wake somebody
//	advice.go     what is there now and costs money, what to do, and who said what went wrong
//	failures.go   which failures are told as one cause, and the words for a cause
//	thread.go     which failures stand in the message, which in its replies; file.go: the CSV in place of those
//	items.go      which other items are listed
//	way.go        the ways to the order: links, runbooks, commands; who asked, and the labels
//
// All else that is told: running.go and together.go (watches), concern.go (one watch that goes on) and
// announce.go (accounts), both by notice.go; log.go (the same in a log). Below them are page.go (blocks, and what
// fits), rich.go (rich text), limits.go (sizes), text.go (cutting, escaping) and secrets.go (which fields are looked
// through: what a secret looks like is decided in package redact).
package message

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
	"github.com/orderwatch/orderwatch/watcher/words"
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
	// Code is why the thread of the message that stands takes nothing more, in Slack's words; empty where that is not so.
	// NoThread goes with it.
	Code string
	// Own are the ids of the requests that lead to the message's channel: they are named first, with their links.
	Own []string
	// Links lead to the order.
	Links Links
	// Runbooks are linked for the causes that they are for, the first that matches.
	Runbooks []Runbook
	// Env is the label that names a request's environment; empty for none.
	Env string
	// Condition is what people should know of the watch beside how far it is; nil for nothing.
	Condition *watcher.OrderAttention
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
// which channel refuses it; and that its thread could not be made.
func marks(o Options) (blocks []slack.Block) {
	if !o.Again.At.IsZero() {
		blocks = append(blocks, rich(row{emoji(":repeat:"), say(" "), strong("Sent again"), say(" by " + againBy(o) + ", "), when(o.Again.At)}))
	}
	if o.Refusal != (Refusal{}) {
		blocks = append(blocks, rich(row{emoji(":warning:"), say(" "), strong("Meant for another channel"), say(fmt.Sprintf(", but %s refuses it (%s): %s",
			word(o.Refusal.Channel, maxPerson), word(o.Refusal.Code, maxPerson), o.Refusal.Remedy))}))
	}
	if o.Code != "" {
		blocks = append(blocks, rich(row{emoji(":scissors:"), say(" "), strong("Details could not be added here"), say(fmt.Sprintf(
			": Slack refuses them (%s). An event has all of it: orderwatch events --kind undelivered", word(o.Code, maxPerson)))}))
	}
	return blocks
}

// againBy names who had the message sent again.
func againBy(o Options) string {
	by := known(hideAll(o.Secrets, o.Again.By), maxPerson)
	return words.Asker(word(o.Again.Team, maxWord), by)
}

// AfterQuiet returns the summary for a message that was posted quietly. Since an edit wakes nobody, a failure is
// told in a reply that the channel shows, too: in a line, with the mention that the message itself then lacks.
func (m Message) AfterQuiet(o watcher.Outcome) Message {
	if !Fails(o) {
		return m
	}
	return m.Aloud()
}

// Aloud returns the message as an edit that is to wake people: a reply that the channel shows, too, does, in a line.
func (m Message) Aloud() Message {
	const where = "All of it: in the message above."
	reply := Message{Text: m.Text, Mention: m.Mention, Broadcast: true}
	reply.Brief = []slack.Block{section(m.Text + "\n" + before(m.Mention) + where)}
	reply.Blocks = []slack.Block{rich(row{say(unescaped(m.Text))}), section(before(m.Mention) + where)}
	m.Blocks, m.Brief, m.Mention = without(m.Mention, m.Blocks), without(m.Mention, m.Brief), ""
	m.Replies = append([]Message{reply}, m.Replies...)
	return m
}

// unescaped returns escaped text as it was, for rich text, in which nothing is escaped.
func unescaped(s string) string {
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(s)
}

// without returns the blocks without the mention.
func without(mention string, blocks []slack.Block) []slack.Block {
	if mention == "" {
		return blocks
	}
	blocks = slices.Clone(blocks)
	for i, b := range blocks {
		if b, ok := b.(*slack.SectionBlock); ok {
			blocks[i] = section(strings.ReplaceAll(b.Text.Text, mention+" ", ""))
		}
	}
	return blocks
}
