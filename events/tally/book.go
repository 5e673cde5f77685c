package tally

import (
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
	"github.com/orderwatch/orderwatch/watcher/history"
)

// Bounds of a book.
const (
	keptDays  = 90           // days of outcomes
	tookDays  = 2 * compared // days of how long orders took
	mostKinds = 100          // kinds of orders, by region and actions
	keptHours = 48           // hours of how soon ends were known
)

// A book is what one team is told of.
type book struct {
	days    map[int]*day // by their number
	kinds   map[string]*kind
	others  int // orders of kinds for which there was no room
	hours   map[int]*hour
	causes  map[digest]*cause
	dropped dropped
	newest  time.Time // when the watch ended that ended last
}

func newBook() *book {
	return &book{days: make(map[int]*day), kinds: make(map[string]*kind), hours: make(map[int]*hour), causes: make(map[digest]*cause)}
}

// A day is how many watches ended in which way.
type day [len(watcher.Outcomes)]int

// A kind of orders is how long those took that ended on each day.
type kind struct {
	region  string
	actions []string
	days    map[int]*histogram
}

// An hour is how soon it was known that orders had ended.
type hour struct{ list, poll histogram }

const daySeconds = 24 * 3600

// dayOf returns the number of the day, in UTC.
func dayOf(t time.Time) int { return int(floor(t.Unix(), daySeconds)) }

func hourOf(t time.Time) int { return int(floor(t.Unix(), 3600)) }

func floor(n, by int64) int64 {
	if n < 0 {
		n -= by - 1
	}
	return n / by
}

// begin returns when the day begins.
func begin(day int) time.Time { return time.Unix(int64(day)*daySeconds, 0).UTC() }

// take counts the end.
func (b *book) take(e end) {
	if e.at.After(b.newest) {
		before := b.newest
		b.newest = e.at
		if hourOf(before) != hourOf(e.at) {
			b.prune()
		}
	}
	if e.cause != "" {
		b.fail(e)
	}
	if dayOf(e.at) <= dayOf(b.newest)-keptDays {
		return
	}
	d := b.days[dayOf(e.at)]
	if d == nil {
		d = new(day)
		b.days[dayOf(e.at)] = d
	}
	if i := slices.Index(watcher.Outcomes[:], e.completion.Outcome); i >= 0 {
		d[i]++
	}
	for _, o := range e.completion.Observations() {
		if o.Ended && o.Key.OfKind() {
			b.took(o, e.at)
		}
	}
	b.detected(e)
}

// prune lets go of days and hours that are too old.
func (b *book) prune() {
	for n := range b.days {
		if n <= dayOf(b.newest)-keptDays {
			delete(b.days, n)
		}
	}
	for n := range b.hours {
		if n <= hourOf(b.newest)-keptHours {
			delete(b.hours, n)
		}
	}
	for key, k := range b.kinds {
		for n := range k.days {
			if n <= dayOf(b.newest)-tookDays {
				delete(k.days, n)
			}
		}
		if len(k.days) == 0 {
			delete(b.kinds, key)
		}
	}
}

// took counts how long an order took.
func (b *book) took(o history.Observation, at time.Time) {
	if dayOf(at) <= dayOf(b.newest)-tookDays {
		return
	}
	key := o.Key.String()
	k := b.kinds[key]
	if k == nil && len(b.kinds) >= mostKinds {
		b.others++
		return
	}
	if k == nil {
		k = &kind{region: strings.Clone(o.Key.Region), actions: bounded(o.Key.Actions), days: make(map[int]*histogram)}
		b.kinds[key] = k
	}
	h := k.days[dayOf(at)]
	if h == nil {
		h = new(histogram)
		k.days[dayOf(at)] = h
	}
	h.Observe(o.Lasted)
}

// mostActions is how many actions of a kind are kept by name.
const mostActions = 12

// bounded returns the actions, as many as are kept, each in memory of its own.
func bounded(actions []string) (kept []string) {
	for _, action := range actions[:min(len(actions), mostActions)] {
		kept = append(kept, strings.Clone(foreign.Cut(action, 64)))
	}
	if len(actions) > mostActions {
		kept = append(kept, "…")
	}
	return kept
}

// detected counts how soon the end was known, where the completion says so.
func (b *book) detected(e end) {
	after, err := time.ParseDuration(e.completion.DetectedAfter)
	if err != nil || hourOf(e.at) <= hourOf(b.newest)-keptHours {
		return
	}
	h := b.hours[hourOf(e.at)]
	if h == nil {
		h = new(hour)
		b.hours[hourOf(e.at)] = h
	}
	if e.completion.DetectedBy == watcher.ByList {
		h.list.Observe(after)
		return
	}
	h.poll.Observe(after)
}
