package faults_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
	"github.com/orderwatch/orderwatch/watcher/words"
)

var (
	benchWatches = flag.Int("bench-watches", 1_000_000, "how many open watches BenchmarkManyOpen has")
	benchEvery   = flag.Duration("bench-every", time.Hour, "how often each of them is polled")
	benchMemory  = flag.String("bench-memory", "off", "GOMEMLIMIT of its worker, which sets it to four fifths of its container's memory where that is limited")
)

// BenchmarkManyOpen measures what it takes to hold a million open watches that are polled once an hour, 278 a second: one
// worker, one nats-server and one page, each a process. One watch is asked for; its record and its wake-up are stored again
// under so many names. It takes six minutes, 4 GiB of memory and 3 GB of disk:
//
//	go test -run '^$' -bench ManyOpen -benchtime 1x -timeout 30m ./cmd/orderwatch/faults
//
// At the end of the command line, -bench-watches=100000 has fewer, -bench-every=5m has them polled more often, and
// -bench-memory=204MiB is the limit that a worker in a container of 256 MiB sets. Reported are how long a worker takes until
// it is ready (worker-ready-s) and has read all records (worker-read-s), a page until it shows all watches (page-ready-s),
// and nats-server from its start until a poll is made (nats-back-s after SIGTERM, nats-back-killed-s after SIGKILL).
func BenchmarkManyOpen(b *testing.B) {
	for range b.N {
		benchmarkManyOpen(b, *benchWatches, *benchEvery)
	}
}

func benchmarkManyOpen(b *testing.B, watches int, every time.Duration) {
	cloud := emulator.New(emulator.Options{CallsKept: 1})
	cloud.Add(rig.Project, manyName(0), unendingOrder(4))
	r := newBenchRig(b, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		q.URL.Path = q.URL.Path[:strings.LastIndexByte(q.URL.Path, '/')+1] + manyName(0) // all orders are as the first
		cloud.ServeHTTP(w, q)
	}), "2m")
	env := steadyEnv(r.nats.URL, r.cloudURL, r.addr, every, "ORDERWATCH_MODELARTS_TIMEOUT=15s", "ORDERWATCH_LOG_LEVEL=warn", "GOMEMLIMIT="+*benchMemory)
	r.serve(b, env)
	begin := time.Now()
	copyWatch(b, r, watches, every)
	b.Logf("%d watches stored in %s", watches, time.Since(begin).Round(time.Second))
	b.ReportMetric(diskOf(b, filepath.Dir(r.nats.Config))/float64(watches), "disk-B/watch")

	begin = time.Now()
	r.serve(b, env)
	b.ReportMetric(time.Since(begin).Seconds(), "worker-ready-s")
	r.awaitCounted(b, watches)
	b.ReportMetric(time.Since(begin).Seconds(), "worker-read-s")
	time.Sleep(90 * time.Second) // until it patrols: the worker before it left its lease
	r.measure(b, time.Minute)

	r.measurePage(b, watches)
	_, took := r.nats.Terminate(b)
	b.ReportMetric(took.Seconds(), "nats-stop-s")
	r.measureReturn(b, "nats-back-s")
	r.nats.Kill()
	r.measureReturn(b, "nats-back-killed-s")
	_, took = r.worker.Terminate(b)
	b.ReportMetric(took.Seconds(), "worker-stop-s")
}

// manyName is the name of the order of one of many watches. That of the first has manyNumber in it, as has the id of its
// request.
func manyName(i int) string { return fmt.Sprintf("order.many-%08d", i) }

const manyNumber = "00000000"

// newManyIDs returns the ids of many watches.
func newManyIDs() func(i int) string {
	now := ulid.Timestamp(time.Now())
	return func(i int) string {
		return "w_" + ulid.MustNew(now, strings.NewReader(fmt.Sprintf("%010d", i))).String()
	}
}

// askForFirst asks for a watch of the first of many orders.
func askForFirst(b *testing.B, js jetstream.JetStream) {
	b.Helper()
	body := fmt.Sprintf(`{"project_id":%q,"order_name":%q,"request_id":"many-%s"}`, rig.Project, manyName(0), manyNumber)
	if _, err := js.Publish(b.Context(), "orders.watch", []byte(body)); err != nil {
		b.Fatal(err)
	}
}

