package watcher_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// teams are those that requests and cancels come from; none is the operator's.
var teams = []string{"", "", "a", "b"}

// planTerms draws what the requests ask for, and the teams that they, and the cancels, come from: the same id may come
// from several. It has a chance of its own, as planConditions has.
func (m *model) planTerms(seed uint64) {
	random := rand.New(rand.NewPCG(seed, 3))
	m.expects, m.carried, m.promised = make(map[string]int), make(map[string]int), make(map[string][]watcher.Wish)
	if random.IntN(2) == 0 { // all are the operator's, and expect nothing
		if random.IntN(2) == 0 { // what takes long is seen to its end
			clear(m.timeouts)
			if m.wild {
				m.policy.Timeout = 9 * time.Minute
				m.policy.Backoff = watcher.Backoff{Initial: 2 * time.Minute, Multiplier: 1, Max: 2 * time.Minute}
			}
		}
		return
	}
	team := func() string { return teams[random.IntN(len(teams))] }
	cancelling := func(t string) func() {
		return func() { m.start("cancel", watcher.Wakeup{}, func() { m.cancel(t) }) }
	}
	for i := range m.coming {
		e := &m.coming[i]
		var id string
		if _, err := fmt.Sscanf(e.name, "request %s", &id); err == nil {
			t := team()
			e.name, e.do = "request "+t+" "+id, func() { m.send(t, id) }
		} else if e.name == "cancel" {
			t := team()
			e.name, e.do = "cancel "+t, cancelling(t)
			also := team()
			m.coming = append(m.coming, event{"cancel " + also, e.at, cancelling(also)})
		}
	}
	for _, t := range teams {
		for n := range 5 {
			r := watcher.Request{Team: t, ID: fmt.Sprint("build-", n)}
			who := r.Identity()
			m.expects[who] = []int{0, 0, 0, 1, 2, 3, 5}[random.IntN(7)]
			if timeout := []time.Duration{0, 0, 0, 20 * time.Second, 90 * time.Second, 7 * time.Minute}[random.IntN(6)]; timeout > 0 {
				m.timeouts[who] = timeout
			}
			if m.expects[who] > 2 && m.timeout(who) > 9*time.Minute { // as many may never come
				m.timeouts[who] = 8 * time.Minute
			}
		}
	}
	if !m.wild && random.IntN(2) == 0 {
		order := m.order
		m.order = func(since time.Duration) (watcher.Answer, error) {
			a, err := order(since)
			for i := range a.Items {
				if a.Items[i].Status == failed {
					a.Items[i].Status = succeed
				}
			}
			return a, err
		}
	}
}

// timeout returns the timeout of the request with that identity.
func (m *model) timeout(who string) time.Duration {
	if timeout := m.timeouts[who]; timeout > 0 {
		return timeout
	}
	return m.policy.Timeout
}

// deadline returns the request's own deadline.
func (m *model) deadline(r watcher.Request) time.Time {
	return r.ReceivedAt.Add(m.timeout(identity(r)))
}

// leastExpected returns the fewest items that one of the requests expects.
func (m *model) leastExpected(requests []watcher.Request) int {
	least := m.expects[identity(requests[0])]
	for _, r := range requests {
		least = min(least, m.expects[identity(r)])
	}
	return least
}

// followed reports whether the watch is the one of the requests that an ending one left.
func followed(before, w watcher.Watch) bool {
	return before.State == watcher.Ending && len(before.Requests) > 0 && w.State == watcher.Watching && w.ID == before.Completion.NextWatchID
}

// termsAt holds that each request keeps its terms, and the watch its wishes.
func (m *model) termsAt(before, w watcher.Watch) {
	at := m.story[m.looked].at
	for _, r := range named(&w) {
		if !r.Deadline.Equal(m.deadline(r)) || r.ExpectedItems != m.expects[identity(r)] {
			m.blame("%s: %s has the deadline %s and expects %d", w.ID, identity(r), r.Deadline.Sub(begin), r.ExpectedItems)
		}
		if last := at.Add(m.policy.LastPollGrace); w.State == watcher.Watching && w.NextPollAt.After(m.deadline(r)) && w.NextPollAt.After(last) {
			m.blame("%s: the next poll is %s after the deadline of %s", w.ID, w.NextPollAt.Sub(m.deadline(r)), identity(r))
		}
		if before.ID == w.ID && m.polled(before, w) && w.State == watcher.Watching && !w.LastPollAt.Before(m.deadline(r)) {
			m.blame("%s goes on after a poll %s after the deadline of %s", w.ID, w.LastPollAt.Sub(m.deadline(r)), identity(r))
		}
		if same := before.ID == w.ID; same && w.State == watcher.Watching && slices.ContainsFunc(m.promised[w.ID], func(wish watcher.Wish) bool { return about(wish, r) }) && !covered(w, r) {
			m.blame("%s: nobody knows that %s is to be cancelled", w.ID, identity(r))
		}
		if same := before.ID == w.ID || followed(before, w); same && covered(before, r) && w.State == watcher.Watching && !covered(w, r) {
			m.blame("%s: nobody knows any more that %s is cancelled", w.ID, identity(r))
		}
	}
	if w.State == watcher.Ending && before.State != watcher.Ending {
		m.endingAt(w, m.polled(before, w))
	}
	if followed(before, w) {
		m.carried[w.ID] = w.Polls
		if !slices.EqualFunc(before.Requests, w.Requests, func(a, b watcher.Request) bool { return identity(a) == identity(b) }) {
			m.blame("%s left other requests than %s has", before.ID, w.ID)
		}
	}
}

