package notify

import (
	"context"
	"log/slog"
	"time"

	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/watcher"
)

// Attend posts one message for all events of an outage, whichever worker they come to, and edits it
// when the outage is over. Where it cannot be edited another is posted. It takes as long
// as [Slack.Notify], and returns its errors.
func (s *Slack) Attend(ctx context.Context, a watcher.Attention) error {
	if retry := s.attend(ctx, a); retry != nil {
		return retry
	}
	return nil
}

func (s *Slack) attend(ctx context.Context, a watcher.Attention) *watcher.RetryError {
	stop := s.config.Now().Add(s.config.Timing.Pass)
	return s.tellOrMove(target{Target: s.plan.Standard()}, func(t target, others []string, from message.Refusal) (*entry, *watcher.RetryError) {
		o := s.options(t)
		o.Refusal = from
		level := slog.LevelInfo
		if a.Kind == watcher.Unreachable {
			level = slog.LevelWarn
		}
		log := s.log.With("outage", a.Outage(), "channel", t.Channel)
		e := &entry{key: noteKey("outage", a.Outage(), t.Channel), state: string(a.Kind)}
		return e, s.tell(ctx, delivery{
			render: func() message.Message { return message.Announce(a, o) }, place: place{a.Outage(), t.Channel}, entry: e, told: happened(a), others: others,
			log: log, about: watcher.UndeliveredMessage{Outage: a.Outage(), Kind: a.Kind, ProjectID: a.ProjectID},
			whole: func(ctx context.Context, m message.Message) { message.Write(ctx, log, level, "notice", m) },
		}, stop)
	})
}

// happened returns when what the attention tells of happened.
func happened(a watcher.Attention) time.Time {
	if a.Over() {
		return a.Until
	}
	return a.Since
}
