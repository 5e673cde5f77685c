package events_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/watcher"
)

// gated is a cloud whose orders end once the gate is open.
func gated(open *atomic.Bool) *orders {
	return &orders{show: func(watcher.Order, int) (watcher.Answer, error) {
		if open.Load() {
			return answer(watcher.Succeed), nil
		}
		return answer(watcher.Processing), nil
	}}
}

// watch asks for n orders, and waits until each has been polled.
func watch(t *testing.T, js jetstream.JetStream, cloud *orders, n int) (names []string) {
	t.Helper()
	names = poolNames(n)
	for _, name := range names {
		publish(t, js, request(name))
	}
	for _, name := range names {
		eventstest.Eventually(t, cloud.polled(name, 1))
	}
	return names
}

// The server stops while watches are active, and comes back with what it had stored.
func TestServerRestarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := eventstest.Server(t, server.Options{StoreDir: dir})
	port := s.Addr().(*net.TCPAddr).Port
	_, js := eventstest.Connect(t, s)
	var open atomic.Bool
	cloud := gated(&open)
	cfg := config()
	cfg.Timing.AckWait = 4 * time.Second // what was in flight comes again that soon
	w := startWorker(t, s, cfg, cloud)
	names := watch(t, js, cloud, 20)

	s.Shutdown()
	s.WaitForShutdown()
	eventstest.Eventually(t, func() error {
		if w.Ready() == nil {
			return errors.New("ready without a server")
		}
		return nil
	})
	open.Store(true)
	eventstest.Server(t, server.Options{StoreDir: dir, Port: port})
	back := eventstest.Within(t, eventstest.Patience, w.Ready)
	done := eventstest.Within(t, eventstest.Patience, func() error {
		if len(w.told) < len(names) {
			return fmt.Errorf("%d of %d completed", len(w.told), len(names))
		}
		return nil
	})
	t.Logf("ready %s after the server's return, all completed %s later", back, done)
	eventstest.Eventually(t, idle(t, js, "ORDER"))
	completedOnce(t, js, names...)
}

// A consumer that somebody deletes is made anew, and work goes on.
func TestConsumerDeleted(t *testing.T) {
	t.Parallel()
	for stream, consumer := range map[string]string{"ORDER_REQUESTS": "intake", "ORDER_WAKEUPS": "poller", "ORDER_EVENTS": "slack"} {
		t.Run(consumer, func(t *testing.T) {
			t.Parallel()
			s := eventstest.Server(t)
			_, js := eventstest.Connect(t, s)
			var open atomic.Bool
			cloud := gated(&open)
			w := startWorker(t, s, config(), cloud)
			names := watch(t, js, cloud, 5)
			if err := js.DeleteConsumer(t.Context(), stream, consumer); err != nil {
				t.Fatal(err)
			}
			took := eventstest.Within(t, eventstest.Patience, func() error {
				if err := w.log.line("consumer does not deliver", "consumer="+consumer); err != nil {
					return err
				}
				return w.Ready()
			})
			t.Logf("ready again after %s", took)
			open.Store(true)
			publish(t, js, request("order.later"))
			for range len(names) + 1 {
				w.next(t)
			}
			eventstest.Eventually(t, idle(t, js, "ORDER"))
			if err := w.log.line("consumer delivers again", "consumer="+consumer); err != nil {
				t.Error(err)
			}
			completedOnce(t, js, append(names, "order.later")...)
			eventstest.Contract("orders", "ORDER").MadeAnew(t, js).Check(t, js)
		})
	}
}

// A stream made anew with settings that would lose work is not worked on: that shows, and work
// goes on once it is repaired.
func TestStreamReplaced(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	cfg := config()
	cfg.Timing.PatrolSlack = 300 * time.Millisecond
	cfg.Timing.Rebind.Max = 500 * time.Millisecond
	var open atomic.Bool
	cloud := gated(&open)
	w := startWorker(t, s, cfg, cloud)
	names := watch(t, js, cloud, 5)
	limited := eventstest.Contract("orders", "ORDER").Wakeups
	limited.MaxMsgs = 3
	if err := js.DeleteStream(t.Context(), limited.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), limited); err != nil {
		t.Fatal(err)
	}
	eventstest.Eventually(t, func() error { return w.log.line("level=ERROR", "consumer=poller", "max_msgs is 3") })
	if err := w.Ready(); err == nil || !strings.Contains(err.Error(), "max_msgs is 3") {
		t.Errorf("ready: %v; want that max_msgs is 3", err)
	}
	open.Store(true)
	if _, err := js.UpdateStream(t.Context(), eventstest.Contract("orders", "ORDER").Wakeups); err != nil {
		t.Fatal(err)
	}
	eventstest.Eventually(t, w.Ready)
	for range names {
		w.next(t)
	}
	eventstest.Eventually(t, idle(t, js, "ORDER"))
	completedOnce(t, js, names...)
}

// What is no wake-up is dropped, loudly, and disturbs nobody.
func TestPoison(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	w := startWorker(t, s, config(), &orders{show: ended(watcher.Succeed)})
	for subject, body := range map[string]string{
		"orders.due." + project + ".order.empty":    "",
		"orders.due." + project + ".order.text":     "wake up",
		"orders.due." + project + ".order.object":   "{}",
		"orders.due." + project + ".order.number":   `{"watch_id":"w_1","wakeup":0}`,
		"orders.due." + project + ".order.negative": `{"watch_id":"w_1","wakeup":-1}`,
		"orders.due." + project + ".order.type":     `{"watch_id":1,"wakeup":1}`,
		"orders.due." + project:                     `{"watch_id":"w_1","wakeup":1}`,
		"orders.due.no_project.order":               `{"watch_id":"w_1","wakeup":1}`,
		"orders.due." + project + ".order~":         `{"watch_id":"w_1","wakeup":1}`,
	} {
		if _, err := js.Publish(t.Context(), subject, []byte(body)); err != nil {
			t.Fatal(err)
		}
		eventstest.Eventually(t, func() error { return w.log.line("level=ERROR", "dropped what is no wake-up", "subject="+subject+" ") })
	}
	publish(t, js, request("order.pool"))
	w.next(t)
	eventstest.Eventually(t, idle(t, js, "ORDER"))
	completedOnce(t, js, "order.pool")
}

// A defect that one order meets is logged, and comes again; the others go on.
func TestPanic(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	var mended atomic.Bool
	cloud := &orders{show: func(order watcher.Order, _ int) (watcher.Answer, error) {
		if order.Name == "order.pool-0" && !mended.Load() {
			panic("defect")
		}
		return answer(watcher.Succeed), nil
	}}
	cfg := config()
	cfg.Concurrency = 1
	cfg.Timing.PutBack.Max = 200 * time.Millisecond
	w := startWorker(t, s, cfg, cloud)
	names := watch(t, js, cloud, 5)
	for range len(names) - 1 {
		if c := w.next(t); c.OrderName == names[0] {
			t.Errorf("%s completed: %s", c.OrderName, c.Outcome)
		}
	}
	eventstest.Eventually(t, cloud.polled(names[0], 3))
	if err := w.log.line("level=ERROR", "panic", names[0], "loop_test.go"); err != nil {
		t.Error(err)
	}
	mended.Store(true)
	if c := w.next(t); c.OrderName != names[0] {
		t.Errorf("%s completed; want %s", c.OrderName, names[0])
	}
	eventstest.Eventually(t, idle(t, js, "ORDER"))
	completedOnce(t, js, names...)
}
