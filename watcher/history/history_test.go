package history_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher/history"
)

// longest is the deadline of the orders here, in seconds.
const longest = 6 * 3600

func logNormal(r *rand.Rand, median, sigma float64) float64 {
	return median * math.Exp(sigma*r.NormFloat64())
}

// durations are the distributions that orders may have, in seconds; infinite: never.
var durations = map[string]func(r *rand.Rand, i int) float64{
	"steady, 12 min":   func(r *rand.Rand, _ int) float64 { return logNormal(r, 720, .08) },
	"a pool, 11 min":   func(r *rand.Rand, _ int) float64 { return logNormal(r, 686, .35) },
	"90 min and wide":  func(r *rand.Rand, _ int) float64 { return logNormal(r, 5400, .5) },
	"fast, 40 s":       func(r *rand.Rand, _ int) float64 { return logNormal(r, 40, .6) },
	"a heavy tail":     func(r *rand.Rand, _ int) float64 { return logNormal(r, 600, 1.2) },
	"memoryless":       func(r *rand.Rand, _ int) float64 { return -600 * math.Log(1-r.Float64()) },
	"two humps":        twoHumps,
	"one of ten stuck": stuck,
	"three kinds mixed": func(r *rand.Rand, i int) float64 {
		return logNormal(r, []float64{40, 686, 5400}[i%3], []float64{.6, .35, .5}[i%3])
	},
}

func twoHumps(r *rand.Rand, _ int) float64 {
	if r.Float64() < .25 {
		return logNormal(r, 20, .5)
	}
	return logNormal(r, 900, .25)
}

func stuck(r *rand.Rand, _ int) float64 {
	if r.Float64() < .1 {
		return math.Inf(1)
	}
	return logNormal(r, 600, .3)
}

func duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// TestRangeHolds asks for the range when an order begins, and when half of its time has passed: nearly eight of ten end
// within it, and hardly one of twenty is late.
func TestRangeHolds(t *testing.T) {
	t.Parallel()
	for name, draw := range durations {
		for _, known := range []int{history.EnoughForLate, 200} {
			inside, insideHalf, late, all := 0, 0, 0, 0
			for seed := range uint64(60) {
				r := rand.New(rand.NewPCG(seed, 5))
				var s history.Sketch
				for i := 0; s.Known() < known; i++ {
					d := draw(r, i)
					s.Observe(duration(min(d, longest)), d <= longest)
				}
				s = stored(t, s)
				after, ok := s.Late()
				if !ok {
					t.Fatalf("%s: %d ends are not enough to be late", name, s.Known())
				}
				for i := range 50 {
					d := draw(r, i)
					if math.IsInf(d, 1) {
						continue
					}
					all++
					inside += within(t, &s, 0, duration(d))
					insideHalf += within(t, &s, duration(d)/2, duration(d))
					if duration(d) > after {
						late++
					}
				}
			}
			share := func(n int) float64 { return float64(n) / float64(all) }
			t.Logf("%-18s %3d known: %.2f inside, %.2f when half has passed, %.3f late", name, known, share(inside), share(insideHalf), share(late))
			if s := share(inside); s < .75 || s > .97 {
				t.Errorf("%s, %d known: %.2f end within the range; want .75 to .97", name, known, s)
			}
			if s := share(insideHalf); s < .65 {
				t.Errorf("%s, %d known: %.2f end within the range at half of their time; want .65 or more", name, known, s)
			}
			if s := share(late); s > .08 {
				t.Errorf("%s, %d known: %.3f are late; want .05 or a little more or less", name, known, s)
			}
		}
	}
}

// within returns 1 where an order that takes d ends in the range that is said when it has lasted so long.
func within(t *testing.T, s *history.Sketch, so, d time.Duration) int {
	from, to, ok := s.Left(so)
	switch {
	case !ok || from > to || from < 0:
		t.Fatalf("the range at %s is %s to %s, %t", so, from, to, ok)
	case d >= so+from && d <= so+to:
		return 1
	}
	return 0
}

// stored returns the sketch as it is read back.
func stored(t *testing.T, s history.Sketch) (read history.Sketch) {
	encoded, err := json.Marshal(s)
	if err != nil || len(encoded) > 2000 {
		t.Fatalf("%d bytes, %v", len(encoded), err)
	}
	if err := json.Unmarshal(encoded, &read); err != nil {
		t.Fatal(err)
	}
	return read
}

