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
	// leastSpan is the longest time in which a page's orders were created that cannot be cut: windows overlap by a millisecond.
	leastSpan = 3 * time.Millisecond
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
	met := w.met
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
	newer := &window{since: cut, until: w.until, read: newestFirst}
	if cut.Before(s.round.began.Add(-oldest)) || s.api.noBounds {
		least := s.least(w, p.Rows).Add(-2 * time.Millisecond)
		if s.api.noBounds || least.Before(s.round.began.Add(-oldest)) || !w.holds(least) {
			w.page(len(p.Rows), met)
			return
		}
		cut, newer = least, &window{since: least, until: w.until} // so that the pages hold those of one moment alone
		newer.page(len(p.Rows), met)
	}
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

// page lets the window be read page by page, of which the first one had so many rows.
func (w *window) page(rows int, met map[string]bool) {
	w.paged, w.offset, w.met = true, min(max(1, rows-overlap), mostOffset), met
}

// least returns the time of the oldest of the rows; zero where none says it.
func (s *State) least(w *window, rows []Row) time.Time {
	times := s.times(w, rows)
	if len(times) == 0 {
		return time.Time{}
	}
	return slices.MinFunc(times, time.Time.Compare)
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
	wider := window{since: w.since, until: w.until}
	if !w.since.IsZero() {
		wider.since = w.since.Add(-time.Second)
	}
	if !w.until.IsZero() {
		wider.until = w.until.Add(time.Second)
	}
	return wider.holds(t)
}

// middle returns where a window is cut of which these rows are a page; zero where it cannot be. Where the newest come
// first, that is before the last row, and the page holds the newer part whole.
func (s *State) middle(w *window, rows []Row) (cut time.Time, newestFirst bool) {
	times := s.times(w, rows)
	if len(times) < len(rows)/2 || len(times) == 0 {
		return time.Time{}, false
	}
	newestFirst = len(times) == len(rows) && slices.IsSortedFunc(times, func(a, b time.Time) int { return b.Compare(a) })
	slices.SortFunc(times, time.Time.Compare)
	newest := times[len(times)-1]
	if newest.Sub(times[0]) <= leastSpan {
		return time.Time{}, false
	}
	switch middle := times[len(times)/2]; {
	case newestFirst:
		return times[0], true
	case middle.Before(newest):
		return middle, false
	}
	return newest.Add(-time.Millisecond), false
}

// times returns the times of the rows that are in the window or near it, in the rows' order.
func (s *State) times(w *window, rows []Row) (times []time.Time) {
	for _, r := range rows {
		if at := s.api.key(r.Created, r.Began); w.near(at) {
			times = append(times, at)
		}
	}
	return times
}
