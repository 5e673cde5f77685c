package demo

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// A fate is what the demo asks for and what must become of it.
type fate struct {
	order    string
	story    string              // what will happen, as people are told; empty: they are not
	script   *emulator.Order     // nil where ModelArts does not know the order
	requests []wire.WatchRequest // published in this order, for the order
	outcome  watcher.Outcome     // empty where the request is rejected

	// An invalid message, its request_id, and the field that its rejection names.
	invalid, invalidID, rejected string
}

// scriptedFates returns the crowd, and the nine requests.
func scriptedFates() []fate {
	const second = time.Second
	fates := append(crowd(), []fate{{
		order: "order.pool-5ed5-w4l2n", story: "a pool; three nodes appear later", outcome: watcher.Succeeded,
		script: scripted(emulator.Order{}, pool("pool-9495-"+project, 6*second),
			node("8jsnk", 3*second, 6*second), node("lq4f8", 3*second, 7*second), node("ggthb", 3*second, 8*second)),
		requests: []wire.WatchRequest{{RequestID: "build-771", ExpectedItems: 4, Link: "https://ci.example/771"}},
	}, {
		order: "order.gpu-60-x7k2p", story: "forty of sixty nodes fail alike", outcome: watcher.PartiallyFailed,
		script:   scripted(emulator.Order{Spelling: emulator.Camel, Count: emulator.CountAll}, soldOut()...),
		requests: []wire.WatchRequest{{RequestID: "build-772", Link: "https://ci.example/772", Labels: map[string]string{"env": "prod"}}},
	}, {
		order: "order.quota-m3n8v", story: "everything fails", outcome: watcher.AllFailed,
		script: scripted(emulator.Order{Timestamps: emulator.Strings},
			failed(pool("pool-quota", 3*second), "The quota of instances is used up: 200 of 200."),
			failed(node("q4zz1", 0, 4*second), "The pool was not created.")),
		requests: []wire.WatchRequest{{RequestID: "build-773"}},
	}, {
		order: "order.mistyped-zzzzz", story: "ModelArts does not know it", outcome: watcher.OrderNotFound,
		requests: []wire.WatchRequest{{RequestID: "build-774"}},
	}, {
		order: "order.stuck-b6c1d", story: "a node never ends; 12 s to wait", outcome: watcher.TimedOut,
		script:   scripted(emulator.Order{Count: emulator.CountAll}, pool("pool-stuck", second), node("h7d2k", second, emulator.Never)),
		requests: []wire.WatchRequest{{RequestID: "build-775", Timeout: "12s"}},
	}, {
		order: "order.busy-f2g9t", story: "throttled for the first 5 s", outcome: watcher.Succeeded,
		script:   scripted(emulator.Order{}, pool("pool-busy", second), node("v9w3e", 0, 2*second)),
		requests: []wire.WatchRequest{{RequestID: "build-776", Region: busyRegion}},
	}, {
		order: "order.shared-k5j7r", story: "two requests share one watch", outcome: watcher.Succeeded,
		script:   scripted(emulator.Order{}, emulator.Item{Action: "toPeriodic", ResourceName: "pool-shared", EndAfter: 5 * second}),
		requests: []wire.WatchRequest{{RequestID: "build-777"}, {RequestID: "billing-12", RequestedBy: "billing"}},
	}, {
		order: "(a bad request)", story: "a field is misspelt", rejected: "order_nmae", invalidID: "build-778",
		invalid: `{"project_id":"` + project + `","order_nmae":"order.pool-1","request_id":"build-778"}`,
	}}...)
	for _, f := range fates {
		for i := range f.requests {
			r := &f.requests[i]
			r.Order, r.RequestedBy = watcher.Order{ProjectID: project, Name: f.order}, cmp.Or(r.RequestedBy, "gpu-pools")
		}
	}
	return fates
}

// The crowd are orders that are counted, and hardly shown.
const (
	crowded     = 15 // more than must have ended before it is said when an order is likely to be ready
	crowdPrefix = "order.crowd-"
)

func ofCrowd(order string) bool { return strings.HasPrefix(order, crowdPrefix) }

// crowd returns orders that take 6 to 13 s and are asked for shortly before they end: so it is soon known how long orders
// take.
func crowd() (fates []fate) {
	for i := range time.Duration(crowded) {
		takes := 6*time.Second + i*4%crowded*500*time.Millisecond
		end := 200*time.Millisecond + i*100*time.Millisecond
		began, name := end-takes, fmt.Sprintf("%02d", i+1)
		fates = append(fates, fate{
			order: crowdPrefix + name, outcome: watcher.Succeeded,
			script: scripted(emulator.Order{List: emulator.Listing{CreatedBefore: -began}},
				emulator.Item{Action: "createPool", ResourceName: "pool-crowd-" + name, AppearAfter: began, EndAfter: end},
				node("crowd-"+name, began, end)),
			requests: []wire.WatchRequest{{RequestID: "crowd-" + name, SlackChannel: crowdChannel}},
		})
	}
	fates[0].story = fmt.Sprintf("and %d more that end soon", crowded-1)
	return fates
}

// scripted returns the order with these items, whose times begin at its first poll.
func scripted(o emulator.Order, items ...emulator.Item) *emulator.Order {
	o.FromFirstPoll, o.Items = true, items
	return &o
}

func pool(name string, end time.Duration) emulator.Item {
	return emulator.Item{Action: "createPool", ResourceName: name, EndAfter: end}
}

func node(name string, appear, end time.Duration) emulator.Item {
	return emulator.Item{ResourceName: "os-node-created-" + name, AppearAfter: appear, EndAfter: end}
}

func failed(item emulator.Item, message string) emulator.Item {
	item.Status, item.Message = "failed", message
	return item
}

// soldOut returns sixty nodes, of which forty fail for the same reason.
func soldOut() (items []emulator.Item) {
	for i := range 60 {
		item := node(fmt.Sprintf("%02d", i+1), 0, 2*time.Second+time.Duration(i)*100*time.Millisecond)
		if i >= 20 {
			item = failed(item, "flavor modelarts.bm.gpu.8v100 is sold out in cn-north-4a")
		}
		items = append(items, item)
	}
	return items
}
