package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// wakeupBody is what a wake-up carries besides its subject.
type wakeupBody struct {
	WatchID string    `json:"watch_id"`
	Number  uint64    `json:"wakeup"`
	At      time.Time `json:"at"` // when it was to be due, by the server's clock
	// Hint is of this release: a worker of the release before passes over it, and polls all the same.
	Hint *watcher.Hint `json:"hint,omitempty"`
	// Wanted is of this release, too: that worker measures how late a wake-up is by At.
	Wanted time.Time `json:"wanted_at,omitzero"`
	// What follows is of this release, too: that worker polls from the record, and writes it.
	Revision uint64    `json:"revision,omitempty"` // of the record after which it was published
	Polls    int       `json:"polls,omitempty"`    // all that were made, where the latest left the record unwritten
	PolledAt time.Time `json:"polled_at,omitzero"` // when that was
	Step     int       `json:"backoff_step,omitempty"`
}

func bodyOf(k watcher.Wakeup) wakeupBody {
	body := wakeupBody{WatchID: k.WatchID, Number: k.Number, At: k.At.UTC(), Hint: k.Hint, Wanted: k.Wanted.UTC(), Revision: uint64(k.Revision), Polls: k.Polls, Step: k.Step}
	if !k.PolledAt.IsZero() {
		body.PolledAt = k.PolledAt.UTC()
	}
	return body
}

// Schedule stores the wake-up on the order's waiting subject, in place of an earlier one there; the server moves it to the due
// subject at most about 250 ms after its time. One that is due already is published there at once. With ErrOvertaken a later
// one waits there.
func (s *Store) Schedule(ctx context.Context, k watcher.Wakeup) error {
	if !k.At.After(s.Clock.Now()) {
		return s.storeWakeup(ctx, k, nats.NewMsg(s.Names.Due(k.Key())))
	}
	waiting, expected := s.Names.Waiting(k.Key()), uint64(0) // none waits: the server removes one in the step in which it is due
	for range scheduleTries {
		err := s.storeWakeup(ctx, k, s.timer(k.Key(), k.At), jetstream.WithExpectLastSequencePerSubject(expected))
		if !errors.Is(err, watcher.ErrConflict) {
			return err
		}
		m, err := s.Last(ctx, s.Names.WakeupStream(), waiting)
		if err != nil {
			return err
		}
		if other, err := DecodeWakeup(m.Subject, s.Names.Waiting(""), m.Data); err == nil && other.LaterThan(k) {
			return watcher.ErrOvertaken
		}
		expected = m.Sequence
	}
	return fmt.Errorf("wake-up of %s not stored: others are being stored all the time", k.Order)
}

// scheduleTries is how often a wake-up is tried to be stored in place of the one that waits, while others do so, too.
const scheduleTries = 5

// SetTimer stores the wake-up there in place of any, with any time; one that has passed lets the wake-up be due at once.
func (s *Store) SetTimer(ctx context.Context, k watcher.Wakeup, at time.Time) error {
	return s.storeWakeup(ctx, k, s.timer(k.Key(), at))
}

// timer returns a message without data that the server moves to the key's due subject at the time.
func (s *Store) timer(key string, at time.Time) *nats.Msg {
	m := nats.NewMsg(s.Names.Waiting(key))
	m.Header.Set(jetstream.ScheduleHeader, "@at "+at.UTC().Format(time.RFC3339Nano))
	m.Header.Set(jetstream.ScheduleTargetHeader, s.Names.Due(key))
	return m
}

func (s *Store) storeWakeup(ctx context.Context, k watcher.Wakeup, m *nats.Msg, expect ...jetstream.PublishOpt) error {
	var err error
	if m.Data, err = json.Marshal(bodyOf(k)); err != nil {
		return err
	}
	_, err = s.Publish(ctx, s.Names.WakeupStream(), m, expect...)
	Passed("wakeup", "stored", err)
	return err
}

// Requeue stores what lies on a due or a waiting subject once more in the place of all that is there: the poller is to
// drop it.
func (s *Store) Requeue(ctx context.Context, m Stored) error {
	again := rollup(m.Subject)
	if key, waiting := strings.CutPrefix(m.Subject, s.Names.Waiting("")); waiting {
		again = s.timer(key, m.Time)
	}
	again.Data = m.Data
	_, err := s.Publish(ctx, s.Names.WakeupStream(), again)
	return err
}

// ReplaceDue stores the wake-up on the order's due subject, in place of all that are there.
func (s *Store) ReplaceDue(ctx context.Context, k watcher.Wakeup) error {
	return s.storeWakeup(ctx, k, rollup(s.Names.Due(k.Key())))
}

// rollup returns a message without data that takes the place of all on its subject.
func rollup(subject string) *nats.Msg {
	m := nats.NewMsg(subject)
	m.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	return m
}

