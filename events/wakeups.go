package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// wakeupBody is what a wake-up carries besides its subject.
type wakeupBody struct {
	WatchID string `json:"watch_id"`
	Number  uint64 `json:"wakeup"`
	// At is when the wake-up was to be due, by the server's clock.
	At time.Time `json:"at"`
}

// Schedule stores the wake-up on the order's waiting subject, in place of the one there; the
// server moves it to the due subject when its time has come, at most about 250 ms later. One that
// is due already is published there at once.
func (s *store) Schedule(ctx context.Context, k watcher.Wakeup) error {
	if k.At.After(s.now()) {
		return s.setTimer(ctx, k, k.At)
	}
	return s.storeWakeup(ctx, k, nats.NewMsg(s.names.Due(k.Key())))
}

// setTimer stores the wake-up on the order's waiting subject, in place of the one there. A time
// that has passed lets it be due at once.
func (s *store) setTimer(ctx context.Context, k watcher.Wakeup, at time.Time) error {
	return s.storeWakeup(ctx, k, s.timer(k.Key(), at))
}

// timer returns a message without data that the server moves to the key's due subject at the time.
func (s *store) timer(key string, at time.Time) *nats.Msg {
	m := nats.NewMsg(s.names.Waiting(key))
	m.Header.Set(jetstream.ScheduleHeader, "@at "+at.UTC().Format(time.RFC3339Nano))
	m.Header.Set(jetstream.ScheduleTargetHeader, s.names.Due(key))
	return m
}

func (s *store) storeWakeup(ctx context.Context, k watcher.Wakeup, m *nats.Msg) error {
	var err error
	if m.Data, err = json.Marshal(wakeupBody{k.WatchID, k.Number, k.At.UTC()}); err != nil {
		return err
	}
	_, err = s.publish(ctx, s.names.WakeupStream(), m)
	passed("wakeup", "stored", err)
	return err
}

// Highest returns the highest number of the order's wake-ups; 0 where there is none. What cannot be read as
// a wake-up counts as none: the poller drops it.
func (s *store) Highest(ctx context.Context, order watcher.Order) (number uint64, err error) {
	number, _, err = s.highest(ctx, order)
	return number, err
}

// highest does so, and returns the id of its watch, too.
func (s *store) highest(ctx context.Context, order watcher.Order) (number uint64, watchID string, err error) {
	_, err = s.last(ctx, s.names.WakeupStream(), s.names.Subjects+".*."+order.Key())
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, "", nil // the usual case, in one call
	}
	if err != nil {
		return 0, "", err
	}
	for _, subject := range []string{s.names.Waiting(order.Key()), s.names.Due(order.Key())} {
		for from := uint64(1); ; {
			m, err := s.next(ctx, s.names.WakeupStream(), subject, from)
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				break
			}
			if err != nil {
				return 0, "", err
			}
			from = m.Sequence + 1
			var body wakeupBody
			if json.Unmarshal(m.Data, &body) == nil && body.WatchID != "" && body.Number > number {
				number, watchID = body.Number, body.WatchID
			}
		}
	}
	return number, watchID, nil
}

func decodeWakeup(subject, prefix string, encoded []byte) (watcher.Wakeup, error) {
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
	return watcher.Wakeup{Order: order, WatchID: body.WatchID, Number: body.Number, At: body.At}, nil
}

// sequenceOf returns the sequence of a message that was read directly.
func sequenceOf(h nats.Header) (uint64, error) {
	return strconv.ParseUint(h.Get(jetstream.SequenceHeader), 10, 64)
}
