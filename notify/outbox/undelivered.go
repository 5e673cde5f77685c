package outbox

import (
	"context"
	"fmt"

	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/notify/slack"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
)

// maxUndelivered bounds the text of a message that is kept because nobody took it, in units.
const maxUndelivered = 30000

// keep stores what Slack finally refused, and counts it. Where there is no place for that, the log
// has it.
func (d delivery) keep(ctx context.Context, e *slack.Error) *watcher.RetryError {
	s := d.entry.slack
	log := d.log.With("class", e.Class, "code", e.Code, "err", e)
	if s.config.Undelivered == nil {
		s.undelivered.Add(1)
		log.Error("slack finally refuses the message, it follows here", "do", d.remedy(e))
		d.whole(ctx, d.message)
		return nil
	}
	u := d.about
	u.ID, u.Channel, u.ToldAt, u.RefusedAt = d.entry.key, d.place.channel, d.told.UTC(), s.config.Now().UTC()
	if d.about.Outage != "" { // one note is for all its kinds
		u.ID += "." + string(d.about.Kind)
	}
	u.Code, u.Reason = e.Code, e.Error()
	u.Text = d.message.Plain(maxUndelivered)
	if err := s.config.Undelivered.Keep(ctx, u); err != nil {
		d.receipt.notBefore = s.config.Now().Add(s.config.Timing.Keep)
		return &watcher.RetryError{After: s.config.Timing.Keep, Err: fmt.Errorf("keep what slack refuses: %w", err)}
	}
	s.undelivered.Add(1)
	log.Error("slack finally refuses the message, an event has it", "event", u.ID, "do", d.remedy(e))
	return nil
}

// remedy says what to do about a message that is not delivered.
func (d delivery) remedy(e *slack.Error) string {
	do := e.Remedy()
	if d.about.Outcome != "" {
		do += "; then post it again: orderwatch renotify " + foreign.Token(d.about.WatchID)
		if d.place.channel != routes.Webhook {
			do += " --channel " + d.place.channel
		}
	}
	return do
}

// Undelivered returns how many messages Slack finally refused.
func (s *Outbox) Undelivered() int64 { return s.undelivered.Load() }

// ofWatch says what a message about a watch is about.
func ofWatch(c watcher.Completion) watcher.UndeliveredMessage {
	return watcher.UndeliveredMessage{WatchID: c.WatchID, ProjectID: c.ProjectID, OrderName: c.OrderName, Outcome: c.Outcome}
}
