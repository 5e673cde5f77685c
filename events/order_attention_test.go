package events_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/schema/schematest"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// unlistedSince is since when the items of these tests are as they are.
var unlistedSince = time.Date(2025, 4, 10, 12, 3, 5, 0, time.UTC)

// orderAttention returns what people should look at in one watch.
func orderAttention(kind watcher.AttentionKind, since time.Time) watcher.OrderAttention {
	began := time.Date(2025, 4, 10, 11, 57, 8, 0, time.UTC)
	return watcher.OrderAttention{Kind: kind, Since: since, Report: watcher.Report{
		WatchID: "w_01JRFQ7M9C0D8E6T3V5XKB2NHA", Region: "cn-north-4", ProjectID: project, OrderName: "order.pool-5ed5-w4l2n",
		Reason: "an item is no longer listed",
		Counts: watcher.Counts{Total: 2, Succeeded: 1, Processing: 1, Missing: 1},
		Items: []watcher.Item{
			{ResourceName: "pool-5ed5", Action: "createPool", Status: watcher.Succeed, BeganAt: began, UpdatedAt: began.Add(time.Minute)},
			{ResourceName: "os-node-2", Action: "createNode", Status: watcher.Processing, BeganAt: began, MissingSince: unlistedSince},
		},
		Failures: []watcher.Failure{},
		Requests: []watcher.Request{{ID: "build-771", RequestedBy: "gpu-pools", ReceivedAt: began, Trace: watcher.Trace{
			Parent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", State: "vendor=1",
		}}},
		AcceptedAt: began, Polls: 24,
	}}
}

