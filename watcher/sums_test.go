package watcher_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// did returns an item on which work went on from began to updated after the request; -1 for a time that the API
// does not give.
func did(name, action string, status watcher.Status, began, updated time.Duration) watcher.Item {
	it := watcher.Item{ResourceName: name, Action: action, Status: status}
	if began >= 0 {
		it.BeganAt = begin.Add(began)
	}
	if updated >= 0 {
		it.UpdatedAt = begin.Add(updated)
	}
	return it
}

// inSeconds returns the item with its times as an API gives them that counts seconds for milliseconds.
func inSeconds(it watcher.Item) watcher.Item {
	it.BeganAt, it.UpdatedAt = time.UnixMilli(it.BeganAt.Unix()), time.UnixMilli(it.UpdatedAt.Unix())
	return it
}

// TestOrderTimes holds whose time a report gives: the order's own, or none.
func TestOrderTimes(t *testing.T) {
	const s, none = time.Second, -1
	for _, tt := range []struct {
		name         string
		items        []watcher.Item
		began, ended time.Duration // none: not known
	}{
		{"the first began, the last ended", []watcher.Item{did("pool-1", "createPool", succeed, 3*s, 400*s), did("node-1", "createNode", failed, 435*s, 689*s), did("node-2", "createNode", succeed, 430*s, 600*s)}, 3 * s, 689 * s},
		{"one goes on", []watcher.Item{did("node-1", "createNode", succeed, 3*s, 60*s), did("node-2", "createNode", processing, 2*s, 70*s)}, 2 * s, none},
		{"one goes on and has not begun", []watcher.Item{did("node-1", "createNode", succeed, 3*s, 60*s), did("node-2", "createNode", processing, none, none)}, 3 * s, none},
		{"no times", []watcher.Item{did("node-1", "createNode", succeed, none, none), did("node-2", "createNode", failed, none, none)}, none, none},
		{"one that ended says no beginning", []watcher.Item{did("node-1", "createNode", succeed, 3*s, 60*s), did("node-2", "createNode", failed, none, 70*s)}, none, 70 * s},
		{"one that ended says no end", []watcher.Item{did("node-1", "createNode", succeed, 3*s, 60*s), did("node-2", "createNode", failed, 2*s, none)}, 2 * s, none},
		{"seconds for milliseconds", []watcher.Item{inSeconds(did("node-1", "createNode", succeed, 3*s, 60*s))}, none, none},
		{"it ended before it began", []watcher.Item{did("node-1", "createNode", succeed, 30*s, 20*s)}, 30 * s, none},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := policy()
			w := endedWith(t, p, tt.items)
			var began, ended time.Time
			if tt.began != none {
				began = begin.Add(tt.began)
			}
			if tt.ended != none {
				ended = begin.Add(tt.ended)
			}
			c := *w.Completion
			if !c.OrderBegan.Equal(began) || !c.OrderEnded.Equal(ended) {
				t.Errorf("began %s, ended %s; want %s, %s", c.OrderBegan, c.OrderEnded, began, ended)
			}
			took, ok := c.Took()
			if want := tt.began != none && tt.ended != none; ok != want || ok && took != tt.ended-tt.began {
				t.Errorf("took %s, %t", took, ok)
			}
			sameWithout(t, c)
		})
	}
}

// endedWith returns the watch at its deadline, with the items.
func endedWith(t *testing.T, p watcher.Policy, items []watcher.Item) watcher.Watch {
	t.Helper()
	return finished(t, p, admit(t, p, request("build-1")), watcher.Answer{Count: len(items), Items: items})
}

// sameWithout holds that a reader who gets the event of an earlier release says the same, where all items are left.
func sameWithout(t *testing.T, c watcher.Completion) {
	t.Helper()
	before := c
	before.Actions, before.ExpectedItems, before.OrderBegan, before.OrderEnded = nil, 0, time.Time{}, time.Time{}
	began, ended := c.Times()
	oldBegan, oldEnded := before.Times()
	if !oldBegan.Equal(began) || !oldEnded.Equal(ended) {
		t.Errorf("without fields: began %s, ended %s; want %s, %s", oldBegan, oldEnded, began, ended)
	}
	if !reflect.DeepEqual(before.ByAction(), c.ByAction()) || before.Deed() != c.Deed() || before.Word() != c.Word() {
		t.Errorf("without fields: %+v; want %+v", before.ByAction(), c.ByAction())
	}
}

