package events_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/watcher"
)

// ends are the ways in which the orders of TestOutcomes end, by the order's name.
var ends = map[string]struct {
	show     func(poll int) (watcher.Answer, error)
	timeout  string
	outcome  watcher.Outcome
	reason   string // begins so
	failures int
	code     string // of the completion's error
	progress int    // events
}{
	"order.success": {
		show:    turns(watcher.Succeed, watcher.Succeed),
		outcome: watcher.Succeeded, reason: "2 of 2 nodes succeeded", progress: 2,
	},
	"order.part": {
		show:    turns(watcher.Succeed, watcher.Failed),
		outcome: watcher.PartiallyFailed, reason: "1 of 2 nodes failed", failures: 1, progress: 2,
	},
	"order.failure": {
		show:    turns(watcher.Failed, watcher.Failed),
		outcome: watcher.AllFailed, reason: "2 of 2 nodes failed", failures: 1, progress: 2,
	},
	"order.timeout": {
		show:    turns(watcher.Succeed, watcher.Processing),
		timeout: "30s", outcome: watcher.TimedOut, reason: "after 30s: 1 of 2 nodes ended, 1 still processing", progress: 2,
	},
	"order.unknown": {
		show:    fails(watcher.NotFound, "ModelArts.50015001", "order not found"),
		outcome: watcher.OrderNotFound, reason: "the API did not know the order", code: "ModelArts.50015001",
	},
	"order.refused": {
		show:    fails(watcher.Refused, "ModelArts.50000001", "no such project"),
		outcome: watcher.OrderRefused, reason: "the API refuses this order", code: "ModelArts.50000001",
	},
}

// turns answers three polls with two items under way, and the others with the statuses.
func turns(statuses ...watcher.Status) func(int) (watcher.Answer, error) {
	return func(poll int) (watcher.Answer, error) {
		if poll <= 3 {
			return answer(watcher.Processing, watcher.Processing), nil
		}
		return answer(statuses...), nil
	}
}

func fails(class watcher.Class, code, text string) func(int) (watcher.Answer, error) {
	return func(int) (watcher.Answer, error) {
		return watcher.Answer{}, fmt.Errorf("show order: %w", &watcher.PollError{Class: class, Code: code, Message: text})
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	cloud := &orders{show: func(order watcher.Order, poll int) (watcher.Answer, error) { return ends[order.Name].show(poll) }}
	w := startWorker(t, s, config(), cloud)
	for name, end := range ends {
		r := request(name)
		r["request_id"], r["labels"] = "for "+name, map[string]string{"env": "prod"}
		if end.timeout != "" {
			r["timeout"] = end.timeout
		}
		publish(t, js, r)
	}
	got := make(map[string]watcher.Completion)
	for range ends {
		c := w.next(t)
		got[c.OrderName] = c
	}
	eventstest.Eventually(t, idle(t, js, "ORDER"))

	wantEvents := 0
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			c := got[name]
			if c.Outcome != end.outcome || !strings.HasPrefix(c.Reason, end.reason) || len(c.Failures) != end.failures {
				t.Errorf("got %s, %q, %d failures; want %s, %q, %d", c.Outcome, c.Reason, len(c.Failures), end.outcome, end.reason, end.failures)
			}
			if code := errorCode(c); code != end.code {
				t.Errorf("error %q; want %q", code, end.code)
			}
			if len(c.Requests) != 1 || c.Requests[0].ID != "for "+name || c.Requests[0].Labels["env"] != "prod" {
				t.Errorf("requests %+v", c.Requests)
			}
			completed := eventstest.Events(t, js, "ORDER_EVENTS", "orders.completed."+string(end.outcome)+"."+project+"."+name)
			if len(completed) != 1 || completed[0].ID != c.WatchID || completed[0].Type != "io.orderwatch.order.completed.v1" {
				t.Errorf("completion events %+v; want one with the id %s", completed, c.WatchID)
			}
			checkProgress(t, eventstest.Events(t, js, "ORDER_EVENTS", "orders.progress."+project+"."+name), c.WatchID, end.progress, w.log.late(name))
			if record := readRecord(t, js, name); record.State != watcher.Ended || record.ID != c.WatchID {
				t.Errorf("the record is %s, of %s; want ended, of %s", record.State, record.ID, c.WatchID)
			}
		})
		wantEvents += 1 + end.progress - w.log.late(name)
	}
	if n := eventstest.Messages(t, js, "ORDER_EVENTS", ">"); n != uint64(wantEvents) {
		t.Errorf("ORDER_EVENTS holds %d messages; want %d", n, wantEvents)
	}
	if n := eventstest.Messages(t, js, "KV_ORDER_WATCHES", "$KV.ORDER_WATCHES.*.>"); n != uint64(len(ends)) {
		t.Errorf("ORDER_WATCHES holds %d records; want %d", n, len(ends))
	}
	checkStreams(t, js, "KV_ORDER_ACCOUNTS", "KV_ORDER_HISTORY", "KV_ORDER_SLACK", "KV_ORDER_WATCHES", "ORDER_EVENTS", "ORDER_REQUESTS", "ORDER_WAKEUPS")
}

