package events_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// A cluster is three servers inside this process.
type cluster struct {
	servers []*server.Server
	url     string // of all
	js      jetstream.JetStream
	nc      *nats.Conn
}

// freePort returns a port on which nobody listens, below those that systems give to connections.
func freePort(t *testing.T) int {
	t.Helper()
	for range 1000 {
		port := 10_000 + rand.IntN(20_000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

func startServers(t *testing.T) *cluster {
	t.Helper()
	var routes []*url.URL
	var ports []int
	for range 3 {
		port := freePort(t)
		ports = append(ports, port)
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", port)})
	}
	c := new(cluster)
	var urls []string
	for i, port := range ports {
		options := &server.Options{
			ServerName: fmt.Sprintf("n%d", i+1), Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: port}, Routes: routes,
		}
		s, err := server.NewServer(options)
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		c.servers = append(c.servers, s)
	}
	for _, s := range c.servers {
		if !s.ReadyForConnections(eventstest.Patience) {
			t.Fatal("nats-server does not answer")
		}
		urls = append(urls, s.ClientURL())
	}
	c.url = strings.Join(urls, ",")
	var err error
	if c.nc, err = nats.Connect(c.url, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.nc.Close)
	if c.js, err = jetstream.New(c.nc); err != nil {
		t.Fatal(err)
	}
	eventstest.Eventually(t, func() error {
		_, err := c.js.AccountInfo(t.Context())
		return err
	})
	return c
}

// replicas does what nats stream edit --replicas does.
func (c *cluster) replicas(t *testing.T, stream string, n int) {
	t.Helper()
	eventstest.Eventually(t, func() error { // the servers may be busy with the change before
		s, err := c.js.Stream(t.Context(), stream)
		if err != nil {
			return err
		}
		config := s.CachedInfo().Config
		config.Replicas = n
		_, err = c.js.UpdateStream(t.Context(), config)
		return err
	})
	eventstest.Eventually(t, func() error {
		s, err := c.js.Stream(t.Context(), stream)
		if err != nil {
			return err
		}
		info := s.CachedInfo()
		if info.Cluster == nil || info.Cluster.Leader == "" || len(info.Cluster.Replicas) != n-1 {
			return fmt.Errorf("%s has not %d replicas yet", stream, n)
		}
		return nil
	})
}

// stepDown does what nats stream cluster step-down does.
func (c *cluster) stepDown(t *testing.T, stream string) {
	t.Helper()
	eventstest.Eventually(t, func() error {
		reply, err := c.nc.Request("$JS.API.STREAM.LEADER.STEPDOWN."+stream, nil, 5*time.Second)
		if err != nil {
			return err
		}
		var answer struct{ Error *jetstream.APIError }
		if err := json.Unmarshal(reply.Data, &answer); err != nil {
			return err
		}
		if answer.Error != nil {
			return answer.Error
		}
		return nil
	})
}

// TestReplicasChanged changes the replicas of ORDER_WAKEUPS from 1 to 3 under open watches, lets its leader step
// down, and changes them back: no watch stands still. The patrol, which would wake them later, is told to wait for an
// hour. The log says for how long a watch was not polled: on an idle machine at most 15 s. Case N3.
func TestReplicasChanged(t *testing.T) {
	t.Parallel()
	c := startServers(t)
	cfg := config()
	cfg.Timing = store.DefaultTiming()
	cfg.Timing.PatrolSlack = time.Hour
	cfg.Policy.Backoff = watcher.Backoff{Initial: time.Second, Multiplier: 1.5, Max: 2 * time.Second, Jitter: 0.2}
	var pauses pauses
	cloud := &orders{show: func(order watcher.Order, _ int) (watcher.Answer, error) {
		pauses.polled(order)
		return answer(watcher.Processing), nil
	}}
	for range 2 {
		parts{url: c.url, config: cfg, orders: cloud}.ready(t)
	}
	const watches = 18
	for i := range watches {
		publish(t, c.js, request(fmt.Sprintf("order.%d", i)))
	}
	polled := func(more int) func() error {
		before := make(map[string]int)
		for i := range watches {
			name := fmt.Sprintf("order.%d", i)
			before[name] = cloud.count(watcher.Order{ProjectID: project, Name: name})
		}
		return func() error {
			var missing error
			for name, n := range before {
				missing = errors.Join(missing, cloud.polled(name, n+more)())
			}
			return missing
		}
	}
	all := polled(2)
	eventstest.Eventually(t, all)
	for _, step := range []struct {
		name   string
		change func()
	}{
		{"replicas 3", func() { c.replicas(t, "ORDER_WAKEUPS", 3) }},
		{"step down", func() { c.stepDown(t, "ORDER_WAKEUPS") }},
		{"replicas 1", func() { c.replicas(t, "ORDER_WAKEUPS", 1) }},
		{"replicas 3 again", func() { c.replicas(t, "ORDER_WAKEUPS", 3) }},
	} {
		// One poll may have begun before, and its wake-up have come; the third comes of a timer that was set then.
		all := polled(3)
		pauses.reset()
		step.change()
		took := eventstest.Within(t, eventstest.Patience, all) // a watch that stood still would do so for an hour
		t.Logf("%s: all watches were polled three times within %s; the longest pause between two polls of one was %s", step.name, took, pauses.reset())
	}
}

// A pauses is how long orders were not polled.
type pauses struct {
	mu      sync.Mutex
	last    map[watcher.Order]time.Time
	longest time.Duration
}

// polled is told of each poll.
func (p *pauses) polled(order watcher.Order) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if last, ok := p.last[order]; ok {
		p.longest = max(p.longest, now.Sub(last))
	} else if p.last == nil {
		p.last = make(map[watcher.Order]time.Time)
	}
	p.last[order] = now
}

// reset returns the longest pause since the last reset.
func (p *pauses) reset() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	longest := p.longest
	p.longest = 0
	return longest
}

