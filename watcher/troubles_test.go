package watcher_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// TestThrottledLeavesATrace throttles an account for five seconds: when the order is answered again, and when its watch has ended,
// the record says so.
func TestThrottledLeavesATrace(t *testing.T) {
	t.Parallel()
	p := policy()
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	_, w, err := p.Admit(nil, watcher.Ask{Order: watcher.Order{ProjectID: "p", Name: "order.a"}, WatchID: "w_1", Request: watcher.Request{ID: "r", ReceivedAt: noon}}, noon)
	if err != nil {
		t.Fatal(err)
	}
	unknown := &watcher.PollError{Class: watcher.NotFound, Code: "ModelArts.50015001", Message: "not yet"}
	if w, _ = p.Fold(w, watcher.Answer{}, unknown, at(1)); w.Troubles != nil {
		t.Errorf("an order that may appear is trouble: %+v", w.Troubles)
	}
	throttled := &watcher.PollError{Class: watcher.Throttled, Code: "APIG.0308", Message: "too often", Held: watcher.HeldThrottled}
	w, _ = p.Fold(w, watcher.Answer{}, throttled, at(5))
	w, ok := p.Before(w, watcher.Leave{After: 3 * time.Second, Why: "too often", Held: watcher.HeldThrottled, Code: "APIG.0308"}, at(7))
	if !ok {
		t.Fatal("it is asked although the account is held")
	}
	processing := watcher.Answer{Count: 1, Items: []watcher.Item{{ResourceName: "a", Action: "createNode", Status: watcher.Processing}}}
	w, _ = p.Fold(w, processing, nil, at(10))
	told := func(when string) {
		t.Helper()
		encoded, err := watcher.EncodeWatch(w, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if w, err = watcher.DecodeWatch(encoded); err != nil {
			t.Fatal(err)
		}
		s := p.Snapshot(w, watcher.Hold{}, at(20))
		if s.LastError != nil || s.Troubles == nil || s.Troubles.FailedPolls != 1 || s.Troubles.First.Code != "APIG.0308" || time.Duration(s.Troubles.HeldFor["throttled"]) != 5*time.Second {
			t.Errorf("%s the snapshot has %+v", when, s.Troubles)
		}
	}
	told("when it is answered")

	// A worker of the release before polls, keeps the field, and hands it to the order's next watch.
	var record map[string]json.RawMessage
	encoded, _ := watcher.EncodeWatch(w, 1<<20)
	if err := json.Unmarshal(encoded, &record); err != nil || !strings.Contains(string(record["troubles"]), `"watch_id":"w_1"`) {
		t.Fatalf("%v %s", err, record["troubles"])
	}
	other := w
	other.ID = "w_2"
	if s := p.Snapshot(other, watcher.Hold{}, at(20)); s.Troubles != nil {
		t.Errorf("another watch shows %+v", s.Troubles)
	}

	ended := watcher.Answer{Count: 1, Items: []watcher.Item{{ResourceName: "a", Action: "createNode", Status: watcher.Succeed}}}
	for seconds := 30; w.State == watcher.Watching && seconds < 300; seconds += 30 {
		w, _ = p.Fold(w, ended, nil, at(seconds))
	}
	w.State = watcher.Ended
	told("when it has ended")
}

// TestHeldByTheReleaseBefore holds that a hold counts until the poll of a worker of the release before, which closes none.
func TestHeldByTheReleaseBefore(t *testing.T) {
	t.Parallel()
	p := policy()
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	_, w, err := p.Admit(nil, watcher.Ask{Order: watcher.Order{ProjectID: "p", Name: "order.a"}, WatchID: "w_1", Request: watcher.Request{ID: "r", ReceivedAt: noon}}, noon)
	if err != nil {
		t.Fatal(err)
	}
	held := &watcher.PollError{Class: watcher.Throttled, Code: "APIG.0308", Message: "too often", Held: watcher.HeldThrottled}
	w, _ = p.Fold(w, watcher.Answer{}, held, noon)
	w.Polls, w.LastPollAt, w.LastError, w.Errors = w.Polls+1, noon.Add(4*time.Second), nil, 0 // its poll
	w, _ = p.Fold(w, watcher.Answer{}, nil, noon.Add(time.Minute))
	if got := time.Duration(w.Troubles.HeldFor["throttled"]); got != 4*time.Second {
		t.Errorf("it was held for %s; want 4s", got)
	}
}
