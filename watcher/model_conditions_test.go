package watcher_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// planConditions draws when requests are late, how patient people are, and when the order cannot be read. It has a
// chance of its own, so that all else stays as the seed draws it.
func (m *model) planConditions(seed uint64) {
	random := rand.New(rand.NewPCG(seed, 2))
	among := func(all ...time.Duration) time.Duration { return all[random.IntN(len(all))] }
	some := func(d time.Duration) time.Duration { return time.Duration(random.Int64N(int64(d))) }
	m.lates = make(map[string]time.Duration)
	for n := range 5 {
		m.lates[fmt.Sprint("build-", n)] = among(0, 0, time.Second+some(4*time.Minute))
	}
	m.policy.Patience.Stalled = among(20*time.Minute, 30*time.Second, 2*time.Minute)
	m.policy.Patience.Blind = among(5*time.Minute, 20*time.Second)
	dark, light := begin.Add(some(2*time.Minute)), begin
	if random.IntN(2) == 0 {
		light = dark.Add(some(3 * time.Minute))
	}
	order := m.order
	if !m.wild && random.IntN(2) == 0 { // it goes on when nothing goes wrong any more
		m.policy.Timeout, m.deaf = among(2*time.Hour, 9*time.Minute), random.IntN(2) == 0
		slow := finishes(m.calm.Sub(begin) + 5*time.Minute + some(5*time.Minute))
		order = func(since time.Duration) (watcher.Answer, error) {
			a, err := slow(since)
			m.given = append(m.given, given{m.now, a, err})
			return a, err
		}
	}
	m.order = func(since time.Duration) (watcher.Answer, error) {
		if !m.now.Before(dark) && m.now.Before(light) {
			m.given = append(m.given, given{m.now, watcher.Answer{}, errDown})
			return watcher.Answer{}, errDown
		}
		return order(since)
	}
}

// A hearing is what the checker knows of one watch, to hold what people are told of it against.
type hearing struct {
	watch   string
	shown   string                        // its items, as the record has them
	changed time.Time                     // the poll that showed them first
	changes []time.Time                   // all such polls, of all watches
	first   map[string]string             // the first watch of those that followed one another
	moved   map[time.Time]time.Time       // where a watch goes on for requests that came after the last change: that change
	untold  map[watcher.AttentionKind]int // polls in a row at which people were to be told, and were not
	heard   int                           // attentions that were looked at
	times   map[string]int                // how often each came
}

// itemsOf writes what a change is: an item that appears, has another status, vanishes or is back.
func itemsOf(w watcher.Watch) string {
	var items []string
	for _, s := range w.Items {
		items = append(items, fmt.Sprintf("%q %q %q", s.ResourceName, s.Action, s.Status))
	}
	for _, s := range w.Missing {
		items = append(items, fmt.Sprintf("%q %q %q missing", s.ResourceName, s.Action, s.Status))
	}
	slices.Sort(items)
	return strings.Join(items, ";")
}

// lateAt returns when the first of the requests is late; zero where none says.
func (m *model) lateAt(requests []watcher.Request) (at time.Time) {
	for _, r := range requests {
		if after := m.lates[plain(r.ID)]; after > 0 && (at.IsZero() || r.ReceivedAt.Add(after).Before(at)) {
			at = r.ReceivedAt.Add(after)
		}
	}
	return at
}

// nearAt returns when 80 % of the time have passed of the request whose deadline comes first; zero where that leaves less
// than a minute.
func (m *model) nearAt(requests []watcher.Request) time.Time {
	next := m.first(requests)
	left := m.deadline(next).Sub(next.ReceivedAt) / 5
	if left < time.Minute {
		return time.Time{}
	}
	return m.deadline(next).Add(-left)
}

// first returns the request whose deadline comes first.
func (m *model) first(requests []watcher.Request) watcher.Request {
	return slices.MinFunc(requests, func(a, b watcher.Request) int { return m.deadline(a).Compare(m.deadline(b)) })
}

