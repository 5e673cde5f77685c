package tally

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// drawn are the distributions that durations here may have, in seconds.
var drawn = map[string]func(r *rand.Rand, i int) float64{
	"steady, 12 min": func(r *rand.Rand, _ int) float64 { return 720 * math.Exp(.08*r.NormFloat64()) },
	"a heavy tail":   func(r *rand.Rand, _ int) float64 { return 600 * math.Exp(1.2*r.NormFloat64()) },
	"three kinds": func(r *rand.Rand, i int) float64 {
		return []float64{40, 686, 5400}[i%3] * math.Exp(.4*r.NormFloat64())
	},
	"half a second": func(r *rand.Rand, _ int) float64 { return .5 * math.Exp(.3*r.NormFloat64()) },
}

// TestHistogram holds each quantile against that of all durations.
func TestHistogram(t *testing.T) {
	t.Parallel()
	for name, draw := range drawn {
		r := rand.New(rand.NewPCG(1, 2))
		var whole, sum histogram
		var days [7]histogram
		var all []float64
		for i := range 2000 {
			s := min(draw(r, i), 14*24*3600)
			all = append(all, s)
			whole.Observe(time.Duration(s * float64(time.Second)))
			days[i%7].Observe(time.Duration(s * float64(time.Second)))
		}
		for _, day := range days {
			sum.Add(day)
		}
		slices.Sort(all)
		for _, q := range []float64{.1, .5, .9, .95} {
			want, got := all[int(q*2000)], whole.Quantile(q).Seconds()
			if got < want*.94 || got > want*1.06 {
				t.Errorf("%s: %g of all take %.1f s; want %.1f", name, q, got, want)
			}
			if sum.Quantile(q) != whole.Quantile(q) {
				t.Errorf("%s: the sum of seven days differs: %s, not %s", name, sum.Quantile(q), whole.Quantile(q))
			}
		}
		if whole.Len() != 2000 || sum.Len() != 2000 {
			t.Errorf("%s: %d and %d durations", name, whole.Len(), sum.Len())
		}
	}
}

func TestHistogramAtItsEdges(t *testing.T) {
	t.Parallel()
	var h histogram
	if h.Quantile(.5) != 0 || h.Len() != 0 {
		t.Error("an empty one says something")
	}
	h.Observe(-time.Hour)
	h.Observe(time.Millisecond)
	if h.Quantile(1) != 0 {
		t.Errorf("what took no time took %s", h.Quantile(1))
	}
	h.Observe(1 << 62)
	if most := h.Quantile(1); most < 13*24*time.Hour || most > 15*24*time.Hour {
		t.Errorf("what took years took %s", most)
	}
	var one histogram
	one.Observe(10 * time.Minute)
	if lo, hi := one.Quantile(0), one.Quantile(1); lo > 10*time.Minute || hi < 10*time.Minute || lo < 9*time.Minute || hi > 11*time.Minute {
		t.Errorf("one of 10 min is from %s to %s", lo, hi)
	}
}
