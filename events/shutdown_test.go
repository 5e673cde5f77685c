package events_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/watcher"
)

// The tests of this file hold how soon a worker stops: none runs beside another test of the package.

// soon is more than a busy machine takes for what is to be done at once, and less than what is wrong takes: a poll
// that hangs, Drain where nothing is in flight, and what a worker took and did not give back, take a minute and more.
const soon = 30 * time.Second

// completions returns nil once n watches have ended.
func completions(t *testing.T, js jetstream.JetStream, n int) func() error {
	return func() error {
		if got := eventstest.Messages(t, js, "ORDER_EVENTS", "orders.completed.>"); got < uint64(n) {
			return fmt.Errorf("%d of %d completed", got, n)
		}
		return nil
	}
}

// held returns how many due wake-ups workers have and not settled.
func held(t *testing.T, js jetstream.JetStream) int {
	t.Helper()
	c, err := js.Consumer(t.Context(), "ORDER_WAKEUPS", "poller")
	if err != nil {
		t.Fatal(err)
	}
	return c.CachedInfo().NumAckPending
}

// A worker takes no more than it polls, and leaves the others to another one. Of the polls in flight when it stops, those
// that end in time count, and the others are cancelled and given back.
func TestHandOver(t *testing.T) {
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	cfg := config()
	cfg.Concurrency = 2
	cfg.PollTimeout = time.Minute // what a worker holds does not come again by itself
	cfg.Timing.Drain = 1500 * time.Millisecond
	begun, release, cancelled := make(chan string, 10), make(chan struct{}), make(chan time.Time, 10)
	leaving := parts{url: s.ClientURL(), config: cfg, orders: slow(func(ctx context.Context, order watcher.Order) (watcher.Answer, error) {
		begun <- order.Name
		select {
		case <-release: // one of them
			return answer(watcher.Failed), nil
		case <-ctx.Done():
			cancelled <- time.Now()
			return watcher.Answer{}, ctx.Err()
		}
	})}.ready(t)
	names := poolNames(10)
	for _, name := range names {
		r := request(name)
		r["expected_items"] = 1 // the first poll ends the watch
		publish(t, js, r)
	}
	inFlight := []string{<-begun, <-begun}

	cfg.Concurrency = 16
	staying := startWorker(t, s, cfg, &orders{show: ended(watcher.Succeed)})
	eventstest.Eventually(t, func() error {
		got, kept := eventstest.Messages(t, js, "ORDER_EVENTS", "orders.completed.>"), held(t, js)
		if int(got)+kept != len(names) || kept != len(inFlight) {
			return fmt.Errorf("%d completed, %d held; want %d in all, of which the first worker holds the %d that it polls", got, kept, len(names), len(inFlight))
		}
		return nil
	})
	stop := time.Now()
	stopped := make(chan error, 1)
	go func() { stopped <- leaving.stop() }()

	release <- struct{}{}
	eventstest.Within(t, soon, completions(t, js, len(names)-1))
	if err := <-stopped; err != nil {
		t.Errorf("Run returned %v", err)
	}
	took := time.Since(stop)
	if took > cfg.Timing.Drain+soon {
		t.Errorf("stopped after %s", took)
	}
	eventstest.Within(t, soon, completions(t, js, len(names)))
	if wait := (<-cancelled).Sub(stop); wait < cfg.Timing.Drain || wait > cfg.Timing.Drain+soon {
		t.Errorf("a poll in flight was cancelled after %s; want %s", wait, cfg.Timing.Drain)
	}
	t.Logf("stopped after %s", took)

	if len(begun) > 0 {
		t.Errorf("%d polls were begun after the stop", len(begun))
	}
	eventstest.Eventually(t, idle(t, js, "ORDER"))
	completedOnce(t, js, names...)
	var failed []string
	for _, e := range eventstest.Events(t, js, "ORDER_EVENTS", "orders.completed.failed.>") {
		failed = append(failed, e.Completion(t).OrderName)
	}
	if len(failed) != 1 || !slices.Contains(inFlight, failed[0]) {
		t.Errorf("the answer that came in time ended %q; want one of %q", failed, inFlight)
	}
	if err := staying.Ready(); err != nil {
		t.Error(err)
	}
}

// Workers come and go while watches are active; none is lost, and none ends twice.
func TestRollingRestart(t *testing.T) {
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	var open atomic.Bool
	cloud := gated(&open)
	cfg := config()
	cfg.Timing.Drain = 2 * time.Minute
	w := startWorker(t, s, cfg, cloud)
	names := watch(t, js, cloud, 20)
	for range 4 {
		next := startWorker(t, s, cfg, cloud)
		begin := time.Now()
		if err := w.stop(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > soon {
			t.Errorf("with nothing that takes long, it stopped after %s", took)
		}
		w = next
	}
	open.Store(true)
	eventstest.Eventually(t, completions(t, js, len(names)))
	eventstest.Eventually(t, idle(t, js, "ORDER"))
	completedOnce(t, js, names...)
}

// A worker stops in time also where its server is gone.
func TestStopWithoutServer(t *testing.T) {
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	cfg := config()
	cfg.Timing.Drain = time.Second
	cloud := &orders{show: endedAfter(1 << 30)}
	w := startWorker(t, s, cfg, cloud)
	watch(t, js, cloud, 5)
	s.Shutdown()
	s.WaitForShutdown()
	begin := time.Now()
	if err := w.stop(); err != nil {
		t.Errorf("Run returned %v", err)
	}
	if took := time.Since(begin); took > cfg.Timing.Drain+soon {
		t.Errorf("stopped after %s", took)
	}
}

// A worker that never found a server stops at once.
func TestStopBeforeServer(t *testing.T) {
	cfg := config()
	cfg.Timing.Drain = 2 * time.Minute
	w := parts{url: "nats://127.0.0.1:1", config: cfg, orders: idleCloud()}.start(t)
	if err := w.Ready(); err == nil {
		t.Error("ready without a server")
	}
	begin := time.Now()
	if err := w.stop(); err != nil {
		t.Errorf("Run returned %v", err)
	}
	if took := time.Since(begin); took > soon {
		t.Errorf("stopped after %s", took)
	}
}