// TestActionsAreCounted holds what a report says of each action, also of one that ended by what the record has.
func TestActionsAreCounted(t *testing.T) {
	items := []watcher.Item{
		did("pool-1", "createPool", succeed, 0, 1), did("node-1", "deleteNode", failed, 0, 1), did("node-2", "createNode", processing, 0, 1),
		did("node-3", "deleteNode", succeed, 0, 1), did("node-4", "createNode", "strange", 0, 1), did("node-5", "", succeed, 0, 1),
	}
	want := []watcher.ActionCounts{
		{"createPool", 1, 1, 0, 0}, {"deleteNode", 2, 1, 1, 0}, {"createNode", 2, 0, 0, 2}, {"", 1, 1, 0, 0},
	}
	p := policy()
	w := endedWith(t, p, items)
	if got := w.Completion.Actions; !reflect.DeepEqual(got, want) {
		t.Errorf("by the answer: %+v; want %+v", got, want)
	}
	sameWithout(t, *w.Completion)

	w, changes := p.Fold(admit(t, p, request("build-1")), watcher.Answer{Count: 9, Items: items}, nil, begin)
	if got := p.Progress(w, changes, items).Actions; !reflect.DeepEqual(got, want) {
		t.Errorf("progress: %+v; want %+v", got, want)
	}
	w = stored(t, w, p.MaxPayload)
	if got := p.Snapshot(w, watcher.Hold{}, begin).Actions; !reflect.DeepEqual(got, want) {
		t.Errorf("shown: %+v; want %+v", got, want)
	}
	w, _ = p.Fold(w, watcher.Answer{}, errDown, w.Deadline)
	if got := w.Completion.Actions; !reflect.DeepEqual(got, want) {
		t.Errorf("by the record: %+v; want %+v", got, want)
	}
}

// TestMissingItemsAreCountedByAction holds how an item counts that is no longer listed.
func TestMissingItemsAreCountedByAction(t *testing.T) {
	p := policy()
	items := []watcher.Item{did("node-1", "deleteNode", processing, 0, 1), did("node-2", "deleteNode", failed, 0, 1)}
	w, _ := p.Fold(admit(t, p, request("build-1")), watcher.Answer{Count: 2, Items: items}, nil, begin.Add(time.Minute))
	for now := begin.Add(2 * time.Minute); w.State == watcher.Watching; now = now.Add(time.Minute) {
		w, _ = p.Fold(stored(t, w, p.MaxPayload), watcher.Answer{Count: 1, Items: items[1:]}, nil, now)
	}
	c := *w.Completion
	if want := []watcher.ActionCounts{{"deleteNode", 2, 1, 1, 0}}; !reflect.DeepEqual(c.Actions, want) {
		t.Errorf("%+v; want %+v", c.Actions, want)
	}
	if !c.OrderEnded.Equal(begin.Add(2 * time.Minute)) { // no longer listed since then
		t.Errorf("ended at %s", c.OrderEnded)
	}
	sameWithout(t, c)
}

// TestActionsAreFew holds that an order of any words does not make its report large.
func TestActionsAreFew(t *testing.T) {
	var items []watcher.Item
	for i := range 40 {
		items = append(items, did(fmt.Sprint("node-", i), fmt.Sprint("action-", i%20), succeed, 0, 1))
	}
	actions := endedWith(t, policy(), items).Completion.Actions
	if last := actions[len(actions)-1]; len(actions) != 13 || last != (watcher.ActionCounts{"", 16, 16, 0, 0}) || actions[11].Action != "action-11" {
		t.Errorf("%+v", actions)
	}
}

