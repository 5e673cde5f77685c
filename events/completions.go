package events

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

// findCompletion returns the event that the request means, and where it is stored.
func (s *store) findCompletion(ctx context.Context, q wire.RenotifyRequest) (c watcher.Completion, sequence uint64, err error) {
	if q.WatchID != "" {
		return s.completionOf(ctx, q)
	}
	m, err := s.last(ctx, s.names.EventStream(), s.names.Completed("*", q.Key()))
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
func (s *store) completionOf(ctx context.Context, q wire.RenotifyRequest) (c watcher.Completion, sequence uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timing.List)
	defer cancel()
	since, err := wire.StartedAt(q.WatchID)
	if err != nil {
		return c, 0, err
	}
	subject := s.names.Completed("*", ">")
	if q.Name != "" {
		subject = s.names.Completed("*", q.Key())
	}
	for start := jetstreamext.GetBatchStartTime(since.Add(-time.Minute)); start != nil; {
		batch, err := jetstreamext.GetBatch(ctx, s.js, s.names.EventStream(), recordBatch, start, jetstreamext.GetBatchSubject(subject), jetstreamext.GetBatchMaxBytes(recordBatchBytes))
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

// renotify publishes the wish. It carries the trace of the watch.
func (s *store) renotify(ctx context.Context, c watcher.Completion, again watcher.Again) error {
	m, err := s.names.RenotifyEvent(c, again)
	if err != nil {
		return err
	}
	_, err = s.publish(ctx, s.names.EventStream(), m)
	return err
}