// covered reports whether somebody wants that the request is cancelled.
func covered(w watcher.Watch, r watcher.Request) bool {
	return w.Wish != nil && (about(*w.Wish, r) || slices.ContainsFunc(w.Wishes, func(wish watcher.Wish) bool { return about(wish, r) }))
}

func about(wish watcher.Wish, r watcher.Request) bool { return wish.Team == "" || wish.Team == r.Team }

// endingAt looks at whom a completion answers, and whom not; polled says whether a poll led to it.
func (m *model) endingAt(w watcher.Watch, polled bool) {
	c := w.Completion
	if len(c.Requests) == 0 || c.RequestsLeft != len(w.Requests) || (c.NextWatchID == "") != (len(w.Requests) == 0) {
		m.blame("%s answers %d requests, and leaves %d to %q, which are %d", w.ID, len(c.Requests), c.RequestsLeft, c.NextWatchID, len(w.Requests))
	}
	for _, r := range c.Requests {
		if c.Outcome == watcher.Cancelled && !cancels(c.Reason, r) {
			m.blame("%s: %s is %s", w.ID, identity(r), c.Reason)
		}
	}
	for _, r := range w.Requests {
		switch {
		case c.Outcome == watcher.TimedOut && !w.LastPollAt.Before(m.deadline(r)):
			m.blame("%s goes on for %s after a poll after its deadline", w.ID, identity(r))
		case c.Outcome == watcher.Cancelled && cancels(c.Reason, r):
			m.blame("%s goes on for %s, and is %s", w.ID, identity(r), c.Reason)
		case itsOwn(c.Outcome) && polled && m.judge.asked.err == nil && m.judge.settledFor(m.expects[identity(r)], w.LastPollAt):
			m.blame("%s goes on for %s, and its order has %s", w.ID, identity(r), c.Outcome)
		}
	}
}

// itsOwn reports whether the outcome is the order's own.
func itsOwn(o watcher.Outcome) bool {
	return o == watcher.Succeeded || o == watcher.PartiallyFailed || o == watcher.AllFailed
}

// cancels reports whether the reason of an end names somebody who may cancel the request: the operator, or its team.
func cancels(reason string, r watcher.Request) bool {
	return reason == "cancelled by ada of " || r.Team != "" && reason == "cancelled by team "+r.Team+", by its own word ada of "+r.Team
}

// punctual holds that no request was answered long after its deadline, but for what went wrong.
func (m *model) punctual(c watcher.Completion) {
	for _, r := range c.Requests {
		due := m.deadline(r)
		if due.Before(m.calm) {
			due = m.calm
		}
		if late := c.CompletedAt.Sub(due); late > 5*time.Minute {
			m.blame("%s answers %s %s after its deadline and all faults", c.WatchID, identity(r), late)
		}
	}
}

// goingOn changes what is written in the place of an ending record, for the requests that its completion does not answer.
func goingOn(change func(before watcher.Watch, w *watcher.Watch)) func(*model) {
	return func(m *model) {
		m.parts.poller = writing(m.parts.poller, func(ctx context.Context, w watcher.Watch, expected watcher.Revision) (watcher.Revision, error) {
			if before, _, _ := m.latest(); followed(before, w) {
				change(before, &w)
			}
			return m.Write(ctx, w, expected)
		})
	}
}

// leaving changes an ending record that leaves requests to the watch that follows.
func leaving(change func(*watcher.Watch)) func(*model) {
	return func(m *model) {
		m.parts.poller = writing(m.parts.poller, func(ctx context.Context, w watcher.Watch, expected watcher.Revision) (watcher.Revision, error) {
			if w.State == watcher.Ending && len(w.Requests) > 0 {
				c := *w.Completion
				w.Completion = &c
				change(&w)
			}
			return m.Write(ctx, w, expected)
		})
	}
}