// storesOn returns as many stores as there are workers, each on a connection of its own.
func storesOn(t *testing.T, s *server.Server, n int) (stores []*store.Store) {
	t.Helper()
	nc, _ := eventstest.Connect(t, s)
	eventstest.Provided(t, nc, eventstest.StoreConfig())
	for range n {
		nc, _ := eventstest.Connect(t, s)
		store := eventstest.Store(t, nc, eventstest.StoreConfig(), nil)
		stores = append(stores, store)
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
	next := orderAttention(watcher.Vanished, later.Add(time.Hour))
	next.WatchID = "w_01JRFQ7M9C0D8E6T3V5XKB2NHB"
	otherOrder := orderAttention(watcher.Vanished, unlistedSince)
	otherOrder.OrderName = "order.pool-5ed5-w4l2n.second"
	var want []string
	for _, step := range []struct {
		name string
		a    watcher.OrderAttention
		new  string // the id of the event; empty: none is published
	}{
		{"vanished", orderAttention(watcher.Vanished, unlistedSince), prefix + "vanished.1744286585000"},
		{"vanished, again", orderAttention(watcher.Vanished, unlistedSince), ""},
		{"blind", orderAttention(watcher.Blind, unlistedSince), prefix + "blind.1744286585000"},
		{"an unknown status", orderAttention(watcher.UnknownStatus, unlistedSince), prefix + "unknown_status.1744286585000"},
		{"another order, whose name begins like this one's", otherOrder, prefix + "vanished.1744286585000"},
		{"another item vanished later", orderAttention(watcher.Vanished, later), prefix + "vanished.1744287785000"},
		{"a worker that is behind", orderAttention(watcher.Vanished, unlistedSince), ""},
		{"the order's next watch", next, "w_01JRFQ7M9C0D8E6T3V5XKB2NHB.vanished.1744291385000"},
		{"a worker that still has the first watch", orderAttention(watcher.Vanished, later), ""},
		{"blind, again", orderAttention(watcher.Blind, unlistedSince), ""},
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
		for _, e := range eventstest.Events(t, js, "ORDER_EVENTS", "orders.attention.") {
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
		a := orderAttention(watcher.Blind, unlistedSince.Add(time.Duration(round)*time.Minute))
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
	port := portOf(t, s)
	s.Shutdown()
	s.WaitForShutdown()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := store.Attend(ctx, orderAttention(watcher.Blind, unlistedSince)); err == nil {
		t.Fatal("published without a server")
	}
	s = eventstest.Server(t, server.Options{StoreDir: dir, Port: port})
	eventstest.Eventually(t, func() error { return store.Attend(t.Context(), orderAttention(watcher.Blind, unlistedSince)) })
	_, js := eventstest.Connect(t, s)
	if n := eventstest.Messages(t, js, "ORDER_EVENTS", "orders.attention.>"); n != 1 {
		t.Errorf("%d events", n)
	}
}

// TestOrderAttentionEvent holds the event as a whole, and that a client reads it.
func TestOrderAttentionEvent(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	store := storesOn(t, s, 1)[0]
	nc, js := eventstest.Connect(t, s)
	a := orderAttention(watcher.Vanished, unlistedSince)
	a.Items = append(a.Items,
		watcher.Item{ResourceName: "os-node-3", Action: "deleteNode", Status: watcher.Processing, MissingSince: unlistedSince, TakenFor: watcher.TakenForDeleted},
		watcher.Item{ResourceName: "os-node-5", Action: "createNode", Status: watcher.Processing, Replaces: "os-node-4"})
	if err := store.Attend(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	const subject = "orders.attention.vanished." + project + ".order.pool-5ed5-w4l2n"
	m := eventstest.Last(t, js, "ORDER_EVENTS", subject)
	if err := schematest.Event(m.Subject, m.Header, m.Data); err != nil {
		t.Error(err)
	}
	if m.Header.Get("traceparent") != a.Requests[0].Parent || m.Header.Get("tracestate") != a.Requests[0].State || m.Header.Get(nats.MsgIdHdr) != "" {
		t.Errorf("headers %v", m.Header)
	}
	var e map[string]any
	if err := json.Unmarshal(m.Data, &e); err != nil {
		t.Fatal(err)
	}
	e["time"] = "2025-04-10T12:08:10Z" // no two runs share it
	encoded, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	compareGolden(t, filepath.Join("testdata", "order_attention.json"), append(encoded, '\n'))

	var followed []watcher.OrderAttention
	c := newClient(t, nc)
	filter := client.Filter{Subjects: c.OrderSubjects(a.Order()), Stop: true}
	if err := c.Follow(t.Context(), filter, nil, nil, func(e client.Event) error {
		if got, ok := e.OrderAttention(); ok {
			followed = append(followed, got)
		}
		if _, ok := e.Attention(); ok {
			t.Error("it is taken for one about an account")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprintf("%+v", followed[0].Report) != fmt.Sprintf("%+v", a.Report) || followed[0].Kind != a.Kind || !followed[0].Since.Equal(a.Since) {
		t.Errorf("followed %+v; want %+v", followed, a)
	}
}

// alerted is a Notifier that hands on what it is told to look at; its first answer about an order is an
// error.
type alerted struct {
	told
	accounts chan watcher.Attention
	orders   chan watcher.OrderAttention
	once     *sync.Once
}

func (n alerted) Attend(_ context.Context, a watcher.Attention) error {
	n.accounts <- a
	return nil
}

func (n alerted) AttendOrder(_ context.Context, a watcher.OrderAttention) (err error) {
	n.once.Do(func() { err = &watcher.RetryError{After: 10 * time.Millisecond, Err: errors.New("not now")} })
	n.orders <- a
	return err
}

// A worker hands each event to whom it is for: by its subject, and only where its type is the one of that
// subject. One of another type is what a worker of the release before makes of an event about an order:
// an ERROR, and it is done with.
func TestOrderAttentionIsTold(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, js := eventstest.Connect(t, s)
	people := alerted{make(told, 10), make(chan watcher.Attention, 10), make(chan watcher.OrderAttention, 10), new(sync.Once)}
	w := parts{url: s.ClientURL(), config: config(), orders: &orders{show: ended(watcher.Succeed)}, notifier: people}.ready(t)
	store := eventstest.Store(t, nc, eventstest.StoreConfig(), nil)
	kinds := []watcher.AttentionKind{watcher.Blind, watcher.Vanished, watcher.UnknownStatus, "of_a_later_version"}
	for _, kind := range kinds {
		if err := store.Attend(t.Context(), orderAttention(kind, unlistedSince)); err != nil {
			t.Fatal(err)
		}
	}
	const account = `{"specversion":"1.0","id":"a","source":"/orderwatch","type":"io.orderwatch.attention.v1","datacontenttype":"application/json","data":{"kind":"credentials","project_id":"p"}}`
	asAccount := string(eventstest.Last(t, js, "ORDER_EVENTS", "orders.attention.blind."+project+".order.pool-5ed5-w4l2n").Data)
	for subject, body := range map[string]string{
		"orders.attention.credentials.p": account,
		"orders.attention.blind.p":       asAccount,
		"orders.attention.blind.p.order": strings.ReplaceAll(account, `"id":"a"`, `"id":"b"`),
	} {
		if _, err := js.Publish(t.Context(), subject, []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	publish(t, js, request("order.a"))
	if c := awaited(t, people.told); c.OrderName != "order.a" {
		t.Errorf("told of %s", c.OrderName)
	}
	eventstest.Eventually(t, allTold(t, js))
	times := make(map[watcher.AttentionKind]int)
	for range len(kinds) + 1 { // the first answer is an error
		a := awaited(t, people.orders)
		times[a.Kind]++
		if a.WatchID != "w_01JRFQ7M9C0D8E6T3V5XKB2NHA" || !a.Since.Equal(unlistedSince) || len(a.Items) != 2 || !a.Items[1].MissingSince.Equal(unlistedSince) {
			t.Errorf("told %+v", a)
		}
	}
	if len(times) != len(kinds) || len(people.orders) != 0 {
		t.Errorf("told of orders %v, and %d more", times, len(people.orders))
	}
	if a := awaited(t, people.accounts); a.Kind != watcher.CredentialsRefused || len(people.accounts) != 0 {
		t.Errorf("told of accounts %+v, and %d more", a, len(people.accounts))
	}
	for _, words := range [][]string{
		{"subject=orders.attention.blind.p ", `unknown type \"io.orderwatch.order.attention.v1\"`},
		{"subject=orders.attention.blind.p.order ", `unknown type \"io.orderwatch.attention.v1\"`},
	} {
		if err := w.log.line(append(words, "dropped what is no event", "level=ERROR")...); err != nil {
			t.Error(err)
		}
	}
}

// awaited returns what comes next.
func awaited[E any](t *testing.T, from <-chan E) E {
	t.Helper()
	select {
	case e := <-from:
		return e
	case <-time.After(eventstest.Patience):
		t.Fatal("nothing came in 3 minutes")
		panic("unreachable")
	}
}

// allTold returns nil once the slack consumer is done with all events.
func allTold(t *testing.T, js jetstream.JetStream) func() error {
	return func() error {
		c, err := js.Consumer(t.Context(), "ORDER_EVENTS", "slack")
		if err != nil {
			return err
		}
		if i := c.CachedInfo(); i.NumPending > 0 || i.NumAckPending > 0 {
			return fmt.Errorf("%d events wait, %d are being told", i.NumPending, i.NumAckPending)
		}
		return nil
	}
}

// The events of an account's outage, and wishes to tell people again, are found as before beside those
// about orders.
func TestAttentionSubjectsApart(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	store := storesOn(t, s, 1)[0]
	_, js := eventstest.Connect(t, s)
	blind := orderAttention(watcher.Blind, unlistedSince)
	blind.Error = &watcher.ErrorDetail{Code: "ModelArts.50005000", Message: "Internal server error"}
	if err := store.Attend(t.Context(), blind); err != nil {
		t.Fatal(err)
	}
	for filter, want := range map[string]uint64{
		"orders.attention.>":                             1,
		"orders.attention.*." + project:                  0,
		"orders.attention.*." + project + ".>":           1,
		"orders.attention.blind." + project + ".order.>": 1,
		"orders.attention.renotify.>":                    0,
		"orders.attention.vanished." + project + ".>":    0,
		"orders.attention.*." + project + ".order.other": 0,
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
