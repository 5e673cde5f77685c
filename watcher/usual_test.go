package watcher_test

import (
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	durations "github.com/orderwatch/orderwatch/watcher/history"
)

// tookTen knows so many orders of the action createNode, each of which took ten minutes.
func tookTen(n int) durations.Sketches {
	var s durations.Sketch
	for range n {
		s.Observe(10*time.Minute, true)
	}
	return func(k durations.Key) *durations.Sketch {
		if k.String() == "cn-north-4.createNode" {
			return &s
		}
		return nil
	}
}

// working shows one item on which work began a minute after the request, and which ends after some time; 0: never.
func working(ends time.Duration) func(time.Duration) (watcher.Answer, error) {
	return func(since time.Duration) (watcher.Answer, error) {
		it := watcher.Item{ResourceName: "a", Action: "createNode", Status: processing, BeganAt: begin.Add(time.Minute)}
		if ends > 0 && since >= ends {
			it.Status, it.UpdatedAt = watcher.Succeed, begin.Add(ends)
		}
		return watcher.Answer{Count: 1, Items: []watcher.Item{it}}, nil
	}
}

// TestLateByWhatIsUsual holds that people are told of a late order, once, where no request says when it is late and enough is
// known; and of no order where too little is.
func TestLateByWhatIsUsual(t *testing.T) {
	for name, tt := range map[string]struct {
		known int
		late  []time.Duration
		off   bool
		want  time.Duration // from when on it is late, about; 0: it is not
	}{
		"enough are known":             {30, nil, false, 13 * time.Minute},
		"too few are known":            {29, nil, false, 0},
		"it is switched off":           {30, nil, true, 0},
		"a request says it":            {30, []time.Duration{4 * time.Minute}, false, 4 * time.Minute},
		"a request says it, all off":   {30, []time.Duration{4 * time.Minute}, true, 4 * time.Minute},
		"a request says it, for later": {30, []time.Duration{40 * time.Minute}, false, 40 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			m := newWorld(t)
			m.order, m.late = working(55*time.Minute), tt.late
			m.policy.Sketches, m.policy.LateByUsual = tookTen(tt.known), !tt.off
			m.publish("build-1", 0)
			m.run()
			var late []watcher.OrderAttention
			for _, a := range m.attended {
				if a.Kind == watcher.Late {
					late = append(late, a)
				}
			}
			if (tt.want > 0) != (len(late) == 1) || len(late) > 1 {
				t.Fatalf("told %d times that it is late; want it %t", len(late), tt.want > 0)
			}
			if tt.want == 0 {
				return
			}
			a := late[0]
			if off := (a.Since.Sub(begin) - tt.want).Abs(); off > 2*time.Minute || a.Usual == nil || a.Usual.Samples != 30 {
				t.Errorf("late since %s, usually %+v", a.Since.Sub(begin), a.Usual)
			}
			if byUsual := strings.Contains(a.Reason, "than 95 of 100 orders like it that ended"); byUsual != (tt.late == nil) {
				t.Errorf("reason: %s", a.Reason)
			}
		})
	}
}

// TestAWorkerThatJustStartedTellsNobodyAnew lets the watch of a late order end for one of its requests while the worker does
// not know yet what is usual.
func TestAWorkerThatJustStartedTellsNobodyAnew(t *testing.T) {
	m := newWorld(t)
	order, known := working(55*time.Minute), tookTen(30)
	m.policy.Sketches = known
	m.order = func(since time.Duration) (watcher.Answer, error) {
		if m.policy.Sketches = known; since > 17*time.Minute && since < 25*time.Minute {
			m.policy.Sketches = nil
		}
		return order(since)
	}
	m.ask(of("", "a", 0, 2*time.Hour), 0)
	m.ask(of("", "b", 0, 20*time.Minute), 0)
	m.run()
	late := 0
	for _, a := range m.attended {
		if a.Kind == watcher.Late {
			late++
		}
	}
	if len(m.completions) != 2 || late != 1 {
		t.Errorf("%d watches, told %d times that the order is late; want 2, 1", len(m.completions), late)
	}
}

