package tally

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/history"
)

// A History is what a team's book says at one time.
type History struct {
	Since  time.Time // when the first event was stored that is known; zero: none
	Days   []Day     // oldest first; without gaps, up to today
	Kinds  []Kind    // those of which most ended first
	Causes []Cause   // seen last first
	// OtherOrders are of kinds for which there was no room; OtherCauses and OtherFailures were not seen for the longest time, and
	// not since OtherLast.
	OtherOrders, OtherCauses, OtherFailures int
	OtherLast                               time.Time
}

// A Day is how many watches ended, by their outcome.
type Day struct {
	Date  time.Time // when it begins, in UTC
	Ended [len(watcher.Outcomes)]int
}

// Total returns how many watches ended on the day.
func (d Day) Total() (n int) {
	for _, ended := range d.Ended {
		n += ended
	}
	return n
}

// A Kind is how long orders of one region and one set of actions took: in the last 30 days, and in the 30 days before.
type Kind struct {
	Region      string
	Actions     []string
	Now, Before Took
}

// Took is how long orders took: half of them no longer than P50. Fewer than [history.EnoughForRange] say nothing but Ended.
type Took struct {
	Ended              int
	P10, P50, P90, P95 time.Duration
}

// A Cause is for what watches failed.
type Cause struct {
	Text    string // untrusted; without secrets, and bounded; empty where no message was given
	Outcome watcher.Outcome
	Count   int
	First   Occurrence
	Last    Occurrence
}

// compared is how many days are compared with as many before them.
const compared = 30

// History returns what the view's book says at the time of so many days, at most 90. Days are those of UTC.
func (t *Tally) History(view teams.View, days int, now time.Time) History {
	t.mu.RLock()
	defer t.mu.RUnlock()
	h := History{Since: t.since}
	b := t.books[view.Team()]
	if b == nil {
		b = newBook()
	}
	today := dayOf(now)
	for n := today - min(max(days, 1), keptDays) + 1; n <= today; n++ {
		d := Day{Date: begin(n)}
		if counted := b.days[n]; counted != nil {
			d.Ended = *counted
		}
		h.Days = append(h.Days, d)
	}
	for _, k := range b.kinds {
		kind := Kind{Region: k.region, Actions: k.actions, Now: k.took(today-compared+1, today), Before: k.took(today-2*compared+1, today-compared)}
		if kind.Now.Ended+kind.Before.Ended > 0 {
			h.Kinds = append(h.Kinds, kind)
		}
	}
	slices.SortFunc(h.Kinds, func(a, b Kind) int {
		return cmp.Or(cmp.Compare(b.Now.Ended, a.Now.Ended), cmp.Compare(a.Region, b.Region), strings.Compare(strings.Join(a.Actions, " "), strings.Join(b.Actions, " ")))
	})
	for _, c := range b.causes {
		h.Causes = append(h.Causes, Cause{c.text, c.outcome, c.count, c.first, c.latest[0]})
	}
	slices.SortFunc(h.Causes, func(a, b Cause) int {
		return cmp.Or(b.Last.At.Compare(a.Last.At), cmp.Compare(b.Count, a.Count), cmp.Compare(a.Text, b.Text))
	})
	h.OtherOrders, h.OtherCauses, h.OtherFailures, h.OtherLast = b.others, b.dropped.causes, b.dropped.count, b.dropped.last
	return h
}

// took sums up the days from first to last.
func (k *kind) took(first, last int) Took {
	var sum histogram
	for n := first; n <= last; n++ {
		if h := k.days[n]; h != nil {
			sum.Add(*h)
		}
	}
	t := Took{Ended: sum.Len()}
	if t.Ended >= history.EnoughForRange {
		t.P10, t.P50, t.P90, t.P95 = sum.Quantile(.1), sum.Quantile(.5), sum.Quantile(.9), sum.Quantile(.95)
	}
	return t
}

// Seen returns what is known of the cause for which the watch failed, or goes on with items that failed; ok is false where
// nothing failed. A watch that goes on has a zero CompletedAt. The view must have the watch.
func (t *Tally) Seen(view teams.View, c watcher.Completion) (s Seen, ok bool) {
	cause, _ := t.causeOf(c)
	if cause == "" {
		return Seen{}, false
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.books[view.Team()].seen(cause, c, t.since), true
}

// A Lag is how soon it was known that orders had ended, in the last 24 hours.
type Lag struct {
	Ended    int // orders of which it is known
	ByList   int // of these: found by the list of orders
	P50, P95 time.Duration
}

// Lag returns how soon it was known, of the watches that the view's book has.
func (t *Tally) Lag(view teams.View, now time.Time) Lag {
	t.mu.RLock()
	defer t.mu.RUnlock()
	b := t.books[view.Team()]
	if b == nil {
		return Lag{}
	}
	var list, all histogram
	for n := hourOf(now) - 23; n <= hourOf(now); n++ {
		if h := b.hours[n]; h != nil {
			list.Add(h.list)
			all.Add(h.poll)
		}
	}
	all.Add(list)
	return Lag{all.Len(), list.Len(), all.Quantile(.5), all.Quantile(.95)}
}

// State returns whether all events were read that were stored before it began, and why they are not followed at the moment;
// nil where they are.
func (t *Tally) State() (read bool, away error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.read, t.away
}
