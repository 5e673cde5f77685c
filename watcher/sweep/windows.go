package sweep

import (
	"slices"
	"time"
)

const (
	running   = "running" // the phase that is asked for
	pageLimit = 500       // rows of a page at the most
	// A window that gets no new orders is filled so far, in parts of a page.
	filled = 0.98
	// mostUnfiltered is how many calls a sweep takes at the most that reads some windows without the filter by phase: of
	// more orders, one call more would show only the newest, which seldom end.
	mostUnfiltered = 5
	// idleEvery is how many sweeps pass between two looks at the old orders, where none of those that run is so old.
	idleEvery = 6
	// oldest is how far back a bound of time goes: the API refuses what is over a month old.
	oldest = 27 * 24 * time.Hour
)

// A round is one sweep.
type round struct {
	number  int
	began   time.Time
	at      time.Time // when its next call is due
	windows []*window
	over    bool

	calls, rows int
	arrived     int // orders that were not listed as running before
	running     int // rows of orders that run
	others      int // rows of others, although only those that run were asked for
}

// A window is the orders that were created in a span of time.
type window struct {
	since, until time.Time // orders of since are not in it; zero: without bound
	all          bool      // of all phases
	idle         bool      // none of the orders that are known to run is so old
	offset       int       // of the page that is to be read next
	paged        bool      // it cannot be cut, so it is read page by page

	asked, read, lost bool // a call is under way; it was read whole; it could not be read
	failures          int
	met               map[string]bool // the names on its pages
	names             []string        // of the orders that ran at the sweep before, and are expected here
}

// query returns the next call for the window. Windows overlap by a millisecond: see [Query].
func (w *window) query() Query {
	q := Query{Since: w.since, Until: w.until, Offset: w.offset, Limit: pageLimit}
	if !w.all {
		q.Phase = running
	}
	if !w.until.IsZero() {
		q.Until = w.until.Add(time.Millisecond)
	}
	return q
}

// holds reports whether the time lies in the window.
func (w *window) holds(t time.Time) bool {
	return !t.IsZero() && (w.since.IsZero() || t.After(w.since)) && (w.until.IsZero() || !t.After(w.until))
}

// unasked returns a window that is to be asked; nil where there is none now.
func (r *round) unasked() *window {
	for _, w := range r.windows {
		if !w.asked && !w.read && !w.lost {
			return w
		}
	}
	return nil
}

// spacing returns the time from one call to the next. The first sweep is made as fast as may be.
func (s *State) spacing() time.Duration {
	even := s.every / time.Duration(max(1, s.calls))
	if s.first {
		return min(even, time.Duration(float64(time.Second)/(s.config.Rate*share)))
	}
	return even
}

// due returns when the next call is due; ok is false where one under way comes back first.
func (s *State) due() (at time.Time, ok bool) {
	switch {
	case s.doubts.why != "":
		return s.doubts.until, true
	case s.round.over:
		return s.round.at, true
	case s.round.unasked() == nil:
		return time.Time{}, false
	case s.doubts.failures > 0 && s.doubts.again.After(s.round.at):
		return s.doubts.again, true
	}
	return s.round.at, true
}

// begin begins a sweep.
func (s *State) begin(now time.Time) {
	arrived, number := s.round.arrived, s.round.number+1
	s.round = round{number: number, began: now, at: now, windows: s.plan(arrived, number, now)}
	n := 0
	for name, o := range s.orders {
		o.at = [2]*window{}
		if o.runs {
			s.expect(name, o)
		}
	}
	for _, w := range s.round.windows {
		if !w.idle { // nobody waits for it
			n++
		}
	}
	if n > s.calls || n < s.calls-s.calls/10 { // it does not change all the time
		s.calls = n
	}
}

// expect notes in which windows the order is listed as long as it runs: the API may go by when it was created, or by
// when it began.
func (s *State) expect(name string, o *order) {
	for i, t := range []time.Time{o.created, o.began} {
		at := slices.IndexFunc(s.round.windows, func(w *window) bool { return w.holds(t) })
		if at < 0 {
			continue
		}
		w := s.round.windows[at]
		if o.at[i] = w; o.at[0] != o.at[1] {
			w.names = append(w.names, name)
		}
	}
}

