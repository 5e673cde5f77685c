package events_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/wire"
)

// eventsOf asks for events and returns the answer.
func eventsOf(t *testing.T, nc *nats.Conn, q wire.EventsQuery) wire.EventsAnswer {
	t.Helper()
	body, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	code, reply := asked(t, nc, "events", string(body))
	if code != 200 {
		t.Fatalf("%s: %d %s", body, code, reply.Header.Get(micro.ErrorHeader))
	}
	return read[wire.EventsAnswer](t, reply)
}

// progressOf publishes an event about an order that nobody watches, and returns its sequence.
func progressOf(t *testing.T, js jetstream.JetStream, order string, more string) uint64 {
	t.Helper()
	body := fmt.Sprintf(`{"specversion":"1.0","id":"1","source":"/orderwatch","type":"io.orderwatch.order.progressed.v1","data":{"order_name":%q,"more":%q}}`, order, more)
	ack, err := js.Publish(t.Context(), "orders.progress."+project+"."+order, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return ack.Sequence
}

// TestEventsByService asks the service for events page by page, from every kind of place.
func TestEventsByService(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	startWorker(t, s, quiet(), &orders{show: never})
	nc, js := eventstest.Connect(t, s)
	if a := eventsOf(t, nc, wire.EventsQuery{}); len(a.Events) != 0 || a.More || a.Cursor == "" {
		t.Fatalf("of nothing: %+v", a)
	}
	for n := range 25 {
		progressOf(t, js, fmt.Sprintf("order.%d", n%5), strings.Repeat("x", 100<<10)) // ten fit into an answer at the most
	}
	middle := time.Now()
	for n := range 5 {
		progressOf(t, js, fmt.Sprintf("order.%d", n), "late")
	}
	one := []string{"orders.progress." + project + ".order.1"}
	two := []string{one[0], "orders.progress.*.order.3", "orders.rejected"}
	for _, c := range []struct {
		name  string
		q     wire.EventsQuery
		first uint64
		count int
	}{
		{"all", wire.EventsQuery{Limit: 1000}, 1, 30},
		{"of one order", wire.EventsQuery{Subjects: one}, 2, 6},
		{"one at a time", wire.EventsQuery{Subjects: one, Limit: 1}, 2, 6},
		{"of two", wire.EventsQuery{Subjects: two, Limit: 3}, 2, 12},
		{"after", wire.EventsQuery{AfterSequence: 24}, 25, 6},
		{"after the last", wire.EventsQuery{AfterSequence: 30}, 0, 0},
		{"since", wire.EventsQuery{Since: middle}, 26, 5},
		{"since, of one order", wire.EventsQuery{Subjects: one, Since: middle}, 27, 1},
		{"since just now", wire.EventsQuery{Since: time.Now().Add(time.Minute)}, 0, 0},
		{"new", wire.EventsQuery{New: true}, 0, 0},
		{"of none", wire.EventsQuery{Subjects: []string{"orders.completed.>"}}, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []uint64
			for q := c.q; ; {
				a := eventsOf(t, nc, q)
				for _, e := range a.Events {
					got = append(got, e.Sequence)
				}
				if q = (wire.EventsQuery{Subjects: q.Subjects, Limit: q.Limit, Cursor: a.Cursor}); !a.More {
					break
				}
			}
			for i := range len(got) - 1 {
				if got[i] >= got[i+1] {
					t.Errorf("out of order, or twice: %d", got)
				}
			}
			if len(got) != c.count || len(got) > 0 && got[0] != c.first {
				t.Errorf("got %d; want %d, the first %d", got, c.count, c.first)
			}
		})
	}
}

// TestEventsByServiceWaits lets many wait for one event at the same time.
func TestEventsByServiceWaits(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	w := startWorker(t, s, quiet(), &orders{show: never})
	nc, js := eventstest.Connect(t, s)
	at := eventsOf(t, nc, wire.EventsQuery{New: true}).Cursor
	got := make(chan wire.EventsAnswer, 50)
	for range cap(got) {
		go func() { got <- eventsOf(t, nc, wire.EventsQuery{Cursor: at, Wait: "25s"}) }()
	}
	if a := eventsOf(t, nc, wire.EventsQuery{Cursor: at, Wait: "300ms"}); len(a.Events) != 0 || a.Cursor != at {
		t.Errorf("nothing came, but %+v", a)
	}
	sequence := progressOf(t, js, "order.a", "")
	for range cap(got) {
		if a := <-got; len(a.Events) != 1 || a.Events[0].Sequence != sequence || a.Events[0].Subject != "orders.progress."+project+".order.a" {
			t.Fatalf("got %+v", a)
		}
	}
	for body, says := range map[string]string{
		`{"wait":"26s"}`: "wait", `{"wait":"-1s"}`: "wait", `{"limit":1001}`: "limit", `{"subjects":["a..b"]}`: "subjects", `{"subjects":[">.a"]}`: "subjects",
		`{"subjects":["a b"]}`: "subjects", `{"cursor":"nonsense"}`: "cursor", `{"after_sequence":-1}`: "after_sequence", `{"since":"noon"}`: "since", `{"more":1}`: "more", `{"new":null}`: "new",
	} {
		code, reply := asked(t, nc, "events", body)
		if refusal := read[wire.ServiceError](t, reply); code != 400 || refusal.Field != says {
			t.Errorf("%s: %d %s", body, code, reply.Data)
		}
	}
	// A worker that stops keeps nobody waiting.
	before := requestsOf(t, nc, "events")
	go func() { got <- eventsOf(t, nc, wire.EventsQuery{New: true, Wait: "25s"}) }()
	eventstest.Eventually(t, func() error {
		if requestsOf(t, nc, "events") == before {
			return errors.New("the question has not come")
		}
		return nil
	})
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	if a := <-got; len(a.Events) != 0 {
		t.Errorf("got %+v", a)
	}
}

