package events_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderwatch/orderwatch/events"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestHeartbeatIsDue tells when a heartbeat may be made, with the durations of production.
func TestHeartbeatIsDue(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	config := store.Config{PollTimeout: 15 * time.Second, Timing: store.DefaultTiming()}
	slow := config
	slow.PollTimeout = 29500 * time.Millisecond
	for _, test := range []struct {
		name   string
		config store.Config
		change func(*events.Vitals)
		why    string // begins so; empty: it may
	}{
		{name: "well", change: func(*events.Vitals) {}},
		{name: "round just now", change: func(v *events.Vitals) { v.Patrolled = now }},
		{name: "round of a clock that is ahead", change: func(v *events.Vitals) { v.Patrolled = now.Add(time.Second) }},
		{name: "round three rounds ago", change: func(v *events.Vitals) { v.Patrolled = ago(45 * time.Second) }},
		{name: "no round lately", change: func(v *events.Vitals) { v.Patrolled = ago(46 * time.Second) }, why: "no worker has looked"},
		{name: "no round at all", change: func(v *events.Vitals) { v.Patrolled = time.Time{} }, why: "no worker has looked"},
		{name: "not read back", change: func(v *events.Vitals) { v.ReadBack = false }, why: "what was written to NATS was not read back"},
		{name: "one overdue", change: func(v *events.Vitals) { v.Overdue = 1 }, why: "overdue watches: 1"},
		{name: "wake-up due now", change: func(v *events.Vitals) { v.Due = now }},
		{name: "wake-up under way", change: func(v *events.Vitals) { v.Due = ago(30 * time.Second) }},
		{name: "wake-up not taken", change: func(v *events.Vitals) { v.Due = ago(31 * time.Second) }, why: "a wake-up has been due for 31s"},
		{name: "wake-up under way, slow API", config: slow, change: func(v *events.Vitals) { v.Due = ago(44 * time.Second) }},
		{name: "wake-up not taken, slow API", config: slow, change: func(v *events.Vitals) { v.Due = ago(45 * time.Second) }, why: "a wake-up has been due for 45s"},
		{name: "event told soon", change: func(v *events.Vitals) { v.Untold = ago(15*time.Minute - time.Second) }},
		{name: "event untold", change: func(v *events.Vitals) { v.Untold = ago(15 * time.Minute) }, why: "people have not been told of an event for 15m0s"},
	} {
		v := events.Vitals{Patrolled: ago(15 * time.Second), ReadBack: true}
		test.change(&v)
		if test.config.PollTimeout == 0 {
			test.config = config
		}
		if why := v.Ill(now, test.config); (why == "") != (test.why == "") || !strings.HasPrefix(why, test.why) {
			t.Errorf("%s: %q; want %q", test.name, why, test.why)
		}
	}
}

// An outsider waits for heartbeats.
type outsider struct {
	refuse atomic.Bool
	mu     sync.Mutex
	heard  []time.Time
}

