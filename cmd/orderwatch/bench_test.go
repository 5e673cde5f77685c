package main_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// BenchmarkWatches measures what watches cost while nothing happens to their orders: one worker
// and one nats-server process, HTTP over loopback to the emulator in this process. Intervals are
// uniform over 0.5 to 1.5 of the mean. Each run takes a few minutes:
//
//	go test -run '^$' -bench Watches -benchtime 1x -timeout 30m ./cmd/orderwatch
func BenchmarkWatches(b *testing.B) {
	for _, load := range []struct {
		watches int
		mean    time.Duration
		sync    string
	}{
		{10_000, 20 * time.Second, "2m"},
		{100_000, 60 * time.Second, "2m"},
		{10_000, 60 * time.Second, "always"},
	} {
		b.Run(fmt.Sprintf("%d/mean=%s/sync=%s", load.watches, load.mean, load.sync), func(b *testing.B) {
			for range b.N {
				benchmarkWatches(b, load.watches, load.mean, load.sync)
			}
		})
	}
}

func benchmarkWatches(b *testing.B, watches int, mean time.Duration, sync string) {
	cloud := emulator.New(emulator.Options{CallsKept: 1})
	never := emulator.Order{Count: emulator.CountAll, Items: []emulator.Item{
		{ResourceName: "pool", Action: "createPool", EndAfter: emulator.Never},
		{ResourceName: "node-1", EndAfter: emulator.Never},
		{ResourceName: "node-2", EndAfter: emulator.Never},
		{ResourceName: "node-3", EndAfter: emulator.Never},
	}}
	for i := range watches {
		cloud.Add(project, orderName(i), never)
	}
	modelArts := httptest.NewServer(cloud)
	defer modelArts.Close()
	nats := startNATSWith(b, "", sync)
	addr := freeAddr(b)
	w := start(b, build(b, worker), serveEnv(nats.url, modelArts.URL, addr,
		"ORDERWATCH_MODELARTS_RATE=10000", "ORDERWATCH_MODELARTS_TIMEOUT=15s",
		"ORDERWATCH_POLL_INITIAL="+mean.String(), "ORDERWATCH_POLL_MAX="+mean.String(),
		"ORDERWATCH_POLL_MULTIPLIER=1", "ORDERWATCH_POLL_JITTER=0.5", "ORDERWATCH_TIMEOUT=48h"), "serve")
	awaitReady(b, addr)

	begin := time.Now()
	fill(b, nats.js, watches)
	b.Logf("%d requests taken in %s", watches, time.Since(begin).Round(time.Second))
	time.Sleep(mean) // the first polls came in a bunch; the time is a part of the measurement's definition

	const span = time.Minute
	before := sample(b, addr, w, nats.process)
	time.Sleep(span)
	after := sample(b, addr, w, nats.process)
	polls := after.lag.count - before.lag.count
	b.ReportMetric(0, "ns/op") // means nothing here
	b.ReportMetric(polls/span.Seconds(), "polls/s")
	b.ReportMetric(after.lag.quantile(before.lag, .5), "lag-p50-s")
	b.ReportMetric(after.lag.quantile(before.lag, .99), "lag-p99-s")
	b.ReportMetric((after.worker.cpu-before.worker.cpu).Seconds()*1e6/polls, "worker-µs/poll")
	b.ReportMetric((after.nats.cpu-before.nats.cpu).Seconds()*1e6/polls, "nats-µs/poll")
	b.ReportMetric(after.worker.peak, "worker-peak-MiB")
	b.ReportMetric(after.worker.rss, "worker-MiB")
	b.ReportMetric(after.nats.rss, "nats-MiB")
	b.ReportMetric((after.nats.written-before.nats.written)/polls, "written-B/poll")
}

// fill publishes so many requests and waits until each has been polled.
func fill(b *testing.B, js jetstream.JetStream, watches int) {
	b.Helper()
	for i := range watches {
		body := fmt.Sprintf(`{"project_id":%q,"order_name":%q,"request_id":%q}`, project, orderName(i), requestID(i))
		if _, err := js.PublishAsync("orders.watch", []byte(body), jetstream.WithStallWait(time.Minute)); err != nil {
			b.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	eventually(b, 10*time.Minute, func() error {
		s, err := js.Stream(b.Context(), "ORDER_REQUESTS")
		if err != nil {
			return err
		}
		if n := s.CachedInfo().State.Msgs; n > 0 {
			return fmt.Errorf("%d requests wait", n)
		}
		return nil
	})
}

// A usage is what a process has used.
type usage struct {
	cpu       time.Duration
	rss, peak float64 // MiB
	written   float64 // bytes, to files and sockets alike
}

type samples struct {
	lag          histogram
	worker, nats usage
}

func sample(b *testing.B, addr string, worker, nats *process) samples {
	b.Helper()
	return samples{lag: lagOf(b, addr), worker: usageOf(b, worker), nats: usageOf(b, nats)}
}

func usageOf(b *testing.B, p *process) usage {
	b.Helper()
	pid := p.command.Process.Pid
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	const ticks = 100 // a second, on Linux
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	status := proc(b, pid, "status")
	return usage{
		cpu: time.Duration((user + system) / ticks * float64(time.Second)),
		rss: status["VmRSS"] / 1024, peak: status["VmHWM"] / 1024,
		written: proc(b, pid, "io")["write_bytes"],
	}
}

// proc returns the numbers of a file of /proc.
func proc(b *testing.B, pid int, name string) map[string]float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		b.Fatal(err)
	}
	numbers := make(map[string]float64)
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		if fields := strings.Fields(value); len(fields) > 0 {
			numbers[key], _ = strconv.ParseFloat(fields[0], 64)
		}
	}
	return numbers
}

// A histogram is one of Prometheus.
type histogram struct {
	count   float64
	bounds  []float64
	buckets []float64 // cumulative
}

// lagOf reads the worker's histogram of how late wake-ups were.
func lagOf(b *testing.B, addr string) histogram {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		b.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		b.Fatal(err)
	}
	defer answer.Body.Close()
	var h histogram
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		number, _ := strconv.ParseFloat(value, 64)
		if bound, ok := strings.CutPrefix(name, `orderwatch_wakeup_lag_seconds_bucket{le="`); ok {
			limit, _ := strconv.ParseFloat(strings.TrimSuffix(bound, `"}`), 64)
			h.bounds, h.buckets = append(h.bounds, limit), append(h.buckets, number)
		}
		if name == "orderwatch_wakeup_lag_seconds_count" {
			h.count = number
		}
	}
	return h
}

// quantile returns the upper bound of the bucket that holds the quantile of what came since before.
func (h histogram) quantile(before histogram, q float64) float64 {
	for i, bound := range h.bounds {
		if h.buckets[i]-before.buckets[i] >= q*(h.count-before.count) {
			return bound
		}
	}
	return 0
}
