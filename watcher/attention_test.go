package watcher_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// TestPeopleAreTold holds when people are told of a watch that goes on, and how often.
func TestPeopleAreTold(t *testing.T) {
	unusable := &watcher.PollError{Class: watcher.MayPass, Code: "ModelArts.50005000", Message: "Internal error."}
	unreachable := &watcher.PollError{Class: watcher.MayPass, Message: "connection refused", Held: watcher.HeldUnreachable}
	running := lists(2, "a createNode succeed", "b createNode processing").answer
	without := lists(1, "a createNode succeed").answer
	deletion := lists(2, "a deleteNode succeed", "b deleteNode processing").answer
	deleted := lists(1, "a deleteNode succeed").answer
	canceled := lists(1, "b createNode canceled").answer
	canceled.Items[0].Message = "order was unsubscribed"

	type told struct {
		kind   watcher.AttentionKind
		since  time.Duration // after begin
		reason string        // a part of it
	}
	always := func(a watcher.Answer, err error) func(time.Duration) (watcher.Answer, error) {
		return func(time.Duration) (watcher.Answer, error) { return a, err }
	}
	first := func(a watcher.Answer, then func(time.Duration) (watcher.Answer, error)) func(time.Duration) (watcher.Answer, error) {
		return func(since time.Duration) (watcher.Answer, error) {
			if since == 0 {
				return a, nil
			}
			return then(since)
		}
	}
	for _, tt := range []struct {
		name  string
		order func(since time.Duration) (watcher.Answer, error)
		until time.Duration // of the watch
		want  []told
	}{
		{"an order that cannot be read", first(running, always(watcher.Answer{}, unusable)), 30 * time.Minute, []told{
			{watcher.Blind, 5 * time.Second, "this order has not been readable since 2025-04-10T11:49:55Z (ModelArts.50005000: Internal error.); when it was last seen, 1 of 2 nodes ended, 1 still processing"}}},
		{"it is told at five minutes", first(running, always(watcher.Answer{}, unusable)), 5*time.Minute + 6*time.Second, []told{{watcher.Blind, 5 * time.Second, ""}}},
		{"and not before", first(running, always(watcher.Answer{}, unusable)), 5 * time.Minute, nil},
		{"an order that never could be read", always(watcher.Answer{}, unusable), 30 * time.Minute, []told{{watcher.Blind, 0, "this order has not been readable since"}}},
		{"twice, with an answer between", func(since time.Duration) (watcher.Answer, error) {
			if since > 10*time.Minute && since < 12*time.Minute {
				return running, nil
			}
			return watcher.Answer{}, unusable
		}, 30 * time.Minute, []told{{watcher.Blind, 0, ""}, {watcher.Blind, 12 * time.Minute, "1 of 2 nodes ended"}}},
		{"errors and answers by turns", func(since time.Duration) (watcher.Answer, error) {
			if since/time.Minute%4 == 0 {
				return running, nil
			}
			return watcher.Answer{}, unusable
		}, 30 * time.Minute, nil},
		{"no order can be read", always(watcher.Answer{}, unreachable), 30 * time.Minute, nil},
		{"throttled", always(watcher.Answer{}, &watcher.PollError{Class: watcher.Throttled, Held: watcher.HeldThrottled}), 30 * time.Minute, nil},
		{"not known", first(running, always(watcher.Answer{}, notFound)), 30 * time.Minute, nil},

		{"an item vanishes", first(running, always(without, nil)), 30 * time.Minute, []told{
			{watcher.Vanished, 5 * time.Second, "createNode b, last seen processing, missing since 2025-04-10T11:49:55Z; the watch goes on until 2025-04-10T12:19:50Z"}}},
		{"an item is deleted", first(deletion, always(deleted, nil)), 30 * time.Minute, nil},
		{"the list becomes empty", first(running, always(watcher.Answer{}, nil)), 30 * time.Minute, []told{{watcher.Vanished, 5 * time.Second, "createNode b"}}},
		{"an item vanishes for four minutes", func(since time.Duration) (watcher.Answer, error) {
			if since > time.Minute && since < 5*time.Minute {
				return without, nil
			}
			return running, nil
		}, 30 * time.Minute, nil},

		{"a status that nobody knows", always(canceled, nil), 30 * time.Minute, []told{
			{watcher.UnknownStatus, 0, `createNode b has the status "canceled" (order was unsubscribed); ModelArts documents processing, succeed and failed, so it counts as not ended`}}},
		{"it is told at ten minutes", always(canceled, nil), 10*time.Minute + time.Second, []told{{watcher.UnknownStatus, 0, ""}}},
		{"and not before", always(canceled, nil), 10 * time.Minute, nil},
		{"errors do not end it", func(since time.Duration) (watcher.Answer, error) {
			if since/time.Minute%4 == 3 {
				return watcher.Answer{}, unusable
			}
			return canceled, nil
		}, 30 * time.Minute, []told{{watcher.UnknownStatus, 0, ""}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newWorld(t)
			m.order, m.policy.Timeout = tt.order, tt.until
			m.publish("build-1", 0)
			m.run()
			var got []told
			for i, a := range slices.DeleteFunc(m.attended, isCondition) {
				reason := ""
				if i < len(tt.want) && strings.Contains(a.Reason, tt.want[i].reason) {
					reason = tt.want[i].reason
				} else {
					reason = a.Reason
				}
				got = append(got, told{a.Kind, a.Since.Sub(begin), reason})
				if a.Order() != pool || a.WatchID == "" || len(a.Requests) != 1 || (a.Error != nil) != (a.Kind == watcher.Blind) {
					t.Errorf("attention %+v", a)
				}
			}
			roughly := func(a, b told) bool { // polls are a minute apart at the most
				return a.kind == b.kind && a.reason == b.reason && (a.since-b.since).Abs() <= time.Minute
			}
			if !slices.EqualFunc(got, tt.want, roughly) {
				t.Errorf("told %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

// A worker that dies when it has told of something leaves a record that does not say so. That it is over is told all the
// same; where nothing was told, nothing is over.
func TestWhatIsOverIsToldAfterAFault(t *testing.T) {
	for name, want := range map[string]int{"dies after": 2, "dies before": 0} {
		m := newWorld(t)
		m.policy.Timeout, m.policy.Patience.Blind = 10*time.Minute, 2*time.Minute
		told := false
		m.order = func(since time.Duration) (watcher.Answer, error) {
			if told {
				return lists(1, "a createNode processing").answer, nil
			}
			return watcher.Answer{}, errDown
		}
		m.fault = func(call string) fault {
			switch {
			case call != "attend" || told:
				return fine
			case name == "dies after":
				told = true
				return crashAfter
			}
			told = true
			return crashBefore
		}
		m.publish("build-1", 0)
		m.run()
		m.attended = slices.DeleteFunc(m.attended, func(a watcher.OrderAttention) bool { return a.Kind != watcher.Blind })
		if len(m.attended) != want || want > 0 && (!m.attended[0].Until.IsZero() || m.attended[1].Until.IsZero()) {
			t.Errorf("%s: told %d times; want %d", name, len(m.attended), want)
		}
	}
}

// isCondition reports whether the attention is one of those that TestConditions is about.
func isCondition(a watcher.OrderAttention) bool {
	return slices.Contains([]watcher.AttentionKind{watcher.Late, watcher.Stalled, watcher.DeadlineNear}, a.Kind) || !a.Until.IsZero()
}

// TestConditions holds when people are told that a watch is late, stalled or near its deadline, or was blind, and
// when they are told that this is over.
func TestConditions(t *testing.T) {
	unusable := &watcher.PollError{Class: watcher.MayPass, Code: "ModelArts.50005000", Message: "Internal error."}
	running, other, without := lists(2, "a createNode succeed", "b createNode processing").answer, lists(2, "a createNode failed", "b createNode processing").answer, lists(1, "a createNode succeed").answer
	ended := lists(2, "a createNode succeed", "b createNode succeed").answer
	// until shows an answer until its time, and then the next one; nil is an error.
	type part struct {
		until  time.Duration
		answer *watcher.Answer
	}
	const always = 1000 * time.Hour
	type told struct {
		kind         watcher.AttentionKind
		since, until time.Duration // after begin; until 0: it is so
		reason       string        // a part of it
	}
	for _, tt := range []struct {
		name     string
		timeout  time.Duration
		late     []time.Duration // late_after of the requests
		held     time.Duration   // how long the account is held from the tenth minute on
		patience watcher.Patience
		order    []part
		want     []told
	}{
		{"no request says when it is late", 19 * time.Minute, nil, 0, watcher.Patience{}, []part{{always, &running}}, []told{
			{watcher.DeadlineNear, 15*time.Minute + 12*time.Second, 0, "the watch ends in 3m48s, at 2025-04-10T12:08:50Z; 1 of 2 nodes ended, 1 still processing"}}},
		{"the first of the requests says when", 9 * time.Minute, []time.Duration{0, 5 * time.Minute, 3 * time.Minute, 7 * time.Minute}, 0, watcher.Patience{}, []part{{always, &running}}, []told{
			{watcher.Late, 3 * time.Minute, 0, "the order was expected to end by 2025-04-10T11:52:50Z, 3m after the watch began; 1 of 2"},
			{watcher.DeadlineNear, 7*time.Minute + 12*time.Second, 0, ""}}},
		{"late at the deadline", 5 * time.Minute, []time.Duration{5 * time.Minute}, 0, watcher.Patience{}, []part{{always, &running}}, []told{{watcher.DeadlineNear, 4 * time.Minute, 0, ""}}},
		{"too little time for a person", 5*time.Minute - time.Second, nil, 0, watcher.Patience{}, []part{{always, &running}}, nil},
		{"it ended in time", 9 * time.Minute, []time.Duration{3 * time.Minute}, 0, watcher.Patience{}, []part{{2 * time.Minute, &running}, {always, &ended}}, nil},
		{"it looks ended", 9 * time.Minute, []time.Duration{time.Minute}, 0, watcher.Patience{Stalled: time.Second}, []part{{always, &ended}}, nil},
		{"nothing moves, then an item does", time.Hour, nil, 0, watcher.Patience{}, []part{{26 * time.Minute, &running}, {27 * time.Minute, &other}, {always, &ended}}, []told{
			{watcher.Stalled, 0, 0, "no item has changed since 2025-04-10T11:49:50Z; 1 of 2 nodes ended"},
			{watcher.Stalled, 0, 26 * time.Minute, "an item has changed, after none had for 26m"}}},
		{"it stalls twice", time.Hour, nil, 0, watcher.Patience{Stalled: 10 * time.Minute}, []part{{15 * time.Minute, &running}, {30 * time.Minute, &other}, {always, &ended}}, []told{
			{watcher.Stalled, 0, 0, ""}, {watcher.Stalled, 0, 15 * time.Minute, ""},
			{watcher.Stalled, 15 * time.Minute, 0, ""}, {watcher.Stalled, 15 * time.Minute, 30 * time.Minute, ""}}},
		{"an item that vanishes has moved", time.Hour, nil, 0, watcher.Patience{Vanished: time.Hour}, []part{{15 * time.Minute, &running}, {33 * time.Minute, &without}, {always, &ended}}, nil},
		{"no item appears", time.Hour, nil, 0, watcher.Patience{}, []part{{25 * time.Minute, &watcher.Answer{}}, {always, &ended}}, []told{
			{watcher.Stalled, 0, 0, "no item has changed since 2025-04-10T11:49:50Z; no item has been seen"}, {watcher.Stalled, 0, 25 * time.Minute, ""}}},
		{"what is not answered does not stall", 90 * time.Minute, nil, 0, watcher.Patience{}, []part{{time.Minute, &running}, {40 * time.Minute, nil}, {always, &ended}}, []told{
			{watcher.Blind, time.Minute, 0, ""}, {watcher.Blind, time.Minute, 40 * time.Minute, "this order is answered again, after it was not readable for 39m"}}},
		{"blind twice", time.Hour, nil, 0, watcher.Patience{}, []part{{8 * time.Minute, nil}, {10 * time.Minute, &running}, {18 * time.Minute, nil}, {always, &ended}}, []told{
			{watcher.Blind, 0, 0, ""}, {watcher.Blind, 0, 8 * time.Minute, ""}, {watcher.Blind, 10 * time.Minute, 0, ""}, {watcher.Blind, 10 * time.Minute, 18 * time.Minute, ""}}},
		{"too short to be told", time.Hour, nil, 0, watcher.Patience{}, []part{{4 * time.Minute, nil}, {23 * time.Minute, &running}, {always, &ended}}, nil},
		{"all at once, while the account is held", 30 * time.Minute, []time.Duration{12 * time.Minute}, 15 * time.Minute, watcher.Patience{}, []part{{always, &running}}, []told{
			{watcher.Late, 12 * time.Minute, 0, "when it was last seen, 1 of 2 nodes ended"}, {watcher.DeadlineNear, 24 * time.Minute, 0, ""}, {watcher.Stalled, 0, 0, ""}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newWorld(t)
			m.policy.Timeout, m.policy.Patience = tt.timeout, tt.patience
			m.order = func(since time.Duration) (watcher.Answer, error) {
				for _, p := range tt.order {
					if since < p.until && p.answer != nil {
						return *p.answer, nil
					} else if since < p.until {
						return watcher.Answer{}, unusable
					}
				}
				panic("no answer")
			}
			m.heldFrom, m.heldUntil = begin.Add(10*time.Minute), begin.Add(10*time.Minute+tt.held)
			m.late = tt.late
			for i := range max(len(tt.late), 1) {
				m.publish("build-"+string(rune('1'+i)), 0)
			}
			m.run()
			if len(m.attended) != len(tt.want) {
				t.Errorf("told %d times; want %d", len(m.attended), len(tt.want))
			}
			for i, a := range m.attended[:min(len(m.attended), len(tt.want))] {
				want, until := tt.want[i], time.Duration(0)
				if !a.Until.IsZero() {
					until = a.Until.Sub(begin)
				}
				exact := a.Kind == watcher.Late || a.Kind == watcher.DeadlineNear
				since := a.Since.Sub(begin) - want.since // polls are a minute apart at the most
				if a.Kind != want.kind || since != 0 && exact || since.Abs() > time.Minute || (until == 0) != (want.until == 0) || (until-want.until).Abs() > time.Minute || !strings.Contains(a.Reason, want.reason) {
					t.Errorf("told of %s since %s until %s: %s\nwant %+v", a.Kind, a.Since.Sub(begin), until, a.Reason, want)
				}
				if exact && !m.toldAt[i].Equal(a.Since) {
					t.Errorf("told of %s %s late", a.Kind, m.toldAt[i].Sub(a.Since))
				}
			}
		})
	}
}

// TestEachDeadlineIsNear lets requests join again and again: each has a deadline of its own, of which people are told.
func TestEachDeadlineIsNear(t *testing.T) {
	m := newWorld(t)
	m.policy.Timeout, m.policy.Patience.Stalled = 10*time.Minute, 24*time.Hour
	for i := range 7 {
		m.publish("build-"+string(rune('1'+i)), time.Duration(i)*9*time.Minute)
	}
	m.run()
	var got []time.Duration
	for i, a := range m.attended {
		if a.Kind != watcher.DeadlineNear || !m.toldAt[i].Equal(a.Since) {
			t.Errorf("told of %s since %s at %s", a.Kind, a.Since, m.toldAt[i])
		}
		got = append(got, a.Since.Sub(begin))
	}
	var want []time.Duration
	for i := range 7 {
		want = append(want, time.Duration(i)*9*time.Minute+8*time.Minute)
	}
	if !slices.Equal(got, want) || len(m.completions) != 7 {
		t.Errorf("told at %v; want %v; %d completions", got, want, len(m.completions))
	}
}

// TestConditionsBesideTheReleaseBefore lets a worker of the release before poll between: it leaves the fields that it does
// not know as they were.
func TestConditionsBesideTheReleaseBefore(t *testing.T) {
	for name, change := range map[string]func(w *watcher.Watch){
		"it was answered after errors": func(w *watcher.Watch) { w.Blind, w.LastError, w.Progressed = begin, nil, w.Progressed+1 },
		"it saw an item change":        func(w *watcher.Watch) { w.Progressed++ },
	} {
		m := newWorld(t)
		m.policy.Timeout, m.policy.Patience.Stalled = 2*time.Hour, 10*time.Minute
		m.publish("build-1", 0)
		for m.now.Sub(begin) < 9*time.Minute {
			m.runOne()
		}
		w := m.record()
		w.Polls++
		w.Wakeup++
		w.LastPollAt = m.now
		change(&w)
		encoded, err := watcher.EncodeWatch(w, m.policy.MaxPayload)
		if err != nil {
			t.Fatal(err)
		}
		m.put(w.Order, encoded)
		m.now, m.hold = begin.Add(15*time.Minute), time.Minute
		if kind := m.policy.Snapshot(m.record(), watcher.Hold{}, m.now).Condition; kind != "" {
			t.Errorf("%s: it is shown as %s", name, kind)
		}
		m.runOne() // the account may not be asked yet
		m.hold = 0
		for m.now.Sub(begin) < 18*time.Minute {
			m.runOne()
		}
		if len(m.attended) != 0 {
			t.Errorf("%s: told of %s", name, m.attended[0].Kind)
		}
	}
}

// What people are to be told is published again until it is known to be published, with the same Since.
func TestPeopleAreToldAgainAfterAFault(t *testing.T) {
	for name, f := range map[string]fault{"dies before": crashBefore, "dies after": crashAfter, "answer lost": answerLost, "not made": notMade} {
		m := newWorld(t)
		m.order = func(since time.Duration) (watcher.Answer, error) { return watcher.Answer{}, errDown }
		m.policy.Timeout = 30 * time.Minute
		m.fault = at("attend", 1, f)
		m.publish("build-1", 0)
		m.run()
		want := 1
		if f == crashAfter || f == answerLost {
			want = 2
		}
		if m.attended = slices.DeleteFunc(m.attended, isCondition); len(m.attended) != want || !m.attended[want-1].Since.Equal(m.attended[0].Since) {
			t.Errorf("%s: told %d times", name, len(m.attended))
		}
	}
}
