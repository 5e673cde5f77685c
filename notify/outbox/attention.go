package outbox

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/watcher"
)

// Attend posts one message for all events of an outage, whichever worker they come to, and edits it
// when the outage is over. Where it cannot be edited another is posted. It takes as long
// as [Outbox.Notify], and returns its errors.
func (s *Outbox) Attend(ctx context.Context, a watcher.Attention) error {
	if retry := s.attend(ctx, a); retry != nil {
		return retry
	}
	return nil
}

func (s *Outbox) attend(ctx context.Context, a watcher.Attention) *watcher.RetryError {
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

// AttendOrder posts one message for each watch, kind and beginning in each channel that the routes name for
// the watch's requests, whichever worker the event comes to and however often. It wakes nobody, and touches
// neither the summary nor what is told while the watch goes on. Once people know how the watch ended it is
// not told any more. It takes as long as [Outbox.Notify], and returns its errors.
func (s *Outbox) AttendOrder(ctx context.Context, a watcher.OrderAttention) error {
	if a.ToldOf != "" {
		return nil
	}
	stop := s.config.Now().Add(s.config.Timing.Pass)
	id := attentionID(a)
	return soonest(s.targets(a.Report), func(t target) *watcher.RetryError {
		return s.tellOrMove(t, func(t target, others []string, from message.Refusal) (*entry, *watcher.RetryError) {
			o := s.options(t)
			o.Refusal = from
			log := s.log.With("watch", a.WatchID, "kind", a.Kind, "channel", t.Channel)
			e := &entry{key: noteKey("attention", id, t.Channel), state: string(a.Kind)}
			return e, s.tell(ctx, delivery{
				render: func() message.Message { return message.Concern(a, o) }, place: place{"attention " + id, t.Channel}, entry: e, told: a.Since, others: others,
				log: log, watching: a.WatchID,
				about: watcher.UndeliveredMessage{WatchID: a.WatchID, ProjectID: a.ProjectID, OrderName: a.OrderName, Kind: a.Kind},
				whole: func(ctx context.Context, m message.Message) { message.Write(ctx, log, slog.LevelWarn, "notice", m) },
			}, stop)
		})
	})
}

// attentionID names what is told once, as the event's id does.
func attentionID(a watcher.OrderAttention) string {
	return fmt.Sprintf("%s.%s.%d", a.WatchID, a.Kind, a.Since.UnixMilli())
}
