package events_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/inspect"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// A listener is people: it keeps what they are told.
type listener struct {
	told
	mu     sync.Mutex
	losses []watcher.Attention
	orders int // messages about one order
}

func (l *listener) Attend(_ context.Context, a watcher.Attention) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.Kind == watcher.Lost {
		l.losses = append(l.losses, a)
	}
	return nil
}

func (l *listener) AttendOrder(_ context.Context, a watcher.OrderAttention) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.ToldOf == "" {
		l.orders++
	}
	return nil
}

// streamsLost loses streams, and returns the server.
type streamsLost func(*testing.T, *server.Server, jetstream.JetStream) *server.Server

// purged empties the streams.
func purged(streams ...string) streamsLost {
	return func(t *testing.T, s *server.Server, js jetstream.JetStream) *server.Server {
		for _, name := range streams {
			stream, err := js.Stream(t.Context(), name)
			if err == nil {
				err = stream.Purge(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		return s
	}
}

// deleted deletes the streams.
func deleted(streams ...string) streamsLost {
	return func(t *testing.T, s *server.Server, js jetstream.JetStream) *server.Server {
		for _, name := range streams {
			if err := js.DeleteStream(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		return s
	}
}

// emptyServer starts the server again without what it had stored.
func emptyServer(t *testing.T, s *server.Server, _ jetstream.JetStream) *server.Server {
	port := portOf(t, s)
	s.Shutdown()
	s.WaitForShutdown()
	return eventstest.Server(t, server.Options{Port: port})
}

// R5: whatever is emptied under many open watches, people are told once of what is forgotten, and of nothing
// else; what is not forgotten goes on by itself; and what is published again is watched.
func TestStoreLostUnderManyWatches(t *testing.T) {
	t.Parallel()
	const watches = manyWatches
	all := []string{"ORDER_REQUESTS", "ORDER_WAKEUPS", "KV_ORDER_WATCHES"}
	everything := append(slices.Clone(all), "ORDER_EVENTS", "KV_ORDER_SLACK", "KV_ORDER_ACCOUNTS")
	for name, tc := range map[string]struct {
		lose streamsLost
		lost []string // what people are told
	}{
		"wake-ups purged":   {purged("ORDER_WAKEUPS"), nil},
		"wake-ups deleted":  {deleted("ORDER_WAKEUPS"), nil},
		"requests purged":   {purged("ORDER_REQUESTS"), nil}, // workers had taken all
		"requests deleted":  {deleted("ORDER_REQUESTS"), []string{watcher.LostRequests}},
		"records purged":    {purged("KV_ORDER_WATCHES"), []string{watcher.LostWatches}},
		"records deleted":   {deleted("KV_ORDER_WATCHES"), []string{watcher.LostWatches}},
		"all three purged":  {purged(all...), []string{watcher.LostWatches}},
		"all three deleted": {deleted(all...), []string{watcher.LostWatches, watcher.LostRequests}},
		"all six deleted":   {deleted(everything...), []string{watcher.LostWatches, watcher.LostRequests, watcher.LostEvents, watcher.LostNotes}},
		"an empty server":   {emptyServer, []string{watcher.LostWatches, watcher.LostRequests, watcher.LostEvents, watcher.LostNotes}},
	} {
		t.Run(name, func(t *testing.T) {
			if manyWatches < 100 { // with more they would wait for each other
				t.Parallel()
			}
			s := eventstest.Server(t)
			_, js := eventstest.Connect(t, s)
			cfg := brokenConfig()
			cfg.Timing.CheckEvery = 500 * time.Millisecond
			cfg.Timing.AckWait, cfg.Timing.PatrolSlack, cfg.Timing.Broken = 10*time.Second, 2*time.Second, 5*time.Second
			cfg.Policy.Backoff = watcher.Backoff{Initial: 2 * time.Second, Multiplier: 1.5, Max: 4 * time.Second, Jitter: 0.2}
			var done atomic.Bool
			cloud := &orders{show: func(watcher.Order, int) (watcher.Answer, error) {
				if done.Load() {
					return answer(watcher.Succeed), nil
				}
				return answer(watcher.Processing), nil
			}}
			people := &listener{told: make(told, 10*watches)}
			registries := []*prometheus.Registry{prometheus.NewRegistry(), prometheus.NewRegistry()}
			var workers []*running
			for _, registry := range registries {
				workers = append(workers, parts{url: s.ClientURL(), config: cfg, orders: cloud, notifier: people, registry: registry}.ready(t))
			}
			ask := func() {
				for i := range watches {
					r := request(fmt.Sprintf("order.%d", i))
					r["request_id"] = fmt.Sprintf("build-%d", i)
					publish(t, js, r)
				}
			}
			ask()
			polledAll := func(more int, before []int) func() error {
				return func() error {
					for i := range watches {
						if n := cloud.count(nthOrder(i)); n < before[i]+more {
							return fmt.Errorf("order %d was polled %d times, %d before", i, n, before[i])
						}
					}
					return nil
				}
			}
			eventstest.Eventually(t, polledAll(1, make([]int, watches)))
			for _, w := range workers {
				looks := w.LossLooks()
				eventstest.Eventually(t, func() error {
					if w.LossLooks() < looks+2 {
						return fmt.Errorf("looked %d times", w.LossLooks())
					}
					return nil
				})
			}
			begin := time.Now()
			s = tc.lose(t, s, js)
			nc, js := eventstest.Connect(t, s)
			for _, w := range workers {
				eventstest.Eventually(t, w.Ready)
			}
			if len(tc.lost) > 0 {
				eventstest.Eventually(t, func() error { return toldOnce(t, js, people, tc.lost) })
				t.Logf("told after %s", time.Since(begin))
			}
			before := make([]int, watches)
			for i := range before {
				before[i] = cloud.count(nthOrder(i))
			}
			if slices.Contains(tc.lost, watcher.LostWatches) {
				ask()
			}
			eventstest.Eventually(t, polledAll(2, before))
			t.Logf("all polled again after %s", time.Since(begin))
			done.Store(true)
			completed := make(map[string]int)
			for len(completed) < watches {
				completed[people.next(t).OrderName]++
			}
			for order, n := range completed {
				if n != 1 {
					t.Errorf("%s has %d completions", order, n)
				}
			}
			if err := toldOnce(t, js, people, tc.lost); err != nil {
				t.Error(err)
			}
			people.mu.Lock()
			if people.orders > 0 {
				t.Errorf("%d messages about single orders", people.orders)
			}
			people.mu.Unlock()
			for i, registry := range registries {
				if n := counter(t, registry, "orderwatch_stores_lost_total"); n != min(float64(len(tc.lost)), 1) {
					t.Errorf("worker %d counts %v losses", i, n)
				}
			}
			inspector, err := inspect.New(cfg.storeConfig, nc, store.NewClock(nil))
			if err != nil {
				t.Fatal(err)
			}
			losses, err := inspector.Losses(t.Context())
			if err != nil || len(losses) != min(len(tc.lost), 1) {
				t.Errorf("doctor sees %+v, %v", losses, err)
			}
		})
	}
}

// toldOnce returns nil if people and programs were told once of the loss, and of nothing else; not at all
// where nothing was lost.
func toldOnce(t *testing.T, js jetstream.JetStream, people *listener, lost []string) error {
	if _, err := js.Stream(t.Context(), "ORDER_EVENTS"); err != nil {
		return err
	}
	people.mu.Lock()
	defer people.mu.Unlock()
	n := min(len(lost), 1)
	if got := len(eventstest.Events(t, js, "ORDER_EVENTS", "orders.attention.lost.>")); got != n || len(people.losses) != n {
		return fmt.Errorf("%d events, %d messages; want %d", got, len(people.losses), n)
	}
	if n == 1 && !slices.Equal(people.losses[0].Lost, lost) {
		return fmt.Errorf("told of %v; want %v", people.losses[0].Lost, lost)
	}
	return nil
}

func nthOrder(i int) watcher.Order {
	return watcher.Order{ProjectID: project, Name: fmt.Sprintf("order.%d", i)}
}

// next returns the next completion that people were told of.
func (l *listener) next(t *testing.T) watcher.Completion {
	t.Helper()
	select {
	case c := <-l.told:
		return c
	case <-time.After(eventstest.Patience):
		t.Fatal("no completion")
		panic("unreachable")
	}
}

// counter returns the value of a counter, or of a gauge.
func counter(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}
