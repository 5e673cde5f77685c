package watcher_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// listedEnd is a hint that the order ended at the time since begin.
func listedEnd(since time.Duration) *watcher.Hint { return &watcher.Hint{Ended: begin.Add(since)} }

// hinted is the wake-up as the list of orders brings it on.
func (k wakeup) hinted(h *watcher.Hint) wakeup {
	k.hint = h
	return k
}

// dated is the wake-up with items that all changed last at the time since begin.
func (k wakeup) dated(since time.Duration) wakeup {
	k.answer.Items = slices.Clone(k.answer.Items)
	for i := range k.answer.Items {
		k.answer.Items[i].BeganAt, k.answer.Items[i].UpdatedAt = begin.Add(since-time.Minute), begin.Add(since)
	}
	return k
}

func TestTheListIsASecondWitness(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	left := new(watcher.Hint)
	ended := func() wakeup { return shows(2, succeed, succeed).dated(-9 * s) }
	tests := []struct {
		name    string
		ask     func(*watcher.Ask)
		wakeups []wakeup
		outcome watcher.Outcome
		after   time.Duration
		by      string
	}{
		{"it says so", nil, []wakeup{ended().hinted(listedEnd(-9 * s)).then(s), ended()}, watcher.Succeeded, s, "list"},
		{"it says when, and later than the items", nil, []wakeup{ended().hinted(listedEnd(-2 * s)).then(s), ended()}, watcher.Succeeded, s, "list"},
		{"it says so at the second look", nil, []wakeup{ended().then(10 * s), {answer: ended().answer, hint: listedEnd(-9 * s), late: -7 * s}}, watcher.Succeeded, 3 * s, "poll"},
		{"at the second look, too soon", nil, []wakeup{ended().then(10 * s), {answer: ended().answer, hint: listedEnd(-9 * s), late: -9500 * ms, want: 500 * ms}, ended()}, watcher.Succeeded, s, "poll"},
		{"its clock is ahead", nil, []wakeup{ended().hinted(listedEnd(5 * time.Minute)).then(s), ended()}, watcher.Succeeded, s, "list"},
		{"it ends in the future", nil, []wakeup{ended().hinted(listedEnd(5*time.Minute + ms)).then(10 * s), ended()}, watcher.Succeeded, 10 * s, "list"},
		{"a node appears before the end that it gives", nil, []wakeup{ended().hinted(listedEnd(time.Hour)).then(10 * s), shows(3, succeed, succeed, processing).dated(5 * s)}, "", 0, ""},
		{"it only lists the order no longer", nil, []wakeup{ended().hinted(left).then(10 * s), ended()}, watcher.Succeeded, 10 * s, "list"},
		{"an item changed later", nil, []wakeup{ended().hinted(listedEnd(-9*s - ms)).then(10 * s), ended()}, watcher.Succeeded, 10 * s, "list"},
		{"one changes later while it settles", nil, []wakeup{ended().hinted(listedEnd(-9 * s)).then(s), ended().dated(s / 2).then(9 * s), ended().dated(s / 2)}, watcher.Succeeded, 10 * s, "list"},
		{"it is not known when one changed", nil, []wakeup{{answer: watcher.Answer{Count: 1, Items: []watcher.Item{{ResourceName: "a", Status: succeed}}}, hint: listedEnd(-s), want: 10 * s}}, "", 0, ""},
		{"nobody says so", nil, []wakeup{ended().then(10 * s), ended()}, watcher.Succeeded, 10 * s, "poll"},
		{"one hint is for one look", nil, []wakeup{shows(2, succeed, processing).dated(-9 * s).hinted(listedEnd(-s)).then(5 * s), ended().then(10 * s), ended()}, watcher.Succeeded, 15 * s, "poll"},
		{"expected items need no second look", func(a *watcher.Ask) { a.ExpectedItems = 2 }, []wakeup{ended().hinted(left)}, watcher.Succeeded, 0, "list"},
		{"what fails", nil, []wakeup{shows(2, failed, failed).dated(-9 * s).hinted(listedEnd(-9 * s)).then(s), shows(2, failed, failed).dated(-9 * s)}, watcher.AllFailed, s, "list"},
		{"an order that it ends too early", nil, []wakeup{shows(2).then(5 * s), shows(2).then(7500 * ms), shows(2).hinted(listedEnd(0)).then(5 * s), shows(2).then(7500 * ms)}, "", 0, ""},
		{"an order that has not all items that are expected", func(a *watcher.Ask) { a.ExpectedItems = 3 }, []wakeup{ended(), ended().hinted(left).then(7500 * ms)}, "", 0, ""},
		{"a hint goes on while the account is held", nil, []wakeup{{hint: listedEnd(-9 * s), hold: 20 * s, want: 20 * s}, {hold: 5 * s, want: 5 * s}, ended().then(s), ended()}, watcher.Succeeded, 26 * s, "list"},
		{"a poll that fails keeps it", nil, []wakeup{fails(errDown).hinted(listedEnd(-9 * s)).then(5 * s), ended().then(s), ended()}, watcher.Succeeded, 6 * s, "list"},
		{"and makes the next soon", nil, append(slices.Repeat([]wakeup{shows(2, succeed, processing).dated(-9 * s)}, 9), fails(errDown).hinted(left).then(5*s), fails(throttled).then(3*time.Minute), fails(errDown).then(11250*ms)), "", 0, ""},
		{"so do three", nil, []wakeup{fails(errDown).hinted(listedEnd(-9 * s)), fails(throttled), fails(errDown), ended().then(s), ended()}, watcher.Succeeded, 3*time.Minute + 5*s + 11250*ms + s, "list"},
		{"four forget it", nil, []wakeup{fails(errDown).hinted(listedEnd(-9 * s)), fails(throttled), fails(errDown), fails(errDown), ended().then(10 * s)}, "", 0, ""},
		{"an order that is not known forgets it", nil, []wakeup{fails(notFound).hinted(listedEnd(-9 * s)), ended().then(10 * s)}, "", 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ask := request("build-1")
			if tt.ask != nil {
				tt.ask(&ask)
			}
			w := admit(t, policy(), ask)
			for _, k := range tt.wakeups {
				w = wake(t, policy(), w, k)
			}
			if tt.outcome == "" {
				if w.State != watcher.Watching {
					t.Fatalf("ended: %+v", w.Completion)
				}
				return
			}
			if w.State != watcher.Ending {
				t.Fatalf("goes on until %s", w.NextPollAt)
			}
			if c := w.Completion; c.Outcome != tt.outcome || c.CompletedAt.Sub(begin) != tt.after || c.DetectedBy != tt.by {
				t.Errorf("%s after %s, by %s; want %s after %s, by %s", c.Outcome, c.CompletedAt.Sub(begin), c.DetectedBy, tt.outcome, tt.after, tt.by)
			}
		})
	}
}

