package outbox

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/notify/slack"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
	blockkit "github.com/slack-go/slack"
)

// A want is what is to be told, and where.
type want struct {
	kind, id string    // of the note, with the channel: see noteKey
	digest   string    // the note's key where it is a digest's, which tells of many watches; else empty
	who      string    // takes turns in the channel: the watch or the outage
	told     time.Time // when what it tells of happened
	state    string    // what is to be told
	least    string    // a state before it that is enough for the caller; empty: none

	quiet    bool                // it tells of a watch that goes on, and wakes nobody
	left     bool                // the routes lead there no more: what stands there is ended, and nothing else is told
	silent   bool                // it is told only where a message stands that it ends
	ended    *watcher.Completion // the watch whose end it tells of; nil where it is something else
	watching string              // the watch that goes on, of which it tells; empty where it tells of something else
	again    watcher.Again       // who had it sent again

	channel string
	others  []string // the channels that are left to try where this one finally refuses it

	render  func(message.Options) message.Message
	options message.Options
	message message.Message // as it is to stand in the end; written once it is needed

	about watcher.UndeliveredMessage          // what it tells of, where it is finally refused
	log   *slog.Logger                        // says what it is about
	whole func(*slog.Logger, message.Message) // writes a message to the log
}

// The states of a watch.
const (
	running   = "running"   // begins those of a watch that goes on
	completed = "completed" // is the last
)

// in returns the want for the target's channel.
func (w want) in(t routes.Target, others []string, o message.Options) want {
	w.channel, w.others, w.options = t.Channel, others, o
	w.silent = w.ended != nil && (w.left || t.QuietSuccesses && !message.Fails(w.ended.Outcome))
	w.log = w.log.With("channel", t.Channel)
	return w
}

// noteKey returns the key of what is noted of something in a channel.
func noteKey(kind, about, channel string) string {
	return kind + "." + foreign.Token(about) + "." + channel
}

// key returns the key of the message's note.
func (w want) key() string { return cmp.Or(w.digest, noteKey(w.kind, w.id, w.channel)) }

// changes reports whether it goes on changing: it is told no more often than every Timing.Change.
func (w want) changes() bool { return w.quiet || w.digest != "" }

// turn returns the message's place among those that wait for the channel.
func (w want) turn() turn { return turn{w.told, w.who} }

// isFile reports whether the part is the file, or the reply in its place.
func (w want) isFile(part int) bool {
	return w.message.File != nil && part == 1+len(w.message.Replies)
}

// part returns the message that is this part, and its forms from the richest to text alone.
func (w want) part(part int) (message.Message, [][]blockkit.Block) {
	m := w.message
	if w.isFile(part) {
		return message.Message{Text: m.File.Instead}, [][]blockkit.Block{nil, nil} // the file, or text alone
	}
	if part > 0 {
		m = m.Replies[part-1]
	}
	if len(m.Brief) == 0 {
		return m, [][]blockkit.Block{m.Blocks, nil}
	}
	return m, [][]blockkit.Block{m.Blocks, m.Brief, nil}
}

// remedy says what to do about a message that is not delivered.
func (w want) remedy(e *slack.Error) string {
	do := e.Remedy()
	if w.about.Outcome != "" {
		do += "; then post it again: orderwatch renotify " + foreign.Token(w.about.WatchID)
		if w.channel != routes.Webhook {
			do += " --channel " + w.channel
		}
	}
	return do
}
