package index_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/index"
	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// BenchmarkList lists the newest 100 watches of 100,000, of which a tenth is being watched.
func BenchmarkList(b *testing.B) {
	const records = 100_000
	s := eventstest.Server(b)
	nc, _ := eventstest.Connect(b, s)
	store := eventstest.Provided(b, nc, eventstest.StoreConfig())
	var writing sync.WaitGroup
	for first := range 20 {
		writing.Go(func() {
			for i := first; i < records; i += 20 {
				state := watcher.Ended
				if i%10 == 0 {
					state = watcher.Watching
				}
				if _, err := store.Write(b.Context(), aRecord(i, state, fmt.Sprint("p", i%50), "prod"), 0); err != nil {
					b.Error(err)
				}
			}
		})
	}
	writing.Wait()
	x := index.New(store)
	for name, query := range map[string]wire.ListQuery{
		"all": {}, "watching": {State: watcher.Watching}, "project": {ProjectID: "p7"}, "label": {Label: "env=prod"},
	} {
		query.Limit = 100
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if answer, err := x.List(b.Context(), query, teams.View{}, watcher.Policy{MaxPayload: 1 << 20}); err != nil || len(answer.Watches) != 100 {
					b.Fatal(len(answer.Watches), err)
				}
			}
		})
	}
}