func TestSettleZeroNeedsNoWitness(t *testing.T) {
	p := policy()
	p.Settle = 0
	if w := wake(t, p, admit(t, p, request("build-1")), shows(1, succeed).hinted(listedEnd(0))); w.State != watcher.Ending {
		t.Errorf("state %s", w.State)
	}
}

func TestDetection(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	tests := []struct {
		name    string
		wakeups []wakeup
		after   string // and settled
	}{
		{"by the API's clock", []wakeup{shows(1, processing).dated(0), shows(1, succeed).dated(2500 * ms), shows(1, succeed).dated(2500 * ms)}, "12.5s 10s"},
		{"an order that had ended before", []wakeup{shows(1, succeed).dated(-time.Hour), shows(1, succeed).dated(-time.Hour)}, "10s 10s"},
		{"a clock that is ahead", []wakeup{shows(1, failed).dated(3 * time.Minute), shows(1, failed).dated(3 * time.Minute)}, "0s 10s"},
		{"no time", []wakeup{lists(1, "a createNode succeed"), lists(1, "a createNode succeed")}, " 10s"},
		{"one time of two", []wakeup{lists(2, "a createNode succeed", "b createNode succeed 1"), lists(2, "a createNode succeed", "b createNode succeed 1")}, " 10s"},
		{"an item that is no longer listed", []wakeup{lists(2, "a createNode succeed 1", "b createNode succeed 1"), lists(1, "a createNode succeed 1"), lists(1, "a createNode succeed 1")}, "19s 10s"},
		{"a refusal of an order that looks ended", []wakeup{shows(1, succeed).dated(0), fails(refused)}, "10s 10s"},
		{"a cancel", []wakeup{shows(1, processing), {wish: true}}, " "},
		{"a refusal", []wakeup{fails(refused)}, " "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := admit(t, policy(), request("build-1"))
			for _, k := range tt.wakeups {
				w = wake(t, policy(), w, k)
			}
			if w.State != watcher.Ending {
				t.Fatalf("goes on until %s", w.NextPollAt)
			}
			c := w.Completion
			if got := c.DetectedAfter + " " + c.SettledAfter; got != tt.after || (c.DetectedBy == "") != (tt.after == " ") {
				t.Errorf("detected and settled after %q, by %q; want %q", got, c.DetectedBy, tt.after)
			}
		})
	}
}