// TestUsualAndETA holds what is shown of a watch, and said in its events, while it goes on and when it has ended.
func TestUsualAndETA(t *testing.T) {
	m := newWorld(t)
	m.order, m.policy.Sketches = working(9*time.Minute), tookTen(12)
	m.publish("build-1", 0)
	m.run()
	if len(m.completions) != 1 || m.completions[0].Usual == nil || m.completions[0].Usual.Samples != 12 {
		t.Fatalf("completions: %+v", m.completions)
	}
	observed := m.completions[0].Observations()
	if len(observed) != 4 || !observed[0].Ended || observed[2].Key.String() != "cn-north-4.createNode" || observed[2].Lasted != 8*time.Minute {
		t.Errorf("observed: %+v", observed)
	}
	for _, g := range m.progress {
		if len(g.Items) > 0 && g.Items[0].Status == processing && (g.ETA == nil || g.ETA.Few() || g.ETA.From.Before(begin.Add(7*time.Minute)) || g.ETA.To.After(begin.Add(20*time.Minute))) {
			t.Errorf("progress says %+v", g.ETA)
		}
	}

	p := policy()
	p.Sketches = tookTen(12)
	answer, _ := working(0)(0)
	w := wake(t, p, admit(t, p, request("build-1")), wakeup{answer: answer})
	s := p.Snapshot(w, watcher.Hold{}, begin.Add(5*time.Minute))
	if s.ETA == nil || s.ETA.Samples != 12 || s.ETA.From.Before(begin.Add(7*time.Minute)) || s.ETA.To.After(begin.Add(20*time.Minute)) {
		t.Errorf("a snapshot says %+v", s.ETA)
	}
	if s := p.Snapshot(w, watcher.Hold{}, begin.Add(time.Hour)); s.ETA == nil || !s.ETA.To.After(begin.Add(time.Hour)) {
		t.Errorf("long after what is usual a snapshot says %+v", s.ETA)
	}
	p.Sketches = tookTen(3)
	if s := p.Snapshot(w, watcher.Hold{}, begin.Add(5*time.Minute)); s.ETA == nil || !s.ETA.Few() || s.ETA.Samples != 3 {
		t.Errorf("with few known a snapshot says %+v", s.ETA)
	}
	p.Sketches = nil
	if s := p.Snapshot(w, watcher.Hold{}, begin.Add(5*time.Minute)); s.ETA != nil {
		t.Errorf("with nothing known a snapshot says %+v", s.ETA)
	}
}

// TestObservations holds of which completions something is learned.
func TestObservations(t *testing.T) {
	completion := func(change func(*watcher.Completion)) watcher.Completion {
		c := watcher.Completion{Outcome: watcher.Succeeded, CompletedAt: begin.Add(11 * time.Minute)}
		c.Region, c.AcceptedAt, c.Counts = "cn-north-4", begin, watcher.Counts{Total: 1, Succeeded: 1}
		c.Items = []watcher.Item{{ResourceName: "a", Action: "createNode", Status: watcher.Succeed, BeganAt: begin.Add(time.Minute), UpdatedAt: begin.Add(10 * time.Minute)}}
		change(&c)
		return c
	}
	open := func(outcome watcher.Outcome) func(*watcher.Completion) {
		return func(c *watcher.Completion) {
			c.Outcome, c.Counts = outcome, watcher.Counts{Total: 1, Processing: 1}
			c.Items[0].Status, c.Items[0].UpdatedAt = processing, time.Time{}
		}
	}
	for name, tt := range map[string]struct {
		change func(*watcher.Completion)
		want   time.Duration // of the whole order; 0: nothing is learned
		ended  bool
	}{
		"it succeeded": {func(*watcher.Completion) {}, 9 * time.Minute, true},
		"it failed": {func(c *watcher.Completion) {
			c.Outcome, c.Items[0].Status = watcher.AllFailed, watcher.Failed
			c.Counts = watcher.Counts{Total: 1, Failed: 1}
		}, 9 * time.Minute, true},
		"it timed out": {open(watcher.TimedOut), 10 * time.Minute, false},
		"it could not be read": {func(c *watcher.Completion) {
			open(watcher.TimedOut)(c)
			c.Error = &watcher.ErrorDetail{Code: "ModelArts.0500", Message: "internal error"}
		}, 0, false},
		"its account was held": {func(c *watcher.Completion) {
			open(watcher.TimedOut)(c)
			c.Error = &watcher.ErrorDetail{Code: watcher.HeldCode, Held: watcher.HeldUnreachable}
		}, 0, false},
		"it was cancelled":   {open(watcher.Cancelled), 10 * time.Minute, false},
		"it was not found":   {open(watcher.OrderNotFound), 0, false},
		"others go on":       {func(c *watcher.Completion) { c.NextWatchID = "w_2" }, 0, false},
		"items are left out": {func(c *watcher.Completion) { c.ItemsOmitted = 1 }, 0, false},
		"it gives no times":  {func(c *watcher.Completion) { c.Items[0].BeganAt, c.Items[0].UpdatedAt = time.Time{}, time.Time{} }, 0, false},
		"its times are odd":  {func(c *watcher.Completion) { c.Items[0].UpdatedAt = begin.Add(-time.Hour) }, 0, false},
		"it was over before": {func(c *watcher.Completion) {
			c.AcceptedAt = begin.Add(time.Hour)
			c.CompletedAt = begin.Add(61 * time.Minute)
		}, 0, false},
		"it began long before":   {func(c *watcher.Completion) { c.Items[0].BeganAt = begin.Add(-50 * time.Hour) }, 50*time.Hour + 10*time.Minute, true},
		"nothing was ever shown": {func(c *watcher.Completion) { open(watcher.TimedOut)(c); c.Items, c.Counts = nil, watcher.Counts{} }, 11 * time.Minute, false},
	} {
		c := completion(tt.change)
		var got *durations.Observation
		for _, o := range c.Observations() {
			if o.Key.String() == "cn-north-4" {
				got = &o
			}
		}
		if (got != nil) != (tt.want > 0) || got != nil && (got.Lasted != tt.want || got.Ended != tt.ended) {
			t.Errorf("%s: %+v; want %s, %t", name, got, tt.want, tt.ended)
		}
	}
}
