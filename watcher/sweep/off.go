package sweep

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

const (
	// offFor is how long a list is not read that is of no use.
	offFor = time.Hour
	// A list that fails is given up after so many calls in a row, over at least so long.
	mostFailures = 5
	longFailing  = time.Minute
	longestRetry = 30 * time.Second
	// The same of calls for which the account was held.
	mostHolds = 3
	// A list is off after so many sweeps in a row, over as long, that were not complete or cost too much.
	mostBadSweeps = 3
	// A list is off where orders that left it came back, so many of late, and more than half of them.
	mostBack = 10
	fading   = 0.8 // from one sweep to the next
	// A list is off where polls show, so many and over so long, that orders run and none of them is listed.
	unlistedPolls = 3
	longUnlisted  = 2 * time.Minute
	// Where it lists some, their polls may be as far apart as orders' are that the list shows.
	longerUnlisted = 15 * time.Minute
	// A list is off where it lists orders so long after they ended, in so many polls.
	longBehind  = time.Minute
	behindPolls = 3
)

// Doubts are what speaks against the list.
type doubts struct {
	until time.Time // when it is off
	why   string

	failures int // calls in a row
	failing  time.Time
	holds    int // calls in a row for which the account was held
	holding  time.Time
	again    time.Time // when it is asked next
	bad      int       // sweeps in a row
	worse    time.Time // the first of them
	trouble  string    // of the last call that failed
	left     float64   // orders that left the list of late
	back     float64   // of them came back
	unlisted int       // polls in a row of orders that run and are not listed
	since    time.Time // the first of them
	behind   int
}

// Off says until when the list is not read, as it is of no use, and why; zero where it is read. When that time is over,
// it is read anew.
func (s *State) Off(now time.Time) (until time.Time, why string) {
	if !now.Before(s.doubts.until) {
		return time.Time{}, ""
	}
	return s.doubts.until, s.doubts.why
}

// forgotten is after how many sweeps the workers forget who was listed, where no other one comes.
const forgotten = 4

// off lets the list be until later. The orders that it listed are to be looked at soon: their next polls may be far off.
// They are not before the workers forget that they were listed.
func (s *State) off(why string, now time.Time) {
	s.hints.later = now.Add((forgotten + 1) * s.every)
	for _, name := range s.running() {
		s.hint(Hint{Name: name, Plain: true}, new(order), true, now)
	}
	s.forgetAll()
	s.doubts = doubts{until: now.Add(offFor), why: why}
}

// running returns the orders that the list showed as running, those that were created first before the others: they are
// more likely to end soon.
func (s *State) running() (names []string) {
	for name, o := range s.orders {
		if o.runs {
			names = append(names, name)
		}
	}
	for name, listed := range s.open {
		if listed {
			names = append(names, name)
		}
	}
	created := func(name string) (at time.Time) {
		if o := s.orders[name]; o != nil {
			at = o.created
		}
		return at
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(created(a).Compare(created(b)), strings.Compare(a, b))
	})
	return names
}

// held takes note of a call for which the account was held, and reports whether the list is given up: it alone is refused, since
// polls let each hold end.
func (d *doubts) held(now time.Time) bool {
	if d.holds == 0 {
		d.holding = now
	}
	d.holds++
	return d.holds >= mostHolds && now.Sub(d.holding) >= longFailing
}

// failed takes note of a call for the window that failed. A window that fails twice is left out of the sweep.
func (s *State) failed(w *window, f Failure, now time.Time) {
	d := &s.doubts
	if d.failures == 0 {
		d.failing = now
	}
	d.failures++
	d.trouble = f.Why
	d.again = now.Add(min(longestRetry, time.Second<<min(d.failures-1, 10)))
	if f.Final || d.failures >= mostFailures && now.Sub(d.failing) >= longFailing {
		s.off(f.Why, now)
		return
	}
	w.failures++
	w.lost = w.failures > 1
	s.settle(w, now)
}

// doubt looks, after a sweep, whether the list is of use.
func (s *State) doubt(done *Summary, now time.Time) {
	d, r := &s.doubts, &s.round
	d.left, d.back = d.left*fading, d.back*fading
	costly := r.others > r.running && r.calls > r.running/s.api.limit+idleEvery
	switch {
	case done.Complete && !costly:
		d.bad, d.trouble = 0, ""
	case d.bad == 0:
		d.bad, d.worse = 1, now
	default:
		d.bad++
	}
	long := d.bad >= mostBadSweeps && now.Sub(d.worse) >= longFailing
	switch {
	case d.back >= mostBack && d.back > d.left/2:
		s.off("orders leave it and come back", now)
	case long && costly:
		s.off("it lists orders of other phases than it is asked for", now)
	case long:
		s.off(cmp.Or(d.trouble, "more orders run than it shows"), now)
	}
}

// Polled takes note of what a poll of an order of the project showed: that it runs, or that all its items have ended,
// the last of them at that time. The caller may call it for any of the polls that it knows of. So it comes out where the
// list is empty although orders run, or is behind.
func (s *State) Polled(name string, runs bool, ended, now time.Time) {
	d, o := &s.doubts, s.orders[name]
	listed := o != nil && o.runs
	switch {
	case s.first:
	case runs && listed:
		d.unlisted = 0
	case runs:
		if d.unlisted++; d.unlisted == 1 {
			d.since = now
		}
		long := longUnlisted
		for _, o := range s.orders {
			if o.runs {
				long = longerUnlisted
				break
			}
		}
		if d.unlisted >= unlistedPolls && now.Sub(d.since) >= long {
			s.off("it lists none of the orders that run", now)
		}
	case o != nil && !ended.IsZero() && o.ran.Sub(ended) > longBehind:
		if d.behind++; d.behind >= behindPolls {
			s.off("it lists orders for over a minute after they have ended, or its clock is as far behind", now)
		}
	default:
		d.behind = max(0, d.behind-1)
	}
}
