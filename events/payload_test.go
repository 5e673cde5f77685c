//go:build !race

// A reload of nats-server reads its options beside a direct get without a lock: the race detector would tell of
// the server. With it, the tests of real processes in cmd/orderwatch lower the limit.

package events_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/events"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/watcher"
)

// largeRequest is a request with as many labels as one may have.
func largeRequest(name, id string) map[string]any {
	r, labels := request(name), make(map[string]string)
	for i := range 32 {
		labels[fmt.Sprintf("label-%02d-%s", i, strings.Repeat("k", 50))] = strings.Repeat("v", 256)
	}
	r["request_id"], r["labels"] = id, labels
	return r
}

// TestPayloadLowered lowers the server's max_payload by a reload under an order whose record is larger then. The
// server does not tell its clients, and closes the connection of one that sends more. That is at most the one worker
// which was just writing; it ends, and is started again. The others ask before they write: the wake-up ends no
// second one. The completion names every request.
func TestPayloadLowered(t *testing.T) {
	t.Parallel()
	options := server.Options{Port: server.RANDOM_PORT, StoreDir: t.TempDir(), MaxPayload: 1 << 20}
	s := eventstest.Server(t, options)
	nc, js := eventstest.Connect(t, s)
	var over atomic.Bool
	cloud := &orders{show: func(watcher.Order, int) (watcher.Answer, error) {
		if over.Load() {
			return answer(watcher.Succeed), nil
		}
		return answer(watcher.Processing), nil
	}}
	cfg := config()
	cfg.PollTimeout = 5 * time.Second // a busy machine delivers no wake-up to two workers at once
	var workers []*running
	for range 3 {
		w := parts{url: s.ClientURL(), config: cfg, orders: cloud}.start(t)
		eventstest.Eventually(t, w.Ready)
		workers = append(workers, w)
	}
	const joins = 35
	for i := range joins {
		publish(t, js, largeRequest("order.large", fmt.Sprintf("build-%d", i)))
	}
	eventstest.Eventually(t, func() error {
		if w := readRecord(t, js, "order.large"); len(w.Requests) < joins {
			return fmt.Errorf("%d requests joined; want %d", len(w.Requests), joins)
		}
		return nil
	})
	lower(t, s, options, 256<<10)
	polls := shownRecord(t, nc, "order.large").Polls // of those that were made some were thrown away, as requests joined
	eventstest.Eventually(t, func() error {
		if w := shownRecord(t, nc, "order.large"); w.Polls < polls+6 || len(w.Requests) != joins {
			return fmt.Errorf("the record has %d polls and %d requests; want %d and %d", w.Polls, len(w.Requests), polls+6, joins)
		}
		return nil
	})
	over.Store(true)
	eventstest.Eventually(t, idle(t, js, "ORDER"))
	completions := eventstest.Events(t, js, "ORDER_EVENTS", "orders.completed.>")
	if len(completions) != 1 || len(completions[0].Completion(t).Requests) != joins {
		t.Errorf("%d completions; want one that names %d requests", len(completions), joins)
	}
	lost := 0
	for i, w := range workers {
		eventstest.Eventually(t, func() error {
			err := w.Ready()
			if err == nil || !errors.Is(w.Alive(), events.ErrClosed) {
				return err
			}
			lost++
			w = startWorker(t, s, cfg, cloud)
			return nil
		})
		if err := w.Alive(); err != nil {
			t.Errorf("worker %d: %v", i, err)
		}
	}
	if lost > 1 {
		t.Errorf("%d of 3 workers lost their connections", lost)
	}
}

// lower changes the server's max_payload as a reload of its configuration does.
func lower(t *testing.T, s *server.Server, options server.Options, limit int32) {
	t.Helper()
	options.Host, options.JetStream, options.NoSigs, options.NoLog = "127.0.0.1", true, true, true
	options.MaxPayload = limit
	if err := s.ReloadOptions(&options); err != nil {
		t.Fatal(err)
	}
}

