package sweep

import (
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// longestName bounds the names that are taken for names of orders, in bytes.
	longestName = 256
	// remembered is how long an order is remembered that is no longer listed.
	remembered = 15 * time.Minute
	// ahead is how far the API's clock may be ahead: a later end is none.
	ahead = time.Hour
	// lately is how long before a sweep an order may have ended that was never seen running, and is still hinted.
	lately = time.Minute
)

// An order is what is known of one.
type order struct {
	created, began time.Time
	runs           bool       // it was listed as running when it was looked for last
	left           bool       // it ran, and was no longer listed as running
	witnessed      bool       // the hint said when it ended
	sweep          int        // the number of the sweep that listed it last, in whatever phase
	seen, ran      time.Time  // when it was listed last, and as running
	at             [2]*window // where it is expected, by when it was created and by when it began

	hints  int // since it was seen first
	hinted time.Time
	owed   *Hint // that is to be given when it may be; nil: none
}

// A meaning is what a row says of its order.
type meaning int

const (
	waits meaning = iota // it has not begun, or nothing can be said
	runs
	ended // perhaps
)

// means returns what the row says. Where only orders that run were asked for, one without a phase runs.
func (r *Row) means(filtered bool) meaning {
	switch phase := strings.ToLower(strings.TrimSpace(r.Phase)); {
	case !r.Ended.IsZero():
		return ended
	case phase == running, phase == "processing", phase == "" && filtered:
		return runs
	case phase == "pending", phase == "":
		return waits
	}
	return ended
}

// see takes note of a page of the window. It returns how many rows have a name, and how many of the names were not on an
// earlier page of the window.
func (s *State) see(w *window, rows []Row, now time.Time) (named, met int) {
	if w.met == nil {
		w.met = make(map[string]bool)
	}
	run := make(map[string]bool)
	for i := range rows {
		if rows[i].means(!w.all) == runs {
			run[rows[i].Name] = true
		}
	}
	for i := range rows {
		r := &rows[i]
		if r.Name == "" || len(r.Name) > longestName {
			continue
		}
		named++
		if w.met[r.Name] {
			continue
		}
		w.met[r.Name] = true
		met++
		o, known := s.orders[r.Name]
		if !known {
			o = new(order)
			s.orders[r.Name] = o
		}
		o.created, o.began, o.sweep, o.seen = r.Created, r.Began, s.round.number, now
		s.count(w, r)
		switch {
		case run[r.Name]:
			s.listed(r.Name, o, now)
		case r.means(!w.all) == ended:
			s.ended(r, o, known, now)
		default:
			o.runs = false
		}
		delete(s.open, r.Name)
	}
	return named, met
}

func (s *State) count(w *window, r *Row) {
	switch {
	case r.means(!w.all) == runs:
		s.round.running++
	case !w.all:
		s.round.others++
	}
}

// listed takes note that the order runs.
func (s *State) listed(name string, o *order, now time.Time) {
	if !o.runs {
		s.round.arrived++
	}
	if o.left {
		s.doubts.back++
	}
	o.runs, o.left, o.ran, o.owed = true, false, now, nil
	s.hints.drop(name)
}

// ended takes note that the order has ended, as the list says.
func (s *State) ended(r *Row, o *order, known bool, now time.Time) {
	ran, at := o.runs, r.Ended
	if at.After(now.Add(ahead)) {
		at = time.Time{}
	}
	_, taken := s.open[r.Name]
	quick := !known && !s.first && at.After(s.round.began.Add(-2*s.every-lately))
	witness := o.left && !o.witnessed && !at.IsZero()
	if ran {
		o.runs, o.left, o.witnessed = false, true, false
		s.doubts.left++
	}
	o.witnessed = o.witnessed || !at.IsZero()
	if ran || taken || quick || witness {
		s.hint(Hint{Name: r.Name, Ended: at}, o, witness, now)
	}
}

// gone takes note that orders that ran are no longer listed.
func (s *State) gone(names []string, now time.Time) {
	slices.Sort(names)
	for _, name := range names {
		o := s.orders[name]
		o.runs, o.left, o.witnessed = false, true, false
		s.doubts.left++
		s.hint(Hint{Name: name}, o, false, now)
	}
}

// settle decides, after a page of the window, which orders have left the list, and whether the sweep is over.
func (s *State) settle(w *window, now time.Time) {
	var gone []string
	for _, name := range w.names {
		o := s.orders[name]
		if w.read && o != nil && o.runs && o.sweep != s.round.number && o.looked() {
			gone = append(gone, name)
		}
	}
	s.gone(gone, now)
	for _, w := range s.round.windows {
		if !w.read && !w.lost {
			return
		}
	}
	s.finish(now)
}

// looked reports whether all windows were read that would list the order.
func (o *order) looked() bool {
	for _, w := range o.at {
		if w != nil && !w.read {
			return false
		}
	}
	return o.at[0] != nil
}

// finish ends the sweep.
func (s *State) finish(now time.Time) {
	r := &s.round
	r.over, r.at = true, later(r.began.Add(s.every), now)
	done := &Summary{Complete: true, Calls: r.calls, Rows: r.rows, Began: r.began, Ended: now}
	for _, w := range r.windows {
		done.Complete = done.Complete && (!w.lost || w.idle)
	}
	var gone, owed []string
	for name, o := range s.orders {
		if done.Complete && o.runs && o.sweep != r.number {
			gone = append(gone, name)
		}
		if o.owed != nil && o.mayBeHinted(now) {
			owed = append(owed, name)
		}
	}
	s.gone(gone, now)
	slices.Sort(owed)
	for _, name := range owed {
		if o := s.orders[name]; o.owed != nil {
			s.hint(*o.owed, o, false, now)
		}
	}
	for name, o := range s.orders {
		if o.runs {
			done.Listed = append(done.Listed, name)
		} else if now.Sub(o.seen) > remembered {
			delete(s.orders, name)
		}
	}
	if done.Complete {
		s.takeOver(now)
		s.first = false
	}
	s.done = done
	s.doubt(done, now)
}

// takeOver hints the open watches that the first complete sweep did not list.
func (s *State) takeOver(now time.Time) {
	for _, name := range slices.Sorted(maps.Keys(s.open)) {
		listed := s.open[name]
		o := &order{seen: now, left: listed}
		s.orders[name] = o
		s.hint(Hint{Name: name, Plain: !listed}, o, false, now)
	}
	s.open = nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