// TestStuckAreLate holds that orders of which some never end can be late: among all, none would be longer than 95 %.
func TestStuckAreLate(t *testing.T) {
	t.Parallel()
	var s history.Sketch
	for i := range 300 {
		if i%5 == 0 {
			s.Observe(duration(longest), false)
		} else {
			s.Observe(10*time.Minute, true)
		}
	}
	after, ok := s.Late()
	if !ok || after < 10*time.Minute || after > 15*time.Minute {
		t.Errorf("late after %s, %t; want a little more than 10m", after, ok)
	}
	if from, to, ok := s.Left(after); !ok || to < time.Hour {
		t.Errorf("one that is late takes %s to %s more, %t; it may be stuck", from, to, ok)
	}
}

func TestFewKnown(t *testing.T) {
	t.Parallel()
	var s history.Sketch
	for i := range 40 {
		if got := s.Known(); got != i {
			t.Fatalf("after %d ends %d are known", i, got)
		}
		_, _, ranged := s.Left(time.Minute)
		_, usual := s.Usual()
		_, late := s.Late()
		if ranged != (i >= 10) || usual != ranged || late != (i >= 30) {
			t.Errorf("after %d ends: range %t, usual %t, late %t", i, ranged, usual, late)
		}
		s.Observe(10*time.Minute, true)
		s = stored(t, s)
	}
	if u, ok := s.Usual(); !ok || u.Samples != 40 || u.P10 > u.P50 || u.P50 > u.P90 || u.P10 < history.Span(7*time.Minute) || u.P90 > history.Span(14*time.Minute) {
		t.Errorf("usual: %+v, %t", u, ok)
	}
	var never history.Sketch
	for range 1000 {
		never.Observe(time.Hour, false)
		never.Observe(1000*time.Hour, true) // it ended, and it is only known to have taken more than two days
	}
	if never = stored(t, never); never.Known() != 0 {
		t.Errorf("%d known of none", never.Known())
	}
}

// TestLong holds that the range of an order that takes about as long as a sketch reaches, or longer, is one of hours or days: it
// does not shrink to nothing there, nor grow to years where some never end.
func TestLong(t *testing.T) {
	t.Parallel()
	stuck := took(150, 10*time.Minute)
	for range 50 {
		stuck.Observe(1000*time.Hour, false)
	}
	for name, s := range map[string]*history.Sketch{
		"minutes": took(50, 10*time.Minute), "two days": took(50, 47*time.Hour), "some never end": stuck,
	} {
		for _, so := range []time.Duration{40 * time.Hour, 47*time.Hour + 50*time.Minute, 48 * time.Hour, 60 * time.Hour, 1000 * time.Hour} {
			from, to, ok := s.Left(so)
			t.Logf("%s: after %s %s to %s more", name, so, from.Round(time.Minute), to.Round(time.Minute))
			if !ok || from < 0 || to-from < 15*time.Minute || to > 14*24*time.Hour || so >= 48*time.Hour && from <= 0 {
				t.Errorf("%s: after %s %s to %s more, %t", name, so, from, to, ok)
			}
		}
	}
}

// TestEnoughForLate holds that thirty ends must be known, and not thirty orders: those that never ended, and ends that have
// faded, count for none.
func TestEnoughForLate(t *testing.T) {
	t.Parallel()
	var s history.Sketch
	ends := 0
	for i := range 400 {
		late, known := func() (bool, int) { _, ok := s.Late(); return ok, s.Known() }()
		if late != (known >= 30) || known > ends || late && ends < 30 {
			t.Fatalf("after %d ends of %d orders %d are known, late %t", ends, i, known, late)
		}
		if s.Observe(10*time.Minute, i%8 == 0); i%8 == 0 {
			ends++
		}
	}
	if _, ok := s.Late(); ok {
		t.Errorf("%d ends, old ones among them, count as %d", ends, s.Known())
	}
}

