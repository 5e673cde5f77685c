package index_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/index"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// aRecord returns the record of a watch that was accepted so many seconds after the first.
func aRecord(second int, state watcher.State, project, env string) watcher.Watch {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(second) * time.Second)
	w := watcher.Watch{
		Schema: 1, State: state, ID: fmt.Sprintf("w_%026d", second), Region: "cn-north-4",
		Order:      watcher.Order{ProjectID: project, Name: fmt.Sprintf("order.pool-%d", second)},
		AcceptedAt: at, Deadline: at.Add(time.Hour), NextPollAt: at, Wakeup: 1,
	}
	requests := []watcher.Request{{ID: "build", Labels: map[string]string{"env": env}, ReceivedAt: at}}
	if state == watcher.Watching {
		w.Requests = requests
		return w
	}
	w.Completion = &watcher.Completion{Outcome: watcher.Succeeded, CompletedAt: at, Report: watcher.Report{
		WatchID: w.ID, ProjectID: project, OrderName: w.Name, Requests: requests, AcceptedAt: at,
	}}
	return w
}

// keep stores the records in any order.
func keep(t testing.TB, store *store.Store, records []watcher.Watch) {
	t.Helper()
	records = slices.Clone(records)
	rand.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
	for _, w := range records {
		if _, err := store.Write(t.Context(), w, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// page returns the page of watches that a client gets who asks so.
func page(t *testing.T, x *index.Index, q wire.ListQuery) wire.ListAnswer {
	t.Helper()
	body, err := json.Marshal(q)
	if err == nil {
		q, err = wire.DecodeList(body)
	}
	if err != nil {
		t.Fatal(err)
	}
	answer, err := x.List(t.Context(), q, teams.View{}, watcher.Policy{MaxPayload: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// all returns the names of all watches that the query wants, page by page.
func all(t *testing.T, x *index.Index, q wire.ListQuery) (names []string, pages int) {
	t.Helper()
	for {
		answer := page(t, x, q)
		pages++
		for _, w := range answer.Watches {
			names = append(names, w.OrderName)
			if len(w.Items) != 0 {
				t.Errorf("%s has items", w.OrderName)
			}
		}
		if q.Cursor = answer.Cursor; q.Cursor == "" {
			return names, pages
		}
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	nc, js := eventstest.Connect(t, eventstest.Server(t))
	store := eventstest.Provided(t, nc, eventstest.StoreConfig())
	var records []watcher.Watch
	want := map[string][]string{}
	for i := 349; i >= 0; i-- {
		state, id, env := watcher.Ended, "p1", "prod"
		if i%3 == 0 {
			state = watcher.Watching
		}
		if i%2 == 0 {
			id = "p2"
		}
		if i%5 == 0 {
			env = "test=1"
		}
		w := aRecord(i, state, id, env)
		records = append(records, w)
		for _, key := range []string{"", string(state), id, "env=" + env, string(state) + " " + id + " env=" + env} {
			want[key] = append(want[key], w.Name)
		}
	}
	keep(t, store, records)
	x := index.New(store)
	later := &jetstream.RawStreamMsg{Subject: "$KV.ORDER_WATCHES.p3.order.later", Data: []byte(`{"schema":99,"state":"watching","watch_id":"w_9"}`)}
	if _, err := js.Publish(t.Context(), later.Subject, later.Data); err != nil {
		t.Fatal(err)
	}

	for _, test := range []struct {
		query wire.ListQuery
		want  string
		pages int
	}{
		{wire.ListQuery{}, "", 4},
		{wire.ListQuery{Limit: 1000}, "", 1},
		{wire.ListQuery{Limit: 350}, "", 2}, // with the one that is left out
		{wire.ListQuery{Limit: 7, State: watcher.Watching}, "watching", 17},
		{wire.ListQuery{State: watcher.Ended, Limit: 500}, "ended", 1},
		{wire.ListQuery{ProjectID: "p1"}, "p1", 2},
		{wire.ListQuery{Label: "env=test=1"}, "env=test=1", 1},
		{wire.ListQuery{Label: "env=none"}, "none", 1},
		{wire.ListQuery{State: watcher.Ended, ProjectID: "p2", Label: "env=prod"}, "ended p2 env=prod", 1},
	} {
		if got, pages := all(t, x, test.query); !slices.Equal(got, want[test.want]) || pages != test.pages {
			t.Errorf("%+v: %d watches on %d pages; want %d on %d", test.query, len(got), pages, len(want[test.want]), test.pages)
		}
	}
	if answer := page(t, x, wire.ListQuery{ProjectID: "p3"}); answer.Unreadable != 1 {
		t.Errorf("%+v; want one unreadable record", answer)
	}
}

// TestListWhileWritten lists records that are rewritten meanwhile, and so stand in the bucket where
// the reading has been and again where it comes to: each is listed once.
func TestListWhileWritten(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, _ := eventstest.Connect(t, s)
	store := eventstest.Provided(t, nc, eventstest.StoreConfig())
	const records = 100
	revisions := make([]watcher.Revision, records)
	write := func(i int) {
		var err error
		if revisions[i], err = store.Write(t.Context(), aRecord(i, watcher.Watching, eventstest.Project, "prod"), revisions[i]); err != nil {
			t.Error(err)
		}
	}
	for i := range records {
		write(i)
	}
	var writing sync.WaitGroup
	stop := make(chan struct{})
	writing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				write(i % records)
			}
		}
	})
	defer writing.Wait()
	defer close(stop)
	x := index.New(store)
	for _, limit := range []int{records, 25, 49} {
		for range 10 {
			answer, err := x.List(t.Context(), wire.ListQuery{Limit: limit}, teams.View{}, watcher.Policy{MaxPayload: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			if n := len(answer.Watches); n != limit || (answer.Cursor == "") != (limit == records) {
				t.Errorf("%d watches of %d, cursor %q", n, limit, answer.Cursor)
			}
			for i, w := range answer.Watches {
				if want := fmt.Sprintf("order.pool-%d", records-1-i); w.OrderName != want {
					t.Fatalf("at place %d of %d is %s; want %s", i, limit, w.OrderName, want)
				}
			}
		}
	}
}
