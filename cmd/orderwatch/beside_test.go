package main_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

var accountRuns = flag.Int("account-runs", 0, "how often TestBesideBadOrders runs, where it also holds that no poll is late; 0: once, and any poll may be late")

// badOrders are orders that each cannot be read, all in their own way, as long as they are watched.
func badOrders() map[string]emulator.Fault {
	bad := make(map[string]emulator.Fault)
	for i := range 3 {
		bad[fmt.Sprint("order.bad-400-", i)] = emulator.Fault{Status: http.StatusBadRequest, Code: "ModelArts.50014001", Message: "The order cannot be shown."}
		bad[fmt.Sprint("order.bad-500-", i)] = emulator.Fault{Status: http.StatusInternalServerError, Code: "ModelArts.50005000", Message: "Internal error."}
		bad[fmt.Sprint("order.bad-text-", i)] = emulator.Fault{Body: `{"count":1,"items":[{"status":`}
		bad[fmt.Sprint("order.bad-hang-", i)] = emulator.Fault{Hang: true}
	}
	return bad
}

// TestBesideBadOrders watches one good order beside twelve that cannot be read, with default settings: the
// good one is polled as planned, and nobody says that ModelArts cannot be reached.
func TestBesideBadOrders(t *testing.T) {
	t.Parallel()
	for run := range max(1, *accountRuns) {
		t.Run(fmt.Sprint(run), func(t *testing.T) {
			t.Parallel()
			besideBadOrders(t)
		})
	}
}

func besideBadOrders(t *testing.T) {
	const good = "order.good"
	n := startNATS(t, "")
	cloud := emulator.New(emulator.Options{CallsKept: 10_000})
	cloud.Add(project, good, emulator.Order{FromFirstPoll: true, Items: []emulator.Item{{ResourceName: "node-0", EndAfter: time.Minute}}})
	orders := []string{good}
	for name, fault := range badOrders() {
		cloud.Add(project, name, emulator.Order{Faults: []emulator.Fault{fault}})
		orders = append(orders, name)
	}
	api := httptest.NewServer(cloud)
	t.Cleanup(api.Close)
	records := follow(t, n.url, good)
	addr := freeAddr(t)
	p := start(t, build(t, worker), []string{ // all else is as it is by default
		"ORDERWATCH_NATS_URL=" + n.url, "ORDERWATCH_MODELARTS_REGIONS=cn-north-4", "ORDERWATCH_MODELARTS_ENDPOINT=" + api.URL,
		"ORDERWATCH_MODELARTS_TOKEN=planted-token", "ORDERWATCH_HTTP_ADDR=" + addr, "ORDERWATCH_LOG_FORMAT=text",
	}, "serve")
	awaitReady(t, addr)
	for _, order := range orders { // a map's order: the good one comes anywhere
		body := fmt.Sprintf(`{"project_id":%q,"order_name":%q,"request_id":"build-1"}`, project, order)
		if _, err := n.js.Publish(t.Context(), "orders.watch", []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, 2*patience, func() error {
		if w, ok := records.last(); !ok || w.State != watcher.Ended {
			return fmt.Errorf("the good order is %s after %d polls", w.State, w.Polls)
		}
		return nil
	})
	w, _ := records.last()
	if w.Completion.Outcome != watcher.Succeeded {
		t.Errorf("%s: %s", w.Completion.Outcome, w.Completion.Reason)
	}
	if text := p.text(); strings.Contains(text, "is held") || strings.Contains(text, "rests") || strings.Contains(text, "cannot be reached") {
		t.Errorf("the account was held:\n%s", text)
	}
	late := records.lateness()
	t.Logf("%d polls, the latest %s after its time", w.Completion.Polls, late)
	if *accountRuns > 0 && late > 2*time.Second {
		t.Errorf("a poll was made %s after its time", late)
	}
}

// A story is what an order's record was, one after another.
type story struct {
	mu      sync.Mutex
	records []watcher.Watch
}

// follow notes each record of the order that is written from now on.
func follow(t *testing.T, url, order string) *story {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	s := new(story)
	if _, err := nc.Subscribe("$KV.ORDER_WATCHES."+project+"."+order, func(m *nats.Msg) {
		var w watcher.Watch
		if json.Unmarshal(m.Data, &w) == nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.records = append(s.records, w)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *story) last() (w watcher.Watch, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.records) == 0 {
		return w, false
	}
	return s.records[len(s.records)-1], true
}

// lateness returns how long after its time the latest of the polls was answered. That a step was put off
// does not move its time.
func (s *story) lateness() (latest time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var due time.Time
	polls := 0
	for i, w := range s.records {
		if i > 0 && w.Polls > polls {
			latest = max(latest, w.LastPollAt.Sub(due))
		}
		if i == 0 || w.Polls > polls {
			due, polls = w.NextPollAt, w.Polls
		}
	}
	return latest
}