// told reports whether people were told of the watch, or of one that it follows, that it is so since then, and, with over,
// that it is over. That an order is late is told once for each watch.
func (m *model) told(w watcher.Watch, kind watcher.AttentionKind, since time.Time, over bool) bool {
	s := &m.hearing
	return slices.ContainsFunc(m.attended, func(a watcher.OrderAttention) bool {
		same := s.line(a.WatchID) == s.line(w.ID) && s.change(a.Since).Equal(s.change(since)) || kind == watcher.Late && a.WatchID == w.ID
		return same && a.Kind == kind && over != a.Until.IsZero()
	})
}

// line returns the first of the watches that this one follows, or it itself.
func (s *hearing) line(watch string) string { return cmp.Or(s.first[watch], watch) }

// change returns the change that the order has stood still from, where requests came after it and go on.
func (s *hearing) change(since time.Time) time.Time {
	if before, ok := s.moved[since.UTC()]; ok {
		return before
	}
	return since
}

// goOn notes that the watch follows the other.
func (s *hearing) goOn(before, w watcher.Watch) {
	if s.first == nil {
		s.first, s.moved = make(map[string]string), make(map[time.Time]time.Time)
	}
	s.first[w.ID] = s.line(before.ID)
	s.watch, s.untold = w.ID, make(map[watcher.AttentionKind]int)
	if !s.changed.IsZero() && s.changed.Before(w.AcceptedAt) {
		s.moved[w.AcceptedAt.UTC()], s.changed = s.change(s.changed), w.AcceptedAt
	}
	s.changes = append(s.changes, s.changed)
}

// conditionsAt looks at what people know after a poll of the watch, which led to this version of its record.
func (m *model) conditionsAt(before, w watcher.Watch) {
	if w.State != watcher.Watching && len(w.Requests) == 0 {
		return
	}
	s := &m.hearing
	switch {
	case followed(before, w):
		s.goOn(before, w)
	case s.watch != w.ID:
		s.watch, s.shown, s.changed, s.untold = w.ID, "", time.Time{}, make(map[watcher.AttentionKind]int)
	}
	if before.ID != w.ID || !m.polled(before, w) {
		return
	}
	answered := w.LastError == nil
	if shown := itemsOf(w); shown != s.shown || answered && s.changed.IsZero() {
		if s.shown, s.changed = shown, w.LastPollAt; s.changed.Before(w.AcceptedAt) { // the worker's clock is behind
			s.changed = w.AcceptedAt
		}
		s.changes = append(s.changes, s.changed)
	}
	if w.State != watcher.Watching {
		return
	}
	calm := m.faults == 0 && !m.deaf || w.LastPollAt.After(m.calm.Add(2*time.Minute))
	expect := func(kind watcher.AttentionKind, due, since time.Time, over bool) {
		switch is := !due.IsZero() && w.Wish == nil && !m.told(w, kind, since, over); {
		case is && due.After(w.LastPollAt):
			if w.NextPollAt.After(due) && (answered || w.LastError.Code == string(watcher.MayPass)) {
				m.blame("%s: people are to be told of %s %s before the next poll", w.ID, kind, w.NextPollAt.Sub(due))
			}
		case is && calm:
			if s.untold[kind]++; s.untold[kind] > 2 {
				m.blame("%s: people were not told of %s since %s, over %t", w.ID, kind, due.Sub(begin), over)
			}
			return
		}
		s.untold[kind] = 0
	}
	if w.LooksEndedSince.IsZero() {
		late := m.lateAt(w.Requests)
		expect(watcher.Late, late, late, false)
		near := m.nearAt(w.Requests)
		if near.Before(w.LastPollAt) && w.LastPollAt.Add(time.Minute).After(m.deadline(m.first(w.Requests))) {
			near = time.Time{} // nobody can do anything
		}
		expect(watcher.DeadlineNear, near, near, false)
		if answered {
			expect(watcher.Stalled, s.changed.Add(m.policy.Patience.Stalled), s.changed, false)
		}
	}
	for _, kind := range []watcher.AttentionKind{watcher.Blind, watcher.Stalled} {
		since := before.Told[kind]
		known := !since.IsZero() && m.told(w, kind, since, false)
		if over := kind == watcher.Blind && answered || kind == watcher.Stalled && s.changed.After(since); known && over {
			expect(kind, w.LastPollAt, since, true)
		}
	}
}

