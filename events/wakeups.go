package events

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

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
	body, err := json.Marshal(wakeupBody{k.WatchID, k.Number, k.At.UTC()})
	if err != nil {
		return err
	}
	m := nats.NewMsg(s.names.due(k.Key()))
	m.Data = body
	if k.At.After(s.now()) {
		m.Subject = s.names.waiting(k.Key())
		m.Header.Set(jetstream.ScheduleHeader, "@at "+k.At.UTC().Format(time.RFC3339Nano))
		m.Header.Set(jetstream.ScheduleTargetHeader, s.names.due(k.Key()))
	}
	_, err = s.publish(ctx, m)
	return err
}

func decodeWakeup(subject, prefix string, encoded []byte) (watcher.Wakeup, error) {
	order, ok := orderOf(subject, prefix)
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
