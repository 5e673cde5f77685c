package sweep_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher/sweep"
	"github.com/orderwatch/orderwatch/watcher/watchertest"
)

// isOff holds that the list went off since a time, within a span, and why; that each order which it listed is to be
// looked at once, plainly; and that it is read anew after an hour.
func (r *reader) isOff(t *testing.T, since time.Time, within time.Duration, why string, listed int) {
	t.Helper()
	until, got := r.state.Off(r.now)
	if !strings.Contains(got, why) || got == "" {
		t.Fatalf("off for %q; want %q", got, why)
	}
	if at := until.Add(-time.Hour); at.Sub(since) > within {
		t.Errorf("off after %s", at.Sub(since))
	}
	if r.state.Calls() != 0 {
		t.Errorf("%d calls a sweep while it is off", r.state.Calls())
	}
	plain := make(map[string]int)
	for _, h := range r.hints {
		if h.Plain {
			plain[h.Name]++
		}
	}
	for name, n := range plain {
		if n > 1 {
			t.Errorf("%s was hinted plainly %d times", name, n)
		}
	}
	if few := 1 + listed/500; len(plain) < listed-few || len(plain) > listed+few {
		t.Errorf("%d orders were hinted plainly; want %d", len(plain), listed)
	}
	calls := len(r.calls)
	r.read(until.Sub(r.now) - time.Second)
	if len(r.calls) != calls {
		t.Errorf("%d calls while it was off", len(r.calls)-calls)
	}
	r.read(2 * time.Second)
	if len(r.calls) == calls {
		t.Error("it is not read anew")
	}
}

func TestRefused(t *testing.T) {
	r := newReader()
	r.add(50, 10*time.Minute, long)
	r.read(time.Minute)
	r.failure = func(sweep.Query, time.Time) *sweep.Failure {
		return &sweep.Failure{Final: true, Why: "403 no permission"}
	}
	since := r.now
	r.read(time.Minute)
	r.isOff(t, since, every+time.Second, "no permission", 50)

	r.failure, r.hints, r.done = nil, nil, nil
	until, _ := r.state.Off(r.now)
	r.read(until.Sub(r.now) + time.Minute)
	if got := r.latest(); !got.Complete || len(got.Listed) != 50 {
		t.Errorf("after that: %+v", got)
	}
	if len(r.hints) > 0 {
		t.Errorf("hints: %v", r.hints)
	}
}

// A list for which the account is held again and again, while polls let each hold end, is off. One that is answered in
// between is not.
func TestHeldForTheList(t *testing.T) {
	r := newReader()
	r.add(50, 10*time.Minute, long)
	r.read(time.Minute)
	calls := 0
	held := func(sweep.Query, time.Time) *sweep.Failure {
		return &sweep.Failure{Held: true, Why: "429 too many requests"}
	}
	r.failure = func(q sweep.Query, now time.Time) *sweep.Failure {
		if calls++; calls%3 == 0 {
			return nil
		}
		return held(q, now)
	}
	r.read(10 * time.Minute)
	if until, why := r.state.Off(r.now); why != "" || calls < 20 {
		t.Fatalf("off until %v after %d calls: %s", until, calls, why)
	}
	r.failure = held
	since := r.now
	r.read(2 * time.Minute)
	r.isOff(t, since, time.Minute+2*every, "too many requests", 50)
}

// A list that fails for long is off; one that fails now and then is not, and none of its orders is hinted for that.
func TestFails(t *testing.T) {
	for name, fails := range map[string]func(*reader){
		"5xx": func(r *reader) {
			r.failure = func(sweep.Query, time.Time) *sweep.Failure { return &sweep.Failure{Why: "no answer"} }
		},
		"no names": func(r *reader) {
			r.rows = func(rows []sweep.Row) []sweep.Row {
				for i := range rows {
					rows[i].Name = ""
				}
				return rows
			}
		},
		"an empty page of many": func(r *reader) {
			r.rows = func([]sweep.Row) []sweep.Row { return nil }
			r.count = func(int, int) int { return 700 }
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReader()
			r.add(700, 10*time.Minute, long)
			r.read(time.Minute)
			for range 3 { // for a moment
				fails(r)
				r.read(20 * time.Second)
				r.failure, r.rows, r.count = nil, nil, nil
				r.read(time.Minute)
			}
			if _, why := r.state.Off(r.now); why != "" || len(r.hints) > 0 || !r.latest().Complete {
				t.Fatalf("off %q, %d hints, %+v", why, len(r.hints), r.latest().Complete)
			}
			fails(r)
			since, calls := r.now, len(r.calls)
			r.read(6 * time.Minute)
			if n := len(r.calls) - calls; n > 12 {
				t.Errorf("%d calls of a list that fails", n)
			}
			r.isOff(t, since, 2*time.Minute, "", 700)
		})
	}
}

