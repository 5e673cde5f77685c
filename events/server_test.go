package events_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderwatch/orderwatch/events"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

const project = eventstest.Project

// Settings are those of a store and of a worker on it.
type settings struct {
	storeConfig
	workerConfig
}

type (
	storeConfig  = store.Config
	workerConfig = events.Config
)

// config returns the settings of a worker under test: those of production, with short intervals.
func config() settings {
	return settings{eventstest.StoreConfig(), events.Config{
		Concurrency: 16,
		Requests: wire.Rules{
			Regions: []string{"cn-north-4", "cn-east-3"}, TimeoutMax: 48 * time.Hour, SlackChannels: []string{"C0ONCALL"}, RoutedChannels: []string{"C0ROUTED"},
		},
		Policy: watcher.Policy{
			Backoff:       watcher.Backoff{Initial: 50 * time.Millisecond, Multiplier: 1.5, Max: time.Second, Jitter: 0.2},
			Settle:        50 * time.Millisecond,
			NotFoundGrace: 500 * time.Millisecond,
			LastPollGrace: 30 * time.Second, ForbiddenGrace: 10 * time.Minute,
			Timeout:       time.Hour,
			DefaultRegion: "cn-north-4",
		},
	}}
}

// portOf returns the port on which the server listens.
func portOf(t *testing.T, s *server.Server) int {
	t.Helper()
	return s.Addr().(*net.TCPAddr).Port
}

// orders is a cloud made of a function, which is given the number of the poll from 1.
type orders struct {
	show  func(order watcher.Order, poll int) (watcher.Answer, error)
	mu    sync.Mutex
	polls map[watcher.Order]int
}

func (o *orders) Wait(context.Context, string, watcher.Order, time.Time, watcher.Turn) watcher.Leave {
	return watcher.Leave{}
}

func (*orders) Book(_ string, _ watcher.Order, _ time.Time, turn watcher.Turn) time.Time {
	return turn.At
}

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

// polled returns nil once the order has been asked for n times.
func (o *orders) polled(name string, n int) func() error {
	return func() error {
		if got := o.count(watcher.Order{ProjectID: project, Name: name}); got < n {
			return fmt.Errorf("%s was polled %d times; want %d", name, got, n)
		}
		return nil
	}
}

// slow is a cloud that answers when its function returns, or its context ends.
type slow func(ctx context.Context, order watcher.Order) (watcher.Answer, error)

func (slow) Wait(context.Context, string, watcher.Order, time.Time, watcher.Turn) watcher.Leave {
	return watcher.Leave{}
}

func (slow) Book(_ string, _ watcher.Order, _ time.Time, turn watcher.Turn) time.Time { return turn.At }

func (f slow) Show(ctx context.Context, _ string, order watcher.Order) (watcher.Answer, error) {
	return f(ctx, order)
}

// ended answers every poll with items that have ended with these statuses.
func ended(statuses ...watcher.Status) func(watcher.Order, int) (watcher.Answer, error) {
	return func(watcher.Order, int) (watcher.Answer, error) { return answer(statuses...), nil }
}

// endedAfter answers with one item, which has succeeded from the poll after the first n on.
func endedAfter(n int) func(watcher.Order, int) (watcher.Answer, error) {
	return func(_ watcher.Order, poll int) (watcher.Answer, error) {
		if poll <= n {
			return answer(watcher.Processing), nil
		}
		return answer(watcher.Succeed), nil
	}
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

// Attend takes what it is told.
func (told) Progress(context.Context, watcher.Progress) error { return nil }

func (told) AttendOrder(context.Context, watcher.OrderAttention) error     { return nil }
func (told) AttendRequest(context.Context, watcher.RequestAttention) error { return nil }

func (told) Attend(context.Context, watcher.Attention) error { return nil }

// NotifyAgain hands the completion on once more.
func (c told) NotifyAgain(ctx context.Context, completion watcher.Completion, _ watcher.Again) error {
	return c.Notify(ctx, completion)
}

// notify is a Notifier made of a function.
type notify func(context.Context, watcher.Completion) error

func (f notify) Notify(ctx context.Context, c watcher.Completion) error { return f(ctx, c) }

func (notify) Progress(context.Context, watcher.Progress) error { return nil }

func (notify) AttendOrder(context.Context, watcher.OrderAttention) error     { return nil }
func (notify) AttendRequest(context.Context, watcher.RequestAttention) error { return nil }

func (notify) Attend(context.Context, watcher.Attention) error { return nil }

func (f notify) NotifyAgain(ctx context.Context, c watcher.Completion, _ watcher.Again) error {
	return f(ctx, c)
}

// A logbook keeps what a worker logged.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
	also io.Writer
}

func (b *logbook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Write(p)
	return b.also.Write(p)
}

// line returns nil once a line holds all the words.
func (b *logbook) line(words ...string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
lines:
	for line := range strings.Lines(b.text.String()) {
		for _, word := range words {
			if !strings.Contains(line, word) {
				continue lines
			}
		}
		return nil
	}
	return fmt.Errorf("no line of the log holds all of %q", words)
}

