package sweep_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher/sweep"
	"github.com/orderwatch/orderwatch/watcher/watchertest"
)

// A reader reads one list by a state, on a clock of its own.
type reader struct {
	api
	state *sweep.State
	now   time.Time
	takes time.Duration // a call
	under []call        // way

	calls  []sweep.Query
	called []time.Time
	hints  []hinted
	done   []sweep.Summary
}

type call struct {
	q       sweep.Query
	page    sweep.Page
	failure *sweep.Failure
	until   time.Time
}

type hinted struct {
	sweep.Hint
	at time.Time
}

func newReader() *reader {
	r := &reader{now: begin, takes: 100 * time.Millisecond, state: sweep.New(sweep.Config{Every: every, Rate: perSecond})}
	r.random = rand.New(rand.NewPCG(3, 4))
	return r
}

// add creates orders, which end when the function says, so long before now, the first of them longest ago.
func (r *reader) add(n int, span time.Duration, takes func(i int) time.Duration) {
	for i := range n {
		created := r.now.Add(-span * time.Duration(n-i) / time.Duration(n)).Truncate(time.Millisecond)
		r.entries = append(r.entries, &entry{name: fmt.Sprintf("order.%d", len(r.entries)), created: created, ended: created.Add(takes(i))})
	}
	slices.SortStableFunc(r.entries, func(a, b *entry) int { return a.created.Compare(b.created) })
}

// long is how long orders take that are not to end.
func long(int) time.Duration { return 1000 * time.Hour }

// busy lets orders come and go from now on, so many at a time, for so long.
func (r *reader) busy(orders int, span time.Duration) {
	for at := r.now.Add(-40 * time.Minute); at.Before(r.now.Add(span)); {
		at = at.Add(time.Duration(r.random.ExpFloat64() * float64(mean) / float64(orders)))
		created := at.Truncate(time.Millisecond)
		r.entries = append(r.entries, &entry{
			name: fmt.Sprintf("order.%d", len(r.entries)), created: created,
			ended: created.Add(time.Duration(float64(mean) * (0.5 + r.random.Float64()))),
		})
	}
}

// read does what is due for so long.
func (r *reader) read(span time.Duration) {
	for end := r.now.Add(span); r.now.Before(end); r.now = r.now.Add(50 * time.Millisecond) {
		r.under = slices.DeleteFunc(r.under, func(c call) bool {
			switch {
			case c.until.After(r.now):
				return false
			case c.failure != nil:
				r.state.Failed(c.q, *c.failure, r.now)
			default:
				r.state.Heard(c.q, c.page, r.now)
			}
			return true
		})
		if done, ok := r.state.Done(); ok {
			r.done = append(r.done, done)
			r.state.Pace(sweep.Stretch(every, r.state.Calls(), perSecond))
		}
		for _, h := range r.state.Hints(r.now) {
			r.hints = append(r.hints, hinted{h, r.now})
		}
		for len(r.under) < 4 {
			q, ok := r.state.Next(r.now)
			if !ok {
				break
			}
			page, failure := r.answer(q, r.now)
			r.under = append(r.under, call{q, page, failure, r.now.Add(r.takes)})
			r.calls, r.called = append(r.calls, q), append(r.called, r.now)
		}
	}
}

// latest returns the last sweep.
func (r *reader) latest() sweep.Summary {
	if len(r.done) == 0 {
		return sweep.Summary{}
	}
	return r.done[len(r.done)-1]
}

// runs returns the names of the orders that run.
func (r *reader) running(at time.Time) (names []string) {
	for _, e := range r.entries {
		if !e.created.After(at) && e.ended.After(at) && !e.elsewhere {
			names = append(names, e.name)
		}
	}
	return names
}