func errorCode(c watcher.Completion) string {
	if c.Error == nil {
		return ""
	}
	return c.Error.Code
}

// checkProgress checks that the events are numbered, and that each names a change. So many of them came too late.
func checkProgress(t *testing.T, list []eventstest.Event, watchID string, want, late int) {
	t.Helper()
	if len(list)+late != want {
		t.Errorf("%d progress events, and %d came too late; want %d", len(list), late, want)
	}
	last := 0
	for _, e := range list {
		var g watcher.Progress
		if err := json.Unmarshal(e.Data, &g); err != nil {
			t.Fatal(err)
		}
		number := numberOf(t, e, watchID)
		if e.Type != "io.orderwatch.order.progressed.v1" || len(g.Changes) == 0 || g.WatchID != watchID || number <= last || number > want {
			t.Errorf("progress event %s, %s, changes %+v, after number %d; want %d in all", e.ID, e.Type, g.Changes, last, want)
		}
		last = number
	}
}

// numberOf returns the number of a progress event, which its id ends with.
func numberOf(t *testing.T, e eventstest.Event, watchID string) int {
	t.Helper()
	number, err := strconv.Atoi(strings.TrimPrefix(e.ID, watchID+"."))
	if err != nil {
		t.Errorf("progress event %s of %s: %v", e.ID, watchID, err)
	}
	return number
}

func checkStreams(t *testing.T, js jetstream.JetStream, want ...string) {
	t.Helper()
	var names []string
	for name := range js.StreamNames(t.Context()).Name() {
		names = append(names, name)
	}
	if slices.Sort(names); !slices.Equal(names, want) {
		t.Errorf("streams %v; want %v", names, want)
	}
}

// One event for each change, none for a poll without one, none for the change that ends the watch.
func TestProgress(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	answers := []watcher.Answer{
		1: answer(watcher.Processing),                     // the item appears
		2: answer(watcher.Processing),                     // nothing new
		3: answer(watcher.Processing, watcher.Processing), // another appears
		4: answer(watcher.Processing, watcher.Processing), // nothing new
		5: answer(watcher.Succeed, watcher.Processing),    // the first succeeds
		6: answer(watcher.Succeed, watcher.Succeed),       // all that are expected have ended
	}
	cloud := &orders{show: func(_ watcher.Order, poll int) (watcher.Answer, error) { return answers[min(poll, 6)], nil }}
	w := startWorker(t, s, config(), cloud)
	r := request("order.pool")
	r["expected_items"] = 2
	publish(t, js, r)
	c := w.next(t)
	eventstest.Eventually(t, idle(t, js, "ORDER")) // progress is published before the wake-up is acknowledged
	if c.Polls != 6 {
		t.Errorf("%d polls; want 6", c.Polls)
	}
	var got []string
	for _, e := range eventstest.Events(t, js, "ORDER_EVENTS", "orders.progress.>") {
		var g watcher.Progress
		if err := json.Unmarshal(e.Data, &g); err != nil {
			t.Fatal(err)
		}
		for _, change := range g.Changes {
			got = append(got, fmt.Sprintf("%d %s: %s to %s", numberOf(t, e, c.WatchID), change.ResourceName, change.From, change.To))
		}
		if e.Subject != "orders.progress."+project+".order.pool" {
			t.Errorf("event %s on %s", e.ID, e.Subject)
		}
	}
	want := []string{"1 node-a:  to processing", "2 node-b:  to processing", "3 node-a: processing to succeed"}
	if late := w.log.late("order.pool"); len(got)+late != len(want) || late == 0 && !slices.Equal(got, want) {
		t.Errorf("changes %q, and %d that came too late; want %q", got, late, want)
	}
}

