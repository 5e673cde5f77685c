package events_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestTeamsShareAWatch lets two teams ask for the same orders under the same ids, and one of them cancel: each request is
// answered once, in a completion that is its own team's, and the other team's go on.
func TestTeamsShareAWatch(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, js := eventstest.Connect(t, s)
	var over atomic.Bool
	cloud := &orders{show: func(watcher.Order, int) (watcher.Answer, error) {
		if over.Load() {
			return answer(watcher.Succeed), nil
		}
		return answer(watcher.Processing), nil
	}}
	cfg := withTeams(t, twoTeams)
	cfg.Policy.Backoff = config().Policy.Backoff
	for range 2 {
		startWorker(t, s, cfg, cloud)
	}
	const n = 30
	name := func(i int) (order, id string) { return fmt.Sprint("order.", i), fmt.Sprint("build-", i) }
	for i := range n {
		order, id := name(i)
		for _, team := range []string{"gpu", "net"} {
			publishOn(t, js, "orders.watch."+team, wanted("shared-1", order, id))
		}
	}
	for i := range n {
		order, id := name(i)
		isWatched(t, js, "shared-1", order, "gpu", id)
		isWatched(t, js, "shared-1", order, "net", id)
	}
	for i := range n {
		order, _ := name(i)
		if code, reply := askAs(t, nc, "cancel", "gpu", map[string]any{"project_id": "shared-1", "order_name": order, "by": "net"}); code != 200 || strings.Contains(string(reply.Data), `"team":"net"`) {
			t.Errorf("cancel of %s: %d %s", order, code, reply.Data)
		}
	}
	ended := func(team string) (all []watcher.Completion) {
		for _, e := range eventstest.Events(t, js, "ORDER_EVENTS", "orders.completed.>") {
			c := e.Completion(t)
			if slices.ContainsFunc(c.Requests, func(r watcher.Request) bool { return r.Team == team }) {
				all = append(all, c)
			}
		}
		return all
	}
	are := func(team string) {
		t.Helper()
		eventstest.Eventually(t, func() error {
			if got := len(ended(team)); got != n {
				return fmt.Errorf("%d completions of %s; want %d", got, team, n)
			}
			return nil
		})
	}
	are("gpu")
	if touched := ended("net"); len(touched) != 0 {
		t.Fatalf("%d watches of the other team were ended", len(touched))
	}
	for i := range n {
		order, id := name(i)
		if w := isWatched(t, js, "shared-1", order, "net", id); w.Wish != nil || w.State != watcher.Watching {
			t.Errorf("what goes on for the other team is %+v", w)
		}
		if _, reply := askAs(t, nc, "get", "gpu", of2("shared-1", order)); strings.Contains(string(reply.Data), id) {
			t.Errorf("the other team's request is shown: %s", reply.Data)
		}
	}
	publishOn(t, js, "orders.watch.net", wanted("p-net", "order.a", "build-a"))
	publishOn(t, js, "orders.watch.net", wanted("p-gpu", "order.a", "rejected"))
	isWatched(t, js, "p-net", "order.a", "net", "build-a")
	rejections(t, js, 1)
	publishOn(t, js, "orders.watch.gpu", wanted("shared-1", "order.both", "of-gpu"))
	publishOn(t, js, "orders.watch.net", wanted("shared-1", "order.both", "of-net"))
	isWatched(t, js, "shared-1", "order.both", "gpu", "of-gpu")
	isWatched(t, js, "shared-1", "order.both", "net", "of-net")
	over.Store(true)
	eventstest.Eventually(t, func() error {
		if got := len(ended("net")); got != n+2 {
			return fmt.Errorf("%d completions of net", got)
		}
		return nil
	})
	for team, want := range map[string]int{"gpu": 2*n + 1, "net": 2*n + 2} {
		code, reply := askAs(t, nc, "events", team, map[string]any{"limit": 1000})
		completions := 0
		for _, e := range read[wire.EventsAnswer](t, reply).Events {
			if strings.HasPrefix(e.Subject, "orders.completed.") {
				completions++
			}
		}
		other := map[string]string{"gpu": "net", "net": "gpu"}[team]
		if code != 200 || completions != want || strings.Contains(string(reply.Data), `"team":"`+other+`"`) || strings.Contains(string(reply.Data), "of-"+other) || strings.Contains(string(reply.Data), "orders.rejected") != (team == "net") {
			t.Errorf("%s is answered %d with %d completions of %d: %.2000s", team, code, completions, want, reply.Data)
		}
	}
	for i := range n {
		order, _ := name(i)
		all := slices.DeleteFunc(ended("net"), func(c watcher.Completion) bool { return c.OrderName != order })
		if len(all) != 1 {
			t.Errorf("%s is answered %d times", order, len(all))
		}
	}
	for team, outcome := range map[string]watcher.Outcome{"gpu": watcher.Cancelled, "net": watcher.Succeeded} {
		var ids []string
		for _, c := range ended(team) {
			if !strings.HasPrefix(c.Requests[0].ID, "build-") || c.ProjectID != "shared-1" {
				continue
			}
			if c.Outcome != outcome || len(c.Requests) != 1 || c.Requests[0].Team != team {
				t.Errorf("%s is answered by %+v", team, c)
			}
			ids = append(ids, c.Requests[0].ID)
		}
		if slices.Sort(ids); len(slices.Compact(ids)) != n {
			t.Errorf("%s: %d of %d requests are answered", team, len(slices.Compact(ids)), n)
		}
	}
}
