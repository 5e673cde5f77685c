package events_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// used returns the CPU time of this process, with the server in it.
func used() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkPatrol measures the rounds of a patrol over watches that are polled once an hour: of 100,000, 417 between two
// rounds. What is reported is CPU of the worker and the server together; the bound for 100,000 is 2 % of a core at a round
// each 15 s:
//
//	go test -run '^$' -bench Patrol -benchtime 20x ./events
func BenchmarkPatrol(b *testing.B) {
	for _, watches := range []int{100_000, 1_000_000} {
		b.Run(strconv.Itoa(watches), func(b *testing.B) { benchmarkPatrol(b, watches) })
	}
}

func benchmarkPatrol(b *testing.B, watches int) {
	const every = 15 * time.Second
	polled := watches * int(every/time.Second) / int(time.Hour/time.Second)
	scene := newBeat(b, eventstest.Server(b), config())
	write := func(name string, wakeup uint64) {
		at := time.Now().Add(3 * time.Hour) // the patrol's clock is an hour ahead
		w := watcher.Watch{
			Schema: 1, State: watcher.Watching, ID: "w_" + name, Order: of(name), Region: "cn-north-4", AcceptedAt: time.Now(), Deadline: at,
			Wakeup: wakeup, NextPollAt: at, Requests: []watcher.Request{{ID: "build-1", Labels: map[string]string{"env": "prod"}}},
			Items: []watcher.SeenItem{{Action: "createPool", Status: watcher.Processing}},
		}
		encoded, err := watcher.EncodeWatch(w, 1<<20)
		if err != nil {
			b.Fatal(err)
		}
		record := nats.NewMsg("$KV.ORDER_WATCHES." + w.Key())
		record.Header.Set(store.RecordHeader, strconv.Itoa(w.Written()))
		record.Data = encoded
		timer := nats.NewMsg("orders.waiting." + w.Key())
		timer.Header.Set(jetstream.ScheduleHeader, "@at "+at.UTC().Format(time.RFC3339Nano))
		timer.Header.Set(jetstream.ScheduleTargetHeader, "orders.due."+w.Key())
		if timer.Data, err = json.Marshal(map[string]any{"watch_id": w.ID, "wakeup": wakeup, "at": at}); err != nil {
			b.Fatal(err)
		}
		for _, m := range []*nats.Msg{record, timer} {
			if _, err := scene.js.PublishMsgAsync(m, jetstream.WithStallWait(eventstest.Patience)); err != nil {
				b.Fatal(err)
			}
		}
	}
	stored := func() {
		select {
		case <-scene.js.PublishAsyncComplete():
		case <-time.After(eventstest.Patience):
			b.Fatal("not stored")
		}
	}
	for i := range watches {
		write(fmt.Sprint("order.", i), 1)
	}
	stored()
	p := scene.patrol("a")
	runtime.GC()
	before := used()
	if err := p.Round(b.Context()); err != nil {
		b.Fatal(err)
	}
	first := used() - before
	var spent time.Duration
	number := uint64(1)
	for b.Loop() {
		b.StopTimer()
		number++
		for range polled {
			write(fmt.Sprint("order.", rand.IntN(watches)), number)
		}
		stored()
		before := used()
		b.StartTimer()
		if _, err := p.Take(b.Context()); err != nil {
			b.Fatal(err)
		}
		if err := p.Round(b.Context()); err != nil {
			b.Fatal(err)
		}
		spent += used() - before
	}
	a := spent / time.Duration(b.N)
	b.ReportMetric(first.Seconds()*1e3, "cpu-ms/first")
	b.ReportMetric(a.Seconds()*1e3, "cpu-ms/round")
	b.ReportMetric(100*a.Seconds()/every.Seconds(), "%-of-a-core")
}
