package index_test

import (
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/index"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestCountOfMoreThanAreLookedAt counts more late watches than wake-ups are read for: all of them where nobody polls, and
// those that were looked at where one was polled.
func TestCountOfMoreThanAreLookedAt(t *testing.T) {
	t.Parallel()
	nc, _ := eventstest.Connect(t, eventstest.Server(t))
	config := eventstest.StoreConfig()
	config.Timing.PatrolSlack = 0
	kept := eventstest.Provided(t, nc, config)
	const watches = 210
	var records []watcher.Watch
	for i := range watches {
		records = append(records, aRecord(i, watcher.Watching, "p1", "prod")) // due since long ago
	}
	keep(t, kept, records)
	x := index.New(kept)
	count := func() int {
		t.Helper()
		eventstest.Eventually(t, func() error { return x.CatchUp(t.Context(), time.Time{}) })
		n, late, err := x.Count(t.Context(), nil)
		if err != nil || len(late) != n.Overdue || n.Watching != watches {
			t.Fatalf("%d late, %+v, %v", len(late), n, err)
		}
		return n.Overdue
	}
	if n := count(); n != watches {
		t.Errorf("%d of %d watches count as late that nobody polls", n, watches)
	}
	for _, w := range records[:30] { // of 210, 200 are looked at
		k := watcher.Wakeup{Order: w.Order, WatchID: w.ID, Number: 1, Polls: 1, PolledAt: time.Now(), At: time.Now().Add(time.Hour)}
		if err := kept.SetTimer(t.Context(), k, k.At); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(); n < 200-30 || n > 200-20 {
		t.Errorf("%d watches count as late; want what was looked at and not polled, 170 to 180", n)
	}
}
