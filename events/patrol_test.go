package events_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
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

// A dial is a clock that a test sets forward. It is an hour ahead of the server's, so that
// whatever is judged by the time of day is judged wrongly.
type dial struct {
	mu      sync.Mutex
	forward time.Duration
	start   time.Time
}

func newDial() *dial { return &dial{start: time.Now().Add(time.Hour)} }

func (d *dial) now() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.start.Add(d.forward)
}

func (d *dial) set(forward time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forward = forward
}

// A beat is what a patrol walks: the streams, a store, and a clock, without a worker.
type beat struct {
	js    jetstream.JetStream
	store *store.Store
	clock *store.Clock
	dial  *dial
	log   *logbook
}

func newBeat(t testing.TB, s *server.Server, cfg settings) *beat {
	t.Helper()
	nc, js := eventstest.Connect(t, s)
	if _, err := js.Stream(t.Context(), "ORDER_WAKEUPS"); errors.Is(err, jetstream.ErrStreamNotFound) {
		eventstest.Contract("orders", "ORDER").Create(t, js)
	}
	d := newDial()
	b := &beat{js: js, clock: store.NewClock(d.now), dial: d, log: &logbook{also: t.Output()}}
	b.store = eventstest.Store(t, nc, cfg.storeConfig, b.clock)
	return b
}

func (b *beat) patrol(id string) events.Patrol {
	return events.NewPatrol(slog.New(slog.NewTextHandler(b.log, nil)), b.store, id)
}

