package events

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/watcher"
)

// typeOrderAttention is the type of events about one watch that people should look at; their data say
// why. A worker of the release before takes such an event for one about an account, finds its type
// unknown, logs one ERROR and acknowledges it: people are then not told in Slack, and nothing else
// happens. All workers are to be upgraded. Who reads orders.attention.*.<project_id> does not see these
// events, whose subjects have more tokens; who reads orders.attention.> does.
const typeOrderAttention = "io.orderwatch.order.attention.v1"

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
	subject := s.names.orderAttention(a.Kind, a.Order().Key())
	last, sequence, err := s.lastEvent(ctx, subject)
	if err != nil || isAttended(a, last) {
		return err
	}
	m, err := message(subject, newReport(typeOrderAttention, attentionID(a), s.now(), &a.Report), traceOf(&a.Report), a)
	if err != nil {
		return err
	}
	_, err = s.publish(ctx, s.names.eventStream(), m, jetstream.WithExpectLastSequenceForSubject(sequence, subject))
	return err
}

// attentionID returns the event's id: <watch_id>.<kind>.<since in ms since 1970>.
func attentionID(a watcher.OrderAttention) string {
	return fmt.Sprintf("%s.%s.%d", a.WatchID, a.Kind, a.Since.UnixMilli())
}

// isAttended reports whether the order's last event of the kind, given its id, is the attention's, or a
// later one: of the same watch, or of a later watch, whose id is the larger one.
func isAttended(a watcher.OrderAttention, last string) bool {
	watchID, rest, _ := strings.Cut(last, ".")
	_, since, _ := strings.Cut(rest, ".")
	ms, err := strconv.ParseInt(since, 10, 64)
	switch {
	case a.Kind == watcher.BrokenRecord: // the watch's id may be unknown, and made up
		return last == attentionID(a)
	case err != nil:
		return false
	case watchID == a.WatchID:
		return ms >= a.Since.UnixMilli()
	}
	return watchID > a.WatchID
}

// decodeOrderAttention reads an event about one watch that people should look at.
func decodeOrderAttention(encoded []byte) (a watcher.OrderAttention, err error) {
	kind, err := decodeEvent(encoded, &a)
	if err == nil && kind != typeOrderAttention {
		err = fmt.Errorf("decode event: unknown type %q", kind)
	}
	return a, err
}
