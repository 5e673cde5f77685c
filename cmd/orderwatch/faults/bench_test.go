package faults_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
)

// BenchmarkWatches measures what watches cost while nothing happens to their orders: one worker
// and one nats-server process, HTTP over loopback to the emulator in this process. Intervals are
// uniform over 0.5 to 1.5 of the mean. Each run takes a few minutes:
//
//	go test -run '^$' -bench Watches -benchtime 1x -timeout 30m ./cmd/orderwatch/faults
//
// At the end of the command line, -profiles=DIR leaves CPU profiles of worker and server, and -program=PATH measures
// another orderwatch, such as one built from an older commit. What is stored for a poll is the record, the next wake-up,
// and, by the server itself, the due message.
//
// With servers=3 all is stored three times, on three servers that share this machine's processors and disk: CPU, memory
// and bytes on disk are those of all three. Then another server is made to lead the wake-ups, upon which the worker
// publishes those of all watches again, twice: rearm-wakeups/s.
func BenchmarkWatches(b *testing.B) {
	for _, load := range []struct {
		watches int
		mean    time.Duration
		sync    string
		servers int
	}{
		{10_000, 20 * time.Second, "2m", 1},
		{10_000, 20 * time.Second, "2m", 3},
		{100_000, 60 * time.Second, "2m", 1},
		{100_000, 60 * time.Second, "2m", 3},
		{10_000, 60 * time.Second, "always", 1},
	} {
		b.Run(fmt.Sprintf("%d/mean=%s/sync=%s/servers=%d", load.watches, load.mean, load.sync, load.servers), func(b *testing.B) {
			for range b.N {
				benchmarkWatches(b, load.watches, load.mean, load.sync, load.servers)
			}
		})
	}
}

func benchmarkWatches(b *testing.B, watches int, mean time.Duration, sync string, servers int) {
	r := startRig(b, watches, mean, sync, servers)
	begin := time.Now()
	fill(b, r.nats.JS, 0, watches)
	b.Logf("%d requests taken in %s", watches, time.Since(begin).Round(time.Second))
	time.Sleep(mean) // the first polls came in a bunch; the time is a part of the measurement's definition

	r.measure(b, time.Minute)
	if r.cluster != nil {
		r.measureRearming(b, watches)
	}
}

// measureRearming lets another server lead the wake-ups, and reports how quickly those of so many watches are published
// again.
func (r *benchRig) measureRearming(b *testing.B, watches int) {
	b.Helper()
	const (
		again  = "the stream's servers changed, or it was made anew; wake-ups published again"
		passes = 2
	)
	before, begin := strings.Count(r.worker.Text(), again), time.Now()
	r.cluster.stepDown(b, "ORDER_WAKEUPS")
	rig.Eventually(b, 10*time.Minute, func() error {
		if n := strings.Count(r.worker.Text(), again) - before; n < passes {
			return fmt.Errorf("wake-ups were published again %d times", n)
		}
		return nil
	})
	b.ReportMetric(float64(passes*watches)/time.Since(begin).Seconds(), "rearm-wakeups/s")
}

// measure reports what the worker and the server use while time goes by.
func (r *benchRig) measure(b *testing.B, span time.Duration) {
	b.Helper()
	profiled := r.profile(b, span)
	before := r.sample(b)
	time.Sleep(span)
	after := r.sample(b)
	<-profiled
	polls := after.polls - before.polls
	worker, server := after.worker.cpu-before.worker.cpu, after.server.cpu-before.server.cpu
	b.ReportMetric(0, "ns/op") // means nothing here
	b.ReportMetric(polls/span.Seconds(), "polls/s")
	b.ReportMetric(after.lag.quantile(before.lag, .5), "lag-p50-s")
	b.ReportMetric(after.lag.quantile(before.lag, .99), "lag-p99-s")
	b.ReportMetric(worker.Seconds()*1e6/polls, "worker-µs/poll")
	b.ReportMetric(server.Seconds()*1e6/polls, "nats-µs/poll")
	b.ReportMetric((worker+server).Seconds()*1e6/polls, "µs/poll")
	b.ReportMetric(100*worker.Seconds()/span.Seconds(), "worker-%-of-a-core")
	b.ReportMetric(100*server.Seconds()/span.Seconds(), "nats-%-of-a-core")
	b.ReportMetric(100*after.machine.others(before.machine, worker+server), "others-%")
	b.ReportMetric(after.worker.peak, "worker-peak-MiB")
	b.ReportMetric(after.worker.rss, "worker-MiB")
	b.ReportMetric(after.server.rss, "nats-MiB")
	messages, bytes := after.stored.since(before.stored)
	b.ReportMetric(messages/polls, "stored-msgs/poll")
	b.ReportMetric(bytes/polls, "stored-B/poll")
	b.ReportMetric((after.server.written-before.server.written)/polls, "disk-B/poll")
}
