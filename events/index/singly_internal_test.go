package index

import (
	"fmt"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestFewRecordsAreInMemoryAtATime holds how many records are asked for before the first of them is taken, and that all are.
func TestFewRecordsAreInMemoryAtATime(t *testing.T) {
	t.Parallel()
	nc, _ := eventstest.Connect(t, eventstest.Server(t))
	kept := eventstest.Provided(t, nc, eventstest.StoreConfig())
	x := New(kept)
	if err := x.CatchUp(t.Context(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	const records = 2*singlyAtOnce + 7
	last := watcher.Revision(0)
	for i := range records {
		w := watcher.Watch{
			Schema: watcher.SchemaVersion, State: watcher.Watching, ID: fmt.Sprint("w_", i), Order: watcher.Order{ProjectID: "p1", Name: fmt.Sprint("order.", i)},
			Region: "cn-north-4", Wakeup: 1, NextPollAt: time.Now(), Requests: []watcher.Request{{ID: "build"}},
		}
		var err error
		if last, err = kept.Write(t.Context(), w, 0); err != nil {
			t.Fatal(err)
		}
	}
	x.next = 1
	before := nc.Stats().OutMsgs
	taken := 0
	err := x.readSingly(t.Context(), uint64(last), func(store.Record) bool {
		if taken++; taken == 1 {
			if asked := nc.Stats().OutMsgs - before; asked > singlyAtOnce {
				t.Errorf("%d records were asked for before the first was taken; want %d at the most", asked, singlyAtOnce)
			}
		}
		return true
	})
	if err != nil || taken != records {
		t.Errorf("%d of %d records were taken, %v", taken, records, err)
	}
}
