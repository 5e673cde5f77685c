package watcher_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// planHints draws what the sweep of the list of orders says: whether the order was listed as running, and hints that it
// has ended. They are true and false, late and doubled, and for records that are behind. It has a chance of its own.
func (m *model) planHints(seed uint64) {
	m.doubts, m.followers = rand.New(rand.NewPCG(seed, 4)), make(map[string]bool)
	some := func(d time.Duration) time.Duration { return time.Duration(m.doubts.Int64N(int64(d))) }
	for _, t := range teams {
		for n := range 5 {
			r := watcher.Request{Team: t, ID: fmt.Sprint("build-", n)}
			m.followers[r.Identity()] = m.doubts.IntN(3) == 0
		}
	}
	if m.doubts.IntN(2) == 0 {
		m.policy.SweptMax, m.policy.Followed = 4*time.Minute, m.doubts.IntN(8) == 0
		m.policy.Swept = func(string, watcher.Order) bool { return m.doubts.IntN(3) > 0 }
		if m.policy.Backoff.Max == time.Minute && m.doubts.IntN(2) == 0 { // long before the last request
			m.policy.Backoff.Multiplier, m.policy.Backoff.Max = 4, 20*time.Second
		}
	}
	if m.doubts.IntN(4) == 0 {
		return // there is no list
	}
	for range m.doubts.IntN(5) {
		m.sweepAt(begin.Add(some(6 * time.Minute)))
	}
	if !m.wild && m.doubts.IntN(2) == 0 {
		m.sweepAt(m.ends.Add(some(20 * time.Second)))
	}
}

// sweepAt lets a hint come at the time, by a sweeper who reads the record just before.
func (m *model) sweepAt(at time.Time) {
	var ago time.Duration // since the end, by the list
	switch m.doubts.IntN(4) {
	case 1:
		ago = time.Duration(m.doubts.Int64N(int64(20 * time.Second)))
	case 2:
		ago = time.Duration(m.doubts.Int64N(int64(5 * time.Minute)))
	case 3:
		ago = []time.Duration{-time.Hour, -4 * time.Minute}[m.doubts.IntN(2)]
	}
	careless, copies := m.doubts.IntN(4) == 0, 1+m.doubts.IntN(4)/3
	m.coming = append(m.coming, event{"hint", at, func() {
		var h watcher.Hint
		if ago != 0 {
			h.Ended = m.now.Add(-ago).Truncate(time.Millisecond)
		}
		m.start("hint", watcher.Wakeup{}, func() { m.sweep(h, careless, copies) })
	}})
}

// sweep is what the sweeper does with an order that the list does not show as running any more.
func (m *model) sweep(h watcher.Hint, careless bool, copies int) {
	w, _, err := m.Read(context.Background(), pool)
	if err != nil || w.State != watcher.Watching && !careless {
		return
	}
	m.troubles++ // the wake-up comes twice
	k := w.Expected()
	k.At, k.Hint = m.estimate(), &h
	for range copies {
		_ = m.parts.wakeups.Schedule(context.Background(), k)
	}
}

// takeHint takes the hint of a wake-up that a worker was given and that the record before expected.
func (j *judge) takeHint(before watcher.Watch, k watcher.Wakeup) {
	expected := before.State == watcher.Watching && before.ID == k.WatchID && before.Wakeup == k.Number
	if expected && k.Hint != nil && (j.hint == nil || !k.Hint.Ended.IsZero()) {
		j.hint = k.Hint
	}
}

// misdetected says what is not true of how soon the end was known.
func (j *judge) misdetected(c *watcher.Completion, own bool) string {
	if !own {
		if c.DetectedBy != "" || c.DetectedAfter != "" || c.SettledAfter != "" {
			return "an end that is not the order's was detected by " + c.DetectedBy
		}
		return ""
	}
	by := watcher.ByPoll
	if j.byList {
		by = watcher.ByList
	}
	settled := max(0, c.CompletedAt.Sub(j.ended)).Truncate(time.Millisecond).String()
	if j.ended.IsZero() { // at the deadline, by what was seen last
		by, settled = watcher.ByPoll, ""
	}
	if c.DetectedBy != by || c.SettledAfter != settled {
		return fmt.Sprintf("detected by %s, settled after %q; want %s, %q", c.DetectedBy, c.SettledAfter, by, settled)
	}
	return ""
}

// hintsAt holds what the list may do to a watch, and what it may not.
func (m *model) hintsAt(before, w watcher.Watch) {
	j, polled := m.judge, before.ID == w.ID && m.polled(before, w)
	if w.State == watcher.Watching {
		kept := w.Hint
		if w.Hinted != w.Wakeup {
			kept = nil
		}
		if (kept == nil) != (j.hint == nil) || kept != nil && !kept.Ended.Equal(j.hint.Ended) {
			m.blame("%s: the record has the hint %v; want %v", w.ID, kept, j.hint)
		}
	}
	if w.State != watcher.Watching || w.Wish != nil || w.Polls == 0 || !w.LooksEndedSince.IsZero() {
		return
	}
	wait := w.NextPollAt.Sub(w.LastPollAt)
	if polled && j.hint != nil && wait > m.policy.Backoff.Interval(w.ID, 2) {
		m.blame("%s: a poll that a hint brought on failed, and the next is %s later", w.ID, wait)
	}
	if open := !j.looksEndedFor(0); polled && j.used != nil && j.asked.err == nil && open && wait > m.policy.Backoff.Initial {
		m.blame("%s: the order contradicts the list, and the next poll is %s later", w.ID, wait)
	}
	joined := before.ID == w.ID && len(w.Requests) > len(before.Requests) && w.LastError == nil && w.Turn.IsZero()
	if polled || joined {
		follows := m.policy.Followed || slices.ContainsFunc(w.Requests, func(r watcher.Request) bool { return m.followers[identity(r)] })
		odd := !j.gone.IsZero() || slices.ContainsFunc(j.missing, (*sight).open)
		plain := m.policy.SweptMax > 0 && w.LastError == nil && !joined
		soon := joined && !w.NextPollAt.After(latest(m.now, w.Requests[len(w.Requests)-1].ReceivedAt).Add(m.policy.Backoff.Initial))
		if longest := m.policy.Backoff.Max; wait > longest && !soon && (!plain || follows || odd) {
			m.blame("%s: the next poll is %s after the one before; joined %t, followed %t, odd %t, %v", w.ID, wait, joined, follows, odd, w.LastError)
		}
	}
}