func (o *outsider) call(context.Context) error {
	if o.refuse.Load() {
		return errors.New("it answered 503")
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.heard = append(o.heard, time.Now())
	return nil
}

// more waits until there were so many more heartbeats.
func (o *outsider) more(t *testing.T, n int) {
	t.Helper()
	count := func() int {
		o.mu.Lock()
		defer o.mu.Unlock()
		return len(o.heard)
	}
	before := count()
	eventstest.Eventually(t, func() error {
		if got := count() - before; got < n {
			return fmt.Errorf("%d more heartbeats; want %d", got, n)
		}
		return nil
	})
}

// silent waits until there was none for twenty times as long as they are apart.
func (o *outsider) silent(t *testing.T) {
	t.Helper()
	eventstest.Eventually(t, func() error {
		o.mu.Lock()
		defer o.mu.Unlock()
		if n := len(o.heard); n > 0 && time.Since(o.heard[n-1]) < 20*heartbeats().Timing.Beat {
			return fmt.Errorf("the last of %d heartbeats was %s ago", n, time.Since(o.heard[n-1]))
		}
		return nil
	})
}

// heartbeats are settings with which a heartbeat stops in seconds.
func heartbeats() settings {
	cfg := config()
	cfg.Timing.PatrolEvery, cfg.Timing.Beat = 500*time.Millisecond, 250*time.Millisecond
	cfg.Timing.PatrolSlack, cfg.Timing.Untold = 20*time.Second, 2*time.Second
	return cfg
}

// refusing is a Notifier that takes nothing while it is told to.
type refusing struct {
	told
	refuses *atomic.Bool
}

func (n refusing) Notify(ctx context.Context, c watcher.Completion) error {
	if n.refuses.Load() {
		return &watcher.RetryError{After: 50 * time.Millisecond, Err: errors.New("not now")}
	}
	return n.told.Notify(ctx, c)
}

// A heartbeat is made while all is well, and stops with each thing that keeps orders from being watched or people
// from being told.
func TestHeartbeat(t *testing.T) {
	t.Parallel()
	type scene struct {
		*outsider
		t       *testing.T
		server  *server.Server
		js      jetstream.JetStream
		workers []*running
		slack   *atomic.Bool
		hang    *atomic.Bool
	}
	pause := func(until time.Time) func(scene) {
		return func(s scene) {
			if _, err := s.js.PauseConsumer(s.t.Context(), "ORDER_WAKEUPS", "poller", until); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	for name, test := range map[string]struct{ begin, end func(scene) }{
		"poller paused": {pause(time.Now().Add(time.Hour)), pause(time.Now().Add(-time.Hour))},
		"polls that hang": {
			func(s scene) { s.hang.Store(true) },
			func(s scene) { s.hang.Store(false) },
		},
		"people not told": {
			func(s scene) { s.slack.Store(true); publish(s.t, s.js, request("order.ends")) },
			func(s scene) { s.slack.Store(false) },
		},
		"consumer slack paused": {
			func(s scene) {
				if _, err := s.js.PauseConsumer(s.t.Context(), "ORDER_EVENTS", "slack", time.Now().Add(time.Hour)); err != nil {
					s.t.Fatal(err)
				}
				publish(s.t, s.js, request("order.ends"))
			},
			func(s scene) {
				if _, err := s.js.ResumeConsumer(s.t.Context(), "ORDER_EVENTS", "slack"); err != nil {
					s.t.Fatal(err)
				}
			},
		},
		"nothing is stored": {begin: func(s scene) {
			records := eventstest.Contract("orders", "ORDER").Records
			records.MaxBytes = 1
			if _, err := s.js.UpdateStream(s.t.Context(), records); err != nil {
				s.t.Fatal(err)
			}
		}},
		"a watch that nobody wakes": {begin: func(s scene) { // the patrol is to wake it, and cannot
			purgeWakeups(s.t, s.js, "order.goes-on")
			wakeups := eventstest.Contract("orders", "ORDER").Wakeups
			wakeups.MaxBytes = 1
			if _, err := s.js.UpdateStream(s.t.Context(), wakeups); err != nil {
				s.t.Fatal(err)
			}
		}},
		"NATS gone": {begin: func(s scene) { s.server.Shutdown(); s.server.WaitForShutdown() }},
		"all workers stopped": {begin: func(s scene) {
			for _, w := range s.workers {
				if err := w.stop(); err != nil {
					s.t.Error(err)
				}
				if w == s.workers[0] {
					s.more(s.t, 5) // the other one makes them
				}
			}
		}},
		"outsider refuses": {
			func(s scene) { s.refuse.Store(true) },
			func(s scene) { s.refuse.Store(false) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := scene{outsider: new(outsider), t: t, server: eventstest.Server(t), slack: new(atomic.Bool), hang: new(atomic.Bool)}
			_, s.js = eventstest.Connect(t, s.server)
			cloud := slow(func(ctx context.Context, order watcher.Order) (watcher.Answer, error) {
				if order.Name == "order.ends" {
					return answer(watcher.Succeed), nil
				}
				for s.hang.Load() && ctx.Err() == nil {
					time.Sleep(10 * time.Millisecond)
				}
				return answer(watcher.Processing), nil
			})
			cfg := heartbeats()
			cfg.Heartbeat = s.call
			for range 2 {
				w := parts{url: s.server.ClientURL(), config: cfg, orders: cloud, notifier: refusing{make(told, 100), s.slack}}.ready(t)
				s.workers = append(s.workers, w)
			}
			publish(t, s.js, request("order.goes-on"))
			s.more(t, 5)
			test.begin(s)
			s.silent(t)
			if test.end != nil {
				test.end(s)
				s.more(t, 5)
			}
		})
	}
}

// Of a heartbeat that is not accepted, or withheld, the log tells once, and once that it is over; the metric says
// when one was accepted last.
func TestHeartbeatIsLoggedOnce(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	o := new(outsider)
	cfg := heartbeats()
	cfg.Timing.PatrolEvery = 3 * time.Second // a busy machine does not make it late
	var calls atomic.Int64
	cfg.Heartbeat = func(ctx context.Context) error { calls.Add(1); return o.call(ctx) }
	registry := prometheus.NewRegistry()
	people := refusing{make(told, 100), new(atomic.Bool)}
	w := parts{url: s.ClientURL(), config: cfg, orders: &orders{show: ended(watcher.Succeed)}, notifier: people, registry: registry}.ready(t)
	o.more(t, 1)
	const metric = "orderwatch_heartbeat_timestamp_seconds"
	eventstest.Eventually(t, func() error {
		if at := counter(t, registry, metric); time.Since(time.Unix(int64(at), 0)).Abs() > time.Hour {
			return fmt.Errorf("%s is %f", metric, at)
		}
		return nil
	})
	o.refuse.Store(true)
	eventstest.Eventually(t, func() error { return w.log.line("level=WARN", "heartbeat not accepted", "it answered 503") })
	before := calls.Load()
	eventstest.Eventually(t, func() error {
		if n := calls.Load() - before; n < 5 {
			return fmt.Errorf("%d calls more; want 5", n)
		}
		return nil
	})
	o.refuse.Store(false)
	eventstest.Eventually(t, func() error { return w.log.line("level=INFO", "heartbeat accepted again") })
	o.more(t, 5)
	people.refuses.Store(true)
	publish(t, js, request("order.ends"))
	o.silent(t)
	eventstest.Eventually(t, func() error {
		return w.log.line("level=WARN", "heartbeat withheld", "people have not been told of an event for")
	})
	people.refuses.Store(false)
	o.more(t, 5)
	for words, want := range map[string]int{"heartbeat not accepted": 1, "heartbeat withheld": 1, "heartbeat accepted again": 2} {
		if n := len(w.log.times(t, words)); n != want {
			t.Errorf("the log says %q %d times; want %d", words, n, want)
		}
	}
}
