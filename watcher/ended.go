package watcher

import (
	"time"

	"github.com/orderwatch/orderwatch/watcher/words"
)

// A Status is the API's word for how far an item is. Only [Succeed] and [Failed] have ended;
// any other word, known or not, has not.
type Status string

// The statuses that the API documents.
const (
	Processing Status = "processing"
	Succeed    Status = "succeed"
	Failed     Status = "failed"
)

// Ended reports whether the item will not change any more.
func (s Status) Ended() bool { return s == Succeed || s == Failed }

// Known reports whether the API documents the status.
func (s Status) Known() bool { return s.Ended() || s == Processing }

// open reports whether the item keeps the order from being ended.
func (m *MissingItem) open() bool { return !m.Status.Ended() && !m.Deleted }

// deletion reports whether the item was to go away.
func (m *MissingItem) deletion() bool { return words.Action(m.Action).Kind == words.Deletes }

// missingAnswers is how many answers in a row must not list an item, besides Patience.Vanished, before
// it counts as gone.
const missingAnswers = 5

// takeForDeleted takes for deleted what a deletion has left unlisted for so long, and in so many
// answers in a row.
func (p Policy) takeForDeleted(w *Watch, patience time.Duration, answers int, now time.Time) {
	for i := range w.Missing {
		if m := &w.Missing[i]; m.deletion() && m.open() && m.lasts(patience, answers, now) {
			m.Deleted = true
		}
	}
}

// lasts reports whether the item is missing for so long, and in so many answers in a row.
func (m *MissingItem) lasts(patience time.Duration, answers int, now time.Time) bool {
	return m.Answers >= answers && now.Sub(fromMillis(m.Since)) >= patience
}

// Counts sums up an order's items. An item of unknown status counts as processing.
type Counts struct {
	Total      int `json:"total"` // the larger of the API's count and the items seen
	Succeeded  int `json:"succeeded"`
	Failed     int `json:"failed"`
	Processing int `json:"processing"` // seen and not ended; an item not seen yet is in Total alone
	// Missing is how many of them the API no longer lists; they count as they were seen last.
	Missing int `json:"missing,omitempty"`
}

// sum counts the items of a watch: those that were listed and those that are missing. count is the
// API's number of resources.
func (w *Watch) sum(count int) Counts {
	var c Counts
	for _, s := range w.Items {
		c.add(s.Status, s.count())
	}
	for _, m := range w.Missing {
		c.Missing += m.count()
		if m.Deleted {
			m.Status = Succeed
		}
		c.add(m.Status, m.count())
	}
	c.Total = max(count, c.seen())
	return c
}

func (c *Counts) add(s Status, n int) {
	switch s {
	case Succeed:
		c.Succeeded += n
	case Failed:
		c.Failed += n
	default:
		c.Processing += n
	}
}

// counted returns the items that were seen as a record has them that kept only how many there were.
func (c Counts) counted() (seen []SeenItem) {
	for _, s := range []SeenItem{{Status: Succeed, N: c.Succeeded}, {Status: Failed, N: c.Failed}, {Status: Processing, N: c.Processing}} {
		if s.N > 0 {
			seen = append(seen, s)
		}
	}
	return seen
}

// seen returns the number of items that were seen.
func (c Counts) seen() int { return c.Succeeded + c.Failed + c.Processing }

// open reports whether the order has items to come, or such that have not ended.
func (c Counts) open() bool { return !c.ended(0) }

// ended reports whether there are items, all that are expected, and every one has ended.
func (c Counts) ended(expected int) bool {
	return c.Total > 0 && c.Total >= expected && c.Succeeded+c.Failed == c.Total
}
