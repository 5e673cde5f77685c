package faults_test

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A sample is what was counted up to a moment.
type sample struct {
	polls          float64
	lag            histogram
	worker, server usage
	stored         streamCounts
	machine        machineTime
}

func (r *benchRig) sample(b *testing.B) sample {
	b.Helper()
	worker, server := r.usages(b)
	return sample{float64(r.polls.Load()), lagOf(b, r.addr), worker, server, storedIn(b, r.nats.JS), machineNow(b)}
}

// usages returns what the worker and the server have used, of a cluster all servers together.
func (r *benchRig) usages(t testing.TB) (worker, server usage) {
	t.Helper()
	worker, server = usageOf(t, r.worker.Command.Process.Pid), usageOf(t, r.nats.Command.Process.Pid)
	if r.cluster == nil {
		return worker, server
	}
	for _, other := range r.cluster.servers[1:] {
		more := usageOf(t, other.Command.Process.Pid)
		server.cpu, server.rss, server.peak, server.written = server.cpu+more.cpu, server.rss+more.rss, server.peak+more.peak, server.written+more.written
	}
	return worker, server
}

// A usage is what a process has used.
type usage struct {
	cpu       time.Duration
	rss, peak float64 // MiB
	written   float64 // bytes of file pages that it made dirty
}

const ticks = 100 // a second, on Linux

func usageOf(t testing.TB, pid int) usage {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	status := proc(t, pid, "status")
	return usage{
		cpu: ticksOf(fields[11:13]), // by the program, and by the system for it
		rss: status["VmRSS"] / 1024, peak: status["VmHWM"] / 1024,
		written: proc(t, pid, "io")["write_bytes"],
	}
}

// ticksOf returns the sum of times that are counted in ticks.
func ticksOf(fields []string) time.Duration {
	sum := 0.0
	for _, field := range fields {
		n, _ := strconv.ParseFloat(field, 64)
		sum += n
	}
	return time.Duration(sum / ticks * float64(time.Second))
}

// machineTime is how long the processors of this machine were there, how long they were used, and by this process.
type machineTime struct{ all, used, here time.Duration }

func machineNow(t testing.TB) machineTime {
	t.Helper()
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)[1:9] // user, nice, system, idle, iowait, irq, softirq, steal
	all := ticksOf(fields)
	return machineTime{all, all - ticksOf(fields[3:5]), usageOf(t, os.Getpid()).cpu}
}

// others returns which part of the machine others used since before than this process and those that are measured.
func (m machineTime) others(before machineTime, measured time.Duration) float64 {
	return (m.used - before.used - (m.here - before.here) - measured).Seconds() / (m.all - before.all).Seconds()
}

// proc returns the numbers of a file of /proc.
func proc(t testing.TB, pid int, name string) map[string]float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		t.Fatal(err)
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

// streamCounts are how many messages each stream has ever stored, and their mean size now.
type streamCounts map[string]struct{ messages, size float64 }

func storedIn(b *testing.B, js jetstream.JetStream) streamCounts {
	b.Helper()
	counts := make(streamCounts)
	streams := js.ListStreams(b.Context())
	for s := range streams.Info() {
		counts[s.Config.Name] = struct{ messages, size float64 }{
			float64(s.State.LastSeq), float64(s.State.Bytes) / float64(max(1, s.State.Msgs)),
		}
	}
	if err := streams.Err(); err != nil {
		b.Fatal(err)
	}
	return counts
}

// since returns how many messages and bytes were stored since before.
func (c streamCounts) since(before streamCounts) (messages, bytes float64) {
	for name, stream := range c {
		n := stream.messages - before[name].messages
		messages += n
		bytes += n * stream.size
	}
	return messages, bytes
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
	return math.Inf(1)
}