// hear holds that what people are told is so.
func (m *model) hear() {
	s := &m.hearing
	if s.times == nil {
		s.times = make(map[string]int)
	}
	for ; s.heard < len(m.attended); s.heard++ {
		a, at := m.attended[s.heard], m.toldAt[s.heard]
		id := fmt.Sprint(s.line(a.WatchID), " ", a.Kind, " ", s.change(a.Since).Sub(begin), " ", !a.Until.IsZero())
		m.tell("told: %s", id)
		s.times[id]++
		if i := slices.IndexFunc(m.completions, func(c completion) bool { return c.WatchID == a.WatchID }); i >= 0 && m.slips == 0 && at.Sub(m.completions[i].CompletedAt) > time.Minute {
			m.blame("%s: the watch has ended %s ago", id, at.Sub(m.completions[i].CompletedAt))
		}
		due := a.Since
		switch a.Kind {
		case watcher.Late:
			if want := m.lateAt(a.Requests); !a.Since.Equal(want) {
				m.blame("%s: it is late at %s", id, want.Sub(begin))
			}
		case watcher.DeadlineNear:
			if want := m.nearAt(a.Requests); !a.Since.Equal(want) {
				m.blame("%s: the deadline is near at %s", id, want.Sub(begin))
			}
		case watcher.Stalled:
			due = due.Add(m.policy.Patience.Stalled)
			if !slices.ContainsFunc(s.changes, a.Since.Equal) {
				m.blame("%s: nothing changed then", id)
			}
		case watcher.Blind:
			due = due.Add(m.policy.Patience.Blind)
		}
		if at.Before(due) || !a.Until.IsZero() && !a.Until.After(a.Since) {
			m.blame("%s: told at %s, until %s", id, at.Sub(begin), a.Until)
		}
	}
}

// heardOnce holds, at the end, that people were told again only where something went wrong, or two workers made one step.
func (m *model) heardOnce() {
	for _, id := range slices.Sorted(maps.Keys(m.hearing.times)) {
		if n := m.hearing.times[id]; n > 1+m.conflicts+m.slips {
			m.blame("%s: told %d times", id, n)
		}
	}
}

// attending is the model's events with another Attend.
type attending struct {
	watcher.Events
	attend func(context.Context, watcher.OrderAttention) error
}

func (e attending) Attend(ctx context.Context, a watcher.OrderAttention) error {
	return e.attend(ctx, a)
}

// forgettingTold forgets that people were told of a kind.
func forgettingTold(kind watcher.AttentionKind) guard {
	return guard{"people are told once of " + string(kind), forgetting(func(w *watcher.Watch) { delete(w.Told, kind) })}
}

// telling are the guards of what people are told of a watch that goes on.
var telling = []guard{
	forgettingTold(watcher.Late), forgettingTold(watcher.Stalled), forgettingTold(watcher.DeadlineNear), forgettingTold(watcher.Blind),
	{"no answer to an attention is no success", func(m *model) {
		m.parts.events = attending{m, func(ctx context.Context, a watcher.OrderAttention) error {
			return unless(m.Attend(ctx, a), errUnknown)
		}}
	}},
	{"what is over is told until it is known to be", forgetting(func(w *watcher.Watch) { w.Passed = nil })},
	{"an order stalls from its last change on", forgetting(func(w *watcher.Watch) { w.ChangedAt = w.ChangedAt.Add(-longAgo) })},
	{"a change stays noted", forgetting(func(w *watcher.Watch) { w.ChangedAt = time.Time{} })},
	{"a change that another worker saw counts", forgetting(func(w *watcher.Watch) { w.Changed = -1 })},
	{"a request that joins says when it is late", func(m *model) {
		m.parts.intake = writing(m.parts.intake, func(ctx context.Context, w watcher.Watch, expected watcher.Revision) (watcher.Revision, error) {
			if n := len(w.Requests); n > 1 {
				w.Requests = slices.Clone(w.Requests)
				w.Requests[n-1].LateAt = time.Time{}
			}
			return m.Write(ctx, w, expected)
		})
	}},
	{"an order is asked when people are to be told", forgetting(func(w *watcher.Watch) {
		if at := w.LastPollAt.Add(time.Minute); w.LooksEndedSince.IsZero() && w.Wish == nil && at.Before(w.Deadline) && w.NextPollAt.Before(at) {
			w.NextPollAt = at
		}
	})},
}
