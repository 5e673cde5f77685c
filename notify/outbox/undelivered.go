package outbox

import (
	"context"
	"fmt"

	"github.com/orderwatch/orderwatch/notify/slack"
	"github.com/orderwatch/orderwatch/watcher"
)

// maxUndelivered bounds the text of a message that is kept because nobody took it, in units.
const maxUndelivered = 30000

// keep stores what Slack finally refused, and counts it. Where there is no place for that, the log
// has it.
func (s *Outbox) keep(ctx context.Context, d *delivery, e *slack.Error) *watcher.RetryError {
	log := d.log.With("class", e.Class, "code", e.Code, "err", e)
	if s.config.Undelivered == nil {
		s.undelivered.Add(1)
		log.Error("slack finally refuses the message, it follows here", "do", d.remedy(e))
		d.whole(d.log, d.message)
		return nil
	}
	u := d.about
	u.ID, u.Channel, u.ToldAt, u.RefusedAt = d.key, d.channel, d.told.UTC(), s.config.Now().UTC()
	if d.about.Outage != "" { // one note is for all its kinds
		u.ID += "." + string(d.about.Kind)
	}
	u.Code, u.Reason = e.Code, e.Error()
	u.Text = d.message.Plain(maxUndelivered)
	if err := s.config.Undelivered.Keep(ctx, u); err != nil {
		d.memory.notBefore = s.config.Now().Add(s.config.Timing.Keep)
		return &watcher.RetryError{After: s.config.Timing.Keep, Err: fmt.Errorf("keep what slack refuses: %w", err)}
	}
	s.undelivered.Add(1)
	log.Error("slack finally refuses the message, an event has it", "event", u.ID, "do", d.remedy(e))
	return nil
}

// Undelivered returns how many messages Slack finally refused.
func (s *Outbox) Undelivered() int64 { return s.undelivered.Load() }
