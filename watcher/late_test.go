package watcher_test

import (
	"slices"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	durations "github.com/orderwatch/orderwatch/watcher/history"
)

// runUntil delivers what is due in the time after the beginning.
func runUntil(m *world, after time.Duration) {
	for m.now.Before(begin.Add(after)) && m.runOne() {
	}
}

// lateTold returns from when on people were told that the order is late; zero where they were not. What list and get show is
// the same.
func lateTold(t *testing.T, m *world) (since time.Duration) {
	t.Helper()
	runUntil(m, 50*time.Minute)
	for _, a := range m.attended {
		if a.Kind == watcher.Late {
			if since != 0 {
				t.Error("people are told twice that it is late")
			}
			since = a.Since.Sub(begin)
		}
	}
	s := m.policy.Snapshot(m.record(), watcher.Hold{}, m.now)
	if shown := s.Condition == watcher.Late; shown != (since != 0) {
		t.Errorf("told that it is late since %s, shown as %q", since, s.Condition)
	}
	return since
}

// TestLateByWhatWasKnown holds that an order is late by what was known when it showed its actions first, and that people are
// told when that comes about or not at all: not of all that run when enough of their kind have ended, of which the quickest
// end first, nor of those that were late long before anybody could know, as after an upgrade.
func TestLateByWhatWasKnown(t *testing.T) {
	began := func(at time.Duration) func(time.Duration) (watcher.Answer, error) {
		return func(time.Duration) (watcher.Answer, error) {
			return watcher.Answer{Count: 1, Items: []watcher.Item{{ResourceName: "a", Action: "createNode", Status: processing, BeganAt: begin.Add(at)}}}, nil
		}
	}
	took := func(d time.Duration) durations.Sketches {
		var s durations.Sketch
		for range 30 {
			s.Observe(d, true)
		}
		return func(durations.Key) *durations.Sketch { return &s }
	}
	for name, tt := range map[string]struct {
		order  func(time.Duration) (watcher.Answer, error)
		before durations.Sketches // what is known at first
		after  durations.Sketches // and from then on
		then   time.Duration
		old    bool // until then a worker does not know when orders are late
		off    bool // from then on it is switched off
		want   time.Duration
	}{
		"learned of while it runs":        {began(0), tookTen(29), took(5 * time.Minute), 5 * time.Minute, false, false, 0},
		"taken for quicker while it runs": {began(0), took(20 * time.Minute), took(time.Minute), 5 * time.Minute, false, false, 21 * time.Minute},
		"forgotten while it runs":         {began(0), took(20 * time.Minute), func(durations.Key) *durations.Sketch { return nil }, 5 * time.Minute, false, false, 21 * time.Minute},
		"late when it is asked for":       {began(-2 * time.Hour), tookTen(30), tookTen(30), 0, false, false, time.Minute},
		"late after seconds":              {began(0), took(5 * time.Second), took(5 * time.Second), 0, false, false, time.Minute},
		"an upgrade, and late soon":       {began(0), nil, tookTen(30), 5 * time.Minute, true, false, 10 * time.Minute},
		"an upgrade, and late just now":   {began(0), nil, tookTen(30), 15 * time.Minute, true, false, 10 * time.Minute},
		"an upgrade, and late for long":   {began(0), nil, tookTen(30), 30 * time.Minute, true, false, 0},
		"switched off while it runs":      {began(0), tookTen(30), tookTen(30), 5 * time.Minute, false, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			m := newWorld(t)
			m.order, m.policy.Sketches, m.policy.LateByUsual, m.policy.Patience.Stalled = tt.order, tt.before, !tt.old, 5*time.Hour
			m.publish("build-1", 0)
			runUntil(m, tt.then)
			m.policy.Sketches, m.policy.LateByUsual = tt.after, !tt.off
			if got := lateTold(t, m); (got-tt.want).Abs() > 30*time.Second || (got == 0) != (tt.want == 0) {
				t.Errorf("late after %s; want about %s", got, tt.want)
			}
		})
	}
}

