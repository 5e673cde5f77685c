package outbox

import (
	"maps"
	"slices"
	"time"
)

// A queue is who waits for a channel, not the messages themselves: those come again when their delays are
// over, to this worker or another. So that the oldest goes first, the others are told to come later.
type queue struct {
	grace   time.Duration // one that is so late has gone elsewhere
	waiters map[string]waiter
	last    turn // that was taken last, by whichever worker. A message whose turn was before it, and that does not come back in time, was told by another worker
}

// A turn is a message's place in a channel's order.
type turn struct {
	Then time.Time `json:"then"` // when what it tells of happened
	Who  string    `json:"who"`  // the watch or the outage that it tells of
}

// before reports whether the turn comes before the other.
func (t turn) before(other turn) bool {
	return t.Then.Before(other.Then) || t.Then.Equal(other.Then) && t.Who < other.Who
}

// A waiter is a message that waits.
type waiter struct {
	its  turn
	back time.Time // when it comes again
}

func (q *queue) wait(its turn, back time.Time) { q.waiters[its.Who] = waiter{its, back} }

func (q *queue) leave(its turn) { delete(q.waiters, its.Who) }

func (q *queue) length(now time.Time) int {
	q.sweep(now)
	return len(q.waiters)
}

// ahead returns how many that have earlier turns are back in time for the calls before its own, which are
// every so long from the free one on.
func (q *queue) ahead(its turn, free time.Time, every time.Duration, now time.Time) (n int) {
	q.sweep(now)
	var backs []time.Time
	for _, w := range q.waiters {
		passed := !q.last.before(w.its) && now.Sub(w.back) > 2*every
		if w.its.before(its) && !passed {
			backs = append(backs, w.back)
		}
	}
	slices.SortFunc(backs, time.Time.Compare)
	for _, back := range backs {
		if !back.After(free.Add(time.Duration(n) * every)) {
			n++
		}
	}
	return n
}

// sweep forgets those that have gone elsewhere.
func (q *queue) sweep(now time.Time) {
	maps.DeleteFunc(q.waiters, func(_ string, w waiter) bool { return now.Sub(w.back) > q.grace })
}
