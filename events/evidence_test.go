package events_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events"
	"github.com/orderwatch/orderwatch/watcher"
)

func TestPublished(t *testing.T) {
	api := func(status, code int) error {
		return fmt.Errorf("publish: %w", &jetstream.APIError{Code: status, ErrorCode: jetstream.ErrorCode(code), Description: "refused"})
	}
	for _, test := range []struct {
		name     string
		err      error
		conflict bool
	}{
		{"wrong last sequence", api(400, 10071), true},
		{"another is under way", api(400, 10164), false},
		{"another is under way in the same batch", api(400, 10158), false},
		{"insufficient storage", api(503, 10047), false},
		{"maximum of messages", api(400, 10077), false},
		{"timeout", nats.ErrTimeout, false},
		{"deadline", context.DeadlineExceeded, false},
		{"no responders", nats.ErrNoResponders, false},
		{"no stream answers", jetstream.ErrNoStreamResponse, false},
		{"connection closed", nats.ErrConnectionClosed, false},
	} {
		got := events.Published(test.err)
		if errors.Is(got, watcher.ErrConflict) != test.conflict || !errors.Is(got, test.err) {
			t.Errorf("%s: got %v; want the error itself, a conflict: %t", test.name, got, test.conflict)
		}
	}
	if err := events.Published(nil); err != nil {
		t.Errorf("stored: %v", err)
	}
}

func TestNotThere(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		want bool
	}{
		{"no message", jetstream.ErrMsgNotFound, true},
		{"no message, wrapped", fmt.Errorf("read: %w", jetstream.ErrMsgNotFound), true},
		{"no message, by code", &jetstream.APIError{Code: 404, ErrorCode: 10037}, true},
		{"no message, by status", &jetstream.APIError{Code: 404}, true},
		{"no stream", &jetstream.APIError{Code: 404, ErrorCode: 10059}, false},
		{"no stream, by name", jetstream.ErrStreamNotFound, false},
		{"no consumer", &jetstream.APIError{Code: 404, ErrorCode: 10014}, false},
		{"not now", &jetstream.APIError{Code: 503, ErrorCode: 10008}, false},
		{"timeout", nats.ErrTimeout, false},
		{"no responders", nats.ErrNoResponders, false},
		{"stored", nil, false},
	} {
		if got := events.NotThere(test.err); got != test.want {
			t.Errorf("%s: %t; want %t", test.name, got, test.want)
		}
	}
}

func newStore(t *testing.T) (events.Store, jetstream.JetStream) {
	t.Helper()
	cfg := config()
	cfg.Timing.Request = 500 * time.Millisecond
	b := newBeat(t, startServer(t, t.TempDir(), -1), cfg)
	return b.store, b.js
}

// A completion is published after the order's last one only, whatever their outcomes.
func TestCompleteOnce(t *testing.T) {
	t.Parallel()
	store, js := newStore(t)
	order := watcher.Order{ProjectID: project, Name: "order.pool"}
	completion := func(order watcher.Order, id string, outcome watcher.Outcome) watcher.Completion {
		return watcher.Completion{
			Report:  watcher.Report{WatchID: id, Region: "cn-north-4", ProjectID: order.ProjectID, OrderName: order.Name},
			Outcome: outcome, CompletedAt: time.Now().UTC(),
		}
	}
	last := func() (string, uint64) {
		t.Helper()
		id, sequence, err := store.LastCompletion(t.Context(), order)
		if err != nil {
			t.Fatal(err)
		}
		return id, sequence
	}
	if id, sequence := last(); id != "" || sequence != 0 {
		t.Errorf("before any: %q at %d", id, sequence)
	}
	// Neighbours share a part of the subject, and are none of the order's business.
	for _, neighbour := range []watcher.Order{
		{ProjectID: project, Name: "order"}, {ProjectID: project, Name: "order.pool.more"}, {ProjectID: "other", Name: "order.pool"},
	} {
		if err := store.Complete(t.Context(), completion(neighbour, "w_0", watcher.Succeeded), 0); err != nil {
			t.Fatal(err)
		}
	}
	var after uint64
	for i, outcome := range watcher.Outcomes {
		c := completion(order, fmt.Sprintf("w_%d", i+1), outcome)
		if i > 0 {
			for name, stale := range map[string]uint64{"none": 0, "the one before": after - 1, "one to come": after + 1} {
				if err := store.Complete(t.Context(), c, stale); !errors.Is(err, watcher.ErrConflict) {
					t.Errorf("%s, expecting %s: %v; want ErrConflict", outcome, name, err)
				}
			}
		}
		if err := store.Complete(t.Context(), c, after); err != nil {
			t.Fatalf("%s: %v", outcome, err)
		}
		if err := store.Complete(t.Context(), c, after); !errors.Is(err, watcher.ErrConflict) {
			t.Errorf("%s, again: %v; want ErrConflict", outcome, err)
		}
		id, sequence := last()
		if id != c.WatchID || sequence <= after {
			t.Errorf("the last completion is %s at %d; want %s", id, sequence, c.WatchID)
		}
		after = sequence
	}
	if list := readEvents(t, js, "ORDER_EVENTS", "orders.completed."); len(list) != 3+len(watcher.Outcomes) {
		t.Errorf("%d events; want one for each watch", len(list))
	}
}