// TestPayloadLoweredAtTheDeadline restarts the only worker under the lower limit: the watch ends at its deadline.
func TestPayloadLoweredAtTheDeadline(t *testing.T) {
	t.Parallel()
	options := server.Options{Port: server.RANDOM_PORT, StoreDir: t.TempDir(), MaxPayload: 1 << 20}
	s := eventstest.Server(t, options)
	_, js := eventstest.Connect(t, s)
	cloud := &orders{show: endedAfter(1 << 30)}
	first := startWorker(t, s, config(), cloud)
	const joins = 35
	for i := range joins {
		r := largeRequest("order.large", fmt.Sprintf("build-%d", i))
		r["timeout"] = "20s"
		publish(t, js, r)
	}
	eventstest.Eventually(t, cloud.polled("order.large", 1)) // it has a record
	eventstest.Eventually(t, func() error {
		if w := readRecord(t, js, "order.large"); len(w.Requests) < joins {
			return fmt.Errorf("%d requests joined; want %d", len(w.Requests), joins)
		}
		return nil
	})
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	lower(t, s, options, 256<<10)
	second := startWorker(t, s, config(), cloud)
	for left := joins; left > 0; { // each request has a deadline of its own
		c := second.next(t)
		if left -= len(c.Requests); c.Outcome != watcher.TimedOut || c.RequestsLeft != left {
			t.Fatalf("%s with %d requests, %d left; want timed_out with %d left", c.Outcome, len(c.Requests), c.RequestsLeft, left)
		}
	}
}

// TestIDsAloneUnderALowerLimit lets requests whose ids alone fill a watch join it, lowers the limit as far as it may
// be lowered, and restarts the only worker: the watch ends at its deadline, and each request is named once. Case N2.
func TestIDsAloneUnderALowerLimit(t *testing.T) {
	t.Parallel()
	options := server.Options{Port: server.RANDOM_PORT, StoreDir: t.TempDir(), MaxPayload: 1 << 20}
	s := eventstest.Server(t, options)
	_, js := eventstest.Connect(t, s)
	cloud := &orders{show: endedAfter(1 << 30)}
	first := startWorker(t, s, config(), cloud)
	const requests, joins = 400, 200
	ids := make(map[string]int)
	for i := range requests {
		r := request("order.large")
		id := fmt.Sprintf("build-%03d-%s", i, strings.Repeat("<", 118)) // each of these takes six bytes
		r["request_id"], r["timeout"] = id, "40s"
		publish(t, js, r)
		ids[id] = 0
	}
	eventstest.Eventually(t, func() error {
		if w := readRecord(t, js, "order.large"); len(w.Requests) < joins {
			return fmt.Errorf("%d requests joined; want %d at least", len(w.Requests), joins)
		}
		return nil
	})
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	lower(t, s, options, watcher.MinPayload)
	startWorker(t, s, config(), cloud)
	eventstest.Eventually(t, idle(t, js, "ORDER"))
	for _, e := range eventstest.Events(t, js, "ORDER_EVENTS", "orders.completed.>") {
		c := e.Completion(t)
		if c.Outcome != watcher.TimedOut {
			t.Errorf("%s: %s with %d requests", c.WatchID, c.Outcome, len(c.Requests))
		}
		for _, r := range c.Requests {
			ids[r.ID]++
		}
	}
	for id, n := range ids {
		if n != 1 {
			t.Errorf("%s is named %d times", id, n)
		}
	}
}

