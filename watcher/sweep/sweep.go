// Package sweep decides how the list of a project's orders is read again and again, and what that says: which orders
// have perhaps ended. It makes no call and knows no clock; a list is only a hint, and nothing that it shows proves
// anything.
//
// One sweep reads all orders that run, in windows by creation time, each of which fits in one page: a creation time
// never changes, so no order moves from one window to another while others come and go. An order that a window showed
// as running and no longer shows, or shows as ended, is to be asked. That is said once its window is read, and not only
// at the end of the sweep.
//
// While it costs no more than one call more, the windows of the newest orders are read without the filter by phase: so the
// list says when an order has ended, too.
//
// Its owner, one goroutine, does this:
//
//	s := sweep.New(sweep.Config{Every: 5 * time.Second, Rate: 20})
//	s.TakeOver(listed, others)                   // the project's open watches
//	for {
//		sleep until s.Wake(now)                  // or until the lease is lost
//		for _, hint := range s.Hints(now) { … }  // ask these orders soon
//		if q, ok := s.Next(now); ok {            // one call of the list; others may be under way
//			one of s.Heard(q, page, now), s.Failed(q, failure, now), s.Dropped(q)
//		}
//		if done, ok := s.Done(); ok { … }        // tell the others who was listed
//		s.Pace(every)                            // where s.Calls() or those of other sweeps changed: see Stretch
//	}
//
// Read this file and row.go (what goes in and out), then:
//
//	windows.go  which windows a sweep reads, and when each
//	page.go     whether a page holds the whole window, and what is done where it does not
//	orders.go   what a row says of its order; which orders have left the list
//	hints.go    which orders are to be asked, and how fast
//	off.go      when the list is of no use
package sweep

import (
	"time"
)

// A Failure is a call of the list that brought no page. A call that was not made is none, but [State.Dropped].
type Failure struct {
	// Final: the API refuses the list, or does not know it (400, 403, 404). Otherwise it may pass (5xx, no whole answer
	// in time, an answer that is no list).
	Final bool
	// Held: the account is held because of this call (401, 429). It says nothing of the list, unless it happens again and
	// again, and only to the list.
	Held bool
	Why  string
}

// A Hint names an order that is to be asked soon.
type Hint struct {
	Name string
	// Ended is when the order ended, as the list says; zero: it only left the list.
	Ended time.Time
	// Plain: nothing says that the order has ended, but that it runs is not known any more either: the list is off, or never
	// showed it. Its wake-up is to come at once, as any other: without a hint, and without a change of the backoff.
	Plain bool
}

// A Summary sums up one sweep.
type Summary struct {
	// Complete: each window was read whole. Otherwise orders may run that are not in Listed.
	Complete bool
	// Listed are the names of the orders that run, as the sweep saw them, in no order, each once. It is the caller's.
	Listed       []string
	Calls        int
	Rows         int // of all phases
	Began, Ended time.Time
}

// A Config says how often to sweep. Every field is required.
type Config struct {
	Every time.Duration // from one sweep to the next, while the rate is enough
	Rate  float64       // of the account, in calls a second: no more hints are given in a second
}

// A State is all that is known of one project's list. It is not safe for concurrent use.
type State struct {
	config Config
	every  time.Duration // as Pace said
	calls  int           // of a sweep

	api    api
	orders map[string]*order
	open   map[string]bool // the open watches that were taken over, while no complete sweep was made; true: listed lately
	round  round
	first  bool // no complete sweep has been made yet
	done   *Summary
	hints  hints
	doubts doubts
}

// New returns the state of a list that nobody has read yet. The first call is due at once.
func New(c Config) *State {
	s := &State{config: c, every: c.Every, hints: newHints(c.Rate)}
	s.forgetAll()
	return s
}

// forgetAll lets the list be read as if for the first time.
func (s *State) forgetAll() {
	s.calls, s.api, s.first = 1, api{limit: pageLimit, month: unknown}, true
	s.orders, s.open, s.doubts = make(map[string]*order), nil, doubts{}
	s.round = round{number: s.round.number, over: true}
}

// TakeOver names the open watches of the project, once, before the first call. Those that the first complete sweep does
// not list are hinted: the listed ones, which are those that an earlier sweep listed lately, as soon as any; the
// others, which may be orders that no list ever shows, plainly and at a slow pace.
func (s *State) TakeOver(listed, others []string) {
	s.open = make(map[string]bool, len(listed)+len(others))
	for _, name := range others {
		s.open[name] = false
	}
	for _, name := range listed {
		s.open[name] = true
	}
}

