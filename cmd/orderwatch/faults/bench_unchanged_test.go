package faults_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// BenchmarkUnchanged measures what a poll costs that brings nothing new of a large order: 1,000 orders of 500 items each
// are polled every 10 s, and nothing happens to them. One worker and one nats-server, each a process, and the emulator in
// this process. It takes four minutes:
//
//	go test -run '^$' -bench Unchanged -benchtime 1x -timeout 30m ./cmd/orderwatch/faults
//
// With -program=PATH at the end it measures another orderwatch. Disk is what the server wrote into files; stored is what
// the stored messages hold. The time is that of 16 polls of each order.
func BenchmarkUnchanged(b *testing.B) {
	const (
		orders, items = 1000, 500
		every         = 10 * time.Second
	)
	for range b.N {
		cloud := emulator.New(emulator.Options{CallsKept: 1})
		for i := range orders {
			cloud.Add(rig.Project, orderName(i), unendingOrder(items))
		}
		r := newBenchRig(b, cloud, "2m")
		r.serve(b, steadyEnv(r.nats.URL, r.cloudURL, r.addr, every, "ORDERWATCH_MODELARTS_TIMEOUT=15s"))
		fill(b, r.nats.JS, 0, orders)
		time.Sleep(2 * every) // until polls are spread
		r.measure(b, 16*every)
	}
}

// unendingOrder returns an order with so many items to which nothing happens, named as ModelArts names them.
func unendingOrder(items int) emulator.Order {
	pool := emulator.Item{ResourceName: "pool-9495-6f5da086876d4cd084d36f8bd3346036", Action: "createPool", EndAfter: emulator.Never}
	o := emulator.Order{Count: emulator.CountAll, Items: []emulator.Item{pool}}
	for i := 1; i < items; i++ {
		o.Items = append(o.Items, emulator.Item{ResourceName: fmt.Sprintf("os-node-created-%05d", i), EndAfter: emulator.Never})
	}
	return o
}
