package events_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/proxy"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// A networkFault is what becomes of the network between a worker and its server for a while.
type networkFault struct {
	name  string
	begin func(*proxy.Proxy)
	end   func(*proxy.Proxy) // nil: nothing is to be ended
	every time.Duration      // it begins again and again; 0: once
	stops bool               // nothing gets through
	short bool               // it ends before the connection is given up
}

var networkFaults = []networkFault{
	{name: "partition, connections reset", begin: func(p *proxy.Proxy) { p.Refuse(true); p.Reset() }, end: func(p *proxy.Proxy) { p.Refuse(false) }, stops: true},
	{name: "partition, packets held", begin: lines(proxy.Line{Hold: true}), end: lines(proxy.Line{}), stops: true},
	{name: "black hole", begin: lines(proxy.Line{Swallow: true}), end: lines(proxy.Line{}), stops: true},
	{name: "black hole to the server", begin: line(proxy.ToServer, proxy.Line{Swallow: true}), end: lines(proxy.Line{}), stops: true},
	{name: "black hole to the worker", begin: line(proxy.ToClient, proxy.Line{Swallow: true}), end: lines(proxy.Line{}), stops: true},
	{name: "partition of 12 s, packets held", begin: lines(proxy.Line{Hold: true}), end: lines(proxy.Line{}), short: true},
	{name: "black hole of 12 s", begin: lines(proxy.Line{Swallow: true}), end: lines(proxy.Line{}), short: true},
	{name: "latency of 300 ms each way", begin: lines(proxy.Line{Delay: 300 * time.Millisecond}), end: lines(proxy.Line{})},
	{name: "slow link of 64 KiB/s", begin: lines(proxy.Line{Rate: 64 << 10}), end: lines(proxy.Line{})},
	{name: "reset every 3 s", begin: (*proxy.Proxy).Reset, every: 3 * time.Second},
	{name: "cut every 3 s", begin: (*proxy.Proxy).Cut, every: 3 * time.Second},
}

func lines(l proxy.Line) func(*proxy.Proxy) { return func(p *proxy.Proxy) { p.SetBoth(l) } }

func line(w proxy.Way, l proxy.Line) func(*proxy.Proxy) {
	return func(p *proxy.Proxy) { p.Set(w, l) }
}

const (
	// outage is how long faults last: the connection has been given up by then, which takes nats.go
	// up to four of its intervals of pings, of 10 s.
	outage      = 43 * time.Second
	shortOutage = 12 * time.Second
	// notice is the longest time in which a worker must notice that nothing gets through, and that
	// it does again.
	notice = 30 * time.Second
)

// TestNetwork lets the network fail under workers at their work. All faults happen at once, each
// to a worker and a server of its own. What decides when a fault is noticed has the timing of
// production; only AckWait is shorter, after which come again what was delivered into the fault.
func TestNetwork(t *testing.T) {
	t.Parallel()
	var all []*network
	for _, f := range networkFaults {
		all = append(all, startNetwork(t, f))
	}
	pause(t, 3*time.Second) // of steady work
	for _, n := range all {
		n.begin()
	}
	pause(t, shortOutage)
	for _, n := range all {
		if n.fault.short {
			n.end()
		}
	}
	pause(t, outage-shortOutage)
	for _, n := range all {
		if !n.fault.short {
			n.end()
		}
	}
	for _, n := range all {
		t.Run(n.fault.name, n.check)
	}
}

func pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// A network is a worker behind a proxy under a steady load.
type network struct {
	*running
	fault networkFault
	proxy *proxy.Proxy
	js    jetstream.JetStream // past the proxy
	clock *store.Clock

	sent, pulls *proxy.Active // by the worker

	began, ended   time.Time // the fault
	before, during traffic
	repeating      sync.WaitGroup
	stopRepeating  context.CancelFunc

	published chan error
	requests  []string

	mu      sync.Mutex
	changes []change
	offset  time.Duration // the largest of the clock
	slowest time.Duration // look at readiness
}

// A traffic is what the worker did so far.
type traffic struct{ connections, pulls, messages, logged int }

// A change is one of readiness.
type change struct {
	at  time.Time
	err error
}

func startNetwork(t *testing.T, fault networkFault) *network {
	t.Helper()
	s := eventstest.Server(t)
	n := &network{fault: fault, proxy: startProxy(t, s), clock: store.NewClock(nil), published: make(chan error, 1)}
	n.sent = n.proxy.Add(proxy.Rule{Way: proxy.ToServer, Subject: ">"})
	n.pulls = n.proxy.Add(proxy.Rule{Way: proxy.ToServer, Subject: "$JS.API.CONSUMER.MSG.NEXT.>"})
	_, n.js = eventstest.Connect(t, s)
	cfg := config()
	cfg.Policy.Backoff = watcher.Backoff{Initial: 400 * time.Millisecond, Multiplier: 1.5, Max: 2 * time.Second, Jitter: 0.2}
	cfg.Timing = store.DefaultTiming()
	cfg.Timing.AckWait = 5 * time.Second
	n.running = parts{url: n.proxy.URL(), config: cfg, clock: n.clock, orders: &orders{show: endedAfter(4)}}.ready(t)

	ctx, cancel := context.WithCancel(context.Background())
	var background sync.WaitGroup
	background.Go(func() { n.observe(ctx) })
	background.Go(func() { n.published <- n.load(ctx) })
	t.Cleanup(func() { cancel(); background.Wait() })
	return n
}

