package index_test

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/index"
	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/watcher"
)

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

// BenchmarkBoard lets a process of its own read 100,000 records, ask for pages, and follow 500 updates a second, all from a
// server in another process. What is reported is measured once, in that process, and of the server its CPU:
//
//	go test -run '^$' -bench Board -benchtime 1x ./events/index
func BenchmarkBoard(b *testing.B) {
	for _, open := range []int{30_000, 100_000} {
		b.Run(fmt.Sprintf("open=%d/ended=%d", open, 100_000-open), func(b *testing.B) { benchmarkBoard(b, open, 100_000-open) })
	}
}

func benchmarkBoard(b *testing.B, open, ended int) {
	for b.Loop() {
	}
	n := rig.StartNATS(b, "")
	eventstest.Provided(b, n.JS.Conn(), eventstest.StoreConfig())
	random := rand.New(rand.NewPCG(1, 19))
	var some []watcher.Watch
	for i := 0; i < open+ended; i += 1000 {
		var records []watcher.Watch
		for n := range 1000 {
			state := watcher.Watching
			if random.IntN(open+ended) >= open {
				state = watcher.Ended
			}
			records = append(records, full(random, i+n, aRecord(i+n, state, "p", "prod")))
		}
		keepMany(b, n.JS, records)
		if len(some) < 2000 {
			some = append(some, records...)
		}
	}
	child := exec.Command(os.Args[0], "-test.run=^TestBoardProcess$", "-test.v")
	child.Env = append(os.Environ(), boardURL+"="+n.URL)
	out, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { child.Process.Kill(); child.Wait() })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		switch said := strings.Fields(lines.Text()); {
		case lines.Text() == "now updates":
			used, began := serverCPU(n.Command.Process.Pid), time.Now()
			update(b, n.JS, some, 500, followed)
			b.ReportMetric((serverCPU(n.Command.Process.Pid)-used)/time.Since(began).Seconds(), "server-cores")
		case len(said) == 3 && said[0] == "measured":
			value, _ := strconv.ParseFloat(said[1], 64)
			b.ReportMetric(value, said[2])
		}
	}
}

// boardURL is the environment variable that makes TestBoardProcess the process of a benchmark.
const boardURL = "ORDERWATCH_TEST_BOARD_URL"

// followed is for how long updates are followed.
const followed = 10 * time.Second

// TestBoardProcess is no test, but what a benchmark starts.
func TestBoardProcess(t *testing.T) {
	url := os.Getenv(boardURL)
	if url == "" {
		t.Skip("it is for the benchmark")
	}
	debug.SetGCPercent(50)
	debug.SetMemoryLimit(100 << 20)
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	report := func(value float64, unit string) { fmt.Println("measured", value, unit) }
	began, used := time.Now(), cpu()
	board := follow(t, eventstest.Store(t, nc, eventstest.StoreConfig(), nil))
	report(time.Since(began).Seconds(), "ready-s")
	report((cpu() - used).Seconds(), "ready-cpu-s")
	for _, q := range []struct {
		name  string
		query index.Query
	}{{"first", index.Query{}}, {"label", index.Query{Label: "cluster=c7"}}, {"text", index.Query{Text: "abcde"}}, {"age", index.Query{ByAge: true}}, {"ended", index.Query{State: watcher.Ended}}} {
		q.query.Limit = 100
		const times = 100
		used := cpu()
		for range times {
			if _, err := board.Query(q.query, teams.View{}); err != nil {
				t.Fatal(err)
			}
		}
		report((cpu()-used).Seconds()*1e3/times, q.name+"-cpu-ms")
	}
	fmt.Println("now updates")
	for _, asked := range []string{"unasked", "asked"} {
		began, used := time.Now(), cpu()
		for time.Since(began) < followed/2-time.Second {
			time.Sleep(200 * time.Millisecond)
			if asked == "asked" {
				if _, err := board.Query(index.Query{Limit: 100}, teams.View{}); err != nil {
					t.Fatal(err)
				}
			}
		}
		report((cpu()-used).Seconds()/time.Since(began).Seconds(), "cores-"+asked)
	}
	var live runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&live)
	report(float64(live.HeapAlloc)/(1<<20), "heap-MiB")
	status, _ := os.ReadFile("/proc/self/status")
	if _, most, ok := bytes.Cut(status, []byte("VmHWM:")); ok {
		kib, _ := strconv.Atoi(string(bytes.Fields(most)[0]))
		report(float64(kib)/1024, "peak-MiB")
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

// update writes so many of the records a second for so long.
func update(b *testing.B, js jetstream.JetStream, some []watcher.Watch, rate int, long time.Duration) {
	const ticks = 20 // a second
	began := time.Now()
	for tick := 1; time.Since(began) < long; tick++ {
		at := tick * rate / ticks % (len(some) - rate/ticks)
		keepMany(b, js, some[at:at+rate/ticks])
		time.Sleep(time.Until(began.Add(time.Duration(tick) * time.Second / ticks)))
	}
}
