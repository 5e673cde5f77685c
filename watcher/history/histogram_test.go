package history_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher/history"
)

// TestHistogram holds each quantile against that of all durations, for the distributions of the sketch.
func TestHistogram(t *testing.T) {
	t.Parallel()
	for name, draw := range durations {
		r := rand.New(rand.NewPCG(1, 2))
		var whole, sum history.Histogram
		var days [7]history.Histogram
		var all []float64
		for i := range 2000 {
			s := min(draw(r, i), 14*24*3600)
			all = append(all, s)
			whole.Observe(duration(s))
			days[i%7].Observe(duration(s))
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
	var h history.Histogram
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
	var one history.Histogram
	one.Observe(10 * time.Minute)
	if lo, hi := one.Quantile(0), one.Quantile(1); lo > 10*time.Minute || hi < 10*time.Minute || lo < 9*time.Minute || hi > 11*time.Minute {
		t.Errorf("one of 10 min is from %s to %s", lo, hi)
	}
}
