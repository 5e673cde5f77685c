package events_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/watcher"
)

// R5: people are told once, by whichever worker, that what was watched is forgotten; the request can be
// published again with the same id.
func TestStoreLost(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*testing.T, *server.Server, jetstream.JetStream) *server.Server{
		"the bucket of records was deleted": func(t *testing.T, s *server.Server, js jetstream.JetStream) *server.Server {
			if err := js.DeleteStream(t.Context(), "KV_ORDER_WATCHES"); err != nil {
				t.Fatal(err)
			}
			return s
		},
		"the bucket of records was emptied": func(t *testing.T, s *server.Server, js jetstream.JetStream) *server.Server {
			stream, err := js.Stream(t.Context(), "KV_ORDER_WATCHES")
			if err == nil {
				err = stream.Purge(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		"the server starts with an empty store": func(t *testing.T, s *server.Server, js jetstream.JetStream) *server.Server {
			port := s.Addr().String()
			s.Shutdown()
			s.WaitForShutdown()
			var n int
			if _, err := fmt.Sscanf(port[strings.LastIndex(port, ":")+1:], "%d", &n); err != nil {
				t.Fatal(err)
			}
			return eventstest.Server(t, server.Options{Port: n})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := eventstest.Server(t)
			_, js := eventstest.Connect(t, s)
			cfg := config()
			cfg.Timing.CheckEvery = 200 * time.Millisecond
			cloud := &orders{show: endedAfter(1 << 30)}
			workers := []*running{startWorker(t, s, cfg, cloud), startWorker(t, s, cfg, cloud)}
			for _, name := range []string{"order.a", "order.b", "order.c"} {
				r := request(name)
				r["request_id"] = "build-" + name
				publish(t, js, r)
				eventstest.Eventually(t, cloud.polled(name, 1))
			}
			for _, w := range workers { // one look begins after all was stored
				looks := w.LossLooks()
				eventstest.Eventually(t, func() error {
					if n := w.LossLooks(); n < looks+2 {
						return fmt.Errorf("the worker has looked %d times", n)
					}
					return nil
				})
			}
			s = lose(t, s, js)
			nc, js := eventstest.Connect(t, s)
			lost := func() error {
				if _, err := js.Stream(t.Context(), "ORDER_EVENTS"); err != nil {
					return err
				}
				return atLeastEvents(t, js, "orders.attention.lost.all", 1)
			}
			eventstest.Eventually(t, lost)
			var a watcher.Attention
			decode(t, eventstest.Events(t, js, "ORDER_EVENTS", "orders.attention.lost.>")[0].Data, &a)
			if a.Kind != watcher.Lost || !strings.Contains(a.Reason, "what was watched before") {
				t.Errorf("attention %+v", a)
			}
			polls := cloud.count(watcher.Order{ProjectID: project, Name: "order.a"})
			again := request("order.a")
			again["request_id"] = "build-order.a"
			eventstest.Eventually(t, workers[0].Ready)
			publish(t, js, again)
			eventstest.Eventually(t, cloud.polled("order.a", polls+2))
			snapshot, err := newClient(t, nc).Get(t.Context(), watcher.Order{ProjectID: project, Name: "order.a"})
			if err != nil || len(snapshot.Requests) != 1 {
				t.Errorf("%+v, %v", snapshot, err)
			}
			if n := len(eventstest.Events(t, js, "ORDER_EVENTS", "orders.attention.lost.>")); n != 1 {
				t.Errorf("%d events; want 1", n)
			}
		})
	}
}
