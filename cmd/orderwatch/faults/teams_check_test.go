package faults_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/watcher"
)

// A teamKey is what tells a request from all others.
type teamKey struct{ project, order, team, id string }

// A teamVerdict counts what the completions of two teams show.
type teamVerdict struct {
	verdict
	touched   int                     // requests that were ended by the other team's cancel, or by its terms
	shared    int                     // completions that name requests of both teams
	parted    int                     // completions after which requests went on
	byOutcome map[watcher.Outcome]int // requests
	latest    time.Duration           // how long after its deadline a request was told that it had passed
}

// judgeTeams holds that each request is named in exactly one completion, with its own outcome, on its own terms, and that
// nothing else came out.
func judgeTeams(t *testing.T, js jetstream.JetStream, orders []teamOrder, f *fleet, run *teamRun) {
	t.Helper()
	v := checkTeams(orders, wholeStream(t, js, "ORDER_EVENTS", "orders.completed.>"))
	h := history{outputs: f.outputs(), left: make(map[string][]string), secrets: planted}
	h.records = wholeStream(t, js, "KV_ORDER_WATCHES", "$KV.ORDER_WATCHES.*.>")
	for _, name := range []string{"ORDER_REQUESTS", "ORDER_WAKEUPS"} {
		s, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		h.left[name] = leftIn(t, s)
	}
	h.checkEmpty(&v.verdict)
	h.checkPatrol(&v.verdict)
	h.checkSecret(&v.verdict)
	if len(h.records) != len(orders) {
		v.violate("%d records for %d orders", len(h.records), len(orders))
	}
	for _, m := range h.records {
		if w, err := watcher.DecodeWatch(m.body); err != nil || w.State != watcher.Ended {
			v.violate("record %s: %v, %s", m.subject, err, w.State)
		}
	}
	for _, violation := range v.violations[:min(20, len(v.violations))] {
		t.Error(violation)
	}
	asked := 0
	for _, n := range v.byOutcome {
		asked += n
	}
	t.Logf("%d orders, %d requests answered in %d completions: %d of them for both teams, %d while others went on; by outcome %v; missing %d, doubled %d, touched by the other team %d; %d cancels of the other's refused, %d requests for the other's projects; %d worker kills; the latest deadline was told %s after it; %d violations",
		len(orders), asked, v.completions, v.shared, v.parted, v.byOutcome, v.missing, v.doubled, v.touched, run.refused.Load(), run.intruded.Load(), f.workerKills.Load(), v.latest.Round(time.Millisecond), len(v.violations))
	if v.shared == 0 || v.parted < 50 {
		t.Error("the teams shared too little to show anything")
	}
}

// checkTeams holds the completions against what was asked.
func checkTeams(orders []teamOrder, completions []storedMessage) teamVerdict {
	v := teamVerdict{byOutcome: make(map[watcher.Outcome]int)}
	wanted, named, watches := make(map[teamKey]teamAsk), make(map[teamKey]int), make(map[string]bool)
	for _, o := range orders {
		for _, ask := range o.asks {
			wanted[teamKey{o.ProjectID, o.Name, ask.team, o.id}] = ask
		}
	}
	for _, m := range completions {
		var e envelope
		err := json.Unmarshal(m.body, &e)
		c := e.Data
		if err != nil || watches[c.WatchID] || m.subject != fmt.Sprintf("orders.completed.%s.%s", c.Outcome, c.Order().Key()) {
			v.violate("completion on %s, the first of its watch: %t, %v: %.300s", m.subject, !watches[c.WatchID], err, m.body)
		}
		watches[c.WatchID] = true
		v.completions++
		if c.NextWatchID != "" {
			v.parted++
		}
		teams := make(map[string]bool)
		for _, r := range c.Requests {
			teams[r.Team] = true
			key := teamKey{c.ProjectID, c.OrderName, r.Team, r.ID}
			ask, ok := wanted[key]
			if !ok {
				v.violate("request %+v, for which nobody was to be told, is named in %s", key, c.WatchID)
				continue
			}
			if named[key]++; named[key] > 1 {
				v.doubled++
				v.violate("request %+v is named %d times", key, named[key])
			}
			v.byOutcome[c.Outcome]++
			v.checkTerms(key, ask, r, c)
		}
		if len(teams) > 1 {
			v.shared++
		}
	}
	for key := range wanted {
		if named[key] == 0 {
			v.missing++
			v.violate("request %+v is in no completion", key)
		}
	}
	return v
}