// lines returns how many lines hold the words.
func (b *logbook) lines(words string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.text.String(), words)
}

// late returns how often the log says that a progress event of the order was not published, since the worker was too slow: who
// counts these events takes it into account.
func (b *logbook) late(order string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for line := range strings.Lines(b.text.String()) {
		if strings.Contains(line, "progress not published: it is late") && strings.Contains(line, " order="+order+" ") {
			n++
		}
	}
	return n
}

// parts are what a worker under test is made of. Those that are missing are the usual ones.
type parts struct {
	url      string
	config   settings
	orders   watcher.Orders
	clock    *store.Clock
	notifier watcher.Notifier
	registry *prometheus.Registry
}

// A running is a worker under test.
type running struct {
	*events.Worker
	nc       *nats.Conn
	store    *store.Store
	accounts *store.Accounts
	told     told // what it told people, where it has no other notifier
	log      *logbook
	ended    <-chan struct{} // is closed when Run has returned
	stop     func() error    // stops it and returns what Run returned
}

// start starts the worker, and does not wait for it.
func (p parts) start(t *testing.T) *running {
	t.Helper()
	r := &running{told: make(told, 10000), log: &logbook{also: t.Output()}}
	log := slog.New(slog.NewTextHandler(r.log, nil))
	nc, err := link.Connect(log, p.url)
	if err != nil {
		t.Fatal(err)
	}
	if p.clock == nil {
		p.clock = store.NewClock(nil)
	}
	if p.notifier == nil {
		p.notifier = r.told
	}
	if p.registry == nil {
		p.registry = prometheus.NewRegistry()
	}
	s, err := store.Open(log, p.config.storeConfig, nc, p.clock)
	if err != nil {
		t.Fatal(err)
	}
	r.store, r.accounts, r.nc = s, s.Accounts(), nc
	r.Worker = events.New(log, p.config.workerConfig, s, p.orders, p.notifier, p.registry)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = r.Run(ctx)
	}()
	r.ended = done
	r.stop = func() error {
		cancel()
		<-done
		nc.Close()
		return err
	}
	t.Cleanup(func() { r.stop() })
	return r
}

// ready starts the worker and waits until it works. It must end without an error.
func (p parts) ready(t *testing.T) *running {
	t.Helper()
	r := p.start(t)
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("worker: %v", err)
		}
	})
	eventstest.Eventually(t, r.Ready)
	return r
}

// unfit starts the worker, which must give up, and returns its error.
func (p parts) unfit(t *testing.T) error {
	t.Helper()
	r := p.start(t)
	select {
	case <-r.ended:
	case <-time.After(eventstest.Patience):
		t.Fatalf("the worker did not give up; ready: %v", r.Ready())
	}
	return r.stop()
}

func startWorker(t *testing.T, s *server.Server, cfg settings, cloud watcher.Orders) *running {
	t.Helper()
	return startWorkerAt(t, s, cfg, cloud, nil)
}

func startWorkerAt(t *testing.T, s *server.Server, cfg settings, cloud watcher.Orders, clock *store.Clock) *running {
	t.Helper()
	return parts{url: s.ClientURL(), config: cfg, orders: cloud, clock: clock}.ready(t)
}

// eventstest.Patience is how long a test waits for what must come, where it does not matter how soon: longer
// than the slowest machine under load takes.

func publish(t *testing.T, js jetstream.JetStream, request map[string]any) {
	t.Helper()
	publishOn(t, js, "orders.watch", request)
}

func publishOn(t *testing.T, js jetstream.JetStream, subject string, request map[string]any) {
	t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), subject, body); err != nil {
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
	case <-time.After(eventstest.Patience):
		t.Fatal("no completion")
		panic("unreachable")
	}
}

// idle returns nil once no request and no wake-up is left.
func idle(t *testing.T, js jetstream.JetStream, streams string) func() error {
	return func() error {
		for _, stream := range []string{streams + "_REQUESTS", streams + "_WAKEUPS"} {
			if n := eventstest.Messages(t, js, stream, ">"); n != 0 {
				return fmt.Errorf("%s holds %d messages; want none", stream, n)
			}
		}
		return nil
	}
}

// shownRecord returns the order's record with the polls that it was left unwritten after.
func shownRecord(t *testing.T, nc *nats.Conn, name string) watcher.Watch {
	t.Helper()
	w, _, err := eventstest.Store(t, nc, eventstest.StoreConfig(), nil).ReadShown(t.Context(), watcher.Order{ProjectID: project, Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// readRecord waits for the order's record and returns it, read as any client of the bucket would.
func readRecord(t *testing.T, js jetstream.JetStream, name string) watcher.Watch {
	t.Helper()
	bucket, err := js.KeyValue(t.Context(), "ORDER_WATCHES")
	if err != nil {
		t.Fatal(err)
	}
	var entry jetstream.KeyValueEntry
	eventstest.Eventually(t, func() error {
		entry, err = bucket.Get(t.Context(), project+"."+name)
		return err
	})
	w, err := watcher.DecodeWatch(entry.Value())
	if err != nil {
		t.Fatal(err)
	}
	return w
}
