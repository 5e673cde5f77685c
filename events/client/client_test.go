package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/proxy"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// newClient returns a client of the installation that [eventstest.StoreConfig] names.
func newClient(t *testing.T, nc *nats.Conn) *client.Client {
	t.Helper()
	c, err := client.New(nc, eventstest.StoreConfig().Names)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// makeStreams makes the streams that a client meets, without a worker.
func makeStreams(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	for _, config := range []jetstream.StreamConfig{
		{Name: "ORDER_REQUESTS", Subjects: []string{"orders.watch"}, Retention: jetstream.WorkQueuePolicy},
		{Name: "ORDER_EVENTS", Subjects: []string{"orders.completed.>", "orders.progress.>", "orders.rejected", "orders.attention.>"}, AllowDirect: true},
	} {
		if _, err := js.CreateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
	}
}

// tell stores events with the ids from first to last.
func tell(t *testing.T, js jetstream.JetStream, subject string, first, last int) {
	t.Helper()
	for id := first; id <= last; id++ {
		body := fmt.Sprintf(`{"specversion":"1.0","id":"%d","source":"/orderwatch","type":"io.orderwatch.test.v1"}`, id)
		eventstest.Eventually(t, func() error {
			_, err := js.Publish(t.Context(), subject, []byte(body))
			return err
		})
	}
}

// A following is what a client got to see.
type following struct {
	mu    sync.Mutex
	ids   []int
	aways []error
	ready chan struct{}
	ended chan error
}

// follow begins to follow, and waits until it does.
func follow(t *testing.T, c *client.Client, filter client.Filter) *following {
	t.Helper()
	f := &following{ready: make(chan struct{}), ended: make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		f.ended <- c.Follow(ctx, filter, func() { close(f.ready) }, f.away, f.take)
	}()
	t.Cleanup(func() {
		cancel()
		f.end(t)
	})
	select {
	case <-f.ready:
	case <-time.After(eventstest.Patience):
		t.Fatal("does not follow within 30 s")
	}
	return f
}

func (f *following) away(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.aways = append(f.aways, err)
}

func (f *following) take(e client.Event) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	id, err := strconv.Atoi(e.ID())
	f.ids = append(f.ids, id)
	return err
}

// end returns what Follow returned.
func (f *following) end(t *testing.T) error {
	select {
	case err := <-f.ended:
		f.ended <- err
		return err
	case <-time.After(eventstest.Patience):
		t.Error("still following after 30 s")
		return nil
	}
}

// saw returns nil once the ids from first to last came, in that order and each once.
func (f *following) saw(first, last int) func() error {
	return func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		var want []int
		for id := first; id <= last; id++ {
			want = append(want, id)
		}
		if !slices.Equal(f.ids, want) {
			return fmt.Errorf("%d events: %v; want %d to %d", len(f.ids), f.ids, first, last)
		}
		return nil
	}
}

func portOf(t *testing.T, s *server.Server) int {
	t.Helper()
	return s.Addr().(*net.TCPAddr).Port
}

func TestFollowOverARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := eventstest.Server(t, server.Options{StoreDir: dir})
	nc, js := eventstest.Connect(t, s)
	makeStreams(t, js)
	tell(t, js, "orders.progress.p.o", 1, 20)
	all := follow(t, newClient(t, nc), client.Filter{})
	nc2, _ := eventstest.Connect(t, s)
	fresh := follow(t, newClient(t, nc2), client.Filter{New: true})
	eventstest.Eventually(t, all.saw(1, 20))

	port := portOf(t, s)
	s.Shutdown()
	s.WaitForShutdown()
	eventstest.Server(t, server.Options{StoreDir: dir, Port: port})
	tell(t, js, "orders.progress.p.o", 21, 40)
	eventstest.Eventually(t, all.saw(1, 40))
	eventstest.Eventually(t, fresh.saw(21, 40)) // it had seen none before the restart

	all.mu.Lock()
	defer all.mu.Unlock()
	for i, err := range all.aways {
		if (err == nil) != (i%2 == 1) {
			t.Errorf("away was told %v; want each outage once, and its end", all.aways)
		}
	}
}