// Where many watches end and the others are polled between two looks, no wake-up is published and the log says
// nothing; where the stream was emptied, the wake-ups that are gone are published, and no others.
func TestOnlyMissingWakeUpsPublishedAgain(t *testing.T) {
	t.Parallel()
	b := newBeat(t, eventstest.Server(t), config())
	r := events.NewRearming(slog.New(slog.NewTextHandler(b.log, nil)), b.store)
	look := func() {
		t.Helper()
		if err := r.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	wake := func(name string) {
		t.Helper()
		k := watcher.Wakeup{Order: watcher.Order{ProjectID: project, Name: name}, WatchID: "w_" + name, Number: 7}
		if err := b.store.SetTimer(t.Context(), k, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := b.js.Stream(t.Context(), "ORDER_WAKEUPS")
	if err != nil {
		t.Fatal(err)
	}
	revisions := make(map[string]watcher.Revision)
	for _, name := range []string{"order.a", "order.b", "order.c", "order.d"} {
		revisions[name] = b.write(t, name, watcher.Watching, time.Hour, 0)
		wake(name)
	}
	look()
	look()

	for _, name := range []string{"order.a", "order.b", "order.c"} { // they end
		b.write(t, name, watcher.Ended, time.Hour, revisions[name])
		if err := stream.Purge(t.Context(), jetstream.WithPurgeSubject("orders.*."+project+"."+name)); err != nil {
			t.Fatal(err)
		}
	}
	wake("order.d") // it was polled
	last := lastSequence(t, stream)
	look()
	if r.Due() == 0 {
		t.Fatal("this did not look as if the stream was emptied")
	}
	for r.Due() > 0 {
		look()
	}
	if got := lastSequence(t, stream); got != last || b.log.line("published again") == nil {
		t.Errorf("wake-ups that were there are published again: the last is message %d; want %d", got, last)
	}

	revisions["order.e"] = b.write(t, "order.e", watcher.Watching, time.Hour, 0)
	wake("order.e")
	look()
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	wake("order.e") // it was polled meanwhile
	last = lastSequence(t, stream)
	look()
	for r.Due() > 0 {
		look()
	}
	if got := lastSequence(t, stream); got != last+1 || b.woken(t, "order.d") != 1 || b.log.line("were gone", "published again", "wakeups=1") != nil {
		t.Errorf("the last is message %d, with %d of the watch that misses its own; want %d and 1, and a line in the log that says so", got, b.woken(t, "order.d"), last+1)
	}
}

// The wake-ups that are expected first are published first: those of a hundred thousand watches take minutes.
func TestSoonestPublishedAgainFirst(t *testing.T) {
	t.Parallel()
	const watches, atOnce = 64, 16
	b := newBeat(t, eventstest.Server(t), config())
	r := events.NewRearming(slog.New(slog.NewTextHandler(b.log, nil)), b.store)
	rank := make(map[string]int) // by when the wake-up is expected
	for i := range watches {
		name := fmt.Sprintf("order.%d", i)
		rank[name] = i * 37 % watches
		b.write(t, name, watcher.Watching, time.Hour+time.Duration(rank[name])*time.Minute, 0)
		k := watcher.Wakeup{Order: of(name), WatchID: "w_" + name, Number: 7}
		if err := b.store.SetTimer(t.Context(), k, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	stream, err := b.js.Stream(t.Context(), "ORDER_WAKEUPS")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := lastSequence(t, stream)
	if err := r.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := lastSequence(t, stream) - before; got != watches {
		t.Fatalf("%d wake-ups published again; want %d", got, watches)
	}
	for i := range watches {
		m, err := stream.GetMsg(t.Context(), before+1+uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(m.Subject, project+".")
		if rank[name] > i+atOnce { // so many are published at a time: one of them may come late, but none earlier than that
			t.Errorf("message %d is the wake-up of %s, which is number %d by when it is expected", i, name, rank[name])
		}
	}
}

func lastSequence(t *testing.T, stream jetstream.Stream) uint64 {
	t.Helper()
	info, err := stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.State.LastSeq
}
