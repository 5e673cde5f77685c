package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// Complete publishes the completion once: on the order's subjects, expecting the sequence of the
// order's last completion. Whoever publishes it for the same watch publishes the same.
func (s *Store) Complete(ctx context.Context, c watcher.Completion, after uint64) error {
	key := c.Order().Key()
	m, err := s.Names.CompletionEvent(c)
	if err == nil && !s.Fits(ctx, len(m.Data)) { // its record was written under a larger limit
		m, err = s.Names.CompletionEvent(c.Within(s.Limit()))
	}
	err = s.publishMade(ctx, m, err, jetstream.WithExpectLastSequenceForSubject(after, s.Names.Completed("*", key)))
	Passed("completion", "stored", err)
	return err
}

// publishMade publishes an event, or returns why it could not be made.
func (s *Store) publishMade(ctx context.Context, event *nats.Msg, err error, expect ...jetstream.PublishOpt) error {
	if err == nil {
		_, err = s.Publish(ctx, s.Names.EventStream(), event, expect...)
	}
	return err
}

func (s *Store) LastCompletion(ctx context.Context, order watcher.Order) (watchID string, sequence uint64, err error) {
	return s.lastEvent(ctx, s.Names.Completed("*", order.Key()))
}

// lastEvent returns the id of the last event on the subjects, and its sequence; 0 where there is none.
func (s *Store) lastEvent(ctx context.Context, subjects string) (id string, sequence uint64, err error) {
	m, err := s.Last(ctx, s.Names.EventStream(), subjects)
	if err != nil || m.Sequence == 0 {
		return "", 0, err
	}
	var e struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(m.Data, &e); err != nil {
		return "", 0, fmt.Errorf("read the last event on %s: %w", subjects, err)
	}
	return e.ID, m.Sequence, nil
}

func (s *Store) Progress(ctx context.Context, g watcher.Progress) error {
	m, err := s.Names.ProgressEvent(g, s.Clock.Now())
	err = s.publishMade(ctx, m, err)
	Passed("progress", "stored", err)
	return err
}

// Reject publishes why the message is no request. It may be called again after a crash; the
// event's id is the same then.
func (s *Store) Reject(ctx context.Context, m wire.Incoming, why *watcher.FieldError) error {
	event, err := s.Names.RejectedEvent(m, why, s.Clock.Now())
	err = s.publishMade(ctx, event, err)
	Passed("rejection", "stored", err)
	return err
}

// Keep publishes a message that could not be delivered to people as an event. Only nil says that it is stored.
func (s *Store) Keep(ctx context.Context, m watcher.UndeliveredMessage) error {
	event, err := s.Names.UndeliveredEvent(m)
	return s.publishMade(ctx, event, err)
}