// One window that always fails leaves the list of use for the others for a while; then it is off.
func TestOneWindowFails(t *testing.T) {
	r := newReader()
	r.add(1500, 10*time.Minute, long)
	r.read(time.Minute)
	r.failure = func(q sweep.Query, _ time.Time) *sweep.Failure {
		if !q.Until.IsZero() {
			return &sweep.Failure{Why: "too many for it"}
		}
		return nil
	}
	since := r.now
	r.entries[len(r.entries)-1].ended = r.now
	r.read(15 * time.Second)
	if len(r.hints) != 1 || r.hints[0].Name != r.entries[len(r.entries)-1].name {
		t.Errorf("hints: %v", r.hints)
	}
	r.read(5 * time.Minute)
	r.isOff(t, since, 2*time.Minute, "too many for it", 1499)
}

func TestFilterIsIgnored(t *testing.T) {
	watchertest.Unraced(t)
	r := newReader()
	r.anyPhase = true
	r.add(20000, 29*24*time.Hour, func(int) time.Duration { return 5 * time.Minute })
	r.add(100, 20*time.Minute, long)
	r.read(5 * time.Minute)
	if _, why := r.state.Off(r.now); why != "" { // few that run are near each other
		t.Fatalf("off for %q", why)
	}
	if n := len(r.calls); n > 120 {
		t.Errorf("%d calls", n)
	}
	r.add(3000, 20*time.Minute, long)
	since := r.now
	r.read(10 * time.Minute)
	r.isOff(t, since, 6*time.Minute, "other phases", len(r.running(since)))
	if n := len(r.calls); n > 900 {
		t.Errorf("%d calls until it was off", n)
	}
}

func TestBoundsAreIgnored(t *testing.T) {
	r := newReader()
	r.anyTime = true
	r.add(3000, 10*time.Minute, long)
	r.read(10 * time.Minute)
	if _, why := r.state.Off(r.now); !strings.Contains(why, "more orders run than it shows") {
		t.Errorf("off for %q", why)
	}
	for _, h := range r.hints {
		if !h.Plain {
			t.Fatalf("%+v", h)
		}
	}
}

// A list that is empty is believed, unless polls show that orders run; so is one of other orders.
func TestListsNoneThatRuns(t *testing.T) {
	for _, others := range []int{0, 30} {
		r := newReader()
		r.add(5, 10*time.Minute, long)
		for _, e := range r.entries {
			e.elsewhere = true
		}
		r.add(others, 10*time.Minute, long)
		r.read(10 * time.Minute)
		if _, why := r.state.Off(r.now); why != "" {
			t.Fatalf("off for %q", why)
		}
		r.state.Polled("order.0", true, time.Time{}, r.now)
		r.state.Polled("order.1", true, time.Time{}, r.now)
		r.state.Polled("order.2", true, time.Time{}, r.now)
		if _, why := r.state.Off(r.now); why != "" {
			t.Fatalf("off at once for %q", why)
		}
		since, patience := r.now, 2*time.Minute
		if others > 0 { // the polls of those that it lists may be far apart
			patience = 15 * time.Minute
		}
		for range patience / time.Minute {
			if _, why := r.state.Off(r.now); why != "" {
				t.Fatalf("off for %q after %s", why, r.now.Sub(since))
			}
			r.read(time.Minute)
			r.state.Polled("order.1", true, time.Time{}, r.now)
		}
		r.isOff(t, since, patience*5/4, "none of the orders that run", 0)
	}
	r := newReader()
	r.add(5, 10*time.Minute, long)
	r.read(time.Minute)
	for range 20 {
		r.read(time.Minute)
		r.state.Polled("order.7", true, time.Time{}, r.now)
		r.state.Polled("order.1", true, time.Time{}, r.now)
	}
	if _, why := r.state.Off(r.now); why != "" {
		t.Errorf("off for %q, although it lists one", why)
	}
}

func TestIsBehind(t *testing.T) {
	r := newReader()
	r.behind = 2 * time.Minute
	r.add(20, 10*time.Minute, long)
	r.read(4 * time.Minute)
	for i := range 3 {
		ended := r.now
		r.entries[i].ended = ended
		r.read(80 * time.Second)
		r.state.Polled(r.entries[i].name, false, ended, r.now)
	}
	r.read(time.Minute)
	r.isOff(t, begin, 10*time.Minute, "after they have ended", 18)
}