// hintedPolls makes the steps that hints lead to with another policy.
func hintedPolls(change func(*watcher.Policy)) func(*model) {
	return func(m *model) {
		m.parts.wake = func(k watcher.Wakeup, attempt int) watcher.Verdict {
			p := m.policy
			if k.Hint != nil {
				change(&p)
			}
			return m.polling(p).Wake(context.Background(), k, attempt)
		}
	}
}

// otherHints gives the workers other wake-ups than come.
func otherHints(change func(*model, *watcher.Wakeup)) func(*model) {
	return func(m *model) {
		wake := m.parts.wake
		m.parts.wake = func(k watcher.Wakeup, attempt int) watcher.Verdict {
			if k.Hint != nil {
				h := *k.Hint
				k.Hint = &h
				change(m, &k)
			}
			return wake(k, attempt)
		}
	}
}

// believers take what the list says for the order's own word.
type believers struct{ *model }

func (o believers) Show(ctx context.Context, region string, order watcher.Order) (watcher.Answer, error) {
	a, err := o.model.Show(ctx, region, order)
	if o.at.wakeup.Hint != nil {
		a.Items = slices.Clone(a.Items)
		for i := range a.Items {
			a.Items[i].Status = succeed
		}
	}
	return a, err
}

// hinting are the guards of what the list of orders says.
var hinting = []guard{
	{"the list is no proof", func(m *model) { m.parts.orders = believers{m} }},
	{"the list is a witness only where no item changed later", forgetting(func(w *watcher.Watch) {
		if !w.ListedEnd.IsZero() {
			w.ListedEnd = w.LastPollAt
		}
	})},
	{"there is always a second look", hintedPolls(func(p *watcher.Policy) { p.Settle = 0 })},
	{"a hint is for one step", otherHints(func(m *model, k *watcher.Wakeup) {
		if w, _, _ := m.latest(); w.State == watcher.Watching {
			k.WatchID, k.Number = w.ID, w.Wakeup
		}
	})},
	{"a hint is kept while the account may not be asked", forgetting(func(w *watcher.Watch) { w.Hint = nil })},
	{"a hint is kept when a poll fails", forgetting(func(w *watcher.Watch) {
		if w.Errors > 0 {
			w.Hint = nil
		}
	})},
	{"a poll that a hint brought on is tried again soon", forgetting(func(w *watcher.Watch) {
		if at := w.LastPollAt.Add(time.Minute); w.Errors > 0 && w.Hint != nil && w.Wish == nil && w.Polls > 0 && at.Before(w.Deadline) {
			w.NextPollAt = at
		}
	})},
	{"a hint is forgotten when the order was asked", func(m *model) {
		m.parts.poller = writing(m.parts.poller, func(ctx context.Context, w watcher.Watch, expected watcher.Revision) (watcher.Revision, error) {
			if h := m.at.wakeup.Hint; h != nil && w.State == watcher.Watching {
				w.Hint, w.Hinted = h, w.Wakeup
			}
			return m.Write(ctx, w, expected)
		})
	}},
	{"an order that contradicts the list is asked soon", hintedPolls(func(p *watcher.Policy) { p.Backoff.Initial = p.Backoff.Max })},
	{"what somebody follows is not stretched", func(m *model) {
		m.parts.intake = writing(m.parts.intake, func(ctx context.Context, w watcher.Watch, expected watcher.Revision) (watcher.Revision, error) {
			w.Requests = slices.Clone(w.Requests)
			for i := range w.Requests {
				w.Requests[i].Progress = false
			}
			return m.Write(ctx, w, expected)
		})
	}},
	{"a request that joins ends the stretch", func(m *model) {
		m.parts.intake = writing(m.parts.intake, func(ctx context.Context, w watcher.Watch, expected watcher.Revision) (watcher.Revision, error) {
			if before, _, _ := m.latest(); before.ID == w.ID && before.NextPollAt.Before(w.Requests[len(w.Requests)-1].Deadline) {
				w.NextPollAt = before.NextPollAt
			}
			return m.Write(ctx, w, expected)
		})
	}},
	{"an order that cannot be read is not stretched", forgetting(func(w *watcher.Watch) {
		if at := w.LastPollAt.Add(4 * time.Minute); w.LastError != nil && w.Wish == nil && w.Polls > 8 && at.Before(w.Deadline) {
			w.NextPollAt = at
		}
	})},
}
