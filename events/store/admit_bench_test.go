package store_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// unlooked is a store in which no order has an older wake-up, so nobody has to look for one.
type unlooked struct{ *store.Store }

func (unlooked) Highest(context.Context, watcher.Order) (uint64, error) { return 0, nil }

// BenchmarkAdmit admits the first request of an order while 20,000 other orders wait. Without the look it
// does not ask for the highest number of older wake-ups, which only lie there where a record was deleted.
func BenchmarkAdmit(b *testing.B) {
	const waiting = 20_000
	s := eventstest.Server(b)
	nc, _ := eventstest.Connect(b, s)
	store := eventstest.Provided(b, nc, eventstest.StoreConfig())
	var setting sync.WaitGroup
	for first := range 20 {
		setting.Go(func() {
			for i := first; i < waiting; i += 20 {
				k := watcher.Wakeup{Order: watcher.Order{ProjectID: eventstest.Project, Name: fmt.Sprintf("order.waiting-%d", i)}, WatchID: "w_waiting", Number: 1, At: time.Now().Add(24 * time.Hour)}
				if err := store.Schedule(b.Context(), k); err != nil {
					b.Error(err)
				}
			}
		})
	}
	setting.Wait()
	policy := watcher.Policy{Backoff: watcher.Backoff{Initial: 50 * time.Millisecond, Multiplier: 1.5, Max: time.Second}, Timeout: time.Hour, DefaultRegion: "cn-north-4"}
	for name, wakeups := range map[string]watcher.Wakeups{"with the look": store, "without": unlooked{store}} {
		b.Run(name, func(b *testing.B) {
			in := watcher.Intake{Log: slog.New(slog.DiscardHandler), Policy: policy, Records: store, Wakeups: wakeups, Now: time.Now}
			for i := 0; b.Loop(); i++ {
				order := watcher.Order{ProjectID: eventstest.Project, Name: fmt.Sprintf("order.%d-%d", time.Now().UnixNano(), i)}
				ask := watcher.Ask{Order: order, WatchID: "w_new", Request: watcher.Request{ID: "build-1", ReceivedAt: time.Now()}}
				if admission, _, err := in.Admit(b.Context(), ask); admission != watcher.Start || err != nil {
					b.Fatal(admission, err)
				}
			}
		})
	}
}