// TestIDsOfTheReleaseBefore lowers the limit under a watch that the release before let grow so far that its ids alone
// do not fit. It is not polled and does not end, but people are told that it is overdue, and a log line says why. It
// ends, with all its requests, once the limit was raised and the worker restarted.
func TestIDsOfTheReleaseBefore(t *testing.T) {
	t.Parallel()
	options := server.Options{Port: server.RANDOM_PORT, StoreDir: t.TempDir(), MaxPayload: 1 << 20}
	s := eventstest.Server(t, options)
	nc, js := eventstest.Connect(t, s)
	cfg := config()
	cfg.Timing.PatrolSlack, cfg.Timing.Unreachable = time.Second, 2*time.Second
	cloud := &orders{show: endedAfter(1 << 30)}
	if err := startWorker(t, s, cfg, cloud).stop(); err != nil { // it makes the streams
		t.Fatal(err)
	}
	store := eventstest.Store(t, nc, cfg.storeConfig, nil)
	const requests = 600
	w := watcher.Watch{
		Schema: watcher.SchemaVersion, State: watcher.Watching, ID: "w_before", Order: of("order.large"), Region: "cn-north-4",
		AcceptedAt: time.Now(), Deadline: time.Now().Add(10 * time.Second), NextPollAt: time.Now(), Wakeup: 1,
	}
	for i := range requests {
		w.Requests = append(w.Requests, watcher.Request{ID: fmt.Sprintf("build-%03d-%s", i, strings.Repeat("<", 118)), ReceivedAt: time.Now()})
	}
	if _, err := store.Write(t.Context(), w, 0); err != nil {
		t.Fatal(err)
	}
	if err := store.Schedule(t.Context(), w.Expected()); err != nil {
		t.Fatal(err)
	}
	lower(t, s, options, watcher.MinPayload)
	stuck := startWorker(t, s, cfg, cloud)
	eventstest.Eventually(t, func() error {
		if told := eventstest.Events(t, js, "ORDER_EVENTS", "orders.attention.overdue.>"); len(told) != 1 || !strings.Contains(told[0].Attention(t).Reason, "max_payload") {
			return fmt.Errorf("%d events tell of overdue watches", len(told))
		}
		return stuck.log.line("not polled", "raise the server's max_payload")
	})
	if n := cloud.count(of("order.large")); n > 0 {
		t.Errorf("%d polls were made whose answer could not be kept", n)
	}
	lower(t, s, options, 1<<20)
	if err := stuck.stop(); err != nil {
		t.Fatal(err)
	}
	mended := startWorker(t, s, cfg, cloud)
	if c := mended.next(t); c.Outcome != watcher.TimedOut || len(c.Requests) != requests {
		t.Errorf("%s with %d requests", c.Outcome, len(c.Requests))
	}
}

// TestPayloadBelowTheLeast lowers the limit under a worker to less than a watch may need, and raises it again. The
// worker says so, takes nothing meanwhile, and goes on by itself.
func TestPayloadBelowTheLeast(t *testing.T) {
	t.Parallel()
	options := server.Options{Port: server.RANDOM_PORT, StoreDir: t.TempDir(), MaxPayload: 1 << 20}
	s := eventstest.Server(t, options)
	_, js := eventstest.Connect(t, s)
	w := startWorker(t, s, config(), &orders{show: ended(watcher.Succeed)})
	eventstest.Eventually(t, w.Ready)
	lower(t, s, options, watcher.MinPayload-1)
	eventstest.Eventually(t, func() error {
		if err := w.Ready(); err == nil || !strings.Contains(err.Error(), "max_payload is 262143 bytes") {
			return fmt.Errorf("the worker says %v", err)
		}
		return nil
	})
	publish(t, js, request("order.1"))
	lower(t, s, options, 1<<20)
	eventstest.Eventually(t, w.Ready)
	if c := w.next(t); c.Outcome != watcher.Succeeded {
		t.Errorf("outcome %s", c.Outcome)
	}
}

// TestConnectionClosedForGood holds that a worker whose connection the library gave up ends, and says why.
func TestConnectionClosedForGood(t *testing.T) {
	t.Parallel()
	options := server.Options{Port: server.RANDOM_PORT, StoreDir: t.TempDir(), MaxPayload: 1 << 20}
	s := eventstest.Server(t, options)
	w := parts{url: s.ClientURL(), config: config(), orders: &orders{show: ended(watcher.Succeed)}}.start(t)
	eventstest.Eventually(t, w.Ready)
	if err := w.Alive(); err != nil {
		t.Fatal(err)
	}
	lower(t, s, options, 256<<10)
	if err := w.nc.Publish("anything", make([]byte, 300<<10)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-w.ended:
	case <-time.After(eventstest.Patience):
		t.Fatal("the worker goes on without a connection")
	}
	for _, err := range []error{w.stop(), w.Alive()} {
		if !errors.Is(err, events.ErrClosed) || !strings.Contains(strings.ToLower(err.Error()), "maximum payload") {
			t.Errorf("error %v; want that the connection is closed, and why", err)
		}
	}
	if w.nc.Status() != nats.CLOSED {
		t.Error("the connection is open")
	}
}
