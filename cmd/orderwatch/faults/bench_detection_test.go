package faults_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// BenchmarkDetection measures what watches cost by the schedule of production while five of their orders end each second, and
// how late that is seen: with the list of orders and without. One worker, one nats-server process, and the emulator in
// this process; no SETTLE. A run of 10,000 takes four minutes, one of 100,000 ten:
//
//	go test -run '^$' -bench Detection -benchtime 1x -timeout 60m ./cmd/orderwatch/faults
func BenchmarkDetection(b *testing.B) {
	for _, watches := range []int{10_000, 100_000} {
		for _, every := range []string{"5s", "0"} {
			b.Run(fmt.Sprintf("%d/sweep=%s", watches, every), func(b *testing.B) {
				for range b.N {
					benchmarkDetection(b, watches, "ORDERWATCH_SWEEP_EVERY="+every)
				}
			})
		}
	}
}

func benchmarkDetection(b *testing.B, watches int, more ...string) {
	const span = time.Minute
	warm := 2*time.Minute + time.Duration(watches)*4*time.Millisecond // until polls are spread by POLL_MAX
	ends := make(map[string]time.Time)
	r, cloud := startDetectionRig(b, more...)
	begin := time.Now()
	for i := range watches {
		runs := emulator.Never
		if i < 5*int(span.Seconds()) {
			end := begin.Add(warm + time.Duration(rand.Int64N(int64(span))))
			ends[orderName(i)], runs = end, time.Until(end)
		}
		cloud.Add(rig.Project, orderName(i), emulator.Order{Items: []emulator.Item{{ResourceName: "pool", Action: "createPool", EndAfter: runs}}})
		if i%10 == 9 {
			time.Sleep(5 * time.Millisecond) // a list reads orders by the time at which they were created: all were in one page's time
		}
	}
	fill(b, r.nats.JS, 0, watches)
	b.Logf("%d requests taken in %s", watches, time.Since(begin).Round(time.Second))
	time.Sleep(time.Until(begin.Add(warm)))

	profiled := r.profile(b, span)
	before, calls := r.sample(b), len(cloud.Calls())
	time.Sleep(span)
	after, all := r.sample(b), cloud.Calls()
	<-profiled
	lists := 0
	for _, c := range all[calls:] {
		if c.Kind == emulator.ListOrders {
			lists++
		}
	}
	var lags []time.Duration
	for name, at := range completedAt(b, r.nats.JS, ends) {
		lags = append(lags, at.Sub(ends[name]))
	}
	minutes := float64(watches) * span.Minutes()
	b.ReportMetric(0, "ns/op") // means nothing here
	b.ReportMetric(quantile(lags, .5), "lag-p50-s")
	b.ReportMetric(quantile(lags, .95), "lag-p95-s")
	b.ReportMetric(float64(len(all)-calls-lists)/span.Seconds(), "polls/s")
	b.ReportMetric(float64(lists)/span.Seconds(), "lists/s")
	b.ReportMetric((after.worker.cpu-before.worker.cpu).Seconds()*1e6/minutes, "worker-µs/watch-min")
	b.ReportMetric((after.server.cpu-before.server.cpu).Seconds()*1e6/minutes, "nats-µs/watch-min")
	b.ReportMetric(after.worker.peak, "worker-peak-MiB")
	b.ReportMetric(after.server.rss, "nats-MiB")
}

// startDetectionRig starts a worker with the intervals of production at a rate that is enough for all polls.
func startDetectionRig(b *testing.B, more ...string) (*benchRig, *emulator.Emulator) {
	b.Helper()
	cloud := emulator.New(emulator.Options{CallsKept: 1 << 22})
	r := newBenchRig(b, cloud, "2m")
	r.serve(b, rig.ServeEnv(r.nats.URL, r.cloudURL, r.addr, append([]string{
		"ORDERWATCH_MODELARTS_RATE=4000", "ORDERWATCH_MODELARTS_TIMEOUT=15s", "ORDERWATCH_TIMEOUT=48h", "ORDERWATCH_SETTLE=0",
		"ORDERWATCH_POLL_INITIAL=5s", "ORDERWATCH_POLL_MAX=1m",
	}, more...)...))
	return r, cloud
}

// completedAt returns when the completion of each of the orders was stored that have ended by now, once all have one.
func completedAt(t testing.TB, js jetstream.JetStream, ends map[string]time.Time) map[string]time.Time {
	t.Helper()
	stored := make(map[string]time.Time)
	consumer, err := js.OrderedConsumer(t.Context(), "ORDER_EVENTS", jetstream.OrderedConsumerConfig{FilterSubjects: []string{"orders.completed.>"}})
	if err != nil {
		t.Fatal(err)
	}
	rig.Eventually(t, rig.Patience, func() error {
		batch, err := consumer.Fetch(10_000, jetstream.FetchMaxWait(time.Second))
		if err != nil {
			return err
		}
		for m := range batch.Messages() {
			meta, err := m.Metadata()
			if err != nil {
				return err
			}
			order, _ := wire.OrderOf(m.Subject(), "orders.completed.succeeded.")
			stored[order.Name] = meta.Timestamp
		}
		missing := 0
		for name, end := range ends {
			if stored[name].IsZero() && time.Since(end) > 0 {
				missing++
			}
		}
		if missing > 0 {
			return fmt.Errorf("%d orders that ended have no completion", missing)
		}
		return nil
	})
	return stored
}

// quantile returns the q-quantile in seconds; 0 of none.
func quantile(all []time.Duration, q float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[int(q*float64(len(all)-1))].Seconds()
}