// load asks for 40 orders, one after the other, each twice.
func (n *network) load(ctx context.Context) error {
	const count = 40
	ask := func(i int, id string) error {
		if i < 0 || i >= count {
			return nil
		}
		body, err := json.Marshal(map[string]any{"project_id": project, "order_name": fmt.Sprintf("order.pool-%d", i), "request_id": fmt.Sprintf("%s %d", id, i), "expected_items": 1})
		if err != nil {
			return err
		}
		n.requests = append(n.requests, fmt.Sprintf("%s %d", id, i))
		_, err = n.js.Publish(ctx, "orders.watch", body)
		return err
	}
	ticks := time.NewTicker((outage + 5*time.Second) / (count + 1))
	defer ticks.Stop()
	for i := range count + 1 {
		if err := errors.Join(ask(i, "first"), ask(i-1, "join")); err != nil {
			return err
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// observe keeps how readiness changes, and how far the clock goes wrong.
func (n *network) observe(ctx context.Context) {
	ticks := time.NewTicker(20 * time.Millisecond)
	defer ticks.Stop()
	for last := error(nil); ; {
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return
		}
		asked := time.Now()
		err := n.Ready()
		n.mu.Lock()
		n.slowest = max(n.slowest, time.Since(asked))
		if (err == nil) != (last == nil) {
			n.changes = append(n.changes, change{time.Now(), err})
		}
		n.offset = max(n.offset, n.clock.Offset().Abs())
		n.mu.Unlock()
		last = err
	}
}

func (n *network) begin() {
	ctx, cancel := context.WithCancel(context.Background())
	n.stopRepeating = cancel
	n.before, n.began = n.traffic(), time.Now()
	n.fault.begin(n.proxy)
	if n.fault.every > 0 {
		n.repeating.Go(func() {
			for ticks := time.NewTicker(n.fault.every); ; {
				select {
				case <-ticks.C:
					n.fault.begin(n.proxy)
				case <-ctx.Done():
					ticks.Stop()
					return
				}
			}
		})
	}
}

func (n *network) end() {
	n.stopRepeating()
	n.repeating.Wait()
	after := n.traffic()
	n.during = traffic{after.connections - n.before.connections, after.pulls - n.before.pulls, after.messages - n.before.messages, after.logged - n.before.logged}
	n.ended = time.Now()
	if n.fault.end != nil {
		n.fault.end(n.proxy)
	}
}

func (n *network) traffic() traffic {
	n.log.mu.Lock()
	logged := strings.Count(n.log.text.String(), "\n")
	n.log.mu.Unlock()
	return traffic{n.proxy.Accepted(), n.pulls.Seen(), n.sent.Seen(), logged}
}

// check holds that the fault did no harm.
func (n *network) check(t *testing.T) {
	t.Parallel()
	eventstest.Within(t, notice, n.Ready)
	if err := <-n.published; err != nil {
		t.Fatal(err)
	}
	eventstest.Eventually(t, idle(t, n.js, "ORDER"))
	drained := time.Since(n.ended)
	n.checkCompletions(t)

	noticed, back := n.readiness()
	switch {
	case n.fault.stops && (noticed == 0 || noticed > notice):
		t.Errorf("noticed after %s; want at most %s", noticed, notice)
	case n.fault.stops && (back <= 0 || back > notice):
		t.Errorf("ready %s after its end; want at most %s", back, notice)
	case n.fault.short && back > notice:
		t.Errorf("ready %s after its end; want at most %s", back, notice)
	case !n.fault.stops && !n.fault.short && n.fault.every == 0 && noticed != 0:
		t.Errorf("not ready %s after it began", noticed)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	seconds := n.ended.Sub(n.began).Seconds()
	t.Logf("noticed after %.1f s, ready %.1f s after its end, seen drained %.1f s after it; connections %d, pulls %d, messages %d, lines of the log %d in %.0f s; clock at most %s off; readiness told within %.1f s",
		noticed.Seconds(), back.Seconds(), drained.Seconds(), n.during.connections, n.during.pulls, n.during.messages, n.during.logged, seconds, n.offset, n.slowest.Seconds())
	for what, count := range map[string]int{"connections": n.during.connections, "pulls": n.during.pulls, "lines of the log": n.during.logged} {
		if perSecond := float64(count) / seconds; perSecond > 10 {
			t.Errorf("%.0f %s a second; want at most 10", perSecond, what)
		}
	}
	if perSecond := float64(n.during.messages) / seconds; n.fault.stops && perSecond > 10 {
		t.Errorf("%.0f messages a second into the void; want at most 10", perSecond)
	}
	if n.offset > time.Second {
		t.Errorf("the clock was %s off", n.offset)
	}
	if n.slowest > 10*time.Second { // nats.go holds its lock while it tries to connect, for 2 s
		t.Errorf("readiness was told after %s", n.slowest)
	}
}

// readiness returns how long after the fault's beginning it showed, and how long after its end it
// was last over. 0: it never showed.
func (n *network) readiness() (noticed, back time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.changes {
		if c.err != nil && noticed == 0 {
			noticed = c.at.Sub(n.began)
		}
		if c.err == nil {
			back = c.at.Sub(n.ended)
		}
	}
	return noticed, back
}

// checkCompletions holds that each request is named in one completion, and each watch has one.
func (n *network) checkCompletions(t *testing.T) {
	t.Helper()
	got, want, watches := make(map[string]int), make(map[string]int), make(map[string]bool)
	for _, id := range n.requests {
		want[id] = 1
	}
	for _, e := range eventstest.Events(t, n.js, "ORDER_EVENTS", "orders.completed.>") {
		c := e.Completion(t)
		if watches[c.WatchID] {
			t.Errorf("watch %s completed twice", c.WatchID)
		}
		watches[c.WatchID] = true
		for _, r := range c.Requests {
			got[r.ID]++
		}
		if w := readRecord(t, n.js, c.OrderName); w.State != watcher.Ended {
			t.Errorf("the record of %s is %s", c.OrderName, w.State)
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("completions name %v; want each of %d requests once", got, len(n.requests))
	}
}