// Newest returns the latest of the order's wake-ups that wait or are due, as the server that writes has it; the zero one where
// there is none. What cannot be read as a wake-up counts as none.
func (s *Store) Newest(ctx context.Context, order watcher.Order) (newest watcher.Wakeup, err error) {
	waiting := s.Names.Waiting("")
	m, err := s.Last(ctx, s.Names.WakeupStream(), s.Names.Subjects+".*."+order.Key())
	if err == nil && m.Sequence != 0 && !strings.HasPrefix(m.Subject, waiting) { // one that waits may be later all the same
		if newest, err = s.newestDue(ctx, m); err == nil {
			m, err = s.Last(ctx, s.Names.WakeupStream(), waiting+order.Key())
		}
	}
	if err != nil {
		return watcher.Wakeup{}, err
	}
	if k, err := DecodeWakeup(m.Subject, waiting, m.Data); err == nil && k.LaterThan(newest) {
		newest = k
	}
	return newest, nil
}

// ReadShown is ReadLatest, with the polls that the record was left unwritten after.
func (s *Store) ReadShown(ctx context.Context, order watcher.Order) (watcher.Watch, watcher.Revision, error) {
	w, revision, err := s.ReadLatest(ctx, order)
	if err != nil || w.State != watcher.Watching || w.Polls == 0 {
		return w, revision, err
	}
	newest, err := s.Newest(ctx, order)
	return w.Merged(newest), revision, err
}

// Highest returns the highest number of the order's wake-ups; 0 where there is none. What cannot be read as
// a wake-up counts as none: the poller drops it.
func (s *Store) Highest(ctx context.Context, order watcher.Order) (number uint64, err error) {
	number, _, err = s.HighestOf(ctx, order)
	return number, err
}

// newestDue returns the latest wake-up on the due subject whose last message is m: where that knows of no polls, as a hint does
// not, one before it may.
func (s *Store) newestDue(ctx context.Context, m Stored) (newest watcher.Wakeup, err error) {
	due := s.Names.Due("")
	if newest, _ = DecodeWakeup(m.Subject, due, m.Data); newest.Polls > 0 {
		return newest, nil
	}
	for m, err := range s.Each(ctx, s.Names.WakeupStream(), m.Subject) {
		if err != nil {
			return newest, err
		}
		if k, err := DecodeWakeup(m.Subject, due, m.Data); err == nil && k.LaterThan(newest) {
			newest = k
		}
	}
	return newest, nil
}

// HighestOf is [Store.Highest], and returns the id of the wake-up's watch, too.
func (s *Store) HighestOf(ctx context.Context, order watcher.Order) (number uint64, watchID string, err error) {
	last, err := s.Last(ctx, s.Names.WakeupStream(), s.Names.Subjects+".*."+order.Key())
	if err != nil || last.Sequence == 0 { // there is none: the usual case, in one call
		return 0, "", err
	}
	for _, subject := range []string{s.Names.Waiting(order.Key()), s.Names.Due(order.Key())} {
		for m, err := range s.Each(ctx, s.Names.WakeupStream(), subject) {
			if err != nil {
				return 0, "", err
			}
			var body wakeupBody
			if json.Unmarshal(m.Data, &body) == nil && body.WatchID != "" && body.Number > number {
				number, watchID = body.Number, body.WatchID
			}
		}
	}
	return number, watchID, nil
}

// OpenOrders returns the names of the project's orders that have a wake-up: those of all open watches, and, for some
// minutes, those of some watches that have ended.
func (s *Store) OpenOrders(ctx context.Context, projectID string) (names []string, err error) {
	subjects, err := s.Subjects(ctx, s.Names.WakeupStream(), s.Names.Subjects+".*."+projectID+".>")
	if err != nil {
		return nil, err
	}
	for subject := range subjects {
		for _, prefix := range []string{s.Names.Waiting(""), s.Names.Due("")} {
			if order, ok := wire.OrderOf(subject, prefix); ok {
				names = append(names, order.Name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// DecodeWakeup reads a wake-up, whose order follows the prefix in the subject.
func DecodeWakeup(subject, prefix string, encoded []byte) (watcher.Wakeup, error) {
	order, ok := wire.OrderOf(subject, prefix)
	if !ok {
		return watcher.Wakeup{}, fmt.Errorf("no order in the subject %q", subject)
	}
	var body wakeupBody
	if err := json.Unmarshal(encoded, &body); err != nil {
		return watcher.Wakeup{}, fmt.Errorf("decode wake-up of %s: %w", order, err)
	}
	if body.WatchID == "" || body.Number == 0 {
		return watcher.Wakeup{}, fmt.Errorf("decode wake-up of %s: no watch_id or number", order)
	}
	return watcher.Wakeup{
		Order: order, WatchID: body.WatchID, Number: body.Number, At: body.At, Hint: body.Hint, Wanted: body.Wanted,
		Revision: watcher.Revision(body.Revision), Polls: body.Polls, PolledAt: body.PolledAt, Step: body.Step,
	}, nil
}