// TestQuickestEndFirst lets orders begin, all at once or one after another, and ask at each minute when one that begins then is
// late: never by those alone that ended first, since the others still run.
func TestQuickestEndFirst(t *testing.T) {
	t.Parallel()
	for name, every := range map[string]time.Duration{"all at once": 0, "one after another": 5 * time.Second} {
		r := rand.New(rand.NewPCG(17, 6))
		ends := make(map[int][]time.Duration) // by the minute
		for i := range 1000 {
			d := duration(logNormal(r, 686, .35)) // 95 % take less than 20 minutes
			minute := int((time.Duration(i)*every + d).Minutes())
			ends[minute] = append(ends[minute], d)
		}
		var s history.Sketch
		known := false
		for minute := range 100 {
			for _, d := range ends[minute] {
				s.Begin(at(float64(minute)))
				s.Observe(d, true)
			}
			order := history.Order{Region: "r", Accepted: at(float64(minute)), Items: []history.Item{{Action: "createPool", Began: at(float64(minute))}}}
			late := order.LateAt(func(history.Key) *history.Sketch { return &s }, at(float64(minute)))
			known = known || !late.IsZero()
			if after := late.Sub(at(float64(minute))); !late.IsZero() && (after < 16*time.Minute || after > 30*time.Minute) {
				t.Errorf("%s: after %d minutes one is late after %s", name, minute, after)
			}
			s = stored(t, s)
		}
		if !known {
			t.Errorf("%s: none is ever late", name)
		}
	}
}

// TestOldFades holds that orders that are faster than they were are so after a hundred.
func TestOldFades(t *testing.T) {
	t.Parallel()
	var s history.Sketch
	for i := range 3000 {
		s.Observe(map[bool]time.Duration{true: time.Hour, false: time.Minute}[i < 2000], true)
	}
	if u, _ := s.Usual(); u.P90 > history.Span(2*time.Minute) {
		t.Errorf("usual: %+v", u)
	}
}

func TestUnreadable(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		``, `[]`, `"x"`, `{"ended":[-1]}`, `{"ended":[1e9]}`, `{"at_risk":[1e300]}`, `{"ended":["1"]}`, `{"at_risk":[500]}`,
		`{"ended":[` + strings.Repeat("0,", 96) + `0]}`,
	} {
		var s history.Sketch
		if err := json.Unmarshal([]byte(text), &s); err == nil {
			t.Errorf("%s is read as a sketch", text)
		}
	}
}

// FuzzSketch holds that whatever is read as a sketch can be asked and written.
func FuzzSketch(f *testing.F) {
	f.Add([]byte(`{"ended":[1,2.5],"at_risk":[2,0.1,3]}`), int64(60))
	f.Fuzz(func(t *testing.T, text []byte, seconds int64) {
		var s history.Sketch
		if json.Unmarshal(text, &s) != nil {
			return
		}
		d := time.Duration(seconds) * time.Second
		for range 2 {
			from, to, _ := s.Left(d)
			if from < 0 || to < from {
				t.Errorf("%s to %s", from, to)
			}
			s.Usual()
			s.Late()
			s.Observe(d, true)
			s = stored(t, s)
		}
	})
}

var accepted = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func at(minutes float64) time.Time { return accepted.Add(duration(60 * minutes)) }

func TestClocks(t *testing.T) {
	t.Parallel()
	pool := history.Item{Action: "createPool", Began: at(1)}
	poolDone := pool
	poolDone.Ended = at(8)
	node := history.Item{Action: "createNode", Began: at(8)}
	nodeDone := node
	nodeDone.Ended = at(12)
	for _, test := range []struct {
		name  string
		items []history.Item
		want  string
	}{
		{"nothing is seen", nil, "cn-north-4.-.asked 0s, cn-north-4 0s"},
		{"the pool is seen", []history.Item{pool}, "cn-north-4.createPool.first 1m0s, cn-north-4.createPool 1m0s, cn-north-4 1m0s"},
		{"a node at once", []history.Item{pool, {Action: "createNode", Began: at(1.5)}}, "cn-north-4.createNode=createPool.first 1m0s, cn-north-4.createNode=createPool 1m0s, cn-north-4 1m0s"},
		{"its nodes follow", []history.Item{poolDone, node, node}, "cn-north-4.createNode=createPool.later 8m0s, cn-north-4.createNode=createPool 1m0s, cn-north-4 1m0s"},
		{"no times", []history.Item{{Action: "createPool"}}, ""},
		{"an action that is no word", []history.Item{{Action: "créer", Began: at(1)}}, "cn-north-4.x_561435c07fdfbf50.first 1m0s, cn-north-4.x_561435c07fdfbf50 1m0s, cn-north-4 1m0s"},
		{"no action", []history.Item{{Began: at(1)}}, "cn-north-4.-.first 1m0s, cn-north-4 1m0s"},
	} {
		var got []string
		for _, c := range (history.Order{Region: "cn-north-4", Accepted: accepted, Items: test.items}).Clocks() {
			got = append(got, c.Key.String()+" "+c.Since.Sub(accepted).String())
		}
		if got := strings.Join(got, ", "); got != test.want {
			t.Errorf("%s:\ngot  %s\nwant %s", test.name, got, test.want)
		}
	}
	order := history.Order{Region: "cn-north-4", Accepted: accepted, Items: []history.Item{poolDone, nodeDone, nodeDone}}
	var got []string
	for _, o := range order.Observations(at(12), true) {
		got = append(got, o.Key.String()+" "+o.Lasted.String())
	}
	want := "cn-north-4.-.asked 12m0s, cn-north-4.createPool.first 11m0s, cn-north-4.createNode=createPool.later 4m0s, cn-north-4.createNode=createPool 11m0s, cn-north-4 11m0s"
	if got := strings.Join(got, ", "); got != want {
		t.Errorf("observed:\ngot  %s\nwant %s", got, want)
	}
	if got := order.Observations(accepted, true); got != nil {
		t.Errorf("an order that was over when it was asked for is observed: %v", got)
	}
	single := history.Order{Region: "cn-north-4", Accepted: at(2), Items: []history.Item{poolDone}}
	if got := single.Observations(at(8), true); len(got) != 3 || got[0].Key.Phase != history.First || got[0].Lasted != 7*time.Minute {
		t.Errorf("an order that began before it was asked for: %+v", got)
	}
}

