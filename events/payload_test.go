//go:build !race

// A reload of nats-server reads its options beside a direct get without a lock: the race detector would tell of
// the server. With it, the tests of real processes in cmd/orderwatch lower the limit.

package events_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/events"
	"github.com/orderwatch/orderwatch/watcher"
)

// largeRequest is a request with as many labels as one may have.
func largeRequest(name, id string) map[string]any {
	r, labels := request(name), make(map[string]string)
	for i := range 32 {
		labels[fmt.Sprintf("label-%02d-%s", i, strings.Repeat("k", 50))] = strings.Repeat("v", 256)
	}
	r["request_id"], r["labels"] = id, labels
	return r
}

// TestPayloadLowered lowers the server's max_payload by a reload under an order whose record is larger then. The
// server does not tell its clients, and closes the connection of one that sends more. That is at most the one worker
// which was just writing; it ends, and is started again. The others ask before they write: the wake-up ends no
// second one. The completion names every request.
func TestPayloadLowered(t *testing.T) {
	t.Parallel()
	options := server.Options{Port: -1, StoreDir: t.TempDir(), MaxPayload: 1 << 20}
	s := startServerAs(t, options)
	_, js := connect(t, s)
	var over atomic.Bool
	cloud := &orders{show: func(watcher.Order, int) (watcher.Answer, error) {
		if over.Load() {
			return answer(watcher.Succeed), nil
		}
		return answer(watcher.Processing), nil
	}}
	var workers []*running
	for range 3 {
		w := parts{url: s.ClientURL(), config: config(), orders: cloud}.start(t)
		eventually(t, w.Ready)
		workers = append(workers, w)
	}
	const joins = 35
	for i := range joins {
		publish(t, js, largeRequest("order.large", fmt.Sprintf("build-%d", i)))
	}
	eventually(t, func() error {
		if w := readRecord(t, js, "order.large"); len(w.Requests) < joins {
			return fmt.Errorf("%d requests joined; want %d", len(w.Requests), joins)
		}
		return nil
	})
	lower(t, s, options, 256<<10)
	restarted := make(chan int, 3)
	for i, w := range workers {
		go func() {
			<-w.ended
			if errors.Is(w.Alive(), events.ErrClosed) {
				restarted <- i
			}
		}()
	}
	polls := cloud.count(watcher.Order{ProjectID: project, Name: "order.large"})
	eventually(t, cloud.polled("order.large", polls+6))
	if w := readRecord(t, js, "order.large"); w.Polls < polls || len(w.Requests) != joins {
		t.Errorf("the record has %d polls and %d requests; want %d and %d at least", w.Polls, len(w.Requests), polls, joins)
	}
	over.Store(true)
	eventually(t, idle(t, js, "ORDER"))
	completions := readEvents(t, js, "ORDER_EVENTS", "orders.completed.")
	if len(completions) != 1 || len(completions[0].completion(t).Requests) != joins {
		t.Errorf("%d completions; want one that names %d requests", len(completions), joins)
	}
	if n := len(restarted); n > 1 {
		t.Errorf("%d of 3 workers lost their connections", n)
	} else if n == 1 {
		i := <-restarted
		workers[i] = startWorker(t, s, config(), cloud)
	}
	for i, w := range workers {
		eventually(t, w.Ready)
		if err := w.Alive(); err != nil {
			t.Errorf("worker %d: %v", i, err)
		}
	}
}

// lower changes the server's max_payload as a reload of its configuration does.
func lower(t *testing.T, s *server.Server, options server.Options, limit int32) {
	t.Helper()
	options.Host, options.JetStream, options.NoSigs, options.NoLog = "127.0.0.1", true, true, true
	options.MaxPayload = limit
	if err := s.ReloadOptions(&options); err != nil {
		t.Fatal(err)
	}
}

// TestPayloadLoweredAtTheDeadline restarts the only worker under the lower limit: the watch ends at its deadline.
func TestPayloadLoweredAtTheDeadline(t *testing.T) {
	t.Parallel()
	options := server.Options{Port: -1, StoreDir: t.TempDir(), MaxPayload: 1 << 20}
	s := startServerAs(t, options)
	_, js := connect(t, s)
	cloud := &orders{show: endedAfter(1 << 30)}
	first := startWorker(t, s, config(), cloud)
	const joins = 35
	for i := range joins {
		r := largeRequest("order.large", fmt.Sprintf("build-%d", i))
		r["timeout"] = "20s"
		publish(t, js, r)
	}
	eventually(t, func() error {
		if w := readRecord(t, js, "order.large"); len(w.Requests) < joins {
			return fmt.Errorf("%d requests joined; want %d", len(w.Requests), joins)
		}
		return nil
	})
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	lower(t, s, options, 256<<10)
	second := startWorker(t, s, config(), cloud)
	if c := second.next(t); c.Outcome != watcher.TimedOut || len(c.Requests) != joins {
		t.Errorf("%s with %d requests; want timed_out with %d", c.Outcome, len(c.Requests), joins)
	}
}

// TestConnectionClosedForGood holds that a worker whose connection the library gave up ends, and says why.
func TestConnectionClosedForGood(t *testing.T) {
	t.Parallel()
	options := server.Options{Port: -1, StoreDir: t.TempDir(), MaxPayload: 1 << 20}
	s := startServerAs(t, options)
	w := parts{url: s.ClientURL(), config: config(), orders: &orders{show: ended(watcher.Succeed)}}.start(t)
	eventually(t, w.Ready)
	if err := w.Alive(); err != nil {
		t.Fatal(err)
	}
	lower(t, s, options, 256<<10)
	if err := w.nc.Publish("anything", make([]byte, 300<<10)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-w.ended:
	case <-time.After(patience):
		t.Fatal("the worker goes on without a connection")
	}
	for _, err := range []error{w.stop(), w.Alive()} {
		if !errors.Is(err, events.ErrClosed) || !strings.Contains(strings.ToLower(err.Error()), "maximum payload") {
			t.Errorf("error %v; want that the connection is closed, and why", err)
		}
	}
	if w.nc.Status() != nats.CLOSED {
		t.Error("the connection is open")
	}
}
