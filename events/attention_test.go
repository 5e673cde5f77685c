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

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/schema/schematest"
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

// TestOrderAttentionEvent holds the event as a whole, and that a client reads it.
func TestOrderAttentionEvent(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, js := eventstest.Connect(t, s)
	store := eventstest.Provided(t, nc, eventstest.StoreConfig())
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
	a.Links = a.LinksAt(eventstest.StoreConfig().PublicURL)
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
		t.Fatal("nothing came within " + eventstest.Patience.String())
		panic("unreachable")
	}
}

// allTold returns nil once the slack consumer is done with all events.
func allTold(t *testing.T, js jetstream.JetStream) func() error {
	return func() error { return eventstest.Settled(t.Context(), js, "ORDER_EVENTS", "slack") }
}

// attended is a Notifier that hands attentions on; its first answer is an error.
type attended struct {
	told
	all  chan watcher.Attention
	once *sync.Once
}

func (a attended) Attend(_ context.Context, attention watcher.Attention) (err error) {
	a.once.Do(func() { err = &watcher.RetryError{After: 10 * time.Millisecond, Err: errors.New("not now")} })
	a.all <- attention
	return err
}

// People are told of each event about an account once, and again where that failed.
func TestAttentionReachesTheNotifier(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	people := attended{make(told, 10), make(chan watcher.Attention, 100), new(sync.Once)}
	first := parts{url: s.ClientURL(), config: sharing(), orders: idleCloud(), notifier: people}.ready(t)
	parts{url: s.ClientURL(), config: sharing(), orders: idleCloud(), notifier: people}.ready(t)
	publish(t, js, request("order.one"))
	for _, other := range []string{"b", "c"} {
		r := request("order.two")
		r["project_id"] = other
		publish(t, js, r)
	}
	eventstest.Eventually(t, func() error {
		if n := eventstest.Messages(t, js, "KV_ORDER_WATCHES", "$KV.ORDER_WATCHES.*.>"); n != 3 {
			return fmt.Errorf("%d records", n)
		}
		return nil
	})
	const key = "ab12.cn-north-4"
	began := time.Now().UTC().Add(-2 * time.Minute).Truncate(time.Millisecond)
	hold := watcher.Hold{Kind: watcher.HeldLogin, Region: "cn-north-4", Reason: "401", Since: began, Until: time.Now().Add(time.Hour)}
	if err := first.accounts.SetHold(t.Context(), key, hold, 0); err != nil {
		t.Fatal(err)
	}
	outage := ""
	check := func(kind watcher.AttentionKind, deliveries int) {
		t.Helper()
		got := make(map[string]int)
		for range deliveries {
			select {
			case a := <-people.all:
				if a.Kind != kind || a.Cause != watcher.HeldLogin || a.Reason != "401" || !a.Since.Equal(began) || a.Waiting != 1 || a.WaitingAll != 3 {
					t.Errorf("told %+v", a)
				}
				if outage == "" {
					outage = a.Outage()
				}
				if a.Outage() != outage {
					t.Errorf("outages %q and %q", a.Outage(), outage)
				}
				got[a.ProjectID]++
			case <-time.After(eventstest.Patience):
				t.Fatalf("%s: after %s only %v", kind, eventstest.Patience, got)
			}
		}
		if len(got) != 3 {
			t.Errorf("%s: told of %v; want 3 projects", kind, got)
		}
	}
	check(watcher.CredentialsRefused, 4) // one of them a second time
	eventstest.Eventually(t, func() error {
		hold, revision := first.accounts.Hold(key)
		if hold.ToldAt.IsZero() {
			return errors.New("not noted that people know")
		}
		hold.Over = time.Now().UTC()
		return first.accounts.SetHold(t.Context(), key, hold, revision)
	})
	check(watcher.Released, 3)
	eventstest.Eventually(t, allTold(t, js))
	if n := len(people.all); n != 0 {
		t.Errorf("told %d times too often", n)
	}
}

// What is no event of its subject is dropped.
func TestAttentionThatIsNone(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	people := attended{make(told, 10), make(chan watcher.Attention, 100), new(sync.Once)}
	w := parts{url: s.ClientURL(), config: config(), orders: idleCloud(), notifier: people}.ready(t)
	for _, body := range []string{
		"x", "{}",
		`{"specversion":"1.0","id":"1","source":"/x","type":"io.orderwatch.account.moved.v1","datacontenttype":"application/json","data":{"outage":"o"}}`,
	} {
		if _, err := js.Publish(t.Context(), "orders.attention.moved.p", []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	eventstest.Eventually(t, func() error {
		c, err := js.Consumer(t.Context(), "ORDER_EVENTS", "slack")
		if err != nil {
			return err
		}
		if i := c.CachedInfo(); i.AckFloor.Stream < 3 {
			return fmt.Errorf("acknowledged up to %d", i.AckFloor.Stream)
		}
		return nil
	})
	if err := w.log.line("level=ERROR", "dropped what is no event", "orders.attention.moved.p"); err != nil {
		t.Error(err)
	}
	if n := len(people.all); n != 0 {
		t.Errorf("told of %+v", <-people.all)
	}
}
