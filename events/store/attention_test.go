package store_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/schema/schematest"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// unlistedSince is since when the items of these tests are as they are.
var unlistedSince = time.Date(2025, 4, 10, 12, 3, 5, 0, time.UTC)

// attention returns what people should look at in one watch.
func attention(kind watcher.AttentionKind, since time.Time) watcher.OrderAttention {
	began := unlistedSince.Add(-time.Hour)
	return watcher.OrderAttention{Kind: kind, Since: since, Report: watcher.Report{
		WatchID: "w_01JRFQ7M9C0D8E6T3V5XKB2NHA", Region: "cn-north-4", ProjectID: eventstest.Project, OrderName: "order.pool-5ed5-w4l2n",
		Counts: watcher.Counts{Total: 1, Missing: 1}, Failures: []watcher.Failure{},
		Items:    []watcher.Item{{ResourceName: "os-node-2", Action: "createNode", Status: watcher.Processing, BeganAt: began, MissingSince: unlistedSince}},
		Requests: []watcher.Request{{ID: "build-771", ReceivedAt: began}}, AcceptedAt: began, Polls: 24,
	}}
}

// over returns the event that says that it is over.
func over(kind watcher.AttentionKind, since time.Time) watcher.OrderAttention {
	a := attention(kind, since)
	a.Until = since.Add(10 * time.Minute)
	return a
}

// storesOn returns as many stores as there are workers, each on a connection of its own.
func storesOn(t *testing.T, s *server.Server, n int) (stores []*store.Store) {
	t.Helper()
	nc, _ := eventstest.Connect(t, s)
	eventstest.Provided(t, nc, eventstest.StoreConfig())
	for range n {
		nc, _ := eventstest.Connect(t, s)
		stores = append(stores, eventstest.Store(t, nc, eventstest.StoreConfig(), nil))
	}
	return stores
}

// Each event is published once for its watch, kind and beginning, whichever worker does and however
// often, and nothing that came before the last one is published again.
func TestAttendOrderOnce(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	stores := storesOn(t, s, 2)
	_, js := eventstest.Connect(t, s)
	const prefix = "w_01JRFQ7M9C0D8E6T3V5XKB2NHA."
	later := unlistedSince.Add(20 * time.Minute)
	next := attention(watcher.Vanished, later.Add(time.Hour))
	next.WatchID = "w_01JRFQ7M9C0D8E6T3V5XKB2NHB"
	otherOrder := attention(watcher.Vanished, unlistedSince)
	otherOrder.OrderName = "order.pool-5ed5-w4l2n.second"
	var want []string
	for _, step := range []struct {
		name string
		a    watcher.OrderAttention
		new  string // the id of the event; empty: none is published
	}{
		{"vanished", attention(watcher.Vanished, unlistedSince), prefix + "vanished.1744286585000"},
		{"vanished, again", attention(watcher.Vanished, unlistedSince), ""},
		{"blind", attention(watcher.Blind, unlistedSince), prefix + "blind.1744286585000"},
		{"an unknown status", attention(watcher.UnknownStatus, unlistedSince), prefix + "unknown_status.1744286585000"},
		{"another order, whose name begins like this one's", otherOrder, prefix + "vanished.1744286585000"},
		{"another item vanished later", attention(watcher.Vanished, later), prefix + "vanished.1744287785000"},
		{"a worker that is behind", attention(watcher.Vanished, unlistedSince), ""},
		{"the order's next watch", next, "w_01JRFQ7M9C0D8E6T3V5XKB2NHB.vanished.1744291385000"},
		{"a worker that still has the first watch", attention(watcher.Vanished, later), ""},
		{"blind, again", attention(watcher.Blind, unlistedSince), ""},
		{"that is over", over(watcher.Blind, unlistedSince), prefix + "blind_over.1744286585000"},
		{"over, again", over(watcher.Blind, unlistedSince), ""},
		{"a worker that does not know that it is over", attention(watcher.Blind, unlistedSince), ""},
		{"blind anew", attention(watcher.Blind, later), prefix + "blind.1744287785000"},
		{"a worker that is behind, of the end before", over(watcher.Blind, unlistedSince), ""},
		{"over anew", over(watcher.Blind, later), prefix + "blind_over.1744287785000"},
		{"late", attention(watcher.Late, unlistedSince), prefix + "late.1744286585000"},
		{"late, again", attention(watcher.Late, unlistedSince), ""},
	} {
		for _, store := range append(stores, stores...) {
			if err := store.Attend(t.Context(), step.a); err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
		}
		if step.new != "" {
			want = append(want, step.new)
		}
		var got []string
		for _, e := range eventstest.Events(t, js, "ORDER_EVENTS", "orders.attention.>") {
			got = append(got, e.ID)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%s: the events are %v; want %v", step.name, got, want)
		}
	}
}