// stretching is a policy under which every order is listed as running.
func stretching() watcher.Policy {
	p := policy()
	p.Patience.Stalled = 10 * time.Hour
	p.SweptMax, p.Swept = 5*time.Minute, func(string, watcher.Order) bool { return true }
	return p
}

// settledIn is a watch whose interval has reached the longest.
func settledIn(t *testing.T, p watcher.Policy, change func(*watcher.Ask), k wakeup) watcher.Watch {
	t.Helper()
	ask := request("build-1")
	if change != nil {
		change(&ask)
	}
	w := admit(t, p, ask)
	for range 12 {
		w = wake(t, p, w, k)
	}
	return w
}

func TestIntervalsAreStretched(t *testing.T) {
	const m = time.Minute
	runs := shows(2, succeed, processing)
	tests := []struct {
		name   string
		policy func(*watcher.Policy)
		ask    func(*watcher.Ask)
		polls  wakeup
		then   wakeup
		want   time.Duration
	}{
		{"a running order", nil, nil, runs, runs, 5 * m},
		{"one that is not listed", func(p *watcher.Policy) { p.Swept = func(string, watcher.Order) bool { return false } }, nil, runs, runs, m},
		{"there is no list", func(p *watcher.Policy) { p.Swept = nil }, nil, runs, runs, m},
		{"it is switched off", func(p *watcher.Policy) { p.SweptMax = 0 }, nil, runs, runs, m},
		{"no more than the longest interval", func(p *watcher.Policy) { p.SweptMax = m }, nil, runs, runs, m},
		{"all are followed", func(p *watcher.Policy) { p.Followed = true }, nil, runs, runs, m},
		{"one that somebody follows", nil, func(a *watcher.Ask) { a.Request.Progress = true }, runs, runs, m},
		{"an error", nil, nil, runs, fails(errDown), m},
		{"errors", nil, nil, fails(errDown), fails(errDown), m},
		{"one that people are told of", nil, func(a *watcher.Ask) { a.Request.LateAt = begin.Add(m) }, runs, runs, m},
		{"before they are told", nil, func(a *watcher.Ask) { a.Request.LateAt = begin.Add(60 * m) }, runs, runs, 0},
		{"an unknown order", nil, nil, runs, fails(notFound), 5 * time.Second},
		{"an item that vanished", nil, nil, lists(2, "a createNode processing", "b createNode succeed"), lists(1, "b createNode succeed"), 5 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := stretching()
			if tt.policy != nil {
				tt.policy(&p)
			}
			w := settledIn(t, p, tt.ask, tt.polls)
			if tt.name == "before they are told" {
				for w.NextPollAt.Before(begin.Add(60 * m)) {
					w = wake(t, p, w, tt.then)
				}
				if !w.NextPollAt.Equal(begin.Add(60 * m)) {
					t.Errorf("the next poll is %s after begin", w.NextPollAt.Sub(begin))
				}
				return
			}
			wake(t, p, w, tt.then.then(tt.want))
		})
	}
}