// right holds that the orders which run are listed, that each which has ended since a time was hinted soon, and that at
// most so many others were.
func (r *reader) right(t *testing.T, from time.Time, within time.Duration, mostFalse int) {
	t.Helper()
	if until, why := r.state.Off(r.now); why != "" {
		t.Fatalf("off until %v: %s", until, why)
	}
	last := r.latest()
	if !last.Complete {
		t.Errorf("the last of %d sweeps is not complete", len(r.done))
	}
	listed := make(map[string]bool)
	for _, name := range last.Listed {
		if listed[name] {
			t.Errorf("%s is listed twice", name)
		}
		listed[name] = true
	}
	for _, e := range r.entries {
		if runs := !e.created.Add(r.byBegin).After(last.Began) && e.ended.After(last.Ended) && !e.elsewhere; runs && !listed[e.name] {
			t.Errorf("%s, of %v to %v, is not listed", e.name, e.created, e.ended)
		}
		if !e.ended.After(last.Began) && listed[e.name] {
			t.Errorf("%s is listed and ended %s before the sweep", e.name, last.Began.Sub(e.ended))
		}
	}
	first, wrong := make(map[string]time.Time), 0
	byName := make(map[string]*entry)
	for _, e := range r.entries {
		byName[e.name] = e
	}
	for _, h := range r.hints {
		if h.at.Before(byName[h.Name].ended) {
			wrong++
		} else if first[h.Name].IsZero() {
			first[h.Name] = h.at
		}
	}
	if wrong > mostFalse {
		t.Errorf("%d hints for orders that run", wrong)
	}
	late := 0
	for _, e := range r.entries {
		if e.ended.Before(from) || e.ended.After(r.now.Add(-within)) || e.elsewhere {
			continue
		}
		if at := first[e.name]; at.IsZero() || at.Sub(e.ended) > within {
			late++
			if late < 4 {
				t.Errorf("%s, of %s, ended at %s and was hinted at %s", e.name, e.created.Sub(begin), e.ended.Sub(begin), at.Sub(begin))
			}
		}
	}
	if late > 3 {
		t.Errorf("%d orders were hinted late or never", late)
	}
}

// However many orders run, and whatever the list does that can be made up for, their ends are hinted soon.
func TestEndsAreHinted(t *testing.T) {
	watchertest.Unraced(t)
	for name, c := range map[string]struct {
		orders int
		api    func(*api)
		within time.Duration // 0: two sweeps
		wrong  int           // hints
	}{
		"few":                      {orders: 20},
		"one page":                 {orders: 200},
		"just over one page":       {orders: 490},
		"more than is ever shown":  {orders: 4000},
		"very many":                {orders: 10000, within: 15 * time.Second},
		"rows out of order":        {orders: 3000, api: func(a *api) { a.shuffled = true }},
		"few rows out of order":    {orders: 300, api: func(a *api) { a.shuffled = true }},
		"all spellings":            {orders: 300, api: func(a *api) { a.phases = []string{"running", "Running", " PROCESSING", "processing"} }},
		"no phase":                 {orders: 3000, api: func(a *api) { a.phases = []string{""} }},
		"filter is ignored":        {orders: 100, api: func(a *api) { a.anyPhase = true }},
		"bounds are of the begin":  {orders: 3000, api: func(a *api) { a.byBegin = 4 * time.Minute }},
		"bounds are ignored":       {orders: 800, api: func(a *api) { a.anyTime = true }, wrong: 20},
		"small pages":              {orders: 700, api: func(a *api) { a.pageLimit = 100 }},
		"counts nothing":           {orders: 3000, api: func(a *api) { a.count = func(int, int) int { return 0 } }},
		"counts the page":          {orders: 3000, api: func(a *api) { a.count = func(rows, _ int) int { return rows } }},
		"counts too many":          {orders: 3000, api: func(a *api) { a.count = func(_, real int) int { return real*10 + 1 } }},
		"counts a few too many":    {orders: 200, api: func(a *api) { a.count = func(_, real int) int { return real + 7 } }},
		"begins are missing":       {orders: 800, api: func(a *api) { a.rows = withoutTimes }, wrong: 20},
		"rows come twice":          {orders: 300, within: 20 * time.Second, api: func(a *api) { a.rows = func(rows []sweep.Row) []sweep.Row { return slices.Concat(rows, rows) } }},
		"rows without names among": {orders: 300, api: func(a *api) { a.rows = withNameless }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReader()
			r.busy(c.orders, 5*time.Minute)
			if c.api != nil {
				c.api(&r.api)
			}
			r.read(time.Minute)
			from := r.now
			r.read(4 * time.Minute)
			within := c.within
			if within == 0 {
				within = 2*every + 2*time.Second
			}
			r.right(t, from, within, c.wrong)
			t.Logf("%d calls a sweep, %d sweeps", r.latest().Calls, len(r.done))
		})
	}
}

func withoutTimes(rows []sweep.Row) []sweep.Row {
	for i := range rows {
		rows[i].Created, rows[i].Began = time.Time{}, time.Time{}
	}
	return rows
}

func withNameless(rows []sweep.Row) []sweep.Row {
	return slices.Concat([]sweep.Row{{Phase: "running"}, {Name: strings.Repeat("x", 500), Phase: "running"}}, rows)
}
