package demo

import (
	"cmp"
	"fmt"
	"time"

	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// A fate is what the demo asks for and what must become of it.
type fate struct {
	order    string
	story    string              // what will happen, as people are told
	script   *emulator.Order     // nil where ModelArts does not know the order
	requests []wire.WatchRequest // published in this order, for the order
	outcome  watcher.Outcome     // empty where the request is rejected

	// An invalid message, its request_id, and the field that its rejection names.
	invalid, invalidID, rejected string
}

// scriptedFates returns the nine requests.
func scriptedFates() []fate {
	fates := []fate{{
		order: "order.pool-5ed5-w4l2n",
		story: "a pool; three nodes appear later",
		script: &emulator.Order{FromFirstPoll: true, Items: []emulator.Item{
			{Action: "createPool", ResourceName: "pool-9495-" + project, EndAfter: 6 * time.Second},
			{ResourceName: "os-node-created-8jsnk", AppearAfter: 4 * time.Second, EndAfter: 6 * time.Second},
			{ResourceName: "os-node-created-lq4f8", AppearAfter: 4 * time.Second, EndAfter: 7 * time.Second},
			{ResourceName: "os-node-created-ggthb", AppearAfter: 4 * time.Second, EndAfter: 8 * time.Second},
		}},
		requests: []wire.WatchRequest{{RequestID: "build-771", ExpectedItems: 4, Link: "https://ci.example/771"}},
		outcome:  watcher.Succeeded,
	}, {
		order:    "order.gpu-60-x7k2p",
		story:    "forty of sixty nodes fail alike",
		script:   &emulator.Order{FromFirstPoll: true, Spelling: emulator.Camel, Count: emulator.CountAll, Items: soldOut()},
		requests: []wire.WatchRequest{{RequestID: "build-772", Link: "https://ci.example/772", Labels: map[string]string{"env": "prod"}}},
		outcome:  watcher.PartiallyFailed,
	}, {
		order: "order.quota-m3n8v",
		story: "everything fails",
		script: &emulator.Order{FromFirstPoll: true, Timestamps: emulator.Strings, Items: []emulator.Item{
			{Action: "createPool", ResourceName: "pool-quota", EndAfter: 3 * time.Second, Status: "failed", Message: "The quota of instances is used up: 200 of 200."},
			{ResourceName: "os-node-created-q4zz1", EndAfter: 4 * time.Second, Status: "failed", Message: "The pool was not created."},
		}},
		requests: []wire.WatchRequest{{RequestID: "build-773"}},
		outcome:  watcher.AllFailed,
	}, {
		order:    "order.mistyped-zzzzz",
		story:    "ModelArts does not know it",
		requests: []wire.WatchRequest{{RequestID: "build-774"}},
		outcome:  watcher.OrderNotFound,
	}, {
		order: "order.stuck-b6c1d",
		story: "a node never ends; 12 s to wait",
		script: &emulator.Order{FromFirstPoll: true, Count: emulator.CountAll, Items: []emulator.Item{
			{Action: "createPool", ResourceName: "pool-stuck", EndAfter: 2 * time.Second},
			{ResourceName: "os-node-created-h7d2k", AppearAfter: 2 * time.Second, EndAfter: emulator.Never},
		}},
		requests: []wire.WatchRequest{{RequestID: "build-775", Timeout: "12s"}},
		outcome:  watcher.TimedOut,
	}, {
		order: "order.busy-f2g9t",
		story: "throttled for the first 5 s",
		script: &emulator.Order{FromFirstPoll: true, Items: []emulator.Item{
			{Action: "createPool", ResourceName: "pool-busy", EndAfter: time.Second},
			{ResourceName: "os-node-created-v9w3e", EndAfter: 2 * time.Second},
		}},
		requests: []wire.WatchRequest{{RequestID: "build-776", Region: busyRegion}},
		outcome:  watcher.Succeeded,
	}, {
		order: "order.shared-k5j7r",
		story: "two requests share one watch",
		script: &emulator.Order{FromFirstPoll: true, Items: []emulator.Item{
			{Action: "toPeriodic", ResourceName: "pool-shared", EndAfter: 5 * time.Second},
		}},
		requests: []wire.WatchRequest{{RequestID: "build-777"}, {RequestID: "billing-12", RequestedBy: "billing"}},
		outcome:  watcher.Succeeded,
	}, {
		order:   "(a bad request)",
		story:   "a field is misspelt",
		invalid: `{"project_id":"` + project + `","order_nmae":"order.pool-1","request_id":"build-778"}`, invalidID: "build-778",
		rejected: "order_nmae",
	}}
	for _, f := range fates {
		for i := range f.requests {
			r := &f.requests[i]
			r.Order, r.RequestedBy = watcher.Order{ProjectID: project, Name: f.order}, cmp.Or(r.RequestedBy, "gpu-pools")
		}
	}
	return fates
}

// soldOut returns sixty nodes, of which forty fail for the same reason.
func soldOut() []emulator.Item {
	var items []emulator.Item
	for i := range 60 {
		item := emulator.Item{
			ResourceName: fmt.Sprintf("os-node-created-%02d", i+1),
			EndAfter:     2*time.Second + time.Duration(i)*100*time.Millisecond,
		}
		if i >= 20 {
			item.Status, item.Message = "failed", "flavor modelarts.bm.gpu.8v100 is sold out in cn-north-4a"
		}
		items = append(items, item)
	}
	return items
}