func TestAStretchEnds(t *testing.T) {
	const m = time.Minute
	p, runs := stretching(), shows(2, succeed, processing)
	w := settledIn(t, p, nil, runs)
	w = wake(t, p, w, runs.then(5*m))
	listed := true
	p.Swept = func(region string, order watcher.Order) bool { return listed && region == w.Region && order == pool }
	wake(t, p, w, runs.then(5*m))
	listed = false
	wake(t, p, w, runs.then(m))
	listed = true
	next := wake(t, p, w, shows(2, succeed, succeed).then(10*time.Second))
	if next.LooksEndedSince.IsZero() {
		t.Error("it does not look ended")
	}

	ask := request("build-2")
	ask.Request.ReceivedAt = w.LastPollAt.Add(10 * time.Second)
	_, joined, _ := p.Admit(&w, ask, ask.Request.ReceivedAt)
	if got := joined.NextPollAt.Sub(w.LastPollAt); got != m {
		t.Errorf("after a join the next poll is %s after the one before", got)
	}
	held := wake(t, p, w, wakeup{hold: 3 * m})
	_, joined, _ = p.Admit(&held, ask, ask.Request.ReceivedAt)
	if !joined.NextPollAt.Equal(held.NextPollAt) {
		t.Errorf("a join brings a poll forward for which the account may not be asked, by %s", held.NextPollAt.Sub(joined.NextPollAt))
	}
}

// TestUrgencies holds which polls go before others of their account.
func TestUrgencies(t *testing.T) {
	for name, c := range map[string]struct {
		ends, timeout time.Duration
		polls         int
	}{
		"the second look":                  {30 * time.Second, time.Hour, 6},
		"the poll at a request's deadline": {time.Hour, 30 * time.Second, 5},
	} {
		m := newWorld(t)
		m.order, m.policy.Timeout = finishes(c.ends), c.timeout
		m.publish("build-1", 0)
		m.run()
		var urgencies []watcher.Urgency
		for _, turn := range m.turns {
			urgencies = append(urgencies, turn.Urgency)
		}
		want := append(slices.Repeat([]watcher.Urgency{watcher.Routine}, c.polls-1), watcher.MayHaveEnded)
		if !slices.Equal(urgencies, want) {
			t.Errorf("%s: urgencies %v; want %v", name, urgencies, want)
		}
	}
}

// TestHintsOfTheList lets a poller take what the sweeper publishes.
func TestHintsOfTheList(t *testing.T) {
	tests := []struct {
		name      string
		behind    bool          // the sweeper read a record that is behind
		hold      time.Duration // the account may not be asked for so long
		ended     bool          // the order has
		want      string        // the calls of the poller, delivery by delivery
		disagreed int
	}{
		{"an order that has ended", false, 0, true, "read newest show write progress schedule", 0},
		{"one that has not", false, 0, false, "read newest show write schedule", 1},
		{"a record that was behind", true, 0, true, "read readLatest newest schedule; read newest show write progress schedule", 0},
		{"an account that is held", false, time.Minute, true, "read newest write schedule", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newWorld(t)
			m.publish("build-1", 0)
			for range 5 { // until nothing of the order changes
				m.runOne()
			}
			k := m.expected()
			if tt.behind {
				k.Number--
			}
			m.now = m.now.Add(time.Second)
			k.At, k.Hint, m.hold = m.now, listedEnd(m.now.Sub(begin)), tt.hold
			if tt.ended {
				m.order = func(time.Duration) (watcher.Answer, error) { return answer(1, succeed), nil }
			}
			disagreed, before := 0, m.record()
			p := m.poller()
			p.Disagreed = func(region string) {
				if region == before.Region {
					disagreed++
				}
			}
			var calls []string
			for {
				m.calls, m.turns = nil, nil
				v := p.Wake(t.Context(), k, 1)
				if v.Action != watcher.Ack {
					t.Fatalf("verdict %+v", v)
				}
				calls = append(calls, strings.Join(m.calls, " "))
				next := m.scheduled[len(m.scheduled)-1]
				if next.Hint == nil {
					break
				}
				if next.Number != before.Wakeup || !next.At.Equal(k.At) {
					t.Fatalf("the next wake-up is %+v", next)
				}
				k = next
			}
			if got := strings.Join(calls, "; "); got != tt.want || disagreed != tt.disagreed {
				t.Errorf("calls %q, disagreed %d; want %q, %d", got, disagreed, tt.want, tt.disagreed)
			}
			if len(m.turns) != 1 || m.turns[0].Urgency != watcher.MayHaveEnded {
				t.Errorf("turns %+v", m.turns)
			}
			if w := m.record(); (w.Hint != nil) != (tt.hold > 0) || w.Wakeup != before.Wakeup+1 {
				t.Errorf("hint %v, wake-up %d after %d", w.Hint, w.Wakeup, before.Wakeup)
			}
		})
	}
}

