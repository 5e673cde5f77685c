package index_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/index"
	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/watcher"
)

// resident returns how much memory this process has, in MiB.
func resident() float64 {
	statm, _ := os.ReadFile("/proc/self/statm")
	fields := bytes.Fields(statm)
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(string(fields[1]))
	return float64(pages*os.Getpagesize()) / (1 << 20)
}

// full makes the record as large as those of real orders are.
func full(random *rand.Rand, i int, w watcher.Watch) watcher.Watch {
	w = lively(random, w)
	w.ProjectID = fmt.Sprintf("%032x", i%50)
	w.ID, w.AcceptedAt = acceptedAt(time.Duration(i)*10*time.Millisecond), time.Now().Add(-time.Duration(i)*10*time.Millisecond)
	w.Name = fmt.Sprintf("order.pool-%x", random.Uint64())
	w.Requests = nil
	requests := []watcher.Request{{
		ID: fmt.Sprintf("%x-%x", random.Uint64(), random.Uint64()), Team: fmt.Sprint("team-", i%20), RequestedBy: "somebody", ReceivedAt: w.AcceptedAt,
		Link: "https://ci.example.com/builds/1", Labels: map[string]string{"env": "prod", "cluster": fmt.Sprint("c", i%100)},
	}}
	var items []watcher.Item
	for range 12 {
		at := w.AcceptedAt.UnixMilli()
		items = append(items, watcher.Item{ResourceName: fmt.Sprintf("os-node-created-%x", random.Uint32()), Action: "CREATE", Status: watcher.Processing})
		w.Items = append(w.Items, watcher.SeenItem{ResourceName: fmt.Sprintf("os-node-created-%x", random.Uint32()), Action: "CREATE", Status: watcher.Processing, Began: at, Updated: at})
	}
	if w.State == watcher.Watching {
		w.Requests = requests
		return w
	}
	w.Items = nil
	w.Completion.Requests, w.Completion.Items, w.Completion.WatchID = requests, items, w.ID
	w.Completion.CompletedAt = time.Now().Add(-time.Duration(i) * time.Millisecond)
	return w
}

// BenchmarkBoard reads records, asks for pages, and follows 500 updates a second, from a server
// in another process. Time and memory are those of this process; records are written by it, too:
//
//	go test -run '^$' -bench Board -benchtime 1x ./events/index
func BenchmarkBoard(b *testing.B) {
	for _, open := range []int{30_000, 100_000} {
		b.Run(fmt.Sprintf("open=%d/ended=%d", open, 100_000-open), func(b *testing.B) { benchmarkBoard(b, open, 100_000-open) })
	}
}

func benchmarkBoard(b *testing.B, open, ended int) {
	for b.Loop() { // what is reported is measured once
	}
	n := rig.StartNATS(b, "")
	js := n.JS
	kept := eventstest.Provided(b, js.Conn(), eventstest.StoreConfig())
	random := rand.New(rand.NewPCG(1, 19))
	var some []watcher.Watch
	size := 0
	for i := 0; i < open+ended; i += 1000 {
		var records []watcher.Watch
		for n := range 1000 {
			state := watcher.Watching
			if random.IntN(open+ended) >= open {
				state = watcher.Ended
			}
			w := full(random, i+n, aRecord(i+n, state, "p", "prod"))
			if n == 0 {
				encoded, _ := watcher.EncodeWatch(w, 1<<20)
				size = max(size, len(encoded))
			}
			records = append(records, w)
		}
		keepMany(b, js, records)
		if len(some) < 2000 {
			some = append(some, records...)
		}
	}
	debug.FreeOSMemory()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	at, used, rss := time.Now(), cpu(), resident()
	board := follow(b, kept)
	b.ReportMetric(time.Since(at).Seconds(), "ready-s")
	b.ReportMetric((cpu() - used).Seconds(), "ready-cpu-s")
	b.ReportMetric(resident()-rss, "peak-MiB")
	debug.FreeOSMemory()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "heap-MiB")
	b.ReportMetric(resident(), "rss-MiB")
	b.ReportMetric(float64(size), "B/record")
	for _, q := range []struct {
		name  string
		query index.Query
	}{{"first", index.Query{}}, {"label", index.Query{Label: "cluster=c7"}}, {"text", index.Query{Text: "abcde"}}, {"age", index.Query{ByAge: true}}, {"ended", index.Query{State: watcher.Ended}}} {
		q.query.Limit = 100
		at := time.Now()
		const times = 20
		for range times {
			if _, err := board.Query(q.query, teams.View{}); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(time.Since(at).Seconds()*1e3/times, q.name+"-ms")
	}
	for _, rate := range []int{0, 500} {
		ctx, cancel := context.WithCancel(b.Context())
		done := make(chan struct{})
		go func() { update(ctx, b, js, some, rate); close(done) }()
		const long = 8 * time.Second
		began, used, server := time.Now(), cpu(), serverCPU(n.Command.Process.Pid)
		time.Sleep(long)
		b.ReportMetric((serverCPU(n.Command.Process.Pid)-server)/time.Since(began).Seconds(), fmt.Sprintf("server-cores-at-%d", rate))
		b.ReportMetric((cpu()-used).Seconds()/time.Since(began).Seconds(), fmt.Sprintf("cores-at-%d", rate))
		b.ReportMetric(resident(), fmt.Sprintf("rss-MiB-at-%d", rate))
		cancel()
		<-done
	}
}

// serverCPU returns how many seconds of CPU the process has used.
func serverCPU(pid int) float64 {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(string(fields[11]))
	system, _ := strconv.Atoi(string(fields[12]))
	return float64(user+system) / 100
}

// update writes so many of the records a second until ctx is done.
func update(ctx context.Context, b *testing.B, js jetstream.JetStream, some []watcher.Watch, rate int) {
	if rate == 0 {
		return
	}
	for i := 0; ctx.Err() == nil; i += rate / 20 {
		i %= len(some) - rate/20
		keepMany(b, js, some[i:i+rate/20])
		time.Sleep(50 * time.Millisecond)
	}
}