func took(n int, d time.Duration) *history.Sketch {
	var s history.Sketch
	for range n {
		s.Observe(d, true)
	}
	return &s
}

// TestCoarser holds that what is likely is said by fewer of its kind only where enough of them are known.
func TestCoarser(t *testing.T) {
	t.Parallel()
	order := history.Order{Region: "cn-north-4", Accepted: accepted, Items: []history.Item{{Action: "createPool", Began: at(0)}}}
	known := map[string]*history.Sketch{
		"cn-north-4.createPool.first": took(9, time.Minute), "cn-north-4.createPool": took(29, 10*time.Minute), "cn-north-4": took(100, time.Hour),
	}
	sketches := func(k history.Key) *history.Sketch { return known[k.String()] }
	e := order.Estimate(sketches, at(2))
	if e.Few() || e.Samples != 29 || e.From.Before(at(7)) || e.To.After(at(14)) || !e.From.Before(e.To) {
		t.Errorf("estimate: %+v", e)
	}
	delete(known, "cn-north-4")
	delete(known, "cn-north-4.createPool")
	if e := order.Estimate(sketches, at(2)); !e.Few() || e.Samples != 9 || !e.From.IsZero() {
		t.Errorf("estimate by nine: %+v", e)
	}
}

// TestKind holds that an order is late, and what is usual for it is said, by orders of its own kind alone: those that only
// share the region may take quite another time.
func TestKind(t *testing.T) {
	t.Parallel()
	order := history.Order{Region: "cn-north-4", Accepted: accepted, Items: []history.Item{{Action: "createPool", Began: at(0)}}}
	unseen := history.Order{Region: "cn-north-4", Accepted: accepted}
	known := map[string]*history.Sketch{"cn-north-4": took(100, 40*time.Second), "cn-north-4.-.asked": took(100, 40*time.Second)}
	sketches := func(k history.Key) *history.Sketch { return known[k.String()] }
	for _, tt := range []struct {
		order       history.Order
		own         int // known ends of its kind
		usual, late bool
	}{
		{unseen, 30, false, false},
		{order, 0, false, false},
		{order, 9, false, false},
		{order, 10, true, false},
		{order, 29, true, false},
		{order, 30, true, true},
	} {
		known["cn-north-4.createPool"] = took(tt.own, 90*time.Minute)
		u, ok := tt.order.Usual(sketches)
		if ok != tt.usual || ok && (u.Samples != tt.own || u.P50 < history.Span(time.Hour)) {
			t.Errorf("%d items, %d known: usual %+v, %t", len(tt.order.Items), tt.own, u, ok)
		}
		late := tt.order.LateAt(sketches, at(0))
		if late.IsZero() == tt.late || tt.late && (late.Before(at(90)) || late.After(at(120))) {
			t.Errorf("%d items, %d known: late at %s", len(tt.order.Items), tt.own, late)
		}
	}
}