// TestAWatchKeepsItsTurn wakes a watch that was put off before it is its turn, while others have got the turns after it.
func TestAWatchKeepsItsTurn(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		name  string
		first *watcher.Hint // with which it was put off
		again *watcher.Hint // with which it is woken
		calls string
	}{
		{"a second hint", new(watcher.Hint), new(watcher.Hint), "read schedule"},
		{"one that says when", new(watcher.Hint), listedEnd(2 * s), "read write schedule"},
		{"the same once more", listedEnd(2 * s), listedEnd(2 * s), "read schedule"},
		{"one that says less", listedEnd(2 * s), new(watcher.Hint), "read schedule"},
		{"a poll now, after a hint", new(watcher.Hint), nil, "read wait write schedule"},
		{"a poll now", nil, nil, "read wait write schedule"},
		{"a hint, after none", nil, new(watcher.Hint), "read wait write schedule"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newWorld(t)
			m.publish("build-1", 0)
			m.runOne()
			wake := func(hint *watcher.Hint, hold time.Duration) watcher.Watch {
				k := m.expected()
				k.At, k.Hint, m.hold, m.calls, m.turns = m.now, hint, hold, nil, nil
				if v := m.poller().Wake(t.Context(), k, 1); v.Action != watcher.Ack {
					t.Fatalf("verdict %+v", v)
				}
				return m.record()
			}
			first := wake(tt.first, 20*s)
			m.now = m.now.Add(5 * s)
			w := wake(tt.again, 300*s)
			calls := strings.Join(m.calls, " ")
			if len(m.turns) > 0 {
				calls = strings.Replace(calls, "read ", "read wait ", 1)
			}
			if calls != tt.calls || !w.NextPollAt.Equal(first.NextPollAt) || !w.Turn.Equal(first.Turn) {
				t.Errorf("calls %q, due in %s, turn in %s; want %q, 15s", calls, w.NextPollAt.Sub(m.now), w.Turn.Sub(m.now), tt.calls)
			}
			if next := m.scheduled[len(m.scheduled)-1]; next.Number != w.Wakeup || !next.At.Equal(w.NextPollAt) {
				t.Errorf("the next wake-up is %+v", next)
			}
			m.now = w.NextPollAt
			want := watcher.Turn{At: first.Turn, Wanted: first.WantedAt}
			if tt.first != nil || tt.again != nil {
				want.Urgency = watcher.MayHaveEnded
			}
			if wake(nil, 0); len(m.turns) != 1 || m.turns[0] != want || m.record().Hint != nil || m.shown != 1 {
				t.Errorf("turns %+v, hint %v, asked %d times; want %+v", m.turns, m.record().Hint, m.shown, want)
			}
			if ended := w.Hint != nil && !w.Hint.Ended.IsZero(); ended != (tt.name == "one that says when" || tt.first != nil && !tt.first.Ended.IsZero()) {
				t.Errorf("the record has the hint %+v", w.Hint)
			}
		})
	}
}

// TestAHintIsKeptForThoseWhoGoOn cancels the requests of one team when the list says that the order has ended.
func TestAHintIsKeptForThoseWhoGoOn(t *testing.T) {
	m := newWorld(t)
	m.ask(of("x", "a", 0, time.Hour), 0)
	m.ask(of("y", "a", 0, time.Hour), time.Millisecond)
	for range 8 {
		m.runOne()
	}
	before := m.record()
	if _, err := m.intake().Cancel(t.Context(), pool, watcher.Wish{Team: "x", By: "ada"}); err != nil {
		t.Fatal(err)
	}
	m.now = m.now.Add(time.Second)
	k := m.expected()
	k.At, k.Hint = m.now, new(watcher.Hint)
	if v := m.poller().Wake(t.Context(), k, 1); v.Action != watcher.Ack {
		t.Fatalf("verdict %+v", v)
	}
	w := m.record()
	if w.ID == before.ID || w.Hint == nil || w.Hinted != w.Wakeup || w.NextPollAt.After(m.now) {
		t.Errorf("%s follows %s with the hint %v for %d of %d, due in %s", w.ID, before.ID, w.Hint, w.Hinted, w.Wakeup, w.NextPollAt.Sub(m.now))
	}
	if got := fmt.Sprint(m.completions[0].Outcome, len(m.completions)); got != "cancelled1" {
		t.Error(got)
	}
}