func (b *beat) round(t *testing.T, p events.Patrol) {
	t.Helper()
	if err := p.Round(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// write stores a record whose wake-up is expected after the interval.
func (b *beat) write(t *testing.T, name string, state watcher.State, interval time.Duration, last watcher.Revision) watcher.Revision {
	t.Helper()
	w := watcher.Watch{
		Schema: watcher.SchemaVersion, State: state, ID: "w_" + name,
		Order: watcher.Order{ProjectID: project, Name: name}, Region: "cn-north-4",
		Wakeup: 7, NextPollAt: time.Now().Add(interval), Requests: []watcher.Request{{ID: "build-1"}},
	}
	if state != watcher.Watching {
		w.Completion = &watcher.Completion{Outcome: watcher.Succeeded}
	}
	revision, err := b.store.Write(t.Context(), w, last)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

// woken returns the number of wake-ups that were published for the order.
func (b *beat) woken(t *testing.T, name string) uint64 {
	t.Helper()
	return eventstest.Messages(t, b.js, "ORDER_WAKEUPS", "orders.*."+project+"."+name)
}

// due waits until so many wake-ups are due, and none is left to come.
func (b *beat) due(t *testing.T, want uint64) {
	t.Helper()
	eventstest.Eventually(t, func() error {
		due, waiting := eventstest.Messages(t, b.js, "ORDER_WAKEUPS", "orders.due.>"), eventstest.Messages(t, b.js, "ORDER_WAKEUPS", "orders.waiting.>")
		if due != want || waiting != 0 {
			return fmt.Errorf("%d wake-ups are due and %d timers set; want %d and none", due, waiting, want)
		}
		return nil
	})
}

// What is overdue is judged by how long the same revision was seen, of watches that have not ended.
func TestPatrolRound(t *testing.T) {
	t.Parallel()
	const interval = 10 * time.Minute // a busy machine does not store for minutes
	cfg := config()
	cfg.Timing.PatrolSlack = time.Minute
	b := newBeat(t, eventstest.Server(t), cfg)
	p := b.patrol("a")
	b.write(t, "order.short", watcher.Watching, interval, 0)
	b.write(t, "order.long", watcher.Watching, time.Hour, 0)
	b.write(t, "order.ending", watcher.Ending, interval, 0)
	b.write(t, "order.ended", watcher.Ended, interval, 0)
	moving := b.write(t, "order.moving", watcher.Watching, interval, 0)

	for _, step := range []struct {
		forward time.Duration
		move    bool // order.moving is polled, which nobody else is
		lose    bool // the wake-ups that are there are lost
		want    []string
	}{
		{forward: 0},
		{forward: 5 * time.Minute, move: true}, // within the interval and the slack
		{forward: 11*time.Minute + time.Second, want: []string{"order.short", "order.ending"}},
		{forward: 11*time.Minute + 2*time.Second, want: []string{"order.short", "order.ending"}},                 // given time again
		{forward: 16*time.Minute + time.Second, want: []string{"order.short", "order.ending", "order.moving"}},   // seen since 5 min, at the latest
		{forward: 22*time.Minute + 2*time.Second, want: []string{"order.short", "order.ending", "order.moving"}}, // still there: not one more
		{forward: time.Hour + 61*time.Second, lose: true, want: []string{"order.short", "order.ending", "order.moving", "order.long"}},
	} {
		b.dial.set(step.forward)
		if step.move {
			moving = b.write(t, "order.moving", watcher.Watching, interval, moving)
		}
		if step.lose {
			s, err := b.js.Stream(t.Context(), "ORDER_WAKEUPS")
			if err == nil {
				err = s.Purge(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		b.round(t, p)
		b.due(t, uint64(len(step.want))) // a round that came before a timer has become due would set one more
		for _, name := range step.want {
			if got := b.woken(t, name); got != 1 {
				t.Errorf("after %s: %s was woken %d times; want 1", step.forward, name, got)
			}
		}
	}
	if err := b.log.line("level=WARN", "wake-up was overdue", "order.short"); err != nil {
		t.Error(err)
	}
	said := b.log.lines("wake-up was overdue") // three, and all four after they were lost
	if n := counted(t, p.Registry, repairs, "overdue_wakeup"); n != 7 || said != 7 {
		t.Errorf("%f overdue wake-ups are counted, and %d are logged; want 7", n, said)
	}
}

// repairs is the metric of what a patrol repairs.
const repairs = "orderwatch_patrol_repairs_total"

// The wake-up that the patrol publishes is the one that the record expects.
func TestPatrolWakeup(t *testing.T) {
	t.Parallel()
	cfg := config()
	b := newBeat(t, eventstest.Server(t), cfg)
	p := b.patrol("a")
	b.write(t, "order.pool", watcher.Watching, 0, 0)
	b.round(t, p)
	b.dial.set(2 * time.Minute)
	b.round(t, p)
	s, err := b.js.Stream(t.Context(), "ORDER_WAKEUPS")
	if err != nil {
		t.Fatal(err)
	}
	var m *jetstream.RawStreamMsg
	eventstest.Eventually(t, func() error {
		m, err = s.GetLastMsgForSubject(t.Context(), "orders.due."+project+".order.pool")
		return err
	})
	var got struct {
		WatchID string `json:"watch_id"`
		Number  uint64 `json:"wakeup"`
	}
	if err := json.Unmarshal(m.Data, &got); err != nil || got.WatchID != "w_order.pool" || got.Number != 7 {
		t.Errorf("wake-up %s, %v; want number 7 of w_order.pool", m.Data, err)
	}
}

// Rounds do not read again what has ended, and miss nothing that goes on.
func TestPatrolCursor(t *testing.T) {
	t.Parallel()
	b := newBeat(t, eventstest.Server(t), config())
	p := b.patrol("a")
	for _, name := range poolNames(20) {
		b.write(t, name, watcher.Ended, 0, 0)
	}
	b.round(t, p)
	if p.Cursor() != 21 {
		t.Errorf("after 20 ended records the next round begins at %d; want 21", p.Cursor())
	}
	first := b.write(t, "order.first", watcher.Watching, 0, 0)
	for i := range 5 {
		b.write(t, fmt.Sprintf("order.more-%d", i), watcher.Ended, 0, 0)
	}
	second := b.write(t, "order.second", watcher.Watching, 0, 0)
	for range 3 {
		b.round(t, p)
		if p.Cursor() != uint64(first) {
			t.Errorf("the next round begins at %d; want %d, that of the first record that goes on", p.Cursor(), first)
		}
	}
	b.write(t, "order.first", watcher.Ended, 0, first)
	b.round(t, p)
	if p.Cursor() != uint64(second) {
		t.Errorf("the next round begins at %d; want %d", p.Cursor(), second)
	}
	b.dial.set(2 * time.Minute)
	b.round(t, p)
	b.due(t, 1)
	if got := b.woken(t, "order.second"); got != 1 {
		t.Errorf("order.second was woken %d times; want 1", got)
	}
}

// Records are read in batches of 500.
func TestPatrolBatches(t *testing.T) {
	t.Parallel()
	b := newBeat(t, eventstest.Server(t), config())
	p := b.patrol("a")
	for i := range 1100 {
		state := watcher.Ended
		if i%499 == 0 {
			state = watcher.Watching
		}
		b.write(t, fmt.Sprintf("order.pool-%d", i), state, 0, 0)
	}
	b.round(t, p)
	b.dial.set(2 * time.Minute)
	b.round(t, p)
	b.due(t, 3)
}

// A patrol that finds everything overdue publishes no more than 200 a second.
func TestPatrolPace(t *testing.T) {
	t.Parallel()
	b := newBeat(t, eventstest.Server(t), config())
	p := b.patrol("a")
	for _, name := range poolNames(100) {
		b.write(t, name, watcher.Watching, 0, 0)
	}
	b.round(t, p)
	b.dial.set(2 * time.Minute)
	begin := time.Now()
	b.round(t, p)
	if took := time.Since(begin); took < 99*time.Second/200 {
		t.Errorf("100 wake-ups within %s", took)
	}
	b.due(t, 100)
}

// Records that this version cannot read are passed over.
func TestPatrolForeignRecords(t *testing.T) {
	t.Parallel()
	b := newBeat(t, eventstest.Server(t), config())
	p := b.patrol("a")
	bucket, err := b.js.KeyValue(t.Context(), "ORDER_WATCHES")
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{
		project + ".order.newer":   `{"schema":99,"state":"watching"}`,
		project + ".order.garbage": `watching`,
		project + ".order.empty":   ``,
	} {
		if _, err := bucket.Put(t.Context(), key, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	if err := bucket.Delete(t.Context(), project+".order.empty"); err != nil {
		t.Fatal(err)
	}
	b.write(t, "order.pool", watcher.Watching, 0, 0)
	b.round(t, p)
	b.dial.set(2 * time.Minute)
	b.round(t, p)
	b.due(t, 1) // that of order.pool
}

// One patrols at a time; another takes over after some rounds without a sign of it.
func TestPatrolLease(t *testing.T) {
	t.Parallel()
	b := newBeat(t, eventstest.Server(t), config())
	first, second := b.patrol("a"), b.patrol("b")
	take := func(p events.Patrol, want bool) {
		t.Helper()
		holds, err := p.Take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if holds != want {
			t.Errorf("holds the lease: %t; want %t", holds, want)
		}
	}
	for range 10 {
		take(first, true)
		take(second, false)
	}
	for range 2 { // after the one above: three rounds with the same sign
		take(second, false)
	}
	take(second, true)
	take(first, false) // it comes back
	for range 10 {
		take(second, true)
		take(first, false)
	}
}

// A worker brings a watch back whose wake-up was lost, and when it stops another does.
func TestPatrolTakesOver(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	cfg := config()
	cfg.Timing.PatrolSlack = 200 * time.Millisecond
	const interval = 500 * time.Millisecond
	cfg.Policy.Backoff = watcher.Backoff{Initial: interval, Multiplier: 1, Max: interval}
	cloud := &orders{show: endedAfter(1 << 30)}
	registries := []*prometheus.Registry{prometheus.NewRegistry(), prometheus.NewRegistry()}
	var workers []*running
	for _, registry := range registries {
		workers = append(workers, parts{url: s.ClientURL(), config: cfg, orders: cloud, registry: registry}.ready(t))
	}
	publish(t, js, request("order.pool"))
	eventstest.Eventually(t, cloud.polled("order.pool", 1))

	lose := func() {
		t.Helper()
		purgeWakeups(t, js, "order.pool")
		polls, begin := cloud.count(watcher.Order{ProjectID: project, Name: "order.pool"}), time.Now()
		eventstest.Eventually(t, cloud.polled("order.pool", polls+1))
		t.Logf("polled again %s after its wake-up was lost", time.Since(begin))
	}
	patrols := func(w *running) bool { return w.log.line("wake-up was overdue") == nil }
	eventstest.Eventually(t, func() error { // a poll under way stores the next wake-up after the loss: then nothing was lost
		if !patrols(workers[0]) && !patrols(workers[1]) {
			lose()
			return errors.New("nobody patrols")
		}
		return nil
	})
	if patrols(workers[0]) == patrols(workers[1]) {
		t.Fatalf("the first patrols: %t, and the second too", patrols(workers[0]))
	}
	at, other := workers[0], workers[1]
	if patrols(other) {
		at, other = other, at
		slices.Reverse(registries)
	}
	eventstest.Eventually(t, func() error {
		if err := tellsWatches(t, registries[1], 1); err == nil {
			return errors.New("the worker that does not patrol tells how many watches there are")
		}
		return tellsWatches(t, registries[0], 1)
	})
	if err := at.stop(); err != nil {
		t.Fatal(err)
	}
	eventstest.Eventually(t, func() error { // it takes over
		if !patrols(other) {
			lose()
			return errors.New("the other does not patrol")
		}
		return nil
	})
	eventstest.Eventually(t, func() error { return tellsWatches(t, registries[1], 1) })
}

// tellsWatches returns nil if the metrics say that so many watches are open.
func tellsWatches(t *testing.T, registry *prometheus.Registry, want float64) error {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "orderwatch_watches" && len(f.GetMetric()) == 2 { // ending, watching
			if n := f.GetMetric()[1].GetGauge().GetValue(); n != want {
				return fmt.Errorf("%f watches; want %f", n, want)
			}
			return nil
		}
	}
	return errors.New("nothing is told of watches")
}

// A bucket that was made anew is patrolled from its beginning.
func TestPatrolNewBucket(t *testing.T) {
	t.Parallel()
	b := newBeat(t, eventstest.Server(t), config())
	p := b.patrol("a")
	if _, err := p.Take(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range poolNames(50) {
		b.write(t, name, watcher.Ended, 0, 0)
	}
	b.round(t, p)
	replace(t, b.js, eventstest.Contract("orders", "ORDER").Records)
	b.write(t, "order.pool", watcher.Watching, 0, 0)
	for i := range 3 {
		b.dial.set(time.Duration(i+1) * 10 * time.Minute)
		if _, err := p.Take(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.round(t, p)
	}
	if got := b.woken(t, "order.pool"); got == 0 {
		t.Errorf("an overdue watch of the new bucket was not woken; the cursor is %d", p.Cursor())
	}
}
