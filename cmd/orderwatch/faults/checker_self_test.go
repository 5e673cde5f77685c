package faults_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// TestCheck holds that the checker finds nothing in a right history, and each thing that is wrong.
func TestCheck(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*history)
		want  string // a part of a violation; empty for none
	}{
		{"right", func(*history) {}, ""},
		{"request missing", func(h *history) { h.published["late"], h.accepted["late"] = "order.pool-1", true }, "request late for order.pool-1 was accepted and is in no completion"},
		{"completion missing", func(h *history) { h.events = h.events[:1] }, "request first for order.pool-1 was accepted and is in no completion"},
		{"completion twice", func(h *history) { h.events = append(h.events, h.events[1]) }, "watch w_1 has two completions"},
		{"request in two watches", func(h *history) { h.events = append(h.events, completed(rightCompletion("w_2", "first"))) }, "request first is named twice: in watches w_1 and w_2"},
		{"request twice in one watch", func(h *history) { h.events[1] = completed(rightCompletion("w_1", "first", "second", "first")) }, "request first is named twice"},
		{"request of nobody", func(h *history) { h.events[1] = completed(rightCompletion("w_1", "first", "second", "third")) }, "request third is named for order order.pool-1"},
		{"wrong outcome", func(h *history) {
			c := rightCompletion("w_1", "first", "second")
			c.Outcome = watcher.TimedOut
			h.events[1] = completed(c)
		}, "timed_out"},
		{"wrong counts", func(h *history) {
			c := rightCompletion("w_1", "first", "second")
			c.Counts.Total = 3
			h.events[1] = completed(c)
		}, "the script has partially_failed, {Total:2"},
		{"wrong item", func(h *history) {
			c := rightCompletion("w_1", "first", "second")
			c.Items[1].Message = ""
			h.events[1] = completed(c)
		}, "items"},
		{"too early", func(h *history) { h.calls = h.calls[:1] }, "before the cloud said that all had ended"},
		{"by an old answer", func(h *history) {
			c := rightCompletion("w_1", "first", "second")
			c.AcceptedAt = epoch.Add(time.Hour)
			h.events[1] = completed(c)
		}, "before the cloud said that all had ended"},
		{"by an error", func(h *history) { h.calls[1].Status = 500 }, "before the cloud said that all had ended"},
		{"never polled", func(h *history) { h.calls = nil }, "ended without a poll"},
		{"more polls than calls", func(h *history) {
			c := rightCompletion("w_1", "first", "second")
			c.Polls = 3
			h.events[1] = completed(c)
		}, "says that it polled 3 times"},
		{"progress twice", func(h *history) { h.events = append(h.events, h.events[0]) }, "progress w_1.1 was published twice"},
		{"progress of nobody", func(h *history) { h.events[0] = progressed("w_9", "w_9.1") }, "progress w_9.1 is of a watch without completion"},
		{"unexpected subject", func(h *history) { h.events[0].subject = "orders.rejected" }, "unexpected event on orders.rejected"},
		{"wrong subject", func(h *history) { h.events[1].subject = "orders.completed.failed.p.order.pool-1" }, "unexpected event on orders.completed.failed"},
		{"message id", func(h *history) { h.events[1].header = nats.Header{"Nats-Msg-Id": {"w_1"}} }, "has a Nats-Msg-Id"},
		{"record goes on", func(h *history) { h.records[0] = record("w_1", watcher.Ending) }, "is of watch w_1, ending"},
		{"record of another watch", func(h *history) { h.records[0] = record("w_0", watcher.Ended) }, "is of watch w_0, ended"},
		{"no record", func(h *history) { h.records = nil }, "has no record"},
		{"not told", func(h *history) { delete(h.told.own, "w_1") }, "nobody was told of 1 that failed"},
		{"told twice", func(h *history) { h.told.own["w_1"] = 2 }, "watch w_1 of order order.pool-1 has 2 messages in Slack"},
		{"told and listed", func(h *history) { h.told.rows["order.pool-1"] = 1 }, "is listed 1 times, and has 1 messages in Slack, too"},
		{"a failure in a digest", func(h *history) { delete(h.told.own, "w_1"); h.told.together = 1 }, "nobody was told of 1 that failed"},
		{"in a digest, too", func(h *history) { h.told.together = 1 }, "0 completions have no message in Slack and no row, and digests tell of 1"},
		{"told of nobody", func(h *history) { h.told.own["w_2"] = 1 }, "Slack was told of watch w_2"},
		{"a row of nobody", func(h *history) { h.told.rows["order.pool-2"] = 1 }, "Slack was told of order order.pool-2"},
		{"another message", func(h *history) { h.told.others = []string{"hello"} }, `tells of no watch: "hello"`},
		{"polled too often", func(h *history) { h.calls = append(h.calls, h.calls[1]) }, "1 polls were thrown away by 0 faults"},
		{"goroutines", func(h *history) { h.usages[0].goroutines = 1000 }, "worker 0 has 1000 goroutines"},
		{"patrol needed", func(h *history) { h.outputs[0] += `msg="wake-up was overdue; published again"` }, "1 wake-ups were lost"},
		{"secret in an output", func(h *history) { h.outputs[0] += modelArtsToken }, "a secret came out: …ready planted"},
		{"secret in an event", func(h *history) { h.events[0].body = fmt.Appendf(h.events[0].body, " %q", slackToken) }, "a secret came out"},
		{"not woken by the patrol", func(h *history) { h.ghosts = 1 }, "0 wake-ups were lost, and published again by the patrol, and 0 were dead; 1 were lost on purpose"},
		{"wake-up left", func(h *history) { h.left["ORDER_WAKEUPS"] = []string{"orders.due.p.order.pool-1 {}"} }, "stream ORDER_WAKEUPS holds orders.due.p.order.pool-1 {}"},
		{"wake-ups not looked at", func(h *history) { delete(h.left, "ORDER_WAKEUPS") }, "nobody looked what stream ORDER_WAKEUPS holds"},
		{"request left", func(h *history) { h.left["ORDER_REQUESTS"] = []string{"orders.watch {}"} }, "stream ORDER_REQUESTS holds orders.watch {}"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := rightHistory()
			test.spoil(&h)
			found := strings.Join(check(h).violations, "\n")
			if test.want == "" && found != "" || !strings.Contains(found, test.want) {
				t.Errorf("violations:\n%s\nwant %q", found, test.want)
			}
		})
	}
}

