package notify

import (
	"context"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// Attend posts one message for all events of an outage, whichever worker they come to, and edits it
// when the outage is over. Where it cannot be edited another is posted. It takes at most 40 s. Every error is a
// *[watcher.RetryError].
func (s *Slack) Attend(ctx context.Context, a watcher.Attention) error {
	if retry := s.attend(ctx, a); retry != nil {
		return retry
	}
	return nil
}

func (s *Slack) attend(ctx context.Context, a watcher.Attention) *watcher.RetryError {
	p := place{a.Outage(), s.channels(nil)[0]}
	log := s.log.With("outage", a.Outage(), "channel", p.channel)
	return s.tell(ctx, delivery{
		message: Announce(a, s.options()), place: p, entry: &entry{key: noteKey("outage", a.Outage(), p.channel), state: string(a.Kind)},
		told: happened(a), log: log, about: watcher.UndeliveredMessage{Outage: a.Outage(), Kind: a.Kind, ProjectID: a.ProjectID},
		whole: func(ctx context.Context, m Message) { writeNotice(ctx, log, a, m) },
	}, s.config.Now().Add(passLimit))
}

// happened returns when what the attention tells of happened.
func happened(a watcher.Attention) time.Time {
	if a.Over() {
		return a.Until
	}
	return a.Since
}
