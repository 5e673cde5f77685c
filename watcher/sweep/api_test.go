package sweep_test

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/orderwatch/orderwatch/watcher/sweep"
)

// An entry is an order as the cloud has it.
type entry struct {
	name           string
	created, ended time.Time
	elsewhere      bool // in another workspace: no list shows it
}

// An api is the cloud's list of orders, as it is documented and as it misbehaves.
type api struct {
	entries []*entry // in the order in which they were created
	random  *rand.Rand

	phases    []string                                              // spellings of those that run; nil: running
	shuffled  bool                                                  // rows are in no order
	byBegin   time.Duration                                         // orders begin so long after they were created, and the bounds are of that
	anyPhase  bool                                                  // the filter is ignored
	anyTime   bool                                                  // the bounds are ignored
	pageLimit int                                                   // rows of a page; 0: 500
	count     func(rows, real int) int                              // what it says; nil: the truth
	skew      time.Duration                                         // its clock is ahead
	behind    time.Duration                                         // it shows what was so long ago
	early     time.Duration                                         // it shows ends so long before they come
	rows      func([]sweep.Row) []sweep.Row                         // what else is wrong with the rows
	failure   func(q sweep.Query, now time.Time) (f *sweep.Failure) // nil: none
}

// answer returns what the list shows now.
func (a *api) answer(q sweep.Query, now time.Time) (sweep.Page, *sweep.Failure) {
	if a.failure != nil {
		if f := a.failure(q, now); f != nil {
			return sweep.Page{}, f
		}
	}
	for _, bound := range []*time.Time{&q.Since, &q.Until} {
		if !bound.IsZero() {
			*bound = bound.Add(-a.skew)
		}
	}
	limit := 500
	if a.pageLimit > 0 {
		limit = a.pageLimit
	}
	if q.Offset < 0 || q.Offset > 500 || q.Limit < 1 || q.Limit > 500 || !q.Since.IsZero() && now.Sub(q.Since) > 30*24*time.Hour {
		return sweep.Page{}, &sweep.Failure{Final: true, Why: "bad request"}
	}
	limit = min(limit, q.Limit)
	at := now.Add(-a.behind)
	var rows []sweep.Row
	for _, e := range slices.Backward(a.within(q, at)) {
		if row, fits := a.row(e, q, at); fits {
			rows = append(rows, row)
		}
	}
	if a.shuffled {
		a.random.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	}
	if a.rows != nil {
		rows = a.rows(rows)
	}
	count := len(rows)
	rows = rows[min(q.Offset, len(rows)):]
	rows = rows[:min(limit, len(rows))]
	if a.count != nil {
		count = a.count(len(rows), count)
	}
	return sweep.Page{Count: count, Rows: rows}, nil
}

// within returns the entries that the query's bounds, which are inclusive, may fit.
func (a *api) within(q sweep.Query, at time.Time) []*entry {
	index := func(t time.Time) int {
		i, _ := slices.BinarySearchFunc(a.entries, t, func(e *entry, t time.Time) int { return e.created.Add(a.byBegin).Compare(t) })
		return i
	}
	from, to := 0, index(at.Add(a.byBegin+1))
	if !a.anyTime && !q.Since.IsZero() {
		from = index(q.Since)
	}
	if !a.anyTime && !q.Until.IsZero() {
		to = min(to, index(q.Until.Add(1)))
	}
	return a.entries[min(from, to):to]
}

func (a *api) row(e *entry, q sweep.Query, at time.Time) (row sweep.Row, fits bool) {
	row = sweep.Row{Name: e.name, Phase: "running", Created: e.created, Began: e.created.Add(a.byBegin)}
	if at.Before(row.Began) {
		row.Phase, row.Began = "pending", time.Time{}
		return row, q.Phase == "" || a.anyPhase
	}
	if a.phases != nil {
		row.Phase = a.phases[a.random.IntN(len(a.phases))]
	}
	runs := at.Before(e.ended.Add(-a.early))
	if !runs {
		row.Phase, row.Ended = "successed", e.ended.Add(-a.early)
	}
	return row, !e.elsewhere && (runs || q.Phase == "" || a.anyPhase) && at.Sub(e.created) < 30*24*time.Hour
}
