package tally_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/tally"
	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
)

func TestMain(m *testing.M) { os.Exit(eventstest.Main(m, 8)) }

var now = time.Date(2026, 6, 30, 12, 0, 0, 0, time.UTC)

// ended returns the completion of an order with one item, which took so long and ended at the time.
func ended(n int, outcome watcher.Outcome, at time.Time, took time.Duration, message string) watcher.Completion {
	it := watcher.Item{ResourceName: "pool-a", Action: "createPool", Status: watcher.Succeed, BeganAt: at.Add(-took), UpdatedAt: at}
	c := watcher.Completion{Outcome: outcome, CompletedAt: at}
	c.WatchID, c.Region, c.ProjectID, c.OrderName = fmt.Sprintf("w_%d", n), "cn-north-4", eventstest.Project, fmt.Sprintf("order.%d", n)
	c.AcceptedAt = at.Add(-took - time.Minute)
	c.Requests, c.Failures = []watcher.Request{{ID: fmt.Sprint("r", n)}}, []watcher.Failure{}
	c.Counts = watcher.Counts{Total: 1, Succeeded: 1}
	c.DetectedAfter, c.DetectedBy = "4s", watcher.ByList
	if outcome != watcher.Succeeded {
		it.Status = watcher.Failed
		c.Counts = watcher.Counts{Total: 1, Failed: 1}
		c.Failures = []watcher.Failure{{Message: message, Action: "createPool", Count: 1, ResourceNames: []string{"pool-a"}}}
	}
	c.Items = []watcher.Item{it}
	return c
}