// An order that comes and goes is hinted every two minutes at the most; where many do, the list is off.
func TestComeAndGo(t *testing.T) {
	r := newReader()
	r.add(30, 10*time.Minute, long)
	n := 0
	r.rows = func(rows []sweep.Row) []sweep.Row {
		n++
		return slices.DeleteFunc(rows, func(row sweep.Row) bool { return row.Name == "order.3" && n%2 == 0 })
	}
	r.read(time.Hour)
	if len(r.hints) < 3 || len(r.hints) > 32 {
		t.Errorf("%d hints in an hour", len(r.hints))
	}
	if _, why := r.state.Off(r.now); why != "" {
		t.Fatalf("off for %q", why)
	}
	r.rows = func(rows []sweep.Row) []sweep.Row {
		return slices.DeleteFunc(rows, func(sweep.Row) bool { return r.random.IntN(2) == 0 })
	}
	since := r.now
	r.read(10 * time.Minute)
	until, why := r.state.Off(r.now)
	if at := until.Add(-time.Hour); !strings.Contains(why, "come back") || at.Sub(since) > time.Minute {
		t.Errorf("off for %q after %s", why, at.Sub(since))
	}
}

// TestEndsSoonAfterAHint holds that an order which the list leaves out once is hinted when it ends soon after, and the list goes on.
func TestEndsSoonAfterAHint(t *testing.T) {
	r := newReader()
	r.add(30, 10*time.Minute, long)
	r.read(time.Minute)
	r.rows = func(rows []sweep.Row) []sweep.Row {
		return slices.DeleteFunc(rows, func(row sweep.Row) bool { return row.Name == "order.3" })
	}
	r.read(5 * time.Second)
	r.rows = nil
	r.read(10 * time.Second)
	before := len(r.hints)
	r.entries[3].ended = r.now
	r.read(3 * time.Minute)
	if before == 0 || len(r.hints) == before {
		t.Errorf("hints are %v, of which %d came before the end", r.hints, before)
	}
}

// A worker that takes over hints what the sweeps before listed and it does not, at once; what none of them listed it
// lets be looked at slowly; and what is listed, not at all.
func TestTakeOver(t *testing.T) {
	r := newReader()
	r.add(1000, 10*time.Minute, long)
	var listed, others []string
	for i := range 60 { // listed by the sweeps before, and ended
		listed = append(listed, fmt.Sprintf("gone.%d", i))
	}
	for i := range 400 {
		others = append(others, fmt.Sprintf("other.%d", i))
	}
	for i, e := range r.entries {
		if i%2 == 0 {
			listed = append(listed, e.name)
		} else {
			others = append(others, e.name)
		}
	}
	r.entries[0].ended = r.now.Add(-time.Second)
	r.state.TakeOver(listed, others)
	r.read(12 * time.Second)
	prompt, plain := 0, 0
	for _, h := range r.hints {
		switch {
		case h.Plain && strings.HasPrefix(h.Name, "other"):
			plain++
		case strings.HasPrefix(h.Name, "gone") && !h.Plain, h.Name == "order.0":
			prompt++
		default:
			t.Errorf("%+v", h)
		}
	}
	if prompt != 61 || plain > 20+10*12 {
		t.Errorf("%d hints at once, %d slowly", prompt, plain)
	}
	r.read(2 * time.Minute)
	if len(r.hints) != 461 {
		t.Errorf("%d hints in all", len(r.hints))
	}
}

// The list tells when an order ended, where that costs no more than a call more.
func TestSecondWitness(t *testing.T) {
	watchertest.Unraced(t)
	for orders, least := range map[int]float64{20: 0.95, 200: 0.95, 1000: 0.7} {
		r := newReader()
		r.busy(orders, 30*time.Minute)
		r.read(30 * time.Minute)
		witnessed, ends := 0, 0
		for _, h := range r.hints {
			if h.at.Before(begin.Add(5 * time.Minute)) {
				continue
			}
			if !h.Ended.IsZero() {
				witnessed++
			}
			ends++
		}
		got := float64(witnessed) / float64(ends)
		calls := float64(len(r.calls)) / (30 * 60 / every.Seconds())
		t.Logf("%d orders: %.0f %% of %d hints say when, %.2f calls a sweep", orders, 100*got, ends, calls)
		if got < least {
			t.Errorf("%d orders: %.0f %% of the hints say when", orders, 100*got)
		}
		if most := float64(orders)/480 + 2.2; calls > most {
			t.Errorf("%d orders: %.1f calls a sweep", orders, calls)
		}
	}
}

// Many orders that are created at once make windows overflow while they are read.
func TestBurst(t *testing.T) {
	r := newReader()
	r.busy(1000, 5*time.Minute)
	r.read(time.Minute)
	for i := range 2500 {
		at := r.now.Add(time.Duration(i) * time.Millisecond)
		r.entries = append(r.entries, &entry{name: fmt.Sprintf("burst.%d", i), created: at, ended: at.Add(2 * time.Minute)})
	}
	slices.SortStableFunc(r.entries, func(a, b *entry) int { return a.created.Compare(b.created) })
	from := r.now
	r.read(4 * time.Minute)
	r.right(t, from, 2500/perSecond*time.Second+4*every, 0)
}