// TestSumsOutliveTheItems holds that a report of which items were cut still tells of all.
func TestSumsOutliveTheItems(t *testing.T) {
	t.Parallel()
	a := mixed(8000, 20, 2000)
	for i := range a.Items {
		a.Items[i].UpdatedAt = begin.Add(time.Duration(8020-i) * time.Second)
	}
	p, ask := policy(), request("build-1")
	ask.ExpectedItems = 8020
	c := *finished(t, p, admit(t, p, ask), a).Completion
	took, ok := c.Took()
	if c.ItemsOmitted != 8000 || !ok || took != 8020*time.Second || c.ExpectedItems != 8020 {
		t.Errorf("%d omitted, took %s, %d expected", c.ItemsOmitted, took, c.ExpectedItems)
	}
	if want := []watcher.ActionCounts{{"createNode", 8020, 8000, 20, 0}}; !reflect.DeepEqual(c.Actions, want) {
		t.Errorf("%+v", c.Actions)
	}
	c.Actions, c.OrderBegan, c.OrderEnded = nil, time.Time{}, time.Time{} // as an earlier release says it
	if _, ok := c.Took(); ok || c.Deed().Noun != "item" {
		t.Errorf("by some of the items: %+v, took %t", c.ByAction(), ok)
	}
	if want := []watcher.ActionCounts{{"createNode", 20, 0, 20, 0}, {"", 8000, 8000, 0, 0}}; !reflect.DeepEqual(c.ByAction(), want) {
		t.Errorf("%+v; want %+v", c.ByAction(), want)
	}
}

// TestTimesOfDigests holds that a record which kept no times of some items says none of the order.
func TestTimesOfDigests(t *testing.T) {
	t.Parallel()
	p := policy()
	p.MaxPayload = watcher.MinPayload
	a := mixed(4000, 5, 10)
	a.Items = append(a.Items, did("node-last", "createNode", processing, 0, 1))
	w, _ := p.Fold(admit(t, p, request("build-1")), watcher.Answer{Count: len(a.Items), Items: a.Items}, nil, begin)
	s := p.Snapshot(stored(t, w, p.MaxPayload), watcher.Hold{}, begin)
	if _, ok := s.Took(); ok || s.ItemsOmitted == 0 || !s.OrderBegan.IsZero() {
		t.Errorf("%d omitted, began %s", s.ItemsOmitted, s.OrderBegan)
	}
	total := 0
	for _, n := range s.Actions {
		total += n.Total
	}
	if total != len(a.Items) {
		t.Errorf("%d of %d items are counted: %+v", total, len(a.Items), s.Actions)
	}
}

// TestWord holds the fixed word of each end.
func TestWord(t *testing.T) {
	lost := &watcher.ErrorDetail{Code: "may_pass", Message: "connection reset by peer"}
	unknown := &watcher.ErrorDetail{Code: "ModelArts.50015001", Message: "Order not found."}
	for _, tt := range []struct {
		name    string
		outcome watcher.Outcome
		err     *watcher.ErrorDetail
		actions []string
		want    string
	}{
		{"created", watcher.Succeeded, nil, []string{"createNode"}, "DONE"},
		{"some nodes failed", watcher.PartiallyFailed, nil, []string{"createPool", "createNode"}, "PARTLY FAILED"},
		{"all deletions failed", watcher.AllFailed, nil, []string{"deletePool", "deleteNode"}, "NOT DELETED"},
		{"some deletions failed", watcher.PartiallyFailed, nil, []string{"deleteNode"}, "NOT DELETED"},
		{"deleted", watcher.Succeeded, nil, []string{"deleteNode"}, "DONE"},
		{"mixed", watcher.AllFailed, nil, []string{"deleteNode", "createNode"}, "FAILED"},
		{"still open", watcher.TimedOut, nil, []string{"createNode"}, "NOT DONE"},
		{"a deletion that is open", watcher.TimedOut, nil, []string{"deleteNode"}, "NOT DONE"},
		{"never seen", watcher.TimedOut, lost, nil, words.NotKnown},
		{"no longer seen", watcher.TimedOut, lost, []string{"createNode"}, words.NotKnown},
		{"not known to ModelArts", watcher.TimedOut, unknown, nil, "NOT FOUND"},
		{"not found", watcher.OrderNotFound, unknown, nil, "NOT FOUND"},
		{"refused", watcher.OrderRefused, lost, nil, "REFUSED"},
		{"cancelled", watcher.Cancelled, nil, []string{"deleteNode"}, "CANCELLED"},
		{"of a later version", "paused", nil, nil, "ENDED"},
	} {
		c := watcher.Completion{Outcome: tt.outcome, Error: tt.err}
		for _, action := range tt.actions {
			c.Actions = append(c.Actions, watcher.ActionCounts{Action: action, Total: 1})
		}
		if got := c.Word(); got != tt.want {
			t.Errorf("%s: %s; want %s", tt.name, got, tt.want)
		}
	}
}

