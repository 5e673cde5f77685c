package faults_test

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkIntake measures how many requests a second one worker takes when 20,000 come at once, each for an order of its
// own, and what each costs until it is taken. The first poll of an order is due at once: polls/request says how many of
// these were made meanwhile, and are in the costs. With servers=3 all is stored three times, on three servers that share
// this machine's processors and disk. It takes two minutes:
//
//	go test -run '^$' -bench Intake -benchtime 1x -timeout 30m ./cmd/orderwatch/faults
func BenchmarkIntake(b *testing.B) {
	const (
		requests = 20_000
		mean     = time.Hour // until the second poll
	)
	for _, load := range []struct {
		sync    string
		servers int
	}{{"2m", 1}, {"always", 1}, {"2m", 3}} {
		b.Run(fmt.Sprintf("sync=%s/servers=%d", load.sync, load.servers), func(b *testing.B) {
			for range b.N {
				r := startRig(b, requests, mean, load.sync, load.servers)
				before, begin := r.sample(b), time.Now()
				fill(b, r.nats.JS, 0, requests)
				took, after := time.Since(begin), r.sample(b)
				worker, server := after.worker.cpu-before.worker.cpu, after.server.cpu-before.server.cpu
				b.ReportMetric(0, "ns/op") // means nothing here
				b.ReportMetric(requests/took.Seconds(), "requests/s")
				b.ReportMetric((after.polls-before.polls)/requests, "polls/request")
				b.ReportMetric(worker.Seconds()*1e6/requests, "worker-µs/request")
				b.ReportMetric(server.Seconds()*1e6/requests, "nats-µs/request")
				b.ReportMetric((after.server.written-before.server.written)/requests, "disk-B/request")
				b.ReportMetric(100*after.machine.others(before.machine, worker+server), "others-%")
			}
		})
	}
}