func TestRecordRevisions(t *testing.T) {
	t.Parallel()
	store, js := newStore(t)
	order := watcher.Order{ProjectID: project, Name: "order.pool"}
	for name, read := range map[string]func(context.Context, watcher.Order) (watcher.Watch, watcher.Revision, error){"Read": store.Read, "ReadLatest": store.ReadLatest} {
		if _, revision, err := read(t.Context(), order); !errors.Is(err, watcher.ErrNoRecord) || revision != 0 {
			t.Errorf("%s before any: revision %d, %v; want ErrNoRecord", name, revision, err)
		}
	}
	w := watcher.Watch{Schema: 1, State: watcher.Watching, ID: "w_1", Order: order, Wakeup: 1}
	write := func(revision watcher.Revision) (watcher.Revision, error) {
		return store.Write(t.Context(), w, revision)
	}
	first, err := write(0)
	if err != nil {
		t.Fatal(err)
	}
	second, err := write(first)
	if err != nil {
		t.Fatal(err)
	}
	for _, stale := range []watcher.Revision{0, first, second + 1} {
		if _, err := write(stale); !errors.Is(err, watcher.ErrConflict) {
			t.Errorf("written over revision %d: %v; want ErrConflict", stale, err)
		}
	}
	bucket, err := js.KeyValue(t.Context(), "ORDER_WATCHES")
	if err != nil {
		t.Fatal(err)
	}
	if err := bucket.Delete(t.Context(), order.Key()); err != nil {
		t.Fatal(err)
	}
	_, deleted, err := store.ReadLatest(t.Context(), order)
	if !errors.Is(err, watcher.ErrNoRecord) || deleted != second+1 {
		t.Errorf("after its deletion: revision %d, %v; want %d, ErrNoRecord", deleted, err, second+1)
	}
	if _, err := write(deleted); err != nil {
		t.Errorf("after its deletion: %v", err)
	}
}

// That a stream or a server is not there says nothing of what it held.
func TestAbsenceIsNoProof(t *testing.T) {
	t.Parallel()
	store, js := newStore(t)
	order := watcher.Order{ProjectID: project, Name: "order.pool"}
	check := func(when string) {
		t.Helper()
		if _, _, err := store.Read(t.Context(), order); err == nil || errors.Is(err, watcher.ErrNoRecord) {
			t.Errorf("%s: Read: %v", when, err)
		}
		if _, _, err := store.ReadLatest(t.Context(), order); err == nil || errors.Is(err, watcher.ErrNoRecord) {
			t.Errorf("%s: ReadLatest: %v", when, err)
		}
		if id, sequence, err := store.LastCompletion(t.Context(), order); err == nil {
			t.Errorf("%s: LastCompletion: %q at %d", when, id, sequence)
		}
		w := watcher.Watch{Schema: 1, State: watcher.Watching, ID: "w_1", Order: order, Wakeup: 1}
		if _, err := store.Write(t.Context(), w, 0); err == nil || errors.Is(err, watcher.ErrConflict) {
			t.Errorf("%s: Write: %v", when, err)
		}
	}
	for _, stream := range []string{"KV_ORDER_WATCHES", "ORDER_EVENTS"} {
		if err := js.DeleteStream(t.Context(), stream); err != nil {
			t.Fatal(err)
		}
	}
	check("without streams")
	js.Conn().Close()
	check("without a connection")
}

// A proxy stands between a worker and its server. It swallows the server's acknowledgements of what
// was published to a stream, and cuts the connection then.
type proxy struct {
	listener net.Listener
	server   string
	stream   string

	mu   sync.Mutex
	left int // how many more are swallowed
}

func startProxy(t *testing.T, server, stream string, count int) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, server: server, stream: stream, left: count}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() { listener.Close(); serving.Wait() })
	return p
}

func (p *proxy) url() string { return "nats://" + p.listener.Addr().String() }

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	var asking sync.WaitGroup
	defer asking.Wait()
	asking.Go(func() {
		io.Copy(server, client)
		server.Close()
	})
	defer client.Close()
	for buffer := make([]byte, 64<<10); ; {
		n, err := server.Read(buffer)
		if err != nil || p.swallows(buffer[:n]) {
			return
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// swallows reports whether the answer holds an acknowledgement that is to be lost. That it came
// proves that the message was stored.
func (p *proxy) swallows(answer []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left == 0 || !bytes.Contains(answer, []byte(`{"stream":"`+p.stream+`"`)) {
		return false
	}
	p.left--
	return true
}

// What was stored although the answer was lost has no second effect.
func TestAnswerLost(t *testing.T) {
	t.Parallel()
	for _, stream := range []string{"KV_ORDER_WATCHES", "ORDER_WAKEUPS", "ORDER_EVENTS"} {
		t.Run(stream, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, t.TempDir(), -1)
			_, js := connect(t, s)
			cfg := config()
			cfg.PollTimeout = 200 * time.Millisecond
			cfg.Timing.Request = 300 * time.Millisecond
			cfg.Timing.AckWait = 1500 * time.Millisecond
			cfg.Timing.PatrolEvery = time.Minute // its lease is a write, too
			p := startProxy(t, s.Addr().String(), stream, 2)
			w := parts{url: p.url(), config: cfg, orders: &orders{show: ended(watcher.Succeed)}}.ready(t)
			names := poolNames(2)
			for _, name := range names {
				r := request(name)
				r["expected_items"] = 1 // the first poll ends the watch, without progress
				publish(t, js, r)
				w.next(t)
				eventually(t, idle(t, js, "ORDER"))
			}
			completedOnce(t, js, names...)
			for _, name := range names {
				if state := readRecord(t, js, name).State; state != watcher.Ended {
					t.Errorf("%s is %s", name, state)
				}
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.left > 0 {
				t.Errorf("%d of 2 acknowledgements were not swallowed", p.left)
			}
		})
	}
}
