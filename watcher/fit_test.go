package watcher_test

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/watchertest"
)

// finished folds an answer that ends the watch at once.
func finished(t testing.TB, p watcher.Policy, w watcher.Watch, a watcher.Answer) watcher.Watch {
	t.Helper()
	w, _ = p.Fold(w, a, nil, w.Deadline)
	if w.State != watcher.Ending {
		t.Fatalf("state %s at the deadline", w.State)
	}
	return w
}

func TestFailuresAreGrouped(t *testing.T) {
	a := watcher.Answer{Count: 7}
	for _, it := range []struct{ name, action, message string }{
		{"node-1", "createNode", "quota exceeded"},
		{"node-2", "createNode", "flavor sold out"},
		{"node-3", "createNode", "flavor sold out"},
		{"pool-1", "createPool", "flavor sold out"},
		{"node-4", "createNode", ""},
		{"node-5", "createNode", "flavor sold out"},
	} {
		a.Items = append(a.Items, watcher.Item{ResourceName: it.name, Action: it.action, Status: failed, Message: it.message})
	}
	a.Items = append(a.Items, watcher.Item{ResourceName: "node-6", Action: "createNode", Status: succeed, Message: "flavor sold out"})
	got := finished(t, policy(), admit(t, policy(), request("build-1")), a).Completion.Failures
	want := []watcher.Failure{
		{Message: "flavor sold out", Action: "createNode", Count: 3, ResourceNames: []string{"node-2", "node-3", "node-5"}},
		{Message: "quota exceeded", Action: "createNode", Count: 1, ResourceNames: []string{"node-1"}},
		{Message: "flavor sold out", Action: "createPool", Count: 1, ResourceNames: []string{"pool-1"}},
		{Message: "", Action: "createNode", Count: 1, ResourceNames: []string{"node-4"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// Lists are written as lists, also where they are empty: readers of other languages rely on it.
func TestEmptyListsAreLists(t *testing.T) {
	p := policy()
	w := cancelled(t, p, admit(t, p, request("build-1")), watcher.Ending)
	encoded, err := json.Marshal(w.Completion)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"items":[]`, `"failures":[]`, `"requests":[{`} {
		if !strings.Contains(string(encoded), part) {
			t.Errorf("no %s in %s", part, encoded)
		}
	}
}

// mixed has succeeded items and failed ones, whose messages have the given length.
func mixed(succeeded, bad, message int) watcher.Answer {
	a := crowd(succeeded+bad, succeed, "", "")
	for i := range a.Items {
		a.Items[i].Message = ""
		if i >= succeeded {
			a.Items[i].Status, a.Items[i].Message = failed, fmt.Sprintf("%05d%s", i, strings.Repeat("x", max(0, message-5)))
		}
	}
	return a
}

func TestCompletionLeavesOutWhatItMust(t *testing.T) {
	t.Parallel()
	watchertest.Unraced(t)
	tests := []struct {
		name      string
		answer    watcher.Answer
		succeeded int // items that are left
		failed    int
		message   int // the longest message that is left, at most
		groups    int
		names     int // of each group, at least
	}{
		{"all fits", mixed(300, 20, 2000), 300, 20, 2000, 20, 1},
		{"succeeded items go first", mixed(8000, 20, 2000), 0, 20, 2000, 20, 1},
		{"then messages are cut to 1,000", mixed(10, 300, 2000), 0, 300, 1000, 300, 1},
		{"then to 200", mixed(10, 1000, 2000), 0, 1000, 200, 1000, 1},
		{"then to 80", mixed(10, 2200, 2000), 0, 2200, 80, 2200, 1},
		{"then the failed items go", mixed(10, 4000, 1000), 0, 0, 80, 4000, 1},
		{"then the smallest groups", mixed(10, 9000, 300), 0, 0, 80, 51, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := policy()
			c := finished(t, p, admit(t, p, request("build-1")), tt.answer).Completion
			checkWhole(t, c, tt.answer)
			var succeeded, bad, longest int
			for _, it := range c.Items {
				longest = max(longest, len(it.Message))
				if it.Status == succeed {
					succeeded++
				} else {
					bad++
				}
			}
			for _, f := range c.Failures {
				longest = max(longest, len(f.Message))
				if len(f.ResourceNames) < tt.names {
					t.Fatalf("failure of %d has %d names", f.Count, len(f.ResourceNames))
				}
			}
			if succeeded != tt.succeeded || bad != tt.failed || longest > tt.message || longest < tt.message-10 || len(c.Failures) != tt.groups {
				t.Errorf("%d succeeded, %d failed, longest message %d, %d groups", succeeded, bad, longest, len(c.Failures))
			}
		})
	}
}

// checkWhole checks what stays whole however much is left out.
func checkWhole(t *testing.T, c *watcher.Completion, a watcher.Answer) {
	t.Helper()
	want := watcher.Counts{Total: max(a.Count, len(a.Items))}
	for _, it := range a.Items {
		switch it.Status {
		case succeed:
			want.Succeeded++
		case failed:
			want.Failed++
		default:
			want.Processing++
		}
	}
	if c.Counts != want {
		t.Errorf("counts %+v, want %+v", c.Counts, want)
	}
	grouped := 0
	for _, f := range c.Failures {
		grouped += f.Count
	}
	if grouped != want.Failed {
		t.Errorf("%d failures in the groups, %d in the counts", grouped, want.Failed)
	}
	if len(c.Items)+c.ItemsOmitted != len(a.Items) {
		t.Errorf("%d items and %d omitted of %d", len(c.Items), c.ItemsOmitted, len(a.Items))
	}
}

// length returns the length of v's JSON.
func length(t testing.TB, v any) int {
	t.Helper()
	encoded, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return len(encoded)
}

const (
	envelope = 1500 // what an event needs besides its data, with the longest names and a trace context
	headers  = 200  // what a record needs besides itself
)

// The completion, the record that holds it, and progress fit the server's limit whatever the cloud
// (at most 8 MiB of it) and the requesters send.
func TestEverythingFits(t *testing.T) {
	t.Parallel()
	limits := []int{watcher.MinPayload, 1 << 20}
	if testing.Short() {
		limits = limits[:1]
	}
	crowds := map[string]watcher.Answer{
		"distinct failures":          crowd(4000, failed, "", strings.Repeat("x", 350)),
		"distinct hostile failures":  crowd(3000, failed, hostile(200), hostile(500)), // 8 MiB in the API's JSON
		"one hostile failure":        sameMessage(crowd(1500, failed, hostile(100), ""), hostile(250)),
		"hostile actions":            hostileActions(crowd(1500, failed, hostile(100), hostile(250))),
		"hostile, still processing":  crowd(1500, processing, hostile(100), hostile(250)),
		"one failure of a megabyte":  crowd(1, failed, "", strings.Repeat("x", 1<<20)),
		"one resource of a megabyte": crowd(1, failed, strings.Repeat("x", 1<<20), ""),
	}
	for _, maxPayload := range limits {
		p := policy()
		p.MaxPayload = maxPayload
		w := full(t, p)
		for name, a := range crowds {
			t.Run(fmt.Sprint(name, "/", maxPayload>>10, "KiB"), func(t *testing.T) {
				t.Parallel()
				checkAllFits(t, p, w, a)
			})
		}
	}
}

func checkAllFits(t *testing.T, p watcher.Policy, w watcher.Watch, a watcher.Answer) {
	t.Helper()
	checkFits(t, p, finished(t, p, w, a))
	w, changes := p.Fold(w, watcher.Answer{Count: a.Count + 1, Items: a.Items}, nil, begin)
	checkProgressFits(t, p, w, changes, a)
	err := &watcher.PollError{Class: watcher.MayPass, Code: hostile(64), Message: hostile(5000)}
	w, _ = p.Fold(stored(t, w, p.MaxPayload), watcher.Answer{}, err, w.Deadline)
	checkFits(t, p, w)
}

// However many failures there are, the record with its completion fits.
func TestRecordOfAnEndFits(t *testing.T) {
	t.Parallel()
	watchertest.Unraced(t)
	p := policy()
	p.MaxPayload = watcher.MinPayload
	w := full(t, p)
	largest := 0
	for n := 150; n < 2000; n = n*8/7 + 1 {
		w := finished(t, p, w, crowd(n, failed, "", strings.Repeat("x", 300)))
		w.After = 1<<64 - 1
		encoded, err := watcher.EncodeWatch(w, p.MaxPayload)
		if err != nil || len(encoded) > p.MaxPayload-headers {
			t.Fatalf("%d failures: record of %d bytes, %v", n, len(encoded), err)
		}
		largest = max(largest, len(encoded))
	}
	if largest < p.MaxPayload*19/20 {
		t.Errorf("the largest has %d bytes: room is given away", largest)
	}
}

func sameMessage(a watcher.Answer, message string) watcher.Answer {
	for i := range a.Items {
		a.Items[i].Message = message
	}
	return a
}

func hostileActions(a watcher.Answer) watcher.Answer {
	for i := range a.Items {
		a.Items[i].Action = hostile(60)[1:] + fmt.Sprint(i%100)
	}
	return a
}

func checkFits(t *testing.T, p watcher.Policy, w watcher.Watch) {
	t.Helper()
	w.After = 1<<64 - 1
	event := length(t, w.Completion)
	encoded, err := watcher.EncodeWatch(w, p.MaxPayload)
	if err != nil {
		t.Fatal(err)
	}
	if event > p.MaxPayload-envelope || len(encoded) > p.MaxPayload-headers {
		t.Errorf("completion %d, record %d of %d bytes", event, len(encoded), p.MaxPayload)
	}
	if len(w.Completion.Requests) < 2 {
		t.Error("requests are missing")
	}
	t.Logf("completion %d, record %d of %d bytes", event, len(encoded), p.MaxPayload)
}

func checkProgressFits(t *testing.T, p watcher.Policy, w watcher.Watch, changes []watcher.Change, a watcher.Answer) {
	t.Helper()
	g := p.Progress(w, changes, a.Items)
	if event := length(t, g); event > p.MaxPayload-envelope {
		t.Errorf("progress %d of %d bytes, %d of them changes", event, p.MaxPayload, length(t, g.Changes))
	}
	t.Logf("progress %d of %d bytes", length(t, g), p.MaxPayload)
	if len(g.Changes) == 0 || g.Number != w.Progressed || g.WatchID != w.ID {
		t.Errorf("progress %d of %s with %d changes", g.Number, g.WatchID, len(g.Changes))
	}
}

func TestProgressTellsOfAWatchThatGoesOn(t *testing.T) {
	p := policy()
	a := answer(3, succeed, processing)
	w, changes := p.Fold(admit(t, p, request("build-1")), a, nil, begin.Add(time.Second))
	g := p.Progress(w, changes, a.Items)
	if g.Number != 1 || g.Reason != "1 of 3 items ended, 1 still processing, 1 not created yet" || len(g.Changes) != 2 || len(g.Items) != 2 {
		t.Errorf("progress %+v", g)
	}
	var fields map[string]any
	encoded, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(encoded, &fields); err != nil {
		t.Fatal(err)
	}
	if _, ok := fields["outcome"]; ok || fields["watch_id"] != "w_1" {
		t.Errorf("progress %s", encoded)
	}
}

// TestMostSize holds that requests and ids take no more than that, whatever their texts are.
func TestMostSize(t *testing.T) {
	for _, c := range []string{"a", "\x01", "<", "\u2028", "\xff", `"`} {
		text := strings.Repeat(c, 256)
		r := watcher.Request{
			ID: text, Team: text, RequestedBy: text, Link: text, SlackChannel: text, Progress: true, ExpectedItems: math.MinInt,
			Labels: make(map[string]string), Trace: watcher.Trace{Parent: text, State: text},
			ReceivedAt: begin.Add(time.Nanosecond), LateAt: begin.Add(time.Nanosecond), Deadline: begin.Add(time.Nanosecond),
		}
		for i := range 200 {
			r.Labels[strings.Repeat(c, i)] = ""
		}
		requests, ids := []watcher.Request{r, {}, r}, []string{"", text}
		encoded, err := json.Marshal([]any{requests, ids})
		if most := watcher.MostSize(requests, ids); err != nil || len(encoded) > most {
			t.Errorf("%q: %d bytes, %v; want %d at the most", c, len(encoded), err, most)
		}
	}
}
