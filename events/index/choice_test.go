package index_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/index"
	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestListChoice lists watches by name, request, outcome and time, also those that are older than what the index keeps.
func TestListChoice(t *testing.T) {
	t.Parallel()
	nc, _ := eventstest.Connect(t, eventstest.Server(t))
	store := eventstest.Provided(t, nc, eventstest.StoreConfig())
	outcomes := []watcher.Outcome{watcher.Succeeded, watcher.AllFailed, watcher.TimedOut}
	var records []watcher.Watch
	for i := range 120 {
		state := watcher.Ended
		if i%10 == 0 {
			state = watcher.Watching
		}
		w := aRecord(i, state, "p1", "prod")
		asked := []watcher.Request{{ID: fmt.Sprint("build-", i), Team: "gpu"}, {ID: fmt.Sprint("ci ", i/2), Team: "net"}}
		if state == watcher.Ended {
			w.Completion.Requests, w.Completion.Outcome = asked, outcomes[i%3]
		} else {
			w.Requests = asked
		}
		if i == 40 { // more than a row has room for
			for n := range 200 {
				w.Requests = append(w.Requests, watcher.Request{ID: fmt.Sprint("many-", n)})
			}
		}
		records = append(records, w)
	}
	keep(t, store, records)
	at := func(i int) time.Time { return records[i].AcceptedAt }
	ended := func(i int, o watcher.Outcome) bool { return i%10 != 0 && outcomes[i%3] == o }
	for _, kept := range []int{1000, 5} {
		x := index.New(store)
		x.Keep(kept)
		for name, tt := range map[string]struct {
			q    wire.ListQuery
			want func(i int) bool
		}{
			"a name":                      {wire.ListQuery{Name: "order.pool-17"}, func(i int) bool { return i == 17 }},
			"no such name":                {wire.ListQuery{Name: "order.pool"}, func(int) bool { return false }},
			"a request":                   {wire.ListQuery{RequestID: "build-33"}, func(i int) bool { return i == 33 }},
			"a request of two orders":     {wire.ListQuery{RequestID: "ci 16"}, func(i int) bool { return i/2 == 16 }},
			"a request among many":        {wire.ListQuery{RequestID: "many-199"}, func(i int) bool { return i == 40 }},
			"no such request":             {wire.ListQuery{RequestID: "build"}, func(int) bool { return false }},
			"an outcome":                  {wire.ListQuery{Outcomes: []watcher.Outcome{watcher.AllFailed}}, func(i int) bool { return ended(i, watcher.AllFailed) }},
			"two outcomes":                {wire.ListQuery{Outcomes: []watcher.Outcome{watcher.AllFailed, watcher.TimedOut}, Limit: 7}, func(i int) bool { return ended(i, watcher.AllFailed) || ended(i, watcher.TimedOut) }},
			"an outcome of those open":    {wire.ListQuery{State: watcher.Watching, Outcomes: []watcher.Outcome{watcher.AllFailed}}, func(int) bool { return false }},
			"since a time":                {wire.ListQuery{Since: at(100)}, func(i int) bool { return i >= 100 || i%10 == 0 }},
			"an outcome since":            {wire.ListQuery{Since: at(60), Outcomes: []watcher.Outcome{watcher.Succeeded}}, func(i int) bool { return i >= 60 && ended(i, watcher.Succeeded) }},
			"a request and another name":  {wire.ListQuery{RequestID: "build-33", Name: "order.pool-34"}, func(int) bool { return false }},
			"an outcome, a label, a team": {wire.ListQuery{RequestID: "ci 16", Team: "net", Outcomes: outcomes}, func(i int) bool { return i/2 == 16 }},
		} {
			var want []string
			for i := len(records) - 1; i >= 0; i-- {
				if tt.want(i) {
					want = append(want, records[i].Name)
				}
			}
			if got, _ := all(t, x, tt.q); !slices.Equal(got, want) {
				t.Errorf("%s, %d kept: %q; want %q", name, kept, got, want)
			}
		}
	}
}

// TestListChoiceOfTeam holds that a team finds watches by its own requests alone, and not by others' in its project.
func TestListChoiceOfTeam(t *testing.T) {
	t.Parallel()
	nc, _ := eventstest.Connect(t, eventstest.Server(t))
	store := eventstest.Provided(t, nc, eventstest.StoreConfig())
	w := aRecord(1, watcher.Watching, "p1", "prod")
	w.Requests = []watcher.Request{{ID: "own", Team: "gpu"}, {ID: "others", Team: "net"}}
	keep(t, store, []watcher.Watch{w})
	all, err := teams.Parse("teams.yaml", []byte("teams:\n  gpu: {projects: [p1]}\n  net: {projects: [p2]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	x := index.New(store)
	for id, want := range map[string]int{"own": 1, "others": 0} {
		answer, err := x.List(t.Context(), wire.ListQuery{RequestID: id, Limit: 10}, all.View("gpu"), watcher.Policy{MaxPayload: 1 << 20})
		if err != nil || len(answer.Watches) != want {
			t.Errorf("%s: %d watches, %v; want %d", id, len(answer.Watches), err, want)
		}
	}
}
