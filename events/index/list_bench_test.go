package index_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/index"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// cpu returns the time that this process, with the server in it, has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// acceptedAt returns the id of a watch that was accepted so long ago.
func acceptedAt(ago time.Duration) string {
	var id ulid.ULID
	_ = id.SetTime(ulid.Timestamp(time.Now().Add(-ago)))
	for i := 6; i < len(id); i++ {
		id[i] = byte(rand.Uint32())
	}
	return "w_" + id.String()
}

// aRun returns records of watches, in any order: those that are open first, accepted every 10 ms until now.
func aRun(open, ended int) []watcher.Watch {
	records := make([]watcher.Watch, 0, open+ended)
	for i := range open + ended {
		state := watcher.Watching
		if i >= open {
			state = watcher.Ended
		}
		w := aRecord(i, state, fmt.Sprint("p", i%50), "prod")
		ago := time.Duration(rand.IntN(open+ended)) * 10 * time.Millisecond
		w.ID, w.AcceptedAt, w.NextPollAt = acceptedAt(ago), time.Now().Add(-ago), time.Now().Add(time.Hour)
		if w.Completion != nil {
			w.Completion.WatchID = w.ID
		}
		records = append(records, w)
	}
	rand.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
	return records
}

// keepMany stores many records as workers do, but for their expectations.
func keepMany(t testing.TB, js jetstream.JetStream, records []watcher.Watch) {
	t.Helper()
	for _, w := range records {
		encoded, err := watcher.EncodeWatch(w, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		m := nats.NewMsg("$KV.ORDER_WATCHES." + w.Key())
		m.Header.Set(store.RecordHeader, strconv.Itoa(w.Written()))
		m.Data = encoded
		if _, err := js.PublishMsgAsync(m, jetstream.WithStallWait(eventstest.Patience)); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(eventstest.Patience):
		t.Fatal("records are not stored")
	}
}

// BenchmarkList lists the newest 100 watches of 100,000 that are open, and of as many beside that have ended, while others
// are written. Time and CPU are those of the worker and the server together:
//
//	go test -run '^$' -bench List -benchtime 50x ./events/index
func BenchmarkList(b *testing.B) {
	for _, ended := range []int{0, 100_000} {
		b.Run(fmt.Sprintf("open=100000/ended=%d", ended), func(b *testing.B) { benchmarkList(b, 100_000, ended) })
	}
}

func benchmarkList(b *testing.B, open, ended int) {
	nc, js := eventstest.Connect(b, eventstest.Server(b))
	kept := eventstest.Provided(b, nc, eventstest.StoreConfig())
	records := aRun(open, ended)
	keepMany(b, js, records)
	var x *index.Index
	b.Run("first", func(b *testing.B) { // as a worker that begins reads all
		var before, after runtime.MemStats
		var used time.Duration
		for b.Loop() {
			x = nil
			runtime.GC()
			runtime.ReadMemStats(&before)
			began := cpu()
			x = index.New(kept)
			if err := x.CatchUp(b.Context(), time.Time{}); err != nil {
				b.Fatal(err)
			}
			used += cpu() - began
			runtime.GC()
			runtime.ReadMemStats(&after)
		}
		b.ReportMetric(used.Seconds()*1e3/float64(b.N), "cpu-ms/list")
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
	})
	for _, question := range []struct {
		name  string
		query wire.ListQuery
	}{
		{"all", wire.ListQuery{}}, {"watching", wire.ListQuery{State: watcher.Watching}}, {"ended", wire.ListQuery{State: watcher.Ended}},
		{"project", wire.ListQuery{ProjectID: "p7"}}, {"label", wire.ListQuery{Label: "env=prod"}}, {"rare", wire.ListQuery{State: watcher.Watching, Label: "env=none"}},
		{"last", wire.ListQuery{State: watcher.Watching, Cursor: acceptedAt(time.Duration(open+ended) * 9 * time.Millisecond)}},
	} {
		if question.query.State == watcher.Ended && ended == 0 {
			continue
		}
		question.query.Limit = 100
		b.Run(question.name, func(b *testing.B) {
			var took, used time.Duration
			for b.Loop() {
				b.StopTimer()
				keepMany(b, js, records[:100]) // as many as are written within some seconds
				began, before := time.Now(), cpu()
				b.StartTimer()
				answer, err := x.List(b.Context(), question.query, teams.View{}, watcher.Policy{MaxPayload: 1 << 20})
				took, used = took+time.Since(began), used+cpu()-before
				if err != nil || len(answer.Watches) != 100 && question.name != "rare" {
					b.Fatal(len(answer.Watches), err)
				}
			}
			b.ReportMetric(took.Seconds()*1e3/float64(b.N), "ms/list")
			b.ReportMetric(used.Seconds()*1e3/float64(b.N), "cpu-ms/list")
		})
	}
}
