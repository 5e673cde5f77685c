package store_test

import (
	"encoding/json"
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
