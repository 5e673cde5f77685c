package faults_test

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// BenchmarkMemory measures how much memory one worker takes at its peak where it watches 128 orders of 5,000 items each,
// whose first polls come at once. In a container with the limit of deploy/kubernetes.yaml, of which the Go runtime is told
// four fifths, it must stay below that. It takes three minutes:
//
//	go test -run '^$' -bench Memory -benchtime 1x -timeout 30m ./cmd/orderwatch/faults
func BenchmarkMemory(b *testing.B) {
	const container = 256 // MiB
	for _, limit := range []int{container, 0} {
		b.Run(fmt.Sprintf("limit=%d", limit), func(b *testing.B) {
			for range b.N {
				told := "GOMEMLIMIT=off"
				if limit > 0 {
					told = fmt.Sprintf("GOMEMLIMIT=%dMiB", limit*4/5)
				}
				if peak := benchmarkMemory(b, told); limit > 0 && peak > float64(limit) {
					b.Errorf("the worker took %.0f MiB at its peak", peak)
				}
			}
		})
	}
}

func benchmarkMemory(b *testing.B, limit string) (peak float64) {
	const (
		orders = 128
		items  = 5000
	)
	modelArts := httptest.NewServer(large(orders, items))
	b.Cleanup(modelArts.Close)
	r := &benchRig{addr: rig.FreeAddr(b), nats: rig.StartNATSWith(b, "", "2m")}
	r.worker = rig.Start(b, rig.Build(b, rig.Worker), steadyEnv(r.nats.URL, modelArts.URL, r.addr, 5*time.Second, "ORDERWATCH_MODELARTS_TIMEOUT=15s", limit), "serve")
	rig.AwaitReady(b, r.addr)
	fill(b, r.nats.JS, 0, orders)
	rig.Eventually(b, 10*time.Minute, func() error {
		if n := lagOf(b, r.addr).count; n < 10*orders {
			return fmt.Errorf("%.0f wake-ups", n)
		}
		return nil
	})
	used := usageOf(b, r.worker.Command.Process.Pid)
	b.ReportMetric(0, "ns/op") // means nothing here
	b.ReportMetric(used.peak, "worker-peak-MiB")
	b.ReportMetric(used.rss, "worker-MiB")
	b.ReportMetric(used.cpu.Seconds()*1e3/lagOf(b, r.addr).count, "worker-ms/wakeup")
	return used.peak
}

// large returns a cloud with so many orders of so many items, to which nothing happens.
func large(orders, items int) *emulator.Emulator {
	cloud := emulator.New(emulator.Options{CallsKept: 1})
	order := emulator.Order{Count: emulator.CountAll}
	for i := range items {
		order.Items = append(order.Items, emulator.Item{ResourceName: fmt.Sprintf("os-node-created-%05d", i), EndAfter: emulator.Never})
	}
	for i := range orders {
		cloud.Add(rig.Project, orderName(i), order)
	}
	return cloud
}
