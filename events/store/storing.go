package store

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/link"
)

// A storing tells whether a stream stores what a worker publishes. A server whose disk is full
// gives no answer at all. It is safe for concurrent use.
type storing struct {
	log    *slog.Logger
	stream string

	mu     sync.Mutex
	stored time.Time // when a message was stored last, by the process's clock
	failed time.Time // when one was not, since then
	err    error     // why; nil where the last one was stored
}

// published takes what came of a message that was published at begin. That nothing is stored without a
// connection says nothing of the stream.
func (s *storing) published(begin, now time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		if s.err != nil {
			s.log.Info("NATS stores again", "stream", s.stream)
		}
		s.stored, s.err = now, nil
	case NotStoring(err) && begin.After(s.stored) && !errors.Is(err, link.ErrNotConnected):
		if s.err == nil {
			s.log.Error("NATS does not store what the worker publishes; trying again until it does: look at its disk, at JetStream's limits, and for a permission that this log says is denied", "stream", s.stream, "err", err)
		}
		s.failed, s.err = now, err
	}
}

// trouble returns why the stream did not store the last message, if that was since a time.
func (s *storing) trouble(since time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed.Before(since) {
		return nil // there was nothing to store since
	}
	return s.err
}

// NotStoring reports whether the error says nothing of the message, but that the stream stores none.
func NotStoring(err error) bool {
	return errors.Is(err, link.ErrNotConnected) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse) || noRoom(err)
}