// copyWatch has the worker take the first watch, stops it, and stores the record and the wake-up of that watch again for
// the others; their wake-ups are spread over so long.
func copyWatch(b *testing.B, r *benchRig, watches int, every time.Duration) {
	b.Helper()
	records, wakeups := "$KV.ORDER_WATCHES."+rig.Project+".", "orders.waiting."+rig.Project+"."
	askForFirst(b, r.nats.JS)
	wakeup := lastOn(b, r.nats.JS, "ORDER_WAKEUPS", wakeups+manyName(0))
	r.worker.Terminate(b)
	record := lastOn(b, r.nats.JS, "KV_ORDER_WATCHES", records+manyName(0))
	first, err := watcher.DecodeWatch(record.Data)
	if err != nil {
		b.Fatal(err)
	}
	stream, err := r.nats.JS.Stream(b.Context(), "KV_ORDER_WATCHES")
	if err != nil {
		b.Fatal(err)
	}
	last := stream.CachedInfo().State.LastSeq

	for _, stored := range []*jetstream.RawStreamMsg{record, wakeup} {
		stored.Header.Set(jetstream.ExpectedLastSubjSeqHeader, "0")
	}
	begin := time.Now().Add(2 * time.Minute)
	due := func(i int) string {
		return begin.Add(time.Duration(float64(every) * float64(i) / float64(watches))).UTC().Format(time.RFC3339Nano)
	}
	id := func(i int) string {
		return "w_" + ulid.MustNew(ulid.Timestamp(begin), strings.NewReader(fmt.Sprintf("%010d", i))).String()
	}
	for i := 1; i < watches; i++ {
		data := bytes.ReplaceAll(record.Data, []byte(manyNumber), fmt.Appendf(nil, "%08d", i))
		data = bytes.ReplaceAll(data, []byte(first.ID), []byte(id(i)))
		data = bytes.ReplaceAll(data, []byte(first.NextPollAt.Format(time.RFC3339Nano)), []byte(due(i)))
		publishCopy(b, r.nats.JS, &nats.Msg{Subject: records + manyName(i), Header: record.Header, Data: data})
	}
	for i := 1; i < watches; i++ {
		var text map[string]any
		if err := json.Unmarshal(wakeup.Data, &text); err != nil {
			b.Fatal(err)
		}
		text["watch_id"], text["at"], text["revision"] = id(i), due(i), last+uint64(i)
		data, err := json.Marshal(text)
		if err != nil {
			b.Fatal(err)
		}
		header := maps.Clone(wakeup.Header)
		header.Set(jetstream.ScheduleHeader, "@at "+due(i))
		header.Set(jetstream.ScheduleTargetHeader, "orders.due."+rig.Project+"."+manyName(i))
		publishCopy(b, r.nats.JS, &nats.Msg{Subject: wakeups + manyName(i), Header: header, Data: data})
	}
	<-r.nats.JS.PublishAsyncComplete()
	if stream, err = r.nats.JS.Stream(b.Context(), "KV_ORDER_WATCHES"); err != nil || stream.CachedInfo().State.LastSeq != last+uint64(watches)-1 {
		b.Fatalf("%d records were not stored one after the other: %v", watches, err)
	}
}

func publishCopy(b *testing.B, js jetstream.JetStream, m *nats.Msg) {
	b.Helper()
	if _, err := js.PublishMsgAsync(m, jetstream.WithStallWait(time.Minute)); err != nil {
		b.Fatal(err)
	}
}

// lastOn waits until a stream has a message on the subject, and returns the last.
func lastOn(b *testing.B, js jetstream.JetStream, stream, subject string) (last *jetstream.RawStreamMsg) {
	b.Helper()
	rig.Eventually(b, rig.Patience, func() (err error) {
		last, err = lastMessage(b.Context(), js, stream, subject)
		return err
	})
	return last
}

// awaitCounted waits until the worker says how many watches are open.
func (r *benchRig) awaitCounted(b *testing.B, watches int) {
	b.Helper()
	rig.Eventually(b, 10*time.Minute, func() error {
		reply, err := r.nats.JS.Conn().Request("orderwatch.status", nil, 15*time.Second)
		if err != nil {
			return err
		}
		var status wire.Status
		if err := json.Unmarshal(reply.Data, &status); err != nil {
			return err
		}
		if status.Watches == nil || status.Watches.Watching != watches {
			return fmt.Errorf("of %d watches: %s", watches, reply.Data)
		}
		return nil
	})
}

// measurePage starts a page, and reports when it shows so many watches and how much memory it has then.
func (r *benchRig) measurePage(b *testing.B, watches int) {
	b.Helper()
	begin, address := time.Now(), rig.FreeAddr(b)
	page := rig.Start(b, rig.Build(b, rig.Worker), []string{"ORDERWATCH_NATS_URL=" + r.nats.URL, "ORDERWATCH_PAGE_ADDR=" + address}, "page")
	rig.Eventually(b, 10*time.Minute, func() error {
		answer, err := http.Get("http://" + address + "/")
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err == nil && (!bytes.Contains(text, []byte(words.Number(watches)+"</b> watching")) || bytes.Contains(text, []byte("being read"))) {
			err = errors.New("the page does not show all watches")
		}
		return err
	})
	b.ReportMetric(time.Since(begin).Seconds(), "page-ready-s")
	used := usageOf(b, page.Command.Process.Pid)
	b.ReportMetric(used.rss, "page-MiB")
	b.ReportMetric(used.peak, "page-peak-MiB")
	page.Kill()
}

// measureReturn starts the nats-server, which has ended, and reports when the next poll is made.
func (r *benchRig) measureReturn(b *testing.B, metric string) {
	b.Helper()
	polls, begin := r.polls.Load(), time.Now()
	r.nats.Again(b)
	rig.Eventually(b, 10*time.Minute, func() error {
		if r.polls.Load() == polls {
			return errors.New("no poll was made")
		}
		return nil
	})
	b.ReportMetric(time.Since(begin).Seconds(), metric)
}

// diskOf returns how many bytes are in the files below a directory.
func diskOf(b *testing.B, dir string) (bytes float64) {
	b.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return nil // it is gone
		}
		bytes += float64(info.Size())
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return bytes
}