// TestLateIsSeen holds that an order is late by what is usual only where a poll shows that it has not ended by then: while the
// order is not answered, or its account may not be asked, it may have ended long ago.
func TestLateIsSeen(t *testing.T) {
	for name, tt := range map[string]struct {
		held bool           // the account, from the first minute to the 20th; otherwise the order is not answered then
		then watcher.Status // what the order is in the 20th minute
		told bool
	}{
		"held, and runs":        {true, processing, true},
		"held, and has ended":   {true, watcher.Succeed, false},
		"silent, and runs":      {false, processing, true},
		"silent, and has ended": {false, watcher.Succeed, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := newWorld(t)
			away := func() bool { return m.now.After(begin.Add(time.Minute)) && m.now.Before(begin.Add(20*time.Minute)) }
			m.order = func(time.Duration) (watcher.Answer, error) {
				item := watcher.Item{ResourceName: "a", Action: "createNode", Status: processing, BeganAt: begin}
				switch {
				case away():
					return watcher.Answer{}, &watcher.PollError{Class: watcher.MayPass, Message: "no answer"}
				case m.now.After(begin.Add(time.Minute)):
					item.Status = tt.then
				}
				return watcher.Answer{Count: 1, Items: []watcher.Item{item}}, nil
			}
			if tt.held {
				m.heldFrom, m.heldUntil = begin.Add(time.Minute), begin.Add(20*time.Minute)
			}
			var five durations.Sketch
			for range 30 {
				five.Observe(5*time.Minute, true)
			}
			m.policy.Sketches = func(durations.Key) *durations.Sketch { return &five }
			m.policy.Patience.Stalled, m.policy.LateByUsual = 5*time.Hour, true
			m.publish("build-1", 0)
			runUntil(m, 19*time.Minute)
			late := func() bool {
				return slices.ContainsFunc(m.attended, func(a watcher.OrderAttention) bool { return a.Kind == watcher.Late })
			}
			if s := m.policy.Snapshot(m.record(), watcher.Hold{}, m.now); late() || s.Condition == watcher.Late {
				t.Errorf("told that it is late: %v, shown as %q, though nobody knows whether it has ended", late(), s.Condition)
			}
			runUntil(m, 30*time.Minute)
			if late() != tt.told {
				t.Errorf("told that it is late: %v", late())
			}
		})
	}
}

// TestLateByNewActions holds that an order that shows other actions is measured beside other orders, and that people are told
// once.
func TestLateByNewActions(t *testing.T) {
	for name, tt := range map[string]struct {
		pools, all int // known ends of orders with one action, which take a minute, and with both, which take twenty
		want       time.Duration
	}{
		"both known":       {30, 30, time.Minute},
		"the first known":  {30, 0, time.Minute},
		"the other known":  {0, 30, 22 * time.Minute},
		"neither is known": {0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			m := newWorld(t)
			m.order = func(since time.Duration) (watcher.Answer, error) {
				a := watcher.Answer{Count: 1, Items: []watcher.Item{{ResourceName: "a", Action: "createPool", Status: processing, BeganAt: begin}}}
				if since > 5*time.Minute {
					a.Count, a.Items = 2, append(a.Items, watcher.Item{ResourceName: "b", Action: "createNode", Status: processing, BeganAt: begin.Add(5 * time.Minute)})
				}
				return a, nil
			}
			var pools, all durations.Sketch
			for range tt.pools {
				pools.Observe(time.Minute, true)
			}
			for range tt.all {
				all.Observe(20*time.Minute, true)
			}
			m.policy.Patience.Stalled, m.policy.LateByUsual = 5*time.Hour, true
			m.policy.Sketches = func(k durations.Key) *durations.Sketch {
				return map[string]*durations.Sketch{"cn-north-4.createPool": &pools, "cn-north-4.createNode=createPool": &all}[k.String()]
			}
			m.publish("build-1", 0)
			if got := lateTold(t, m); (got-tt.want).Abs() > 2*time.Minute || (got == 0) != (tt.want == 0) {
				t.Errorf("late after %s; want about %s", got, tt.want)
			}
		})
	}
}
