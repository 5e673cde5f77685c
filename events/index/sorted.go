package index

import (
	"cmp"
	"slices"

	"github.com/orderwatch/orderwatch/watcher"
)

// keptEnded is how many watches that have ended are kept at least, the newest, and twice that at the most: ten of the
// largest pages.
const keptEnded = 10_000

// A sorted has rows by the ids of their watches, which sort by the time at which they were accepted. Most watches are added
// when they are the newest.
type sorted struct {
	kept   int    // keptEnded, but in tests
	rows   []*row // oldest first, but for those that were added since it was put in order
	added  int    // so many at the end
	gone   int    // rows among them that are removed
	ended  int    // rows of watches that have ended
	floor  string // of the ended watches those up to this id were left out; empty: none was
	lowest uint64 // no row is of a lower revision
}

// beyond reports whether the row is of an ended watch older than those that are kept.
func (s *sorted) beyond(r *row) bool { return r.state == watcher.Ended && r.id <= s.floor }

// add adds a row.
func (s *sorted) add(r *row) {
	s.rows = append(s.rows, r)
	s.added++
	s.count(r, 1)
	if s.gone > max(1000, len(s.rows)/2) {
		s.order() // lists put them in order, too, but perhaps nobody asks for one
	}
	if len(s.rows) == 1 {
		s.lowest = r.revision
	}
}

// remove removes a row.
func (s *sorted) remove(r *row) {
	r.gone = true
	s.gone++
	s.count(r, -1)
}

// change counts a row whose watch is the same as before.
func (s *sorted) change(before, next *row) {
	s.count(before, -1)
	s.count(next, 1)
}

func (s *sorted) count(r *row, n int) {
	if r.state == watcher.Ended {
		s.ended += n
	}
}

// order puts the rows in order, and leaves out those that were removed.
func (s *sorted) order() {
	if s.gone > len(s.rows)/4 {
		isGone := func(r *row) bool { return r.gone }
		added := s.rows[len(s.rows)-s.added:]
		s.added -= count(added, isGone)
		s.rows = slices.DeleteFunc(s.rows, isGone)
		s.gone = 0
	}
	if s.added == 0 {
		return
	}
	byID := func(a, b *row) int { return cmp.Compare(a.id, b.id) }
	old, added := s.rows[:len(s.rows)-s.added], s.rows[len(s.rows)-s.added:]
	slices.SortFunc(added, byID)
	from, _ := slices.BinarySearchFunc(old, added[0].id, byRow)
	slices.SortFunc(s.rows[from:], byID)
	s.added = 0
}

func byRow(r *row, id string) int { return cmp.Compare(r.id, id) }

func count(rows []*row, is func(*row) bool) (n int) {
	for _, r := range rows {
		if is(r) {
			n++
		}
	}
	return n
}

// tooMany removes ended watches where there are too many of them, the oldest, and returns them.
func (s *sorted) tooMany() (left []*row) {
	if s.ended <= 2*s.kept {
		return nil
	}
	s.order()
	for _, r := range s.rows {
		if s.ended == s.kept {
			break
		}
		if r.state == watcher.Ended && !r.gone {
			s.remove(r)
			left = append(left, r)
			s.floor = r.id
		}
	}
	return left
}
