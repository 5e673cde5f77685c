package message

import (
	"fmt"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/slack-go/slack"
)

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
		blocks = append(blocks, slack.NewContextBlock("", mrkdwn(":repeat: *Sent again* by "+escape(againBy(o))+" at "+date(o.Again.At))))
	}
	if o.Refusal != (Refusal{}) {
		blocks = append(blocks, slack.NewContextBlock("", mrkdwn(fmt.Sprintf(":warning: *Meant for another channel*, but %s refuses it (%s): %s",
			escape(word(o.Refusal.Channel, maxPerson)), escape(word(o.Refusal.Code, maxPerson)), escape(o.Refusal.Remedy)))))
	}
	return blocks
}

// againPrefix says so at the beginning of a sentence.
func againPrefix(o Options) string {
	if o.Again.At.IsZero() {
		return ""
	}
	return "Sent again by " + againBy(o) + ": "
}

// againBy names who had the message sent again.
func againBy(o Options) string {
	return orUnknown(word(redactAttention(watcher.Attention{Reason: o.Again.By}, o.Secrets).Reason, maxPerson))
}

// AfterQuiet returns the summary for a message that was posted quietly: since an edit wakes nobody, a
// failure is told in a reply that the channel shows, too.
func (m Message) AfterQuiet(o watcher.Outcome) Message {
	if !Fails(o) {
		return m
	}
	reply := Message{Text: m.Text, Blocks: inThread(m.Brief), Mention: m.Mention, Broadcast: true}
	m.Replies = append([]Message{reply}, m.Replies...)
	return m
}
