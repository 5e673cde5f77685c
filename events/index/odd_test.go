package index_test

import (
	"fmt"
	"testing"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/index"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestLaterRecordsKeepOutNoBrokenOnes holds that broken records are known of beside as many of a later version as are kept, and
// that there is room for later ones again when those were written by this version.
func TestLaterRecordsKeepOutNoBrokenOnes(t *testing.T) {
	t.Parallel()
	nc, _ := eventstest.Connect(t, eventstest.Server(t))
	x := index.New(eventstest.Provided(t, nc, eventstest.StoreConfig()))
	const kept = 10_000
	sequence := uint64(0)
	see := func(name string, why error) {
		sequence++
		x.See(store.Record{Order: watcher.Order{ProjectID: "p1", Name: name}, Sequence: sequence, Err: why})
	}
	for i := range kept + 1 {
		see(fmt.Sprint("order.later-", i), watcher.ErrNewerSchema)
	}
	see("order.broken", watcher.ErrBroken)
	if broken, all := len(x.Odd(false)), len(x.Odd(true)); broken != 1 || all != kept+1 {
		t.Errorf("%d are known of, %d of them broken; want %d and 1", all, broken, kept+1)
	}
	see("order.later-0", nil)
	x.Forget(watcher.Order{ProjectID: "p1", Name: "order.later-1"}, 2)
	for i := range 3 {
		see(fmt.Sprint("order.more-", i), watcher.ErrNewerSchema)
	}
	if broken, all := len(x.Odd(false)), len(x.Odd(true)); broken != 1 || all != kept+1 {
		t.Errorf("after others: %d are known of, %d of them broken; want %d and 1", all, broken, kept+1)
	}
}
