package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// deadWakeups looks for wake-ups that will never be taken: ghosts, which are due messages that were acknowledged and
// that a killed server left below the consumer's ack floor, and timers whose due message could not be stored. A wake-up
// is dead once its watch has ended or expects a later number. A worker has no permission to delete it: it is published
// again in its own place, and the poller acknowledges it. So goes what somebody else published there, once no watch of
// the order is open.
type deadWakeups struct {
	log     *slog.Logger
	store   *store.Store
	removed prometheus.Counter
	cursor  uint64 // everything before it was looked at in this pass
}

// deadLook is how many wake-ups a patrol looks at in one round at the most.
const deadLook = 200

// round looks at wake-ups that were stored before recent, and hands those without a record to orphan.
func (d *deadWakeups) round(ctx context.Context, recent time.Time, orphan func(watcher.Order, uint64, time.Time)) error {
	for range deadLook {
		m, err := d.store.Next(ctx, d.store.Names.WakeupStream(), ">", d.cursor)
		if err == nil && (m.Sequence == 0 || m.Time.After(recent)) {
			d.cursor = 0
			return nil
		}
		if err == nil {
			d.cursor = m.Sequence + 1
			err = d.look(ctx, m, orphan)
		}
		if err != nil {
			return fmt.Errorf("look for dead wake-ups: %w", err)
		}
	}
	return nil
}

func (d *deadWakeups) look(ctx context.Context, m store.Stored, orphan func(watcher.Order, uint64, time.Time)) error {
	names := d.store.Names
	due := strings.HasPrefix(m.Subject, names.Due(""))
	prefix := names.Waiting("")
	if due {
		prefix = names.Due("")
	}
	k, err := store.DecodeWakeup(m.Subject, prefix, m.Data)
	if err != nil {
		return d.drop(ctx, m, prefix)
	}
	if w, _, err := d.store.Read(ctx, k.Order); err == nil && !dead(k, w) {
		return nil
	}
	w, revision, err := d.store.ReadLatest(ctx, k.Order) // the first answer may be behind
	switch {
	case errors.Is(err, watcher.ErrNoRecord):
		orphan(k.Order, uint64(revision), m.Time)
		return nil
	case errors.Is(err, watcher.ErrBroken), errors.Is(err, watcher.ErrNewerSchema):
		return nil
	case err != nil || !dead(k, w):
		return err
	}
	d.log.Info("dead wake-up removed", "watch", k.WatchID, "project", k.ProjectID, "order", k.Name, "number", k.Number, "since", m.Time)
	d.removed.Inc()
	if due {
		return d.store.ReplaceDue(ctx, k)
	}
	return d.store.SetTimer(ctx, k, m.Time)
}

// drop lets the poller drop what is no wake-up.
func (d *deadWakeups) drop(ctx context.Context, m store.Stored, prefix string) error {
	if order, ok := wire.OrderOf(m.Subject, prefix); ok {
		w, _, err := d.store.ReadLatest(ctx, order)
		if errors.Is(err, watcher.ErrBroken) || errors.Is(err, watcher.ErrNewerSchema) || err == nil && w.State != watcher.Ended {
			return nil // a wake-up of the watch may lie beside it
		}
		if err != nil && !errors.Is(err, watcher.ErrNoRecord) {
			return err
		}
	}
	d.log.Warn("what is no wake-up is removed; only orderwatch may publish here", "subject", m.Subject, "since", m.Time)
	d.removed.Inc()
	return d.store.Requeue(ctx, m)
}

// dead reports whether the watch, or a later one of the order, has left the wake-up behind.
func dead(k watcher.Wakeup, w watcher.Watch) bool {
	return k.Number < w.Wakeup || k.Number == w.Wakeup && (w.State == watcher.Ended || k.WatchID != w.ID)
}

// aDue is what lies on an order's due subject.
type aDue int

const (
	noDue   aDue = iota
	ghosts       // none of them wakes the watch
	liveDue      // one wakes it, and is to be delivered
)

// dueFor says what lies on the watch's due subject, as the server that writes has it. newest is the newest wake-up of the
// watch's order: those before it wake nobody.
func dueFor(ctx context.Context, s *store.Store, w watcher.Watch, newest watcher.Wakeup) (aDue, error) {
	found := noDue
	for m, err := range s.Each(ctx, s.Names.WakeupStream(), s.Names.Due(w.Key())) {
		if err != nil {
			return found, err
		}
		found = ghosts
		k, err := store.DecodeWakeup(m.Subject, s.Names.Due(""), m.Data)
		if err != nil || dead(k, w) || newest.LaterThan(k) {
			continue
		}
		consumer, err := s.JS.Consumer(ctx, s.Names.WakeupStream(), wire.PollerConsumer)
		if err != nil {
			return found, err
		}
		if m.Sequence > consumer.CachedInfo().AckFloor.Stream {
			return liveDue, nil
		}
	}
	return found, nil
}