// Workers that publish at the same time meet conflicts, and one event is stored.
func TestAttendOrderAtOnce(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	stores := storesOn(t, s, 4)
	_, js := eventstest.Connect(t, s)
	for round := range 20 {
		a := attention(watcher.Blind, unlistedSince.Add(time.Duration(round)*time.Minute))
		var all sync.WaitGroup
		for _, store := range stores {
			all.Go(func() {
				if err := store.Attend(t.Context(), a); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := eventstest.Messages(t, js, "ORDER_EVENTS", "orders.attention.blind.>"); n != uint64(round+1) {
			t.Fatalf("%d events after %d attentions", n, round+1)
		}
	}
}

// Where the server does not answer the caller is told, and the next call publishes.
func TestAttendOrderWithoutAServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := eventstest.Server(t, server.Options{StoreDir: dir})
	store := storesOn(t, s, 1)[0]
	port := s.Addr().(*net.TCPAddr).Port
	s.Shutdown()
	s.WaitForShutdown()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := store.Attend(ctx, attention(watcher.Blind, unlistedSince)); err == nil {
		t.Fatal("published without a server")
	}
	s = eventstest.Server(t, server.Options{StoreDir: dir, Port: port})
	eventstest.Eventually(t, func() error { return store.Attend(t.Context(), attention(watcher.Blind, unlistedSince)) })
	_, js := eventstest.Connect(t, s)
	if n := eventstest.Messages(t, js, "ORDER_EVENTS", "orders.attention.>"); n != 1 {
		t.Errorf("%d events", n)
	}
}

// The events of an account's outage, and wishes to tell people again, are found as before beside those
// about orders.
func TestAttentionSubjectsApart(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	store := storesOn(t, s, 1)[0]
	_, js := eventstest.Connect(t, s)
	blind := attention(watcher.Blind, unlistedSince)
	blind.Error = &watcher.ErrorDetail{Code: "ModelArts.50005000", Message: "Internal server error"}
	if err := store.Attend(t.Context(), blind); err != nil {
		t.Fatal(err)
	}
	for filter, want := range map[string]uint64{
		"orders.attention.>":                                        1,
		"orders.attention.*." + eventstest.Project:                  0,
		"orders.attention.*." + eventstest.Project + ".>":           1,
		"orders.attention.blind." + eventstest.Project + ".order.>": 1,
		"orders.attention.renotify.>":                               0,
		"orders.attention.vanished." + eventstest.Project + ".>":    0,
		"orders.attention.*." + eventstest.Project + ".order.other": 0,
	} {
		if n := eventstest.Messages(t, js, "ORDER_EVENTS", filter); n != want {
			t.Errorf("%s sees %d; want %d", filter, n, want)
		}
	}
	m := eventstest.Last(t, js, "ORDER_EVENTS", "orders.attention.>")
	if err := schematest.Event(m.Subject, m.Header, m.Data); err != nil {
		t.Error(err)
	}
}

// Workers that find one loss at the same time, each at its own moment, tell people of it once.
func TestTellLossAtOnce(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	stores := storesOn(t, s, 4)
	_, js := eventstest.Connect(t, s)
	for round := range 20 {
		var all sync.WaitGroup
		for i, store := range stores {
			since := time.Now().UTC().Truncate(time.Millisecond).Add(time.Duration(i) * time.Millisecond)
			a := watcher.Attention{Kind: watcher.Lost, Lost: []string{fmt.Sprint("part ", round)}, Since: since, Until: since}
			all.Go(func() {
				err := watcher.ErrConflict
				for errors.Is(err, watcher.ErrConflict) { // the worker's next look
					err = store.TellLoss(t.Context(), a, time.Now())
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := eventstest.Messages(t, js, "ORDER_EVENTS", "orders.attention.lost.>"); n != uint64(round+1) {
			t.Fatalf("%d events after %d losses", n, round+1)
		}
	}
}
