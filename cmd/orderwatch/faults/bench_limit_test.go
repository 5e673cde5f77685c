package faults_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkSyncAlwaysLimit finds how many polls a second one nats-server bears that writes to the
// disk before it acknowledges: it adds watches until the lag's p99 passes 2 s. Beside it stands what
// the disk can do: small appended writes of one writer, each written through. It takes some four
// minutes:
//
//	go test -run '^$' -bench SyncAlwaysLimit -benchtime 1x -timeout 30m ./cmd/orderwatch/faults
func BenchmarkSyncAlwaysLimit(b *testing.B) {
	for range b.N {
		syncAlwaysLimit(b)
	}
}

func syncAlwaysLimit(b *testing.B) {
	const (
		mean = 10 * time.Second
		span = 30 * time.Second
		step = 1000
		most = 10_000
		late = 2 // seconds
	)
	r := startRig(b, most, mean, "always", 1)
	b.ReportMetric(0, "ns/op") // means nothing here
	b.ReportMetric(syncsPerSecond(b, filepath.Dir(r.nats.Config)), "fsync/s")
	for watches := step; watches <= most; watches += step {
		fill(b, r.nats.JS, watches-step, step)
		time.Sleep(mean) // the first polls of the new ones came in a bunch
		before := r.sample(b)
		time.Sleep(span)
		after := r.sample(b)
		polls := (after.lag.count - before.lag.count) / span.Seconds()
		lag := after.lag.quantile(before.lag, .99)
		b.Logf("%d watches want %.0f polls/s: %.0f, lag p50 %.2f s, p99 %.2f s", watches, float64(watches)/mean.Seconds(), polls, after.lag.quantile(before.lag, .5), lag)
		if lag > late {
			b.ReportMetric(polls, "late-polls/s")
			return
		}
		b.ReportMetric(polls, "timely-polls/s")
	}
}

// syncsPerSecond returns how many small appended writes a second one writer gets through to the
// disk that the directory is on.
func syncsPerSecond(b *testing.B, dir string) float64 {
	b.Helper()
	file, err := os.CreateTemp(dir, "sync-")
	if err != nil {
		b.Fatal(err)
	}
	defer os.Remove(file.Name())
	defer file.Close()
	const span = 3 * time.Second
	n, block := 0, make([]byte, 512)
	for begin := time.Now(); time.Since(begin) < span; n++ {
		if _, err := file.Write(block); err != nil {
			b.Fatal(err)
		}
		if err := file.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	return float64(n) / span.Seconds()
}
