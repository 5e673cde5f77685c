package events_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// timed answers for orders whose item began 10 minutes before and ended just now; order.running goes on.
func timed(order watcher.Order, _ int) (watcher.Answer, error) {
	a := answer(watcher.Succeed)
	now := time.Now()
	a.Items[0].BeganAt, a.Items[0].UpdatedAt = now.Add(-10*time.Minute), now.Add(time.Second)
	if order.Name == "order.running" {
		a.Items[0].Status, a.Items[0].BeganAt = watcher.Processing, now.Add(-time.Minute)
	}
	return a, nil
}

// TestUsual lets orders end: from the tenth on the service says when another is likely to be ready, and the next completion
// what is usual. What is forgotten is learned anew.
func TestUsual(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	startWorker(t, s, config(), &orders{show: timed})
	nc, js := eventstest.Connect(t, s)
	if code, reply := asked(t, nc, "watch", orderBody("order.running", "")); code != 200 {
		t.Fatalf("%d %s", code, reply.Data)
	}
	get := func() (w watcher.Snapshot) {
		t.Helper()
		code, reply := asked(t, nc, "get", orderBody("order.running", ""))
		if code != 200 || json.Unmarshal(reply.Data, &w) != nil {
			t.Fatalf("%d %s", code, reply.Data)
		}
		return w
	}
	known := func(body string) map[string]wire.KnownOrders {
		t.Helper()
		code, reply := asked(t, nc, "history", body)
		if code != 200 {
			t.Fatalf("%d %s", code, reply.Data)
		}
		all := make(map[string]wire.KnownOrders)
		for _, k := range read[wire.HistoryAnswer](t, reply).Known {
			all[k.Key] = k
		}
		return all
	}
	eventstest.Eventually(t, func() error {
		if w := get(); w.Counts.Total == 0 || w.ETA == nil || !w.ETA.Few() {
			return fmt.Errorf("%d items, eta %v; want few known", w.Counts.Total, w.ETA)
		}
		return nil
	})
	for i := range 10 {
		asked(t, nc, "watch", orderBody(fmt.Sprintf("order.%d", i), ""))
	}
	const key = "cn-north-4.createNode"
	eventstest.Eventually(t, func() error {
		if n := known("")[key].Ends; n != 10 {
			return fmt.Errorf("%d ends are known", n)
		}
		return nil
	})
	if k := known("{}")[key]; k.P10 == nil || k.LateAfter != nil || time.Duration(*k.P90) < 10*time.Minute || time.Duration(*k.P10) > 11*time.Minute {
		t.Errorf("known: %+v", k)
	}
	w := get()
	if w.ETA == nil || w.ETA.Few() || w.ETA.Samples != 10 || w.ETA.From.Before(time.Now().Add(5*time.Minute)) || w.ETA.To.After(time.Now().Add(20*time.Minute)) {
		t.Errorf("eta: %+v", w.ETA)
	}
	asked(t, nc, "watch", orderBody("order.last", ""))
	eventstest.Eventually(t, func() error { return atLeastEvents(t, js, "orders.completed.*.*.order.last", 1) })
	var c watcher.Completion
	m, err := js.Stream(t.Context(), "ORDER_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	event, err := m.GetLastMsgForSubject(t.Context(), "orders.completed.*.*.order.last")
	if err == nil {
		c, err = wire.Decode[watcher.Completion](event.Data)
	}
	if err != nil || c.Usual == nil || c.Usual.Samples < 10 {
		t.Errorf("usual: %+v (%v)", c.Usual, err)
	}
	if code, reply := asked(t, nc, "history", `{"forget":"cn-north-4.deletePool"}`); code != 404 {
		t.Errorf("%d %s", code, reply.Data)
	}
	if code, reply := asked(t, nc, "history.gpu", `{"forget":"`+key+`"}`); code != 403 {
		t.Errorf("of a team: %d %s", code, reply.Data)
	}
	if _, there := known(`{"forget":"` + key + `"}`)[key]; there {
		t.Error("it is known although it was forgotten")
	}
}

// TestUsualDenied denies the worker's user what only the history of orders needs, as permissions of the release before do:
// all else works, it is said once, and no denial is counted.
func TestUsualDenied(t *testing.T) {
	t.Parallel()
	for name, deny := range map[string][]string{
		"all":                    {"$JS.API.STREAM.*.KV_ORDER_HISTORY", "$JS.API.CONSUMER.*.ORDER_EVENTS.history", "$JS.API.CONSUMER.MSG.NEXT.ORDER_EVENTS.history", "$KV.ORDER_HISTORY.>", "$JS.API.DIRECT.GET.KV_ORDER_HISTORY"},
		"to create the bucket":   {"$JS.API.STREAM.CREATE.KV_ORDER_HISTORY"},
		"to create the consumer": {"$JS.API.CONSUMER.CREATE.ORDER_EVENTS.history"},
		"to read":                {"$JS.API.DIRECT.GET.KV_ORDER_HISTORY"},
		"to take events":         {"$JS.API.CONSUMER.MSG.NEXT.ORDER_EVENTS.history"},
		"to write":               {"$KV.ORDER_HISTORY.>"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			worker := &server.User{Username: "worker", Password: "w", Permissions: &server.Permissions{
				Publish: &server.SubjectPermission{Allow: []string{">"}, Deny: deny}, Subscribe: &server.SubjectPermission{Allow: []string{">"}},
			}}
			person := &server.User{Username: "person", Password: "p"}
			s := eventstest.Server(t, server.Options{Users: []*server.User{worker, person}})
			at := strings.TrimPrefix(s.ClientURL(), "nats://")
			registry, cfg := prometheus.NewRegistry(), config()
			cfg.Timing.Request = time.Second
			w := parts{url: "nats://worker:w@" + at, config: cfg, orders: &orders{show: timed}, registry: registry}.ready(t)
			nc, err := nats.Connect("nats://person:p@" + at)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			if code, reply := asked(t, nc, "watch", orderBody("order.a", "")); code != 200 {
				t.Fatalf("%d %s", code, reply.Data)
			}
			eventstest.Eventually(t, func() error { return w.log.line("level=WARN", "it is not known how long orders usually take") })
			eventstest.Eventually(t, func() error {
				code, reply := asked(t, nc, "get", orderBody("order.a", ""))
				if shown := read[watcher.Snapshot](t, reply); code != 200 || shown.State != watcher.Ended {
					return fmt.Errorf("%d %s", code, reply.Data)
				}
				return nil
			})
			if code, reply := asked(t, nc, "history", ""); code != 200 || len(read[wire.HistoryAnswer](t, reply).Known) > 0 {
				t.Errorf("%d %s", code, reply.Data)
			}
			if err := w.Ready(); err != nil {
				t.Errorf("not ready: %v", err)
			}
			if err := w.log.line("level=ERROR"); err == nil {
				t.Error("an ERROR although all that is needed is there")
			}
			w.log.mu.Lock()
			defer w.log.mu.Unlock()
			if n := strings.Count(w.log.text.String(), "it is not known how long orders usually take"); n != 1 {
				t.Errorf("it is said %d times", n)
			}
			families, err := registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range families {
				if f.GetName() == "orderwatch_nats_permission_violations_total" && f.GetMetric()[0].GetCounter().GetValue() != 0 {
					t.Error("a denial was counted")
				}
			}
		})
	}
}
