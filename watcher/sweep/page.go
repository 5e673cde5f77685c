package sweep

import (
	"slices"
	"time"
)

const (
	unknown = -1
	// mostOffset is the largest offset that the API takes.
	mostOffset = 500
	// overlap is how many rows two pages of one window have in common: orders come and go between the two calls.
	overlap = 25
	// mostCalls is how many calls one sweep makes at the most.
	mostCalls = 200
)

// api is what is known of how the API answers.
type api struct {
	limit    int  // rows of a page at the most
	month    int  // orders of all phases
	lies     bool // it counts rows that it does not show
	noBounds bool // it does not heed the bounds of time
	byBegin  bool // its bounds are of when an order began, not of when it was created
}

// key returns the time of an order that the bounds of a query are of.
func (a *api) key(created, began time.Time) time.Time {
	if a.byBegin {
		return began
	}
	return created
}

// judge decides what a page means for its window: that it was read whole, or what is to be asked next. met is how many
// names were not on an earlier page of the window.
func (s *State) judge(w *window, q Query, p Page, met int) {
	rows := len(p.Rows)
	if w.all && w.since.IsZero() && w.until.IsZero() {
		s.api.month = max(p.Count, rows)
	}
	full := rows >= s.api.limit
	outside, begin := w.outside(p.Rows)
	if begin > rows/10 && !s.api.byBegin { // the windows are to be others
		s.api.byBegin, w.lost = true, true
		return
	}
	switch {
	case s.round.calls >= mostCalls:
		w.lost = true
	case w.paged && q.Offset > 0: // some of those that are counted may be new
		w.read = met == 0 || !full || p.Count <= len(w.met)+overlap
		w.lost = !w.read
	case q.Offset > 0 && met == 0:
		s.api.lies, w.read = true, true
	case q.Offset > 0:
		s.api.limit = min(s.api.limit, max(overlap, q.Offset))
		s.overflows(w, p, outside)
	case rows > s.api.limit && p.Count <= rows: // it gives all
		w.read = true
	case full:
		s.overflows(w, p, outside)
	case p.Count > rows && rows > 0 && !s.api.lies:
		w.offset = min(rows, mostOffset)
	default:
		w.read = true
	}
}

// overflows decides how a window is read that has more orders than a page holds, of which so many are from outside.
func (s *State) overflows(w *window, p Page, outside int) {
	w.offset, w.met = 0, nil
	switch {
	case w.all:
		w.all = false
		return
	case w.idle: // a look is enough
		w.read = true
		return
	}
	s.api.noBounds = s.api.noBounds || outside > len(p.Rows)/2
	cut, newestFirst := s.middle(w, p.Rows)
	if cut.Before(s.round.began.Add(-oldest)) || s.api.noBounds {
		w.paged, w.offset = true, min(max(1, len(p.Rows)-overlap), mostOffset)
		return
	}
	newer := &window{since: cut, until: w.until, read: newestFirst}
	w.until = cut
	for _, name := range w.names { // it is decided at the end of the sweep whether they left
		s.orders[name].at = [2]*window{}
	}
	w.names = nil
	s.round.windows = append(s.round.windows, newer)
	read := 0
	for _, other := range s.round.windows {
		if other.read {
			read++
		}
	}
	s.calls = max(s.calls, len(s.round.windows), read+(p.Count+s.api.limit-1)/s.api.limit)
}

// outside returns how many of the rows are from outside the window, and how many are if it is of when they were created
// but not if it is of when they began.
func (w *window) outside(rows []Row) (outside, begin int) {
	for _, r := range rows {
		switch {
		case r.Created.IsZero() || w.near(r.Created):
		case w.near(r.Began):
			begin++
		default:
			outside++
		}
	}
	return outside, begin
}

// near reports whether the time lies in the window, or within a second of it.
func (w *window) near(t time.Time) bool {
	return w.holds(t) || w.holds(t.Add(time.Second)) || w.holds(t.Add(-time.Second))
}

// middle returns where a window is cut of which these rows are a page; zero where it cannot be. Where the newest come
// first, that is before the last row, and the page holds the newer part whole.
func (s *State) middle(w *window, rows []Row) (cut time.Time, newestFirst bool) {
	var times []time.Time
	for _, r := range rows {
		if at := s.api.key(r.Created, r.Began); !at.IsZero() && w.near(at) {
			times = append(times, at)
		}
	}
	if len(times) < len(rows)/2 || len(times) == 0 {
		return time.Time{}, false
	}
	newestFirst = len(times) == len(rows) && slices.IsSortedFunc(times, func(a, b time.Time) int { return b.Compare(a) })
	slices.SortFunc(times, time.Time.Compare)
	newest := times[len(times)-1]
	switch middle := times[len(times)/2]; {
	case newestFirst && times[0].Before(newest):
		return times[0], true
	case middle.Before(newest):
		return middle, false
	case times[0].Before(newest):
		return newest.Add(-time.Millisecond), false
	}
	return time.Time{}, false
}
