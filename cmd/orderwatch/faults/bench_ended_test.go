package faults_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

var benchEnded = flag.Int("bench-ended", 300_000, "how many ended watches BenchmarkManyEnded has")

// BenchmarkManyEnded measures what watches cost that have ended, for as long as they are kept, ORDERWATCH_EVENTS_MAX_AGE: the
// memory and the disk of nats-server for each, how long a worker reads their records after its start, and how long nats-server
// takes until its streams are there again after SIGTERM and SIGKILL. The record and the events of one watch of four items, which
// ended one by one, are stored again under so many names; there are no notes of Slack. It takes five minutes and 5 GB of disk:
//
//	go test -run '^$' -bench ManyEnded -benchtime 1x -timeout 30m ./cmd/orderwatch/faults
//
// At the end of the command line, -bench-ended=50000 has fewer.
func BenchmarkManyEnded(b *testing.B) {
	for range b.N {
		benchmarkManyEnded(b, *benchEnded)
	}
}

func benchmarkManyEnded(b *testing.B, watches int) {
	l := emulator.New(emulator.Options{})
	order := emulator.Order{Count: emulator.CountAll, FromFirstPoll: true}
	for item := range 4 {
		order.Items = append(order.Items, emulator.Item{ResourceName: fmt.Sprintf("os-node-created-%05d", item), EndAfter: time.Duration(3*(item+1)) * time.Second})
	}
	l.Add(rig.Project, manyName(0), order)
	r := newBenchRig(b, http.Handler(l), "2m")
	env := rig.ServeEnv(r.nats.URL, r.cloudURL, r.addr, "ORDERWATCH_LOG_LEVEL=warn")
	r.serve(b, env)
	dir := filepath.Dir(r.nats.Config)
	before := usageOf(b, r.nats.Command.Process.Pid)
	copyEnded(b, r, watches)
	time.Sleep(time.Minute) // until the server forgets what it kept of its writing
	after := usageOf(b, r.nats.Command.Process.Pid)
	b.ReportMetric(0, "ns/op") // means nothing here
	b.ReportMetric((after.rss-before.rss)*(1<<20)/float64(watches), "nats-B/watch")
	b.ReportMetric(after.rss, "nats-MiB")
	b.ReportMetric(diskOf(b, dir)/float64(watches), "disk-B/watch")

	begin := time.Now()
	r.serve(b, env)
	r.awaitCounted(b, 0)
	b.ReportMetric(time.Since(begin).Seconds(), "worker-read-s")
	worker, _ := r.usages(b)
	b.ReportMetric(worker.cpu.Seconds(), "worker-read-CPU-s")
	b.ReportMetric(worker.peak, "worker-peak-MiB")

	_, took := r.nats.Terminate(b)
	b.ReportMetric(took.Seconds(), "nats-stop-s")
	r.measureStreams(b, "nats-back-s")
	r.nats.Kill()
	r.measureStreams(b, "nats-back-killed-s")
	_, again := r.usages(b)
	b.ReportMetric(again.rss, "nats-again-MiB")
}

// copyEnded has the worker watch the first order to its end, stops it, and stores the record and the events of that watch
// again for the others.
func copyEnded(b *testing.B, r *benchRig, watches int) {
	b.Helper()
	id := newManyIDs()
	js := r.nats.JS
	askForFirst(b, js)
	awaitStored(b, js, peerSubjects{"orders.watch", "ORDER_EVENTS", "orders.completed.succeeded." + rig.Project + "."}, 1)
	const key = "$KV.ORDER_WATCHES." + rig.Project + "."
	var record *jetstream.RawStreamMsg
	var first watcher.Watch
	rig.Eventually(b, rig.Patience, func() (err error) {
		record = lastOn(b, js, "KV_ORDER_WATCHES", key+manyName(0))
		if first, err = watcher.DecodeWatch(record.Data); err == nil && first.State != watcher.Ended {
			err = errors.New("the watch has not ended")
		}
		return err
	})
	r.worker.Terminate(b)
	messages := []*nats.Msg{{Subject: record.Subject, Header: record.Header, Data: record.Data}}
	if err := rig.ReadStream(b.Context(), js, "ORDER_EVENTS", "orders.>", func(m jetstream.Msg) {
		messages = append(messages, &nats.Msg{Subject: m.Subject(), Header: m.Headers(), Data: m.Data()})
	}); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(messages)-1), "events/watch")
	for _, m := range messages {
		m.Header.Del(jetstream.ExpectedLastSubjSeqHeader)
		m.Header.Del(jetstream.ExpectedLastSubjSeqSubjHeader)
	}
	for i := 1; i < watches; i++ {
		for _, m := range messages {
			number := fmt.Appendf(nil, "%08d", i)
			data := bytes.ReplaceAll(bytes.ReplaceAll(m.Data, []byte(manyNumber), number), []byte(first.ID), []byte(id(i)))
			subject := string(bytes.ReplaceAll([]byte(m.Subject), []byte(manyNumber), number))
			publishCopy(b, js, &nats.Msg{Subject: subject, Header: m.Header, Data: data})
		}
	}
	<-js.PublishAsyncComplete()
	for stream, want := range map[string]int{"ORDER_EVENTS": watches * (len(messages) - 1), "KV_ORDER_WATCHES": watches} {
		s, err := js.Stream(b.Context(), stream)
		if err != nil {
			b.Fatal(err)
		}
		if n := int(s.CachedInfo().State.Msgs); n < want {
			b.Fatalf("%s holds %d messages; want %d", stream, n, want)
		}
	}
}

// measureStreams starts the nats-server, which has ended, and reports when its streams are there again.
func (r *benchRig) measureStreams(b *testing.B, metric string) {
	b.Helper()
	begin := time.Now()
	r.nats.Again(b)
	rig.Eventually(b, 10*time.Minute, func() error {
		for _, stream := range []string{"ORDER_EVENTS", "KV_ORDER_WATCHES"} {
			if _, err := r.nats.JS.Stream(b.Context(), stream); err != nil {
				return err
			}
		}
		return nil
	})
	b.ReportMetric(time.Since(begin).Seconds(), metric)
}