// A completed order asked for again with the same request_id gives no second event, with a new
// one a new event.
func TestAskedAgain(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	w := startWorker(t, s, config(), &orders{show: ended(watcher.Succeed)})
	ask := func(id string) {
		r := request("order.pool")
		r["request_id"] = id
		publish(t, js, r)
		eventstest.Eventually(t, idle(t, js, "ORDER"))
	}
	for _, id := range []string{"first", "first", "second", "first", "second"} {
		ask(id)
	}
	first, second := w.next(t), w.next(t)
	if first.WatchID == second.WatchID || first.Requests[0].ID != "first" || second.Requests[0].ID != "second" {
		t.Errorf("got %s for %+v and %s for %+v", first.WatchID, first.Requests, second.WatchID, second.Requests)
	}
	if list := eventstest.Events(t, js, "ORDER_EVENTS", "orders.completed.>"); len(list) != 2 {
		t.Errorf("%d completion events; want 2: %+v", len(list), list)
	}
}

func completedOnce(t *testing.T, js jetstream.JetStream, names ...string) {
	t.Helper()
	got := make(map[string]int)
	for _, e := range eventstest.Events(t, js, "ORDER_EVENTS", "orders.completed.>") {
		got[e.Completion(t).OrderName]++
	}
	for _, name := range names {
		if got[name] != 1 {
			t.Errorf("%s has %d completion events; want 1", name, got[name])
		}
	}
	if len(got) != len(names) {
		t.Errorf("completion events of %d orders; want %d", len(got), len(names))
	}
}

// poolNames returns the names of n orders.
func poolNames(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("order.pool-%d", i))
	}
	return names
}

// A delivery that the notifier fails to hand on comes again no sooner than it asks, and soon after.
func TestNotifierAsksForLater(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	const wait = 800 * time.Millisecond
	calls := make(chan time.Time, 10)
	parts{url: s.ClientURL(), config: config(), orders: &orders{show: ended(watcher.Succeed)},
		notifier: notify(func(context.Context, watcher.Completion) error {
			calls <- time.Now()
			if len(calls) == 1 {
				return fmt.Errorf("post: %w", &watcher.RetryError{After: wait, Err: errors.New("rate limited")})
			}
			return nil
		}),
	}.ready(t)
	publish(t, js, request("order.pool"))
	eventstest.Eventually(t, func() error {
		if len(calls) < 2 {
			return fmt.Errorf("told %d times; want 2", len(calls))
		}
		return nil
	})
	first, second := <-calls, <-calls
	if waited := second.Sub(first); waited < wait || waited > 30*time.Second { // by itself it comes after AckWait, a minute
		t.Errorf("told again after %s; want %s", waited, wait)
	}
}

// Whether people can be told changes nothing for the events.
func TestNotifierDoesNotDelayEvents(t *testing.T) {
	t.Parallel()
	for name, notifier := range map[string]notify{
		"blocks": func(ctx context.Context, _ watcher.Completion) error { <-ctx.Done(); return ctx.Err() },
		"fails":  func(context.Context, watcher.Completion) error { return errors.New("no such channel") },
		"panics": func(context.Context, watcher.Completion) error { panic("defect") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := eventstest.Server(t)
			nc, js := eventstest.Connect(t, s)
			completed, err := nc.SubscribeSync("orders.completed.>")
			if err != nil {
				t.Fatal(err)
			}
			cfg := config()
			cfg.Timing.Drain = 100 * time.Millisecond
			parts{url: s.ClientURL(), config: cfg, orders: &orders{show: ended(watcher.Succeed)}, notifier: notifier}.ready(t)
			for _, order := range poolNames(10) {
				publish(t, js, request(order))
			}
			for range 10 {
				if _, err := completed.NextMsg(eventstest.Patience); err != nil {
					t.Fatalf("completion event: %v", err)
				}
			}
		})
	}
}