// joining changes the records that requests join.
func joining(change func(*watcher.Watch)) func(*model) {
	return func(m *model) {
		m.parts.intake = writing(m.parts.intake, func(ctx context.Context, w watcher.Watch, expected watcher.Revision) (watcher.Revision, error) {
			if len(w.Requests) > 1 && w.Wish == nil {
				w.Requests = slices.Clone(w.Requests)
				change(&w)
			}
			return m.Write(ctx, w, expected)
		})
	}
}

// parting are the guards of the terms of requests.
var parting = []guard{
	{"a request keeps its deadline when others join", joining(func(w *watcher.Watch) {
		for i := range w.Requests {
			w.Requests[i].Deadline = w.Deadline
		}
	})},
	{"a request keeps its expected_items when others join", joining(func(w *watcher.Watch) {
		for i := range w.Requests {
			w.Requests[i].ExpectedItems = w.ExpectedItems
		}
	})},
	{"a join whose deadline comes before the next poll brings it forward", joining(func(w *watcher.Watch) {
		if w.Polls > 0 {
			w.NextPollAt = w.LastPollAt.Add(time.Minute)
		}
	})},
	{"a completion answers those alone whose terms are met", leaving(func(w *watcher.Watch) {
		w.Completion.Requests = slices.Concat(w.Completion.Requests, w.Requests)
		w.Requests, w.Completion.NextWatchID, w.Completion.RequestsLeft = nil, "", 0
	})},
	{"those whose terms are not met go on", leaving(func(w *watcher.Watch) {
		w.Requests, w.Completion.NextWatchID, w.Completion.RequestsLeft = nil, "", 0
	})},
	{"a completion is published before the others go on", func(m *model) {
		m.parts.events = publishing(m, func(ctx context.Context, c watcher.Completion, after uint64) error {
			if c.NextWatchID != "" {
				return nil
			}
			return m.Complete(ctx, c, after)
		})
	}},
	{"those that go on have a watch of their own", goingOn(func(before watcher.Watch, w *watcher.Watch) { w.ID = before.ID })},
	{"those that go on have the next wake-up", goingOn(func(before watcher.Watch, w *watcher.Watch) { w.Wakeup = before.Wakeup })},
	{"the wake-up of those that go on is stored", func(m *model) {
		m.parts.wakeups = clock{m, func(ctx context.Context, k watcher.Wakeup) error {
			if versions := m.records[poolKey]; len(versions) > 1 && followed(versions[len(versions)-2].watch, versions[len(versions)-1].watch) {
				return nil
			}
			return m.Schedule(ctx, k)
		}}
	}},
	{"those that go on remember who was answered", goingOn(func(before watcher.Watch, w *watcher.Watch) { w.Earlier = before.Earlier })},
	{"those that go on keep their wishes", goingOn(func(_ watcher.Watch, w *watcher.Watch) { w.Wish, w.Wishes = nil, nil })},
	{"what those that go on were told is not told again", goingOn(func(_ watcher.Watch, w *watcher.Watch) { w.Told = nil })},
	{"those that go on are told that it is late for them", goingOn(func(before watcher.Watch, w *watcher.Watch) {
		if late := before.Told[watcher.Late]; !late.IsZero() {
			w.Told = maps.Clone(w.Told)
			if w.Told == nil {
				w.Told = make(map[watcher.AttentionKind]time.Time)
			}
			w.Told[watcher.Late] = late
		}
	})},
	{"a cancel is for the requests of its team", func(m *model) {
		m.parts.intake = writing(m.parts.intake, func(ctx context.Context, w watcher.Watch, expected watcher.Revision) (watcher.Revision, error) {
			if w.Wish != nil {
				wish := *w.Wish
				wish.Team = ""
				w.Wish = &wish
			}
			return m.Write(ctx, w, expected)
		})
	}},
	{"a second cancel waits for its turn", func(m *model) {
		m.parts.intake = writing(m.parts.intake, func(ctx context.Context, w watcher.Watch, expected watcher.Revision) (watcher.Revision, error) {
			w.Wishes = nil
			return m.Write(ctx, w, expected)
		})
	}},
	{"an id is a team's own", func(m *model) {
		take := m.parts.take
		m.parts.take = func(ask watcher.Ask) watcher.Verdict {
			if w, _, _ := m.latest(); slices.ContainsFunc(named(&w), func(r watcher.Request) bool { return r.ID == ask.Request.ID }) {
				return watcher.Verdict{Action: watcher.Ack}
			}
			return take(ask)
		}
	}},
	{"a record remembers the teams of earlier requests", goingOn(func(_ watcher.Watch, w *watcher.Watch) {
		w.Earlier = slices.Clone(w.Earlier)
		for i, id := range w.Earlier {
			if _, plain, ok := strings.Cut(id, "\t"); ok {
				w.Earlier[i] = plain
			}
		}
	})},
}
