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

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
)

// A sample is what was counted up to a moment.
type sample struct {
	lag            histogram
	worker, server usage
	stored         streamCounts
}

func (r *benchRig) sample(b *testing.B) sample {
	b.Helper()
	return sample{lagOf(b, r.addr), usageOf(b, r.worker), usageOf(b, r.nats.Process), storedIn(b, r.nats.JS)}
}

// A usage is what a process has used.
type usage struct {
	cpu       time.Duration
	rss, peak float64 // MiB
	written   float64 // bytes of file pages that it made dirty
}

func usageOf(b *testing.B, p *rig.Process) usage {
	b.Helper()
	pid := p.Command.Process.Pid
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
