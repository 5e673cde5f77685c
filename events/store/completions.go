package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

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
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return c, 0, &wire.ServiceError{Code: 404, Reason: "no watch of this order has ended, or its event is no longer kept"}
	}
	if err != nil {
		return c, 0, err
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
	for start := jetstreamext.GetBatchStartTime(since.Add(-time.Minute)); start != nil; {
		batch, err := jetstreamext.GetBatch(ctx, s.JS, s.Names.EventStream(), recordBatch, start, jetstreamext.GetBatchSubject(subject), jetstreamext.GetBatchMaxBytes(recordBatchBytes))
		if err != nil {
			return c, 0, fmt.Errorf("read completions: %w", err)
		}
		start = nil
		for m, err := range batch {
			if errors.Is(err, jetstreamext.ErrNoMessages) {
				break
			}
			if err != nil {
				return c, 0, fmt.Errorf("read completions: %w", err)
			}
			if c, err := wire.Decode[watcher.Completion](m.Data); err == nil && c.WatchID == q.WatchID {
				return c, m.Sequence, nil
			}
			start = jetstreamext.GetBatchSeq(m.Sequence + 1)
		}
		if ctx.Err() != nil { // an answer that does not come ends the batch without an error
			return c, 0, fmt.Errorf("read completions: %w", ctx.Err())
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
	for next, read := uint64(1), 0; ; {
		batch, err := jetstreamext.GetBatch(ctx, s.JS, s.Names.EventStream(), recordBatch, jetstreamext.GetBatchSeq(next), jetstreamext.GetBatchSubject(subject), jetstreamext.GetBatchMaxBytes(recordBatchBytes))
		if err != nil {
			return fmt.Errorf("read events on %s: %w", subject, err)
		}
		n := 0
		for m, err := range batch {
			if errors.Is(err, jetstreamext.ErrNoMessages) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("read events on %s: %w", subject, err)
			}
			f(m.Data)
			n, read, next = n+1, read+len(m.Data), m.Sequence+1
		}
		if ctx.Err() != nil {
			return fmt.Errorf("read events on %s: %w", subject, ctx.Err())
		}
		if n == 0 || read > mostRead {
			return nil
		}
	}
}

// Renotify publishes the wish. It carries the trace of the watch.
func (s *Store) Renotify(ctx context.Context, c watcher.Completion, again watcher.Again) error {
	m, err := s.Names.RenotifyEvent(c, again)
	if err != nil {
		return err
	}
	_, err = s.Publish(ctx, s.Names.EventStream(), m)
	return err
}
