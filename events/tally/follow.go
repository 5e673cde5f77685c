package tally

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// overlap is how far back events are read again after each outage: a server that crashed may have lost what it had not
// written to its disk, which is two minutes of its own clock at the most, and given the places of those events to others.
const overlap = 10 * time.Minute

// againAfter is when events are followed again that could not be.
const againAfter = 2 * time.Second

// Bounds of reading events.
const (
	atOnce    = 1000        // events of one answer
	lookEvery = time.Second // between two looks for new ones
)

// Follow reads the events that are kept and were stored in the last 90 days, then follows them, until ctx is done. It only reads
// messages of the stream of events, and makes no consumer: a user who may write nothing is enough.
func (t *Tally) Follow(ctx context.Context, s *store.Store) {
	nc := s.JS.Conn()
	status := nc.StatusChanged(nats.RECONNECTING)
	defer nc.RemoveStatusListener(status)
	for ctx.Err() == nil {
		following, stop := context.WithCancel(ctx)
		go func() {
			select {
			case <-status: // the last events are read again
				stop()
			case <-following.Done():
			}
		}()
		err := t.follow(following, s)
		stop()
		t.set(func() { t.away = err })
		link.Sleep(ctx, againAfter)
	}
}

// follow reads what was stored, from a little before the newest event that was counted on, and then what comes.
func (t *Tally) follow(ctx context.Context, s *store.Store) error {
	q := wire.EventsQuery{Subjects: []string{s.Names.Subjects + ".completed.>"}, Since: t.begin(), Limit: atOnce}
	for {
		answer, err := s.EventsFrom(ctx, q, func(string, []byte) bool { return true })
		if err != nil {
			return err
		}
		for _, e := range answer.Events {
			if c, err := wire.Decode[watcher.Completion](e.Event); err == nil { // otherwise it counts as none: only orderwatch may publish here
				t.Apply(c, e.StoredAt)
			}
		}
		q.Cursor, q.Since = answer.Cursor, time.Time{}
		if answer.More {
			continue
		}
		t.set(func() { t.read, t.away = true, nil })
		if !link.Sleep(ctx, lookEvery) {
			return errInterrupted
		}
	}
}

// errInterrupted says that the connection was lost while events were followed.
var errInterrupted = errors.New("the connection was lost; reading the last events again")

// begin returns from when on events are read.
func (t *Tally) begin() time.Time {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.last.IsZero() {
		return time.Now().AddDate(0, 0, -keptDays)
	}
	return t.last.Add(-overlap)
}

func (t *Tally) set(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f()
}