// Pace sets the time from one sweep to the next: see [Stretch].
func (s *State) Pace(every time.Duration) { s.every = every }

// Calls returns how many calls a sweep takes, as far as is known; at least 1, and 0 while the list is off. Where it
// changes, the lease is to say so and Pace is to be called.
func (s *State) Calls() int {
	if s.doubts.why != "" {
		return 0
	}
	return s.calls
}

// share is the part of the account's rate that all sweeps take at the most.
const share = 1.0 / 7

// Stretch returns how long it is from one sweep to the next, where all sweeps of the account in the region, of all
// workers, take so many calls together and one is wanted each every: sweeps never take more than a seventh of the
// account's rate. What they take, for watcher.Accounts.Reserved, is the sum over all sweeps of calls / Stretch.
func Stretch(every time.Duration, calls int, rate float64) time.Duration {
	return max(every, time.Duration(float64(calls)/(rate*share)*float64(time.Second)))
}

// Wake returns when Next or Hints has something next. It may be in the past.
func (s *State) Wake(now time.Time) time.Time {
	wake := now.Add(s.every) // where neither has: the calls under way come back first
	if at, ok := s.due(); ok && at.Before(wake) {
		wake = at
	}
	if at, ok := s.hints.wake(now); ok && at.Before(wake) {
		wake = at
	}
	return wake
}

// Next returns the call that is due; ok is false where none is. The call is under way until Heard, Failed or Dropped takes
// the query back. Some may be under way at once: where the API is slow, one after the other would be too late.
func (s *State) Next(now time.Time) (q Query, ok bool) {
	at, ok := s.due()
	if !ok || now.Before(at) {
		return Query{}, false
	}
	if s.doubts.why != "" {
		s.forgetAll()
	}
	if s.round.over {
		s.begin(now)
	}
	w := s.round.unasked()
	w.asked = true
	if behind := now.Add(-s.spacing()); s.round.at.Before(behind) {
		s.round.at = behind
	}
	s.round.at = s.round.at.Add(s.spacing())
	return w.query(), true
}

// Heard takes the answer of a call.
func (s *State) Heard(q Query, p Page, now time.Time) {
	w := s.takeBack(q)
	if w == nil {
		return
	}
	s.round.calls++
	s.round.rows += len(p.Rows)
	named, met := s.see(w, p.Rows, now)
	if len(p.Rows) > 0 && named < (len(p.Rows)+1)/2 || len(p.Rows) == 0 && p.Count > 0 && q.Offset == 0 && len(w.names) > 0 {
		s.failed(w, Failure{Why: "its answer lists no names"}, now)
		return
	}
	s.doubts.failures, s.doubts.holds = 0, 0
	s.judge(w, q, p, met)
	s.settle(w, now)
}

// Failed takes note that a call brought no page. Next gives a call again for which the account was held.
func (s *State) Failed(q Query, f Failure, now time.Time) {
	if f.Held && !s.doubts.held(now) {
		s.Dropped(q)
		return
	}
	if w := s.takeBack(q); w != nil {
		s.round.calls++
		f.Final = f.Final || f.Held
		s.failed(w, f, now)
	}
}

// Dropped takes note that a call was not made, or was not answered for a reason of the account. Next gives it again.
func (s *State) Dropped(q Query) {
	if s.takeBack(q) != nil {
		s.round.at = s.round.at.Add(-s.spacing())
	}
}

// takeBack returns the window that the query is for; nil where it is of no window of the sweep under way.
func (s *State) takeBack(q Query) *window {
	for _, w := range s.round.windows {
		if w.asked && w.query() == q {
			w.asked = false
			return w
		}
	}
	return nil
}

// Hints returns the orders to be asked now, each at most once in a while, and no more than the account can ask soon.
// It forgets them.
func (s *State) Hints(now time.Time) []Hint { return s.hints.take(now) }

// Done sums up the sweep that has ended, once; ok is false where none has since it was called last.
func (s *State) Done() (done Summary, ok bool) {
	if s.done == nil {
		return Summary{}, false
	}
	done, s.done = *s.done, nil
	return done, true
}
