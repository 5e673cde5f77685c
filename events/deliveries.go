package events

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// takeRequest handles a message on orders.watch.
func (w *Worker) takeRequest(ctx context.Context, m *nats.Msg) watcher.Verdict {
	in, err := w.store.Names.Delivered(m)
	if err != nil {
		return watcher.Verdict{Err: err}
	}
	ask, err := w.gate.decode(in)
	if err != nil {
		return watcher.Verdict{Action: watcher.Refuse, Err: err}
	}
	return w.intake.Take(ctx, ask)
}

// refuse publishes why a message is no request, and hands it on to people.
func (w *Worker) refuse(ctx context.Context, m *nats.Msg, why *watcher.FieldError) error {
	in, err := w.store.Names.Delivered(m)
	if err != nil {
		return err
	}
	w.log.Warn("request rejected", "team", in.Team, "request", in.RequestID(), "reason", why.Error())
	return w.rejections.tell(ctx, in, why)
}

// takeWakeup handles a message on orders.due.>.
func (w *Worker) takeWakeup(ctx context.Context, m *nats.Msg) watcher.Verdict {
	k, err := store.DecodeWakeup(m.Subject, w.store.Names.Due(""), m.Data)
	if err != nil {
		w.log.Error("dropped what is no wake-up; only orderwatch may publish here", "subject", m.Subject, "err", err)
		return watcher.Verdict{Action: watcher.Ack}
	}
	deliveries := attempt(m)
	if deliveries == 1 {
		due := k.At
		if !k.Wanted.IsZero() {
			due = k.Wanted
		}
		w.metrics.lag.Observe(max(0, w.store.Clock.Now().Sub(due).Seconds()))
	}
	return w.poller.Wake(ctx, k, deliveries)
}

// takeEvent handles an event of the slack consumer.
func (w *Worker) takeEvent(ctx context.Context, m *nats.Msg) watcher.Verdict {
	switch names := w.store.Names; {
	case strings.HasPrefix(m.Subject, names.Subjects+".completed."):
		return handOn(ctx, w.log, m, func(ctx context.Context, c watcher.Completion) error {
			err := w.notifier.Notify(ctx, c)
			store.Passed("slack", "told", err)
			return err
		})
	case strings.HasPrefix(m.Subject, names.Subjects+".progress."):
		if _, unread := w.notifier.(interface{ ProgressIsUnread() }); unread {
			return watcher.Verdict{Action: watcher.Ack}
		}
		return handOn(ctx, w.log, m, w.notifier.Progress)
	case strings.HasPrefix(m.Subject, names.Renotify("")):
		return w.takeRenotify(ctx, m)
	case names.TellsRejection(m.Subject):
		return handOn(ctx, w.log, m, w.notifier.AttendRequest)
	case names.ConcernsOrder(m.Subject):
		return handOn(ctx, w.log, m, w.notifier.AttendOrder)
	case strings.HasPrefix(m.Subject, names.Subjects+".attention."):
		return handOn(ctx, w.log, m, w.notifier.Attend)
	}
	return watcher.Verdict{Action: watcher.Ack}
}

// handOn hands the event to the notifier's function for its kind.
func handOn[E wire.Data](ctx context.Context, log *slog.Logger, m *nats.Msg, tell func(context.Context, E) error) watcher.Verdict {
	event, err := wire.Decode[E](m.Data)
	if err != nil {
		log.Error("dropped what is no event of its subject; only orderwatch may publish here", "subject", m.Subject, "err", err)
		return watcher.Verdict{Action: watcher.Ack}
	}
	if err = tell(ctx, event); err == nil {
		return watcher.Verdict{Action: watcher.Ack}
	}
	verdict := watcher.Verdict{Action: watcher.PutBack, Err: err}
	if retry, ok := errors.AsType[*watcher.RetryError](err); ok {
		verdict.After = retry.After
	}
	return verdict
}

// takeRenotify hands the completion that the event means to the notifier, once more.
func (w *Worker) takeRenotify(ctx context.Context, m *nats.Msg) watcher.Verdict {
	return handOn(ctx, w.log, m, func(ctx context.Context, again watcher.Again) error {
		event, err := w.store.Get(ctx, w.store.Names.EventStream(), again.Sequence)
		if err != nil {
			return err
		}
		c, err := wire.Decode[watcher.Completion](event.Data)
		if err != nil || c.WatchID != again.WatchID { // nothing is stored there, or another event
			w.log.Error("people are not told again: the event of the watch is no longer kept", "watch", again.WatchID)
			return nil
		}
		return w.notifier.NotifyAgain(ctx, c, again)
	})
}
