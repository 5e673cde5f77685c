package store

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

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
func (s *Store) Attend(ctx context.Context, a watcher.OrderAttention) error {
	err := s.attendOnce(ctx, a)
	for try := 1; errors.Is(err, watcher.ErrConflict) || underWay(err); try++ {
		if try == attendTries || !link.Sleep(ctx, s.Timing.Rebind.Interval("attend", try)) {
			return err
		}
		err = s.attendOnce(ctx, a)
	}
	return err
}

func (s *Store) attendOnce(ctx context.Context, a watcher.OrderAttention) error {
	subject := s.Names.OrderAttention(a.Kind, a.Order().Key())
	last, sequence, err := s.lastEvent(ctx, subject)
	if err != nil || isAttended(a, last) {
		return err
	}
	m, err := s.Names.OrderAttentionEvent(a, s.Clock.Now())
	if err != nil {
		return err
	}
	_, err = s.Publish(ctx, s.Names.EventStream(), m, jetstream.WithExpectLastSequenceForSubject(sequence, subject))
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

// Attention publishes the event, unless the project's last one is it, or a later one of the same
// outage.
func (s *Store) Attention(ctx context.Context, a watcher.Attention, now time.Time) error {
	subjects, id := s.Names.Attention("*", a.ProjectID), wire.AttentionID(a)
	last, sequence, err := s.lastEvent(ctx, subjects)
	if err != nil || last == id || !a.Over() && strings.HasPrefix(last, strings.TrimSuffix(id, string(a.Kind))) {
		return err
	}
	m, err := s.Names.AttentionEvent(a, now)
	if err != nil {
		return err
	}
	_, err = s.Publish(ctx, s.Names.EventStream(), m, jetstream.WithExpectLastSequenceForSubject(sequence, subjects))
	return err
}

// allProjects is the project that an event is of which concerns all.
const allProjects = "all"

// lostOnce is how long one event tells of what was lost: two workers may find it at the same time.
const lostOnce = time.Minute

// TellLoss publishes the event about streams that were lost, unless another was just before that tells of the same.
// Where another worker publishes its event at the same time the error is a [watcher.ErrConflict]; the next call
// finds that event.
func (s *Store) TellLoss(ctx context.Context, a watcher.Attention, now time.Time) error {
	a.ProjectID = allProjects
	subject := s.Names.Attention(string(watcher.Lost), allProjects)
	last, err := s.Last(ctx, s.Names.EventStream(), subject)
	switch {
	case err == nil && tellsOf(last, a, now):
		return nil
	case err != nil && !errors.Is(err, jetstream.ErrMsgNotFound):
		return err
	}
	m, err := s.Names.AttentionEvent(a, now)
	if err != nil {
		return err
	}
	_, err = s.Publish(ctx, s.Names.EventStream(), m, jetstream.WithExpectLastSequenceForSubject(last.Sequence, subject))
	return err
}

// tellsOf reports whether the event is the same as the other, or was stored just before and tells of all that the
// other does.
func tellsOf(event Stored, a watcher.Attention, now time.Time) bool {
	told, err := wire.Decode[watcher.Attention](event.Data)
	if err != nil {
		return false
	}
	if wire.AttentionID(told) == wire.AttentionID(a) {
		return true
	}
	untold := func(what string) bool { return !slices.Contains(told.Lost, what) }
	return now.Sub(event.Time) < lostOnce && !slices.ContainsFunc(a.Lost, untold)
}

// Losses returns what people were told of losses, oldest first, as long as the events are kept.
func (s *Store) Losses(ctx context.Context) (told []watcher.Attention, err error) {
	subject := s.Names.Attention(string(watcher.Lost), allProjects)
	for from := uint64(1); ; {
		m, err := s.Next(ctx, s.Names.EventStream(), subject, from)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return told, nil
		}
		if err != nil {
			return told, err
		}
		if a, err := wire.Decode[watcher.Attention](m.Data); err == nil {
			told = append(told, a)
		}
		from = m.Sequence + 1
	}
}