// checkTerms holds that the request kept its terms, and was answered by them.
func (v *teamVerdict) checkTerms(key teamKey, ask teamAsk, r watcher.Request, c watcher.Completion) {
	if c.Outcome != ask.outcome {
		v.touched++
		v.violate("request %+v: %s; want %s", key, c.Outcome, ask.outcome)
	}
	timeout := ask.timeout
	if timeout == 0 {
		timeout = 2 * time.Hour
	}
	if r.ExpectedItems != ask.expected || r.Deadline.Sub(r.ReceivedAt) != timeout {
		v.violate("request %+v asked for %+v, and has the terms of %+v", key, ask, r)
	}
	switch late := c.CompletedAt.Sub(r.Deadline); {
	case c.Outcome == watcher.TimedOut && late < 0:
		v.violate("request %+v timed out %s before its deadline", key, -late)
	case c.Outcome == watcher.TimedOut:
		v.latest = max(v.latest, late)
	case c.Outcome == watcher.Succeeded && (c.Counts.Succeeded < ask.expected || c.Counts.Succeeded != c.Counts.Total):
		v.violate("request %+v, which expects %d items, succeeded with %+v", key, ask.expected, c.Counts)
	}
}

// TestCheckTeams holds that the checker of two teams finds nothing in what is right, and each thing that is wrong.
func TestCheckTeams(t *testing.T) {
	t.Parallel()
	o := sharedOrder(0, "gpu", "train")
	o.id = "build-7"
	right := func() (of []watcher.Completion) {
		for i, ask := range o.asks {
			c := watcher.Completion{Outcome: ask.outcome, CompletedAt: epoch.Add(time.Minute)}
			c.WatchID, c.ProjectID, c.OrderName, c.Counts = fmt.Sprint("w_", i), o.ProjectID, o.Name, watcher.Counts{Total: 2, Succeeded: 2}
			timeout := ask.timeout
			if timeout == 0 {
				timeout = 2 * time.Hour
			}
			c.Requests = []watcher.Request{{ID: o.id, Team: ask.team, ReceivedAt: epoch, Deadline: epoch.Add(timeout), ExpectedItems: ask.expected}}
			of = append(of, c)
		}
		return of
	}
	for name, tt := range map[string]struct {
		spoil func([]watcher.Completion) []watcher.Completion
		want  string // a part of the first violation; empty for none
	}{
		"right":       {func(all []watcher.Completion) []watcher.Completion { return all }, ""},
		"missing":     {func(all []watcher.Completion) []watcher.Completion { return all[:1] }, "is in no completion"},
		"watch twice": {func(all []watcher.Completion) []watcher.Completion { return append(all, all[0]) }, "the first of its watch: false"},
		"named twice": {func(all []watcher.Completion) []watcher.Completion {
			all[1].Requests = append(all[1].Requests, all[0].Requests...)
			return all
		}, "is named 2 times"},
		"of nobody":       {func(all []watcher.Completion) []watcher.Completion { all[1].Requests[0].Team = ""; return all }, "for which nobody was to be told"},
		"other's outcome": {func(all []watcher.Completion) []watcher.Completion { all[0].Outcome = watcher.Cancelled; return all }, "cancelled; want succeeded"},
		"deadline put off": {func(all []watcher.Completion) []watcher.Completion {
			all[0].Requests[0].Deadline = epoch.Add(postponed)
			return all
		}, "has the terms of"},
		"items raised": {func(all []watcher.Completion) []watcher.Completion {
			all[0].Requests[0].ExpectedItems = manyItems
			return all
		}, "has the terms of"},
		"too few items": {func(all []watcher.Completion) []watcher.Completion {
			all[1].Outcome, all[1].Counts.Total = watcher.Succeeded, 3
			return all
		}, "succeeded with"},
		"too early": {func(all []watcher.Completion) []watcher.Completion { all[0].Outcome = watcher.TimedOut; return all }, "before its deadline"},
	} {
		t.Run(name, func(t *testing.T) {
			var stored []storedMessage
			for _, c := range tt.spoil(right()) {
				m := completed(c)
				m.subject = fmt.Sprintf("orders.completed.%s.%s", c.Outcome, c.Order().Key())
				stored = append(stored, m)
			}
			v := checkTeams([]teamOrder{o}, stored)
			if found := strings.Join(v.violations, "\n"); (tt.want == "") != (found == "") || !strings.Contains(found, tt.want) {
				t.Errorf("violations:\n%s\nwant %q", found, tt.want)
			}
		})
	}
}
