package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

func newStore(t *testing.T) (*store.Store, jetstream.JetStream) {
	t.Helper()
	cfg := eventstest.StoreConfig()
	cfg.Timing.Request = 500 * time.Millisecond
	nc, js := eventstest.Connect(t, eventstest.Server(t))
	return eventstest.Provided(t, nc, cfg), js
}

// A completion is published after the order's last one only, whatever their outcomes.
func TestCompleteOnce(t *testing.T) {
	t.Parallel()
	store, js := newStore(t)
	order := watcher.Order{ProjectID: eventstest.Project, Name: "order.pool"}
	completion := func(order watcher.Order, id string, outcome watcher.Outcome) watcher.Completion {
		return watcher.Completion{
			Report: watcher.Report{
				WatchID: id, Region: "cn-north-4", ProjectID: order.ProjectID, OrderName: order.Name,
				Items: []watcher.Item{}, Failures: []watcher.Failure{}, Requests: []watcher.Request{{ID: "build-1"}},
			},
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
		{ProjectID: eventstest.Project, Name: "order"}, {ProjectID: eventstest.Project, Name: "order.pool.more"}, {ProjectID: "other", Name: "order.pool"},
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
	if list := eventstest.Events(t, js, "ORDER_EVENTS", "orders.completed.>"); len(list) != 3+len(watcher.Outcomes) {
		t.Errorf("%d events; want one for each watch", len(list))
	}
}

func TestRecordRevisions(t *testing.T) {
	t.Parallel()
	store, js := newStore(t)
	order := watcher.Order{ProjectID: eventstest.Project, Name: "order.pool"}
	for name, read := range map[string]func(context.Context, watcher.Order) (watcher.Watch, watcher.Revision, error){"Read": store.Read, "ReadLatest": store.ReadLatest} {
		if _, revision, err := read(t.Context(), order); !errors.Is(err, watcher.ErrNoRecord) || revision != 0 {
			t.Errorf("%s before any: revision %d, %v; want ErrNoRecord", name, revision, err)
		}
	}
	w := watcher.Watch{Schema: 1, State: watcher.Watching, ID: "w_1", Order: order, Wakeup: 1, Requests: []watcher.Request{{ID: "build-1"}}}
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
	order := watcher.Order{ProjectID: eventstest.Project, Name: "order.pool"}
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
		w := watcher.Watch{Schema: 1, State: watcher.Watching, ID: "w_1", Order: order, Wakeup: 1, Requests: []watcher.Request{{ID: "build-1"}}}
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