// plan returns the windows of a sweep, the newest orders first.
func (s *State) plan(arrived, number int, now time.Time) []*window {
	if s.first && s.api.month == unknown { // one look at what there is
		return []*window{{all: true}}
	}
	room := rooms{full: max(1, int(float64(s.api.limit)*filled))}
	room.newest = max(room.full/3, room.full-2*arrived)
	var all, run []time.Time // newest first
	for _, o := range s.orders {
		at := s.api.key(o.created, o.began)
		if at.IsZero() {
			continue
		}
		all = append(all, at)
		if o.runs {
			run = append(run, at)
		}
	}
	for _, times := range [][]time.Time{all, run} {
		slices.SortFunc(times, func(a, b time.Time) int { return b.Compare(a) })
	}
	if s.api.noBounds {
		return []*window{{}}
	}
	windows := s.unfiltered(all, run, room, number)
	if windows == nil {
		windows = room.cut(nil, run, time.Time{})
	}
	return withoutOld(windows, now.Add(-oldest))
}

// Rooms are how many orders fit into the newest window, which gets more, and into any other.
type rooms struct{ newest, full int }

// needs returns how many windows so many orders need.
func (r rooms) needs(orders int) int {
	return 1 + (max(0, orders-r.newest)+r.full-1)/r.full
}

// cut appends windows for the orders, newest first, the last of them without a bound. The first of them ends at until.
func (r rooms) cut(windows []*window, created []time.Time, until time.Time) []*window {
	w := &window{until: until}
	room := r.full
	if until.IsZero() {
		room = r.newest
	}
	for len(created) > room {
		w.since = created[room-1].Add(-time.Millisecond)
		if !until.IsZero() && !w.since.Before(until) { // more were created in one millisecond
			w.since = until.Add(-time.Millisecond)
		}
		windows, until = append(windows, w), w.since
		w = &window{until: until}
		created, room = created[room:], r.full
	}
	return append(windows, w)
}

// unfiltered returns windows of which the newest are read without the filter by phase, as far back as that costs one call
// more than with it; nil where it goes back to no time.
func (s *State) unfiltered(all, run []time.Time, room rooms, number int) []*window {
	budget := room.needs(len(run)) + 1
	if budget > mostUnfiltered {
		return nil
	}
	if max(s.api.month, len(all)) <= room.newest {
		return []*window{{all: true}}
	}
	for n := budget; n > 0 && len(all) > 0 && len(run) > 0; n-- {
		fits := min(len(all), room.newest+(n-1)*room.full)
		since := all[fits-1]
		if least := run[len(run)-1]; least.After(since) {
			since = least
		}
		since = since.Add(-time.Millisecond)
		newer := func(times []time.Time) int {
			at := slices.IndexFunc(times, func(t time.Time) bool { return !t.After(since) })
			if at < 0 {
				return len(times)
			}
			return at
		}
		covered, older := all[:newer(all)], run[newer(run):]
		calls := room.needs(len(covered)) + (len(older)+room.full-1)/room.full
		if calls > budget {
			continue
		}
		windows := room.cut(nil, covered, time.Time{})
		for _, w := range windows {
			w.all = true
		}
		windows[len(windows)-1].since = since
		if len(older) > 0 {
			windows = room.cut(windows, older, since)
		} else if number%idleEvery == 0 {
			windows = append(windows, &window{until: since, idle: true})
		}
		return windows
	}
	return nil
}

// withoutOld joins the windows whose bounds the API would refuse with the oldest one that it takes.
func withoutOld(windows []*window, refused time.Time) []*window {
	for i, w := range windows {
		if !w.since.IsZero() && w.since.Before(refused) {
			w.since, w.all, w.idle = time.Time{}, false, false
			return windows[:i+1]
		}
	}
	return windows
}