var epoch = time.Date(2025, 4, 10, 12, 0, 0, 0, time.UTC)

// rightHistory is that of one order with two requests.
func rightHistory() history {
	order := scripted{
		script: emulator.Order{Items: []emulator.Item{
			{ResourceName: "node-0", Status: "succeed"},
			{ResourceName: "node-1", Status: "failed", Message: "flavor sold out", EndAfter: 2 * time.Second},
		}},
		outcome: watcher.PartiallyFailed,
		counts:  watcher.Counts{Total: 2, Succeeded: 1, Failed: 1},
	}
	return history{
		orders:    map[string]scripted{"order.pool-1": order},
		published: map[string]string{"first": "order.pool-1", "second": "order.pool-1"},
		accepted:  map[string]bool{"first": true, "second": true},
		calls: []emulator.Call{
			{Time: epoch.Add(time.Second), Order: "order.pool-1", Poll: 1, Status: 200},
			{Time: epoch.Add(4 * time.Second), Order: "order.pool-1", Poll: 2, Status: 200},
		},
		events:  []storedMessage{progressed("w_1", "w_1.1"), completed(rightCompletion("w_1", "first", "second"))},
		records: []storedMessage{record("w_1", watcher.Ended)},
		left:    map[string][]string{"ORDER_REQUESTS": nil, "ORDER_WAKEUPS": nil},
		told:    told{own: map[string]int{"w_1": 1}, edited: make(map[string]int), rows: make(map[string]int)},
		usages:  []workerUsage{{goroutines: 30, descriptors: 20, memory: 30}},
		outputs: []string{"ready "},
		secrets: []string{modelArtsToken, slackToken},
	}
}

func rightCompletion(watch string, requests ...string) watcher.Completion {
	c := watcher.Completion{Outcome: watcher.PartiallyFailed}
	c.WatchID, c.ProjectID, c.OrderName = watch, "p", "order.pool-1"
	c.Counts = watcher.Counts{Total: 2, Succeeded: 1, Failed: 1}
	c.Items = []watcher.Item{
		{ResourceName: "node-0", Status: watcher.Succeed},
		{ResourceName: "node-1", Status: watcher.Failed, Message: "flavor sold out"},
	}
	for _, id := range requests {
		c.Requests = append(c.Requests, watcher.Request{ID: id})
	}
	c.AcceptedAt, c.Polls = epoch, 2
	return c
}

func completed(c watcher.Completion) storedMessage {
	return storedMessage{
		subject: "orders.completed." + string(c.Outcome) + ".p.order.pool-1", at: epoch.Add(5 * time.Second),
		body: encoded(map[string]any{"id": c.WatchID, "type": "io.orderwatch.order.completed.v1", "data": c}),
	}
}

func progressed(watch, id string) storedMessage {
	var p watcher.Progress
	p.WatchID, p.ProjectID, p.OrderName = watch, "p", "order.pool-1"
	return storedMessage{
		subject: "orders.progress.p.order.pool-1", at: epoch.Add(2 * time.Second),
		body: encoded(map[string]any{"id": id, "type": "io.orderwatch.order.progressed.v1", "data": p}),
	}
}

func record(watch string, state watcher.State) storedMessage {
	c := rightCompletion(watch, "first", "second")
	w := watcher.Watch{Schema: watcher.SchemaVersion, State: state, ID: watch, Order: c.Order(), Wakeup: 1, Completion: &c}
	return storedMessage{subject: "$KV.ORDER_WATCHES.p.order.pool-1", body: encoded(w)}
}

func encoded(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // only what can be encoded is given to it
	}
	return b
}
