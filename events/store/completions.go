package store

import (
	"context"
	"time"

	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// FindCompletion returns the event that the request means, and where it is stored.
func (s *Store) FindCompletion(ctx context.Context, q wire.RenotifyRequest) (c watcher.Completion, sequence uint64, err error) {
	if q.WatchID != "" {
		return s.completionOf(ctx, q)
	}
	m, err := s.Last(ctx, s.Names.EventStream(), s.Names.Completed("*", q.Key()))
	switch {
	case err != nil:
		return c, 0, err
	case m.Sequence == 0:
		return c, 0, &wire.ServiceError{Code: 404, Reason: "no watch of this order has ended, or its event is no longer kept"}
	}
	c, err = wire.Decode[watcher.Completion](m.Data)
	return c, m.Sequence, err
}

// completionOf looks for the watch's event among those that were stored since it was accepted.
func (s *Store) completionOf(ctx context.Context, q wire.RenotifyRequest) (c watcher.Completion, sequence uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timing.List)
	defer cancel()
	since, err := wire.StartedAt(q.WatchID)
	if err != nil {
		return c, 0, err
	}
	subject := s.Names.Completed("*", ">")
	if q.Name != "" {
		subject = s.Names.Completed("*", q.Key())
	}
	start := jetstreamext.GetBatchStartTime(since.Add(-time.Minute))
	for m, err := range s.messages(ctx, s.Names.EventStream(), subject, start) {
		if err != nil {
			return c, 0, err
		}
		if found, err := wire.Decode[watcher.Completion](m.Data); err == nil && found.WatchID == q.WatchID {
			return found, m.Sequence, nil
		}
	}
	return c, 0, &wire.ServiceError{Code: 404, Reason: "no event of this watch is kept: it has not ended, or that is too long ago"}
}

// mostRead is how many bytes of events are read for one order.
const mostRead = 64 << 20

// EachEvent hands the events on the subject to f, oldest first, until mostRead.
func (s *Store) EachEvent(ctx context.Context, subject string, f func([]byte)) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	read := 0
	for m, err := range s.messages(ctx, s.Names.EventStream(), subject, jetstreamext.GetBatchSeq(1)) {
		if err != nil || read > mostRead {
			return err
		}
		f(m.Data)
		read += len(m.Data)
	}
	return nil
}

// Renotify publishes the wish. It carries the trace of the watch.
func (s *Store) Renotify(ctx context.Context, c watcher.Completion, again watcher.Again) error {
	m, err := s.Names.RenotifyEvent(c, again)
	return s.publishMade(ctx, m, err)
}
