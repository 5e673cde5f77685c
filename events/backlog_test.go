package events_test

import (
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestOverdueWatchesAreTold holds that people are told once for each project whose watches stay overdue,
// and again when that happens anew.
func TestOverdueWatchesAreTold(t *testing.T) {
	t.Parallel()
	b := newBeat(t, eventstest.Server(t), config())
	first := b.write(t, "order.first", watcher.Watching, -time.Second, 0)
	b.write(t, "order.second", watcher.Watching, -time.Second, 0)
	b.write(t, "order.ended", watcher.Ended, -time.Second, 0)
	p := b.patrol("one")
	told := func(want int) {
		t.Helper()
		if list := eventstest.Events(t, b.js, "ORDER_EVENTS", "orders.attention.overdue.>"); len(list) != want {
			t.Fatalf("%d events; want %d", len(list), want)
		}
	}
	b.round(t, p)
	told(0) // they may be polled any moment
	b.dial.set(3 * time.Minute)
	b.round(t, p)
	told(1)
	a := eventstest.Events(t, b.js, "ORDER_EVENTS", "orders.attention.overdue.>")[0].Attention(t)
	if a.Kind != watcher.Overdue || a.ProjectID != project || a.Waiting != 2 || a.Account != "" || a.Reason == "" || a.Over() {
		t.Errorf("%+v", a)
	}
	b.dial.set(6 * time.Minute)
	b.round(t, p)
	told(1) // they were told

	b.write(t, "order.first", watcher.Ended, 0, first)
	second, revision, err := b.store.ReadLatest(t.Context(), of("order.second"))
	if err != nil {
		t.Fatal(err)
	}
	second.NextPollAt = b.clock.Now().Add(time.Hour)
	if revision, err = b.store.Write(t.Context(), second, revision); err != nil {
		t.Fatal(err)
	}
	b.round(t, p)
	second.NextPollAt = b.clock.Now().Add(-time.Hour)
	if _, err := b.store.Write(t.Context(), second, revision); err != nil {
		t.Fatal(err)
	}
	b.dial.set(8 * time.Minute)
	b.round(t, p)
	b.dial.set(11 * time.Minute)
	b.round(t, p)
	told(2)
}

// TestOverdueWatchesAreToldWithoutWakeups holds that people are told, and of the right number, also where
// the patrol cannot look at wake-ups.
func TestOverdueWatchesAreToldWithoutWakeups(t *testing.T) {
	t.Parallel()
	b := newBeat(t, eventstest.Server(t), config())
	b.write(t, "order.first", watcher.Watching, -time.Second, 0)
	if err := b.js.DeleteStream(t.Context(), "ORDER_WAKEUPS"); err != nil {
		t.Fatal(err)
	}
	p := b.patrol("one")
	failed := false
	for minute := range 6 {
		b.dial.set(time.Duration(minute) * time.Minute)
		failed = p.Round(t.Context()) != nil || failed
	}
	list := eventstest.Events(t, b.js, "ORDER_EVENTS", "orders.attention.overdue.>")
	if len(list) != 1 || !failed {
		t.Fatalf("%d events; a round failed: %v", len(list), failed)
	}
	if a := list[0].Attention(t); a.Waiting != 1 {
		t.Errorf("%d watches; want 1", a.Waiting)
	}
}
