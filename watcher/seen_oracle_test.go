package watcher_test

import (
	"slices"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// An oracle knows an order by its answers alone, as the contract words it, with items that have names
// of their own. It is written another way than the watcher: lists that are searched, no record.
type oracle struct {
	settle, grace time.Duration
	expected      int
	accepted      time.Time

	listed  []*sight // in the latest answer's order
	missing []*sight // those that vanished last come first
	count   int      // of the latest answer that listed any
	total   int
	known   bool      // an item was ever seen
	gone    time.Time // the first of the answers since then
	unknown time.Time // the first of the 404s since the latest answer
	ended   time.Time // since when it looks ended
	ending  time.Time // when it ended by the list of orders
	byList  bool      // a hint brought on the look that saw the end first
}

// A sight is how an item was seen last.
type sight struct {
	name, action string
	status       watcher.Status
	updated      time.Time
	since        time.Time // missing since
	answers      int
	count        int
	deleted      bool
	replaces     string // the name of the one whose place it took
	behind       bool   // the latest answer showed that one instead
}

func (s *sight) open() bool { return !s.status.Ended() && !s.deleted }

func (s *sight) deletion() bool { return s.action == "deletePool" || s.action == "deleteNode" }

// answer takes a usable answer.
func (o *oracle) answer(a watcher.Answer, now time.Time) {
	o.unknown = time.Time{}
	o.take(a, now)
	o.look(now)
}

func (o *oracle) take(a watcher.Answer, now time.Time) {
	before, moved, unlisted := slices.Clone(o.listed), false, o.total-len(o.all())
	var fresh []*sight
	behindBefore := make(map[*sight]bool)
	for _, s := range before {
		behindBefore[s] = s.behind
	}
	o.listed = nil
	for _, it := range a.Items {
		is := func(s *sight) bool { return s.name == it.ResourceName && s.action == it.Action }
		s := &sight{name: it.ResourceName, action: it.Action, status: it.Status, updated: it.UpdatedAt}
		if i := slices.IndexFunc(before, is); i >= 0 {
			s = before[i]
			before = slices.Delete(before, i, i+1)
		} else if i := slices.IndexFunc(o.missing, is); i >= 0 {
			s, moved = o.missing[i], true
			o.missing = slices.Delete(o.missing, i, i+1)
		} else {
			fresh = append(fresh, s)
		}
		if s.updated.IsZero() || it.UpdatedAt.IsZero() || !it.UpdatedAt.Before(s.updated) {
			moved = moved || s.status != it.Status
			s.status, s.updated = it.Status, it.UpdatedAt
		}
		s.since, s.answers, s.deleted, s.behind = time.Time{}, 0, false, false
		o.listed = append(o.listed, s)
	}
	for i, s := range o.listed { // one that was renamed, as an answer that is behind shows it
		if !slices.Contains(fresh, s) {
			continue
		}
		renamed := func(k *sight) bool { return k.replaces == s.name && k.action == s.action }
		if at := lastIndex(before, func(k *sight) bool { return renamed(k) && !behindBefore[k] }); at >= 0 && !s.updated.After(before[at].updated) {
			o.listed[i] = before[at]
			o.listed[i].behind = true
			before = slices.Delete(before, at, at+1)
			fresh = slices.DeleteFunc(fresh, func(other *sight) bool { return other == s })
		}
	}
	for _, s := range before {
		s.since, s.count = now, o.count
	}
	moved = moved || len(before)+len(fresh) > 0
	o.missing = append(before, o.missing...)
	for range fresh {
		o.known = true
	}
	for _, s := range fresh {
		if unlisted > 0 { // it may be one that was to come
			unlisted--
			continue
		}
		place := func(m *sight) bool {
			return m.open() && m.action == s.action && max(a.Count, len(a.Items)) <= m.count
		}
		if i := slices.IndexFunc(o.missing, place); i >= 0 {
			s.replaces = o.missing[i].name
			o.missing = slices.Delete(o.missing, i, i+1)
		}
	}
	for _, s := range o.missing {
		s.answers++
		if s.answers >= 5 && now.Sub(s.since) >= 5*time.Minute && s.deletion() && s.open() {
			s.deleted = true
		}
	}
	count := a.Count
	switch {
	case len(a.Items) > 0:
		o.count, o.gone = max(count, len(a.Items)), time.Time{}
	case len(o.missing) > 0:
		count = max(count, o.count)
		if o.gone.IsZero() {
			o.gone = now
		}
	}
	o.total = max(count, len(o.listed)+len(o.missing))
	if moved {
		o.ended = time.Time{}
	}
}

func (o *oracle) look(now time.Time) {
	if !o.looksEnded() {
		o.ended = time.Time{}
	} else if o.ended.IsZero() {
		o.ended = now
	}
}

// hear takes the hint that brought the latest answer on; nil for none.
func (o *oracle) hear(h *watcher.Hint, now time.Time) {
	if o.ended.Equal(now) {
		o.byList = h != nil
	}
	switch {
	case o.ended.IsZero():
		o.ending = time.Time{}
	case h != nil && !h.Ended.IsZero() && h.Ended.Sub(now) <= 5*time.Minute:
		if o.ending = h.Ended; o.ending.After(now) {
			o.ending = now
		}
	}
}

// settles returns how long the order must look ended: where the list says so too, and no item changed later, a second.
func (o *oracle) settles() time.Duration {
	if o.ending.IsZero() || o.settle < time.Second {
		return o.settle
	}
	for _, s := range o.all() {
		if s.updated.IsZero() || s.updated.UnixMilli() > o.ending.UnixMilli() {
			return o.settle
		}
	}
	return time.Second
}

// notFound takes a 404. It reports whether the grace is over.
func (o *oracle) notFound(now time.Time) bool {
	if o.unknown.IsZero() {
		o.unknown = now
	}
	over := now.Sub(o.unknown) >= o.grace
	if !o.known {
		return over
	}
	o.take(watcher.Answer{}, now)
	for _, s := range o.missing {
		s.deleted = s.deleted || over && s.open() && s.deletion()
	}
	o.look(now)
	return over
}

func (o *oracle) all() []*sight { return slices.Concat(o.listed, o.missing) }

func (o *oracle) looksEnded() bool { return o.looksEndedFor(o.expected) }

// looksEndedFor reports whether the order looks ended for a request that expects so many items.
func (o *oracle) looksEndedFor(expected int) bool {
	return len(o.all()) > 0 && o.total == len(o.all()) && o.total >= expected &&
		!slices.ContainsFunc(o.all(), (*sight).open)
}

// settledFor reports whether an order that looks ended has ended for a request that expects so many items.
func (o *oracle) settledFor(expected int, now time.Time) bool {
	return o.looksEndedFor(expected) && (expected > 0 || now.Sub(o.ended) >= o.settles()) &&
		(o.gone.IsZero() || now.Sub(o.gone) >= o.grace)
}

func (o *oracle) failed() (n int) {
	for _, s := range o.all() {
		if s.status == failed {
			n++
		}
	}
	return n
}

// outcome is that of an order that looks ended.
func (o *oracle) outcome() watcher.Outcome {
	switch o.failed() {
	case 0:
		return watcher.Succeeded
	case len(o.all()):
		return watcher.AllFailed
	}
	return watcher.PartiallyFailed
}

func lastIndex(all []*sight, is func(*sight) bool) int {
	for i, s := range slices.Backward(all) {
		if is(s) {
			return i
		}
	}
	return -1
}