func parse(t testing.TB, file string) teams.Teams {
	t.Helper()
	all, err := teams.Parse("teams.yaml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestCountsOnce applies completions in any order, some of them again, and holds each team's book against a count of what the
// team sees.
func TestCountsOnce(t *testing.T) {
	t.Parallel()
	all := parse(t, "teams:\n  red:\n    projects: [red-*]\n  blue:\n    projects: [blue-1]\n")
	tl := tally.New(all, nil)
	r := rand.New(rand.NewPCG(3, 4))
	want := map[string]map[string]int{"": {}, "red": {}, "blue": {}}
	for n := range 3000 {
		at := now.Add(-time.Duration(3000-n) * 40 * time.Minute)
		outcome := watcher.Outcomes[r.IntN(3)]
		c := ended(n, outcome, at, 10*time.Minute, "no quota left for pool "+fmt.Sprint(n))
		c.ProjectID = []string{"red-1", "blue-1", "none"}[r.IntN(3)]
		c.Requests[0].Team = []string{"", "red", "blue"}[r.IntN(3)]
		for range 1 + r.IntN(2) {
			tl.Apply(c, at.Add(time.Second))
		}
		for team := range want {
			if v := all.View(team); v.Completed(c) {
				want[team][at.Format(time.DateOnly)+string(outcome)]++
			}
		}
	}
	for team, counts := range want {
		h := tl.History(all.View(team), 90, now)
		if len(h.Days) != 90 || !h.Days[89].Date.Equal(now.Truncate(24*time.Hour)) {
			t.Fatalf("%d days, up to %s", len(h.Days), h.Days[len(h.Days)-1].Date)
		}
		failed := 0
		for _, d := range h.Days {
			for i, n := range d.Ended {
				if key := d.Date.Format(time.DateOnly) + string(watcher.Outcomes[i]); counts[key] != n {
					t.Errorf("team %q: %s: %d; want %d", team, key, n, counts[key])
				}
				if watcher.Outcomes[i] != watcher.Succeeded {
					failed += n
				}
			}
		}
		if len(h.Causes) != 1 || h.Causes[0].Count != failed || !strings.Contains(h.Causes[0].Text, "no quota left") {
			t.Errorf("team %q: causes %+v; want one of %d", team, h.Causes, failed)
		}
	}
	if h := tl.History(all.View("green"), 30, now); len(h.Causes) > 0 || len(h.Kinds) > 0 || h.Days[29].Total() > 0 {
		t.Errorf("a team that the file does not name is told of %+v", h)
	}
}

// TestDurations compares the last 30 days with the 30 before.
func TestDurations(t *testing.T) {
	t.Parallel()
	tl := tally.New(teams.Teams{}, nil)
	for n := range 80 {
		at, took := now.AddDate(0, 0, -n), 20*time.Minute
		if n >= 30 {
			took = 10 * time.Minute
		}
		tl.Apply(ended(n, watcher.Succeeded, at, took, ""), at)
	}
	h := tl.History(teams.View{}, 30, now)
	if len(h.Kinds) != 1 || !slices.Equal(h.Kinds[0].Actions, []string{"createPool"}) || h.Kinds[0].Region != "cn-north-4" {
		t.Fatalf("%+v", h.Kinds)
	}
	near := func(got, want time.Duration) bool { return got > want*94/100 && got < want*106/100 }
	k := h.Kinds[0]
	if k.Now.Ended != 30 || k.Before.Ended != 30 || !near(k.Now.P50, 20*time.Minute) || !near(k.Before.P95, 10*time.Minute) {
		t.Errorf("%+v", k)
	}
	if lag := tl.Lag(teams.View{}, now); lag.Ended != 1 || lag.ByList != 1 || !near(lag.P95, 4*time.Second) {
		t.Errorf("%+v", lag)
	}
}

// TestIsItNew asks of each of some orders whether its cause is new.
func TestIsItNew(t *testing.T) {
	t.Parallel()
	tl := tally.New(teams.Teams{}, foreign.NewSecrets("(hidden)", "hunter2-is-the-secret"))
	fails := func(n, hour int, message string) watcher.Completion {
		return ended(n, watcher.AllFailed, now.Add(time.Duration(hour-48)*time.Hour), time.Minute, message)
	}
	all := []watcher.Completion{
		fails(0, 0, "quota of 4 exceeded in zone z-1a2b3c4d"), fails(1, 1, "no capacity, hunter2-is-the-secret"),
		fails(2, 2, "quota of 9 exceeded in zone z-99999999"), fails(3, 3, "quota of 5 exceeded in zone z-12121212"),
	}
	for _, c := range all {
		tl.Apply(c, c.CompletedAt)
	}
	open := fails(9, 40, "quota of 1 exceeded in zone z-77777777")
	open.Outcome, open.CompletedAt = "", time.Time{}
	for _, tt := range []struct {
		c      watcher.Completion
		isNew  bool
		before int
		last   string
		count  int
	}{
		{all[0], true, 0, "", 3}, {all[1], true, 0, "", 1}, {all[2], false, 1, "w_0", 3}, {all[3], false, 2, "w_2", 3}, {open, false, 3, "w_3", 3},
		{fails(10, 41, "something else"), true, 0, "", 0}, {fails(11, 42, "quota of 2 exceeded in zone z-66666666"), false, 3, "w_3", 3},
	} {
		s, ok := tl.Seen(teams.View{}, tt.c)
		if !ok || s.New != tt.isNew || s.Before != tt.before || s.Last.WatchID != tt.last || s.Count != tt.count || !s.Since.Equal(all[0].CompletedAt) || !tt.isNew && s.First.WatchID != "w_0" {
			t.Errorf("%s: %t %+v", tt.c.WatchID, ok, s)
		}
	}
	if _, ok := tl.Seen(teams.View{}, ended(20, watcher.Succeeded, now, time.Minute, "")); ok {
		t.Error("a success has a cause")
	}
	if h := tl.History(teams.View{}, 30, now); len(h.Causes) != 2 || strings.Contains(h.Causes[1].Text, "hunter2") {
		t.Errorf("%+v", h.Causes)
	}
}

// TestCausesWithoutItems holds that an unknown order is one cause, whatever the error says, and a deadline two.
func TestCausesWithoutItems(t *testing.T) {
	t.Parallel()
	tl := tally.New(teams.Teams{}, nil)
	for n, tt := range []struct {
		outcome watcher.Outcome
		items   int
		err     string
	}{
		{watcher.OrderNotFound, 0, "Order order.late-1 not found."}, {watcher.OrderNotFound, 0, "Order pool not found."}, {watcher.TimedOut, 0, "Order a not found."},
		{watcher.OrderNotFound, 2, "Order order.gone not found."}, {watcher.TimedOut, 0, ""}, {watcher.TimedOut, 3, ""}, {watcher.TimedOut, 1, ""},
	} {
		c := ended(n, tt.outcome, now, time.Minute, "")
		c.Failures, c.Counts = nil, watcher.Counts{Total: tt.items, Processing: tt.items}
		if tt.err != "" {
			c.Error = &watcher.ErrorDetail{Code: "ModelArts.50015001", Message: tt.err}
		}
		tl.Apply(c, now)
	}
	got := map[string]int{}
	for _, c := range tl.History(teams.View{}, 30, now).Causes {
		got[c.Text] = c.Count
	}
	want := map[string]int{
		"ModelArts does not know the order": 3, "ModelArts does not know the order any more": 1,
		"The deadline came first: no item appeared": 1, "The deadline came first: not all items had ended": 2,
	}
	if !maps.Equal(got, want) {
		t.Errorf("%v; want %v", got, want)
	}
}

// TestBounds applies what never ends: days, kinds and causes, none like another.
func TestBounds(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	tl := tally.New(teams.Teams{}, nil)
	const many = 30_000
	r := rand.New(rand.NewPCG(7, 7))
	letters := func() string {
		word := make([]byte, 12)
		for i := range word {
			word[i] = "aeioulmnrst"[r.IntN(11)]
		}
		return string(word)
	}
	for n := range many {
		at := now.Add(-time.Duration(many-n) * 4 * time.Minute)
		c := ended(n, watcher.AllFailed, at, time.Duration(r.IntN(3_600_000))*time.Millisecond, "")
		c.Failures[0].Message = strings.Repeat(letters()+" "+letters()+" "+letters()+" ", 12)
		c.Items[0].Action = fmt.Sprint("action-", letters()[:2])
		tl.Apply(c, at)
	}
	h := tl.History(teams.View{}, 90, now)
	kept := 0
	for _, c := range h.Causes {
		kept += c.Count
		if len(c.Text) > 400 {
			t.Errorf("a cause's text has %d bytes", len(c.Text))
		}
	}
	if len(h.Causes) != 500 || kept+h.OtherFailures != many || h.OtherCauses != many-500 {
		t.Errorf("%d causes of %d orders, and %d of %d", len(h.Causes), kept, h.OtherCauses, h.OtherFailures)
	}
	if len(h.Kinds) != 100 || h.OtherOrders == 0 {
		t.Errorf("%d kinds, and %d other orders", len(h.Kinds), h.OtherOrders)
	}
	if used := (heap() - before) >> 20; used > 24 {
		t.Errorf("%d MB", used)
	} else {
		t.Logf("%d MB", used)
	}
	runtime.KeepAlive(tl)
}
