package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// Complete publishes the completion once: on the order's subjects, expecting the sequence of the
// order's last completion. Whoever publishes it for the same watch publishes the same.
func (s *store) Complete(ctx context.Context, c watcher.Completion, after uint64) error {
	key := c.Order().Key()
	m, err := s.names.CompletionEvent(c)
	if err == nil && !s.payload.fits(ctx, len(m.Data)+headerRoom) { // its record was written under a larger limit
		m, err = s.names.CompletionEvent(c.Within(s.payload.limit()))
	}
	if err != nil {
		return err
	}
	_, err = s.publish(ctx, s.names.EventStream(), m, jetstream.WithExpectLastSequenceForSubject(after, s.names.Completed("*", key)))
	passed("completion", "stored", err)
	if err == nil {
		s.completed(c.Outcome)
	}
	return err
}

func (s *store) LastCompletion(ctx context.Context, order watcher.Order) (watchID string, sequence uint64, err error) {
	return s.lastEvent(ctx, s.names.Completed("*", order.Key()))
}

// lastEvent returns the id of the last event on the subjects, and its sequence; 0 where there is none.
func (s *store) lastEvent(ctx context.Context, subjects string) (id string, sequence uint64, err error) {
	m, err := s.last(ctx, s.names.EventStream(), subjects)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return "", 0, nil
	}
	if err != nil {
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

func (s *store) Progress(ctx context.Context, g watcher.Progress) error {
	m, err := s.names.ProgressEvent(g, s.now())
	if err != nil {
		return err
	}
	_, err = s.publish(ctx, s.names.EventStream(), m)
	passed("progress", "stored", err)
	return err
}

// reject publishes why the message is no request. It may be called again after a crash; the
// event's id is the same then.
func (s *store) reject(ctx context.Context, m wire.Incoming, why *watcher.FieldError) error {
	event, err := s.names.RejectedEvent(m, why, s.now())
	if err != nil {
		return err
	}
	_, err = s.publish(ctx, s.names.EventStream(), event)
	passed("rejection", "stored", err)
	return err
}
