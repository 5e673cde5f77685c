package store_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestHintOfAWakeup holds how a hint is written, that it comes back, and that the release before reads the rest.
func TestHintOfAWakeup(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, _ := eventstest.Connect(t, s)
	u := eventstest.Provided(t, nc, eventstest.StoreConfig())
	at := time.Date(2025, 4, 10, 12, 1, 20, 0, time.UTC)
	for name, tt := range map[string]struct {
		hint *watcher.Hint
		want string // of the body
	}{
		"order.plain": {nil, `{"watch_id":"w_1","wakeup":7,"at":"2025-04-10T12:01:20Z"}`},
		"order.left":  {new(watcher.Hint), `{"watch_id":"w_1","wakeup":7,"at":"2025-04-10T12:01:20Z","hint":{}}`},
		"order.ended": {&watcher.Hint{Ended: at.Add(-time.Second)}, `{"watch_id":"w_1","wakeup":7,"at":"2025-04-10T12:01:20Z","hint":{"ended_at":"2025-04-10T12:01:19Z"}}`},
	} {
		k := watcher.Wakeup{Order: watcher.Order{ProjectID: "p", Name: name}, WatchID: "w_1", Number: 7, At: at, Hint: tt.hint}
		if err := u.Schedule(t.Context(), k); err != nil {
			t.Fatal(err)
		}
		m, err := u.Last(t.Context(), "ORDER_WAKEUPS", "orders.due."+k.Key())
		if err != nil || string(m.Data) != tt.want {
			t.Errorf("%s: %s, %v; want %s", name, m.Data, err, tt.want)
		}
		back, err := store.DecodeWakeup(m.Subject, "orders.due.", m.Data)
		if err != nil || (back.Hint == nil) != (tt.hint == nil) || tt.hint != nil && !back.Hint.Ended.Equal(tt.hint.Ended) || back.Number != 7 || !back.At.Equal(at) {
			t.Errorf("%s: %+v became %+v, %v", name, k, back, err)
		}
		var before struct { // as the release before has it
			WatchID string    `json:"watch_id"`
			Number  uint64    `json:"wakeup"`
			At      time.Time `json:"at"`
		}
		if err := json.Unmarshal(m.Data, &before); err != nil || before.WatchID != "w_1" || before.Number != 7 || !before.At.Equal(at) {
			t.Errorf("%s: the release before reads %+v, %v", name, before, err)
		}
	}
	if _, err := store.DecodeWakeup("orders.due.p.order.a", "orders.due.", []byte(`{"watch_id":"w_1","wakeup":7,"hint":"soon"}`)); err == nil || !strings.Contains(err.Error(), "decode wake-up") {
		t.Errorf("a hint that is none: %v", err)
	}
}

// TestALaterWakeupStays stores wake-ups of an order in any sequence: the latest of them waits in the end, and is the newest of all.
func TestALaterWakeupStays(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, _ := eventstest.Connect(t, s)
	u := eventstest.Provided(t, nc, eventstest.StoreConfig())
	k := watcher.Wakeup{Order: watcher.Order{ProjectID: "p", Name: "order.later"}, WatchID: "w_1", At: time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)}
	for i, next := range []struct {
		number    uint64
		revision  watcher.Revision
		polls     int
		overtaken bool
	}{
		{3, 10, 0, false}, {3, 10, 5, false}, {3, 10, 5, false}, {3, 10, 4, true}, {3, 9, 7, true}, {3, 0, 0, true},
		{3, 11, 5, false}, {3, 10, 6, true}, {4, 0, 0, false}, {3, 12, 9, true}, {4, 12, 0, false},
	} {
		before, err := u.Newest(t.Context(), k.Order)
		if err != nil {
			t.Fatal(err)
		}
		k.Number, k.Revision, k.Polls, k.Step = next.number, next.revision, next.polls, next.polls
		if k.PolledAt = (time.Time{}); k.Polls > 0 {
			k.PolledAt = k.At.Add(-2 * time.Hour)
		}
		if err := u.Schedule(t.Context(), k); errors.Is(err, watcher.ErrOvertaken) != next.overtaken || err != nil && !next.overtaken {
			t.Fatalf("%d: %v; want overtaken %t", i, err, next.overtaken)
		}
		want := k
		if next.overtaken {
			want = before
		}
		if newest, err := u.Newest(t.Context(), k.Order); err != nil || newest != want {
			t.Errorf("%d: the newest is %+v, %v; want %+v", i, newest, err, want)
		}
	}
	now := k // as somebody who wants a poll now stores it
	now.Revision, now.Polls, now.At = 11, 0, time.Now().Add(-time.Second)
	if err := u.Schedule(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if newest, err := u.Newest(t.Context(), k.Order); err != nil || newest != k {
		t.Errorf("beside one that is due: the newest is %+v, %v; want %+v", newest, err, k)
	}
}