// TestFollowAStreamMadeAnew deletes the stream under a client that follows it, and makes it anew: all of it is news.
func TestFollowAStreamMadeAnew(t *testing.T) {
	t.Parallel()
	nc, js := eventstest.Connect(t, eventstest.Server(t))
	makeStreams(t, js)
	tell(t, js, "orders.progress.p.o", 1, 20)
	f := follow(t, newClient(t, nc), client.Filter{})
	eventstest.Eventually(t, f.saw(1, 20))
	if err := js.DeleteStream(t.Context(), "ORDER_EVENTS"); err != nil {
		t.Fatal(err)
	}
	makeStreams(t, js)
	tell(t, js, "orders.progress.p.o", 21, 25)
	eventstest.Eventually(t, f.saw(1, 25))
}

// TestFollowClosesGaps loses events on their way to the client.
func TestFollowClosesGaps(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	makeStreams(t, js)
	p, err := proxy.Listen("127.0.0.1:0", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	lost := []*proxy.Active{
		p.Add(proxy.Rule{Way: proxy.ToClient, Subject: "orders.progress.>", Skip: 5, Times: 1, Do: proxy.Lose}),
		p.Add(proxy.Rule{Way: proxy.ToClient, Subject: "orders.progress.>", Skip: 25, Times: 3, Do: proxy.Lose}),
	}
	nc, err := nats.Connect(p.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	tell(t, js, "orders.progress.p.o", 1, 30)
	f := follow(t, newClient(t, nc), client.Filter{})
	eventstest.Eventually(t, f.saw(1, 30))
	tell(t, js, "orders.progress.p.o", 31, 60)
	eventstest.Eventually(t, f.saw(1, 60))
	for i, rule := range lost {
		if rule.Acted() == 0 {
			t.Errorf("rule %d lost nothing", i)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.aways) > 0 {
		t.Errorf("away was told %v of gaps that were closed at once", f.aways)
	}
}

// TestFollowKeepsItsPlace takes the consumer away before it has brought anything.
func TestFollowKeepsItsPlace(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, js := eventstest.Connect(t, s)
	makeStreams(t, js)
	tell(t, js, "orders.progress.p.o", 1, 5)
	f := follow(t, newClient(t, nc), client.Filter{New: true})
	stream, err := js.Stream(t.Context(), "ORDER_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	for name := range stream.ConsumerNames(t.Context()).Name() {
		if err := stream.DeleteConsumer(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	tell(t, js, "orders.progress.p.o", 6, 9)
	eventstest.Eventually(t, f.saw(6, 9))
}

func TestFollowStopsAtTheEnd(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, js := eventstest.Connect(t, s)
	makeStreams(t, js)
	c := newClient(t, nc)
	if err := follow(t, c, client.Filter{Stop: true}).end(t); err != nil {
		t.Errorf("of an empty stream: %v", err)
	}
	tell(t, js, "orders.progress.p.o", 1, 10)
	tell(t, js, "orders.completed.failed.p.o.p", 11, 20)
	second := stored(t, js, 11)
	tell(t, js, "orders.completed.succeeded.q.o", 21, 30)
	for _, test := range []struct {
		name        string
		filter      client.Filter
		first, last int
	}{
		{"all", client.Filter{}, 1, 30},
		{"of some subjects", client.Filter{Subjects: []string{c.Subject("completed.failed.p.>"), c.Subject("completed.succeeded.>")}}, 11, 30},
		{"of an order", client.Filter{Subjects: c.OrderSubjects(watcher.Order{ProjectID: "p", Name: "o"})}, 1, 10},
		{"from a sequence", client.Filter{Sequence: 28}, 28, 30},
		{"since a time", client.Filter{Since: second}, 11, 30},
		{"since now", client.Filter{Since: time.Now().Add(time.Minute)}, 1, 0},
		{"new ones", client.Filter{New: true}, 1, 0},
	} {
		test.filter.Stop = true
		f := follow(t, c, test.filter)
		if err := f.end(t); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if err := f.saw(test.first, test.last)(); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
	}

	seen := 0
	broken := errors.New("broken")
	for end, want := range map[error]error{client.ErrStop: nil, broken: broken} {
		if err := c.Follow(t.Context(), client.Filter{}, nil, nil, func(client.Event) error { seen++; return end }); !errors.Is(err, want) {
			t.Errorf("Follow returned %v; want %v", err, want)
		}
	}
	if seen != 2 {
		t.Errorf("it went on after the end: %d events", seen)
	}
}

// stored returns when the message was stored.
func stored(t *testing.T, js jetstream.JetStream, sequence uint64) time.Time {
	t.Helper()
	s, err := js.Stream(t.Context(), "ORDER_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.GetMsg(t.Context(), sequence)
	if err != nil {
		t.Fatal(err)
	}
	return m.Time
}

// TestDenied lets users ask for what they may not. Each is told soon, and what they may goes on.
func TestDenied(t *testing.T) {
	t.Parallel()
	allow := func(subjects ...string) *server.SubjectPermission { return &server.SubjectPermission{Allow: subjects} }
	users := []*server.User{
		{Username: "setup", Password: "x"},
		{Username: "follower", Password: "x", Permissions: &server.Permissions{
			Publish: allow("$JS.API.CONSUMER.>"), Subscribe: allow("_INBOX.>"),
		}},
		{Username: "producer", Password: "x", Permissions: &server.Permissions{Publish: allow("orders.watch"), Subscribe: allow("_INBOX.>")}},
		{Username: "person", Password: "x", Permissions: &server.Permissions{Publish: allow("orders.watch", "orderwatch.*"), Subscribe: allow("_INBOX.>")}},
		{Username: "deaf", Password: "x", Permissions: &server.Permissions{Publish: allow(">"), Subscribe: allow("another.>")}},
	}
	s := eventstest.Server(t, server.Options{Users: users})
	as := func(user string) *nats.Conn {
		nc, err := nats.Connect(s.ClientURL(), nats.UserInfo(user, "x"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc
	}
	js, err := jetstream.New(as("setup"))
	if err != nil {
		t.Fatal(err)
	}
	makeStreams(t, js)
	order := watcher.Order{ProjectID: "p", Name: "o"}
	request := wire.WatchRequest{Order: order, RequestID: "r"}

	follower := newClient(t, as("follower"))
	f := follow(t, follower, client.Filter{})
	producer, deaf := newClient(t, as("producer")), newClient(t, as("deaf"))
	for _, test := range []struct {
		name    string
		call    func(context.Context) error
		subject string
		reading bool
	}{
		{"get", func(ctx context.Context) error { _, err := follower.Get(ctx, order); return err }, "orderwatch.get", false},
		{"publish", func(ctx context.Context) error { _, err := follower.Publish(ctx, request); return err }, "orders.watch", false},
		{"follow", func(ctx context.Context) error { return producer.Follow(ctx, client.Filter{}, nil, nil, nil) }, "$JS.API.CONSUMER.CREATE.ORDER_EVENTS.", false},
		{"answers", func(ctx context.Context) error { _, err := deaf.Get(ctx, order); return err }, "_INBOX.", true},
		{"acknowledgement", func(ctx context.Context) error { _, err := deaf.Publish(ctx, request); return err }, "_INBOX.", true},
	} {
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), eventstest.Patience)
		err := test.call(ctx)
		cancel()
		why, ok := errors.AsType[*client.DeniedError](err)
		if !ok || !strings.HasPrefix(why.Subject, test.subject) || why.Reading != test.reading || !strings.Contains(err.Error(), why.Subject) {
			t.Errorf("%s: %v after %s", test.name, err, time.Since(begin))
		}
	}
	if sequence, err := producer.Publish(t.Context(), request); err != nil || sequence == 0 {
		t.Errorf("the producer publishes: %d, %v", sequence, err)
	}
	// Who follows events by the service, and finds no worker there, is not told of permissions first.
	err = newClient(t, as("person")).Follow(t.Context(), client.Filter{}, nil, nil, nil)
	if !errors.Is(err, client.ErrNoWorker) || !strings.HasPrefix(err.Error(), "nobody answers on orderwatch.events") {
		t.Errorf("a person without a worker: %v", err)
	}
	tell(t, js, "orders.progress.p.o", 1, 3)
	eventstest.Eventually(t, f.saw(1, 3)) // what else is denied does not end it
}

// TestPublishOverAnOutage stores a request that is published while the server is away, and one whose
// acknowledgement is lost.
func TestPublishOverAnOutage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := eventstest.Server(t, server.Options{StoreDir: dir})
	port := portOf(t, s)
	_, js := eventstest.Connect(t, s)
	makeStreams(t, js)
	p, err := proxy.Listen("127.0.0.1:0", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	lost := p.Add(proxy.Rule{Way: proxy.ToServer, Subject: "orders.watch", Skip: 1, Times: 1, Do: proxy.LoseAnswer})
	nc, err := nats.Connect(p.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	c := newClient(t, nc)
	publish := func(id string) error {
		ctx, cancel := context.WithTimeout(t.Context(), eventstest.Patience)
		defer cancel()
		sequence, err := c.Publish(ctx, wire.WatchRequest{Order: watcher.Order{ProjectID: "p", Name: "o"}, RequestID: id, Timeout: "1h", Labels: map[string]string{"k": "v"}})
		if err == nil && sequence == 0 {
			err = errors.New("no sequence")
		}
		return err
	}

	s.Shutdown()
	s.WaitForShutdown()
	published := make(chan error, 1)
	go func() { published <- publish("during") }()
	eventstest.Eventually(t, func() error {
		if nc.IsConnected() {
			return errors.New("still connected")
		}
		return nil
	})
	eventstest.Server(t, server.Options{StoreDir: dir, Port: port})
	if err := <-published; err != nil {
		t.Error(err)
	}
	if err := publish("after"); err != nil {
		t.Error(err)
	}
	if err := publish("last"); err != nil {
		t.Error(err)
	}
	if lost.Acted() != 1 {
		t.Error("no acknowledgement was lost")
	}
	ids := make(map[string]int)
	for _, m := range requestsIn(t, js) {
		ids[m.RequestID]++
	}
	if ids["during"] == 0 || ids["after"] == 0 || ids["last"] == 0 || len(ids) != 3 {
		t.Errorf("stored: %v", ids)
	}
}

// requestsIn returns what ORDER_REQUESTS holds.
func requestsIn(t *testing.T, js jetstream.JetStream) (list []wire.WatchRequest) {
	t.Helper()
	s, err := js.Stream(t.Context(), "ORDER_REQUESTS")
	if err != nil {
		t.Fatal(err)
	}
	state := s.CachedInfo().State
	for sequence := state.FirstSeq; sequence <= state.LastSeq; sequence++ {
		m, err := s.GetMsg(t.Context(), sequence)
		if err != nil {
			t.Fatal(err)
		}
		var r wire.WatchRequest
		if err := json.Unmarshal(m.Data, &r); err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

// TestNobodyThere asks where no worker ever was.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	nc, _ := eventstest.Connect(t, eventstest.Server(t))
	c := newClient(t, nc)
	order := watcher.Order{ProjectID: "p", Name: "o"}
	_, err := c.Get(t.Context(), order)
	if !errors.Is(err, client.ErrNoWorker) {
		t.Errorf("get: %v", err)
	}
	if err := c.Follow(t.Context(), client.Filter{}, nil, nil, nil); !errors.Is(err, client.ErrNoWorker) {
		t.Errorf("follow: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), eventstest.Patience) // it tries again, and gives up by itself
	defer cancel()
	if _, err := c.Publish(ctx, wire.WatchRequest{Order: order, RequestID: "r"}); !errors.Is(err, client.ErrNoWorker) {
		t.Errorf("publish: %v", err)
	}
}