// requestsOf returns how often the worker's endpoint was asked.
func requestsOf(t *testing.T, nc *nats.Conn, endpoint string) int {
	t.Helper()
	reply, err := nc.Request("$SRV.STATS.orderwatch", nil, eventstest.Patience)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range read[micro.Stats](t, reply).Endpoints {
		if e.Name == endpoint {
			return e.NumRequests
		}
	}
	t.Fatalf("there is no endpoint %s", endpoint)
	return 0
}

// teamServer starts a server with an account for orderwatch, and one for a team that has no JetStream and imports
// requests and the service.
func teamServer(t *testing.T) (s *server.Server, at string) {
	t.Helper()
	ours, team := server.NewAccount("ORDERWATCH"), server.NewAccount("GPU")
	s = eventstest.Server(t, server.Options{
		Accounts: []*server.Account{ours, team},
		Users:    []*server.User{{Username: "worker", Password: "w", Account: ours}, {Username: "gpu", Password: "g", Account: team}},
	})
	ours, err := s.LookupAccount("ORDERWATCH")
	if err != nil {
		t.Fatal(err)
	}
	if team, err = s.LookupAccount("GPU"); err != nil {
		t.Fatal(err)
	}
	if err := ours.EnableJetStream(nil, nil); err != nil {
		t.Fatal(err)
	}
	for as, subject := range map[string]string{"orders.watch": "orders.watch.gpu", "orderwatch.*": "orderwatch.*.gpu"} {
		if err := errors.Join(ours.AddServiceExport(subject, []*server.Account{team}), team.AddServiceImport(ours, as, subject)); err != nil {
			t.Fatal(err)
		}
	}
	return s, strings.TrimPrefix(s.ClientURL(), "nats://")
}

// TestFollowFromTeam follows events from an account without JetStream: each comes once and in order, although workers
// stop and start meanwhile, and the team's request is stored with its subject.
func TestFollowFromTeam(t *testing.T) {
	t.Parallel()
	_, at := teamServer(t)
	begin := func() *running {
		return parts{url: "nats://worker:w@" + at, config: quiet(), orders: &orders{show: never}}.ready(t)
	}
	first, second := begin(), begin()
	nc, err := nats.Connect("nats://gpu:g@" + at)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := newClient(t, nc)
	if _, err := c.Publish(t.Context(), wire.WatchRequest{Order: of("order.a"), RequestID: "build-1"}); err != nil {
		t.Fatal(err)
	}
	eventstest.Eventually(t, func() error { _, err := c.Get(t.Context(), of("order.a")); return err })

	began, got := make(chan bool, 1), make(chan uint64, 1000)
	go c.Follow(t.Context(), client.Filter{New: true, Subjects: []string{"orders.progress." + project + ".order.b", "orders.rejected"}}, func() { began <- true }, nil, func(e client.Event) error {
		got <- e.Sequence
		return nil
	})
	<-began
	var want []uint64
	for n := range 200 {
		js := first.store.JS
		if n >= 100 {
			js = second.store.JS
		}
		want = append(want, progressOf(t, js, "order.b", ""))
		if n == 100 {
			if err := first.stop(); err != nil {
				t.Error(err)
			}
		}
	}
	for _, sequence := range want {
		if is := <-got; is != sequence {
			t.Fatalf("got %d; want %d", is, sequence)
		}
	}
	var all []uint64
	err = c.Follow(t.Context(), client.Filter{Stop: true, Subjects: []string{"orders.progress." + project + ".order.b"}}, nil, nil, func(e client.Event) error {
		all = append(all, e.Sequence)
		return nil
	})
	if err != nil || len(all) != len(want) {
		t.Errorf("%d events are kept (%v); want %d", len(all), err, len(want))
	}
	second.stop()
	if err := c.Follow(t.Context(), client.Filter{Stop: true}, nil, nil, nil); !errors.Is(err, client.ErrNoWorker) {
		t.Errorf("without a worker: %v", err)
	}
}
