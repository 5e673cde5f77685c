package events_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderwatch/orderwatch/events"
	"github.com/orderwatch/orderwatch/watcher"
)

const project = "6f5da086876d4cd084d36f8bd3346036"

// startServer starts a nats-server with JetStream in this process. port -1 chooses one.
func startServer(t *testing.T, dir string, port int) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("nats-server does not answer")
	}
	return s
}

func connect(t *testing.T, s *server.Server) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, err := nats.Connect(s.ClientURL(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}

// config returns the settings of a worker under test: those of production, with short intervals.
func config() events.Config {
	timing := events.DefaultTiming()
	timing.PatrolEvery = 100 * time.Millisecond
	return events.Config{
		Names:    events.Names{Subjects: "orders", Streams: "ORDER"},
		Replicas: 1, MaxAge: 90 * 24 * time.Hour, Provision: true, Concurrency: 16,
		PollTimeout: time.Second,
		Requests: events.RequestRules{
			Regions: []string{"cn-north-4", "cn-east-3"}, TimeoutMax: 48 * time.Hour, SlackChannels: []string{"C0ONCALL"},
		},
		Policy: watcher.Policy{
			Backoff:       watcher.Backoff{Initial: 50 * time.Millisecond, Multiplier: 1.5, Max: time.Second, Jitter: 0.2},
			Settle:        50 * time.Millisecond,
			NotFoundGrace: 500 * time.Millisecond,
			Timeout:       time.Hour,
			DefaultRegion: "cn-north-4",
		},
		Timing: timing,
	}
}

// orders is a cloud made of a function, which is given the number of the poll from 1.
type orders struct {
	show  func(order watcher.Order, poll int) (watcher.Answer, error)
	mu    sync.Mutex
	polls map[watcher.Order]int
}

func (o *orders) Wait(string, time.Time) (time.Duration, string) { return 0, "" }

func (o *orders) Show(_ context.Context, _ string, order watcher.Order) (watcher.Answer, error) {
	o.mu.Lock()
	if o.polls == nil {
		o.polls = make(map[watcher.Order]int)
	}
	o.polls[order]++
	poll := o.polls[order]
	o.mu.Unlock()
	return o.show(order, poll)
}

func (o *orders) count(order watcher.Order) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.polls[order]
}

// ended answers every poll with items that have ended with these statuses.
func ended(statuses ...watcher.Status) func(watcher.Order, int) (watcher.Answer, error) {
	return func(watcher.Order, int) (watcher.Answer, error) { return answer(statuses...), nil }
}

func answer(statuses ...watcher.Status) watcher.Answer {
	a := watcher.Answer{Count: len(statuses)}
	for i, status := range statuses {
		a.Items = append(a.Items, watcher.Item{ResourceName: "node-" + string(rune('a'+i)), Action: "createNode", Status: status})
	}
	return a
}

// told is a Notifier that hands completions on.
type told chan watcher.Completion

func (c told) Notify(_ context.Context, completion watcher.Completion) error {
	c <- completion
	return nil
}

// A running is a worker under test.
type running struct {
	*events.Worker
	told told
	stop func() error // stops it and returns what Run returned
}

func startWorker(t *testing.T, s *server.Server, cfg events.Config, cloud watcher.Orders) *running {
	t.Helper()
	return startWorkerAt(t, s, cfg, cloud, events.NewClock(nil))
}

func startWorkerAt(t *testing.T, s *server.Server, cfg events.Config, cloud watcher.Orders, clock *events.Clock) *running {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
	nc, err := events.Connect(log, s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	r := &running{told: make(told, 10000)}
	r.Worker, err = events.NewWorker(log, cfg, nc, clock, cloud, r.told, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.stop = sync.OnceValue(func() error {
		cancel()
		err := <-done
		nc.Close()
		return err
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("worker: %v", err)
		}
	})
	eventually(t, func() error { return r.Ready() })
	return r
}

// eventually waits until f returns nil.
func eventually(t *testing.T, f func() error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func publish(t *testing.T, js jetstream.JetStream, request map[string]any) {
	t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "orders.watch", body); err != nil {
		t.Fatal(err)
	}
}

func request(name string) map[string]any {
	return map[string]any{"project_id": project, "order_name": name}
}

// next returns the next completion that the worker told of.
func (r *running) next(t *testing.T) watcher.Completion {
	t.Helper()
	select {
	case c := <-r.told:
		return c
	case <-time.After(30 * time.Second):
		t.Fatal("no completion within 30 s")
		panic("unreachable")
	}
}

// messages returns the number of messages in a stream on the subject.
func messages(t *testing.T, js jetstream.JetStream, stream, subject string) uint64 {
	t.Helper()
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(t.Context(), jetstream.WithSubjectFilter(subject))
	if err != nil {
		t.Fatal(err)
	}
	var n uint64
	for _, count := range info.State.Subjects {
		n += count
	}
	return n
}
