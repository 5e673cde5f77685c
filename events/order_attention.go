package events

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// attendTries is how often the last event is read anew after a conflict, before the caller gets it.
const attendTries = 5

// Attend publishes the event, unless the order's last one of the kind is it, or one that came after it.
// Each event is published once, whichever workers call it and however often: a publish expects the
// sequence of the last one.
func (s *store) Attend(ctx context.Context, a watcher.OrderAttention) error {
	err := s.attendOnce(ctx, a)
	for try := 1; errors.Is(err, watcher.ErrConflict) || underWay(err); try++ {
		if try == attendTries || !link.Sleep(ctx, s.timing.Rebind.Interval("attend", try)) {
			return err
		}
		err = s.attendOnce(ctx, a)
	}
	return err
}

func (s *store) attendOnce(ctx context.Context, a watcher.OrderAttention) error {
	subject := s.names.OrderAttention(a.Kind, a.Order().Key())
	last, sequence, err := s.lastEvent(ctx, subject)
	if err != nil || isAttended(a, last) {
		return err
	}
	m, err := s.names.OrderAttentionEvent(a, s.now())
	if err != nil {
		return err
	}
	_, err = s.publish(ctx, s.names.EventStream(), m, jetstream.WithExpectLastSequenceForSubject(sequence, subject))
	return err
}

// isAttended reports whether the order's last event of the kind, given its id, is the attention's, or a
// later one: of the same watch, or of a later watch, whose id is the larger one.
func isAttended(a watcher.OrderAttention, last string) bool {
	watchID, rest, _ := strings.Cut(last, ".")
	_, since, _ := strings.Cut(rest, ".")
	ms, err := strconv.ParseInt(since, 10, 64)
	switch {
	case a.Kind == watcher.BrokenRecord: // the watch's id may be unknown, and made up
		return last == wire.OrderAttentionID(a)
	case err != nil:
		return false
	case watchID == a.WatchID:
		return ms >= a.Since.UnixMilli()
	}
	return watchID > a.WatchID
}