// An order that gets a month old leaves the list, and is hinted once; no call asks for what is older.
// TestBurstInOneMoment holds that many orders which were created within some milliseconds are listed as any are, and that it
// is seen when they end.
func TestBurstInOneMoment(t *testing.T) {
	t.Parallel()
	for _, span := range []time.Duration{0, time.Millisecond, 3 * time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond} {
		for _, orders := range []int{400, 700, 950} {
			t.Run(fmt.Sprintf("%d in %s", orders, span), func(t *testing.T) {
				t.Parallel()
				r := newReader()
				r.busy(100, 10*time.Minute)
				r.add(orders, span, func(i int) time.Duration { return time.Minute + time.Duration(i)*time.Second/2 })
				r.read(6 * time.Minute)
				whole := 0
				for _, d := range r.done {
					if d.Complete {
						whole++
					}
				}
				until, why := r.state.Off(r.now)
				if !until.IsZero() || whole < len(r.done)*9/10 {
					t.Errorf("%d of %d sweeps are complete; the list is off until %s: %s", whole, len(r.done), until, why)
				}
			})
		}
	}
}

func TestMonthBorder(t *testing.T) {
	r := newReader()
	for i := range 3000 {
		created := r.now.Add(-30*24*time.Hour + time.Duration(i)*time.Second)
		r.entries = append(r.entries, &entry{name: fmt.Sprintf("old.%d", i), created: created, ended: created.Add(100 * 24 * time.Hour)})
	}
	r.read(2 * time.Minute)
	for _, q := range r.calls {
		if !q.Since.IsZero() && r.now.Sub(q.Since) > 30*24*time.Hour {
			t.Fatalf("%+v", q)
		}
	}
	if _, why := r.state.Off(r.now); why != "" && !strings.Contains(why, "more orders run than it shows") {
		t.Errorf("off for %q", why)
	}
}

// The API's clock does not matter.
func TestClockSkew(t *testing.T) {
	watchertest.Unraced(t)
	for _, skew := range []time.Duration{-3 * time.Hour, -time.Minute, time.Minute, 3 * time.Hour} {
		r := newReader()
		r.busy(1500, 5*time.Minute)
		r.rows = func(rows []sweep.Row) []sweep.Row {
			for i := range rows {
				r := &rows[i]
				r.Created, r.Began = r.Created.Add(skew), r.Began.Add(skew)
				if !r.Ended.IsZero() {
					r.Ended = r.Ended.Add(skew)
				}
			}
			return rows
		}
		r.skew = skew
		r.read(time.Minute)
		from := r.now
		r.read(4 * time.Minute)
		r.right(t, from, 2*every+2*time.Second, 0)
	}
}

// A slow list is read with some calls at once.
func TestSlow(t *testing.T) {
	r := newReader()
	r.takes = 3 * time.Second
	r.busy(3000, 5*time.Minute)
	r.read(time.Minute)
	from := r.now
	r.read(4 * time.Minute)
	r.right(t, from, 25*time.Second, 0)
}

// A call that was not made is made later, and nothing follows from it.
func TestDropped(t *testing.T) {
	s := sweep.New(sweep.Config{Every: every, Rate: perSecond})
	q, ok := s.Next(begin)
	if !ok {
		t.Fatal("no call")
	}
	if _, ok := s.Next(begin.Add(time.Hour)); ok {
		t.Fatal("a second call")
	}
	s.Dropped(q)
	again, ok := s.Next(begin.Add(time.Minute))
	if !ok || again != q {
		t.Errorf("%v, %+v", ok, again)
	}
	s.Heard(q, sweep.Page{Count: 1, Rows: []sweep.Row{{Name: "a", Phase: "running", Created: begin}}}, begin.Add(time.Minute))
	s.Heard(q, sweep.Page{}, begin.Add(time.Minute)) // nobody asked
	if done, ok := s.Done(); !ok || !done.Complete || !slices.Equal(done.Listed, []string{"a"}) {
		t.Errorf("%v, %+v", ok, done)
	}
	if _, ok := s.Done(); ok {
		t.Error("twice")
	}
}

func TestStretch(t *testing.T) {
	for calls, want := range map[int]time.Duration{1: 5 * time.Second, 14: 5 * time.Second, 20: 7 * time.Second, 100: 35 * time.Second} {
		if got := sweep.Stretch(every, calls, perSecond).Round(time.Millisecond); got != want {
			t.Errorf("%d calls: %s, want %s", calls, got, want)
		}
	}
}