// TestExpectedItemsOfAnEarlierCompletion holds that people are shown them also where the completion does not say.
func TestExpectedItemsOfAnEarlierCompletion(t *testing.T) {
	p, ask := policy(), request("build-1")
	ask.ExpectedItems = 3
	w := finished(t, p, admit(t, p, ask), answer(1, processing))
	if w.Completion.ExpectedItems != 3 {
		t.Errorf("the completion expects %d", w.Completion.ExpectedItems)
	}
	w.State, w.Completion.ExpectedItems = watcher.Ended, 0
	encoded, err := json.Marshal(p.Snapshot(w, watcher.Hold{}, begin))
	if err != nil {
		t.Fatal(err)
	}
	var s watcher.Snapshot
	if err := json.Unmarshal(encoded, &s); err != nil || s.ExpectedItems != 3 {
		t.Errorf("%d expected (%v)", s.ExpectedItems, err)
	}
}

// TestReasonsByAction holds that a reason says what the order was to do, and nothing of creation where that was
// something else.
func TestReasonsByAction(t *testing.T) {
	type items = []watcher.Item
	for _, tt := range []struct {
		items    items
		more     int // resources that the API counts and does not list
		want     string
		wantOpen string // while the order goes on
	}{
		{items{did("a", "createPool", succeed, 0, 1), did("b", "createNode", failed, 0, 1)}, 0, "1 of 2 items failed", ""},
		{items{did("a", "createNode", succeed, 0, 1)}, 2, "after 2h: 1 of 3 items ended, 2 not created yet", "1 of 3 items ended, 2 not created yet"},
		{items{did("a", "deleteNode", succeed, 0, 1), did("b", "deleteNode", failed, 0, 1)}, 0, "1 of 2 nodes not deleted", ""},
		{items{did("a", "deletePool", succeed, 0, 1)}, 0, "1 of 1 pool deleted", ""},
		{items{did("a", "deletePool", processing, 0, 1)}, 1, "after 2h: 0 of 2 items ended, 1 still processing, 1 not listed yet", "0 of 2 items ended, 1 still processing, 1 not listed yet"},
		{items{did("a", "renew", failed, 0, 1), did("b", "renew", failed, 0, 1)}, 0, "2 of 2 items not renewed", ""},
		{items{did("a", "toPeriodic", succeed, 0, 1)}, 0, "1 of 1 item made periodic", ""},
		{items{did("a", "deleteNode", failed, 0, 1), did("b", "createNode", succeed, 0, 1)}, 0, "1 of 2 nodes failed", ""},
		{items{did("a", "reboot", failed, 0, 1)}, 0, "1 of 1 item failed", ""},
		{items{did("a", "deleteNode", processing, 0, 1), did("b", "deleteNode", processing, 0, 1)}, 0, "after 2h: 0 of 2 nodes ended, 2 still processing", "0 of 2 nodes ended, 2 still processing"},
	} {
		p, a := policy(), watcher.Answer{Count: len(tt.items) + tt.more, Items: tt.items}
		w, changes := p.Fold(admit(t, p, request("build-1")), a, nil, begin)
		if g := p.Progress(w, changes, a.Items); tt.wantOpen != "" && g.Reason != tt.wantOpen {
			t.Errorf("going on: %q; want %q", g.Reason, tt.wantOpen)
		}
		if c := finished(t, p, w, a).Completion; c.Reason != tt.want {
			t.Errorf("%q; want %q", c.Reason, tt.want)
		}
	}
}
