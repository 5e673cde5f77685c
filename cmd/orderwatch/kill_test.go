package main_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// TestKill kills the only worker ten times while it watches 300 orders: each request is named in
// exactly one completion, with the outcome of its script.
func TestKill(t *testing.T) {
	const orders, kills = 300, 10
	const seed = 2
	random := rand.New(rand.NewPCG(seed, seed))
	cloud := emulator.New(emulator.Options{Tokens: []string{"planted-token"}})
	modelArts := httptest.NewServer(cloud)
	defer modelArts.Close()
	want := make(map[string]watcher.Outcome) // by request id
	for i := range orders {
		script, outcome := randomOrder(random)
		cloud.Add(project, orderName(i), script)
		want[requestID(i)] = outcome
	}

	nats := startNATS(t, "")
	url, js := nats.url, nats.js
	addr := freeAddr(t)
	env := serveEnv(url, modelArts.URL, addr)
	w := start(t, build(t, worker), env, "serve")
	awaitReady(t, addr)
	shortAckWait(t, js)

	published := make(chan error, 1)
	go func() { published <- publishAll(t, js, orders) }()
	for range kills {
		time.Sleep(time.Duration(200+random.IntN(1000)) * time.Millisecond) // when it is killed is left to chance
		w.kill()
		w = start(t, build(t, worker), env, "serve")
	}
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	awaitReady(t, addr)
	awaitDrained(t, js)
	checkEvents(t, js, want)
	checkRecords(t, js, orders)
}

func orderName(i int) string { return fmt.Sprintf("order.pool-%03d", i) }
func requestID(i int) string { return fmt.Sprintf("build-%03d", i) }

// randomOrder returns the script of an order of one to eight items and its outcome.
func randomOrder(random *rand.Rand) (emulator.Order, watcher.Outcome) {
	script := emulator.Order{Count: emulator.CountAll, FromFirstPoll: true}
	failed := 0
	size := 1 + random.IntN(8)
	for i := range size {
		item := emulator.Item{
			ResourceName: fmt.Sprintf("node-%d", i),
			AppearAfter:  time.Duration(random.IntN(3000)) * time.Millisecond,
		}
		item.EndAfter = item.AppearAfter + time.Duration(random.IntN(5000))*time.Millisecond
		if random.IntN(3) == 0 {
			item.Status, item.Message = "failed", "flavor sold out"
			failed++
		}
		script.Items = append(script.Items, item)
	}
	switch failed {
	case 0:
		return script, watcher.Succeeded
	case size:
		return script, watcher.AllFailed
	}
	return script, watcher.PartiallyFailed
}

// publishAll publishes a request for each order, spread over the time of the kills.
func publishAll(t *testing.T, js jetstream.JetStream, orders int) error {
	for i := range orders {
		body := fmt.Sprintf(`{"project_id":%q,"order_name":%q,"request_id":%q}`, project, orderName(i), requestID(i))
		if _, err := js.Publish(t.Context(), "orders.watch", []byte(body)); err != nil {
			return fmt.Errorf("publish %s: %w", requestID(i), err)
		}
		time.Sleep(25 * time.Millisecond) // a rate, not a condition
	}
	return nil
}

// awaitDrained waits until nothing is left to do.
func awaitDrained(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	eventually(t, 2*time.Minute, func() error {
		for _, name := range []string{"ORDER_REQUESTS", "ORDER_WAKEUPS"} {
			s, err := js.Stream(t.Context(), name)
			if err != nil {
				return err
			}
			if n := s.CachedInfo().State.Msgs; n > 0 {
				return fmt.Errorf("%s holds %d messages", name, n)
			}
		}
		return nil
	})
}

// checkEvents compares the completions with what is wanted, by request id, and looks for anything
// else that was published.
func checkEvents(t *testing.T, js jetstream.JetStream, want map[string]watcher.Outcome) {
	t.Helper()
	got := make(map[string]watcher.Outcome)
	stored(t, js, "ORDER_EVENTS", "orders.>", func(m jetstream.Msg) {
		switch {
		case strings.HasPrefix(m.Subject(), "orders.progress."):
			return
		case !strings.HasPrefix(m.Subject(), "orders.completed."):
			t.Errorf("published on %s: %s", m.Subject(), m.Data())
			return
		}
		for _, r := range completion(t, m).Requests {
			if _, twice := got[r.ID]; twice {
				t.Errorf("request %s is named in two completions", r.ID)
			}
			got[r.ID] = completion(t, m).Outcome
		}
	})
	for id, outcome := range want {
		if got[id] != outcome {
			t.Errorf("request %s: outcome %q; want %q", id, got[id], outcome)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d requests are named in completions; want %d", len(got), len(want))
	}
}

// completion reads the data of a completion event.
func completion(t *testing.T, m jetstream.Msg) watcher.Completion {
	t.Helper()
	var event struct{ Data watcher.Completion }
	if err := json.Unmarshal(m.Data(), &event); err != nil {
		t.Fatal(err)
	}
	return event.Data
}

// checkRecords holds that there are so many records and that all are ended.
func checkRecords(t *testing.T, js jetstream.JetStream, want int) {
	t.Helper()
	got := 0
	stored(t, js, "KV_ORDER_WATCHES", "$KV.ORDER_WATCHES.*.>", func(m jetstream.Msg) {
		got++
		w, err := watcher.DecodeWatch(m.Data())
		if err != nil {
			t.Error(err)
		}
		if w.State != watcher.Ended {
			t.Errorf("record of %s is %s", w.Order, w.State)
		}
	})
	if got != want {
		t.Errorf("%d records; want %d", got, want)
	}
}
