package tally

import (
	"math"
	"slices"
	"time"
)

// A histogram is how long things took: how many of them in each bucket of durations. Nothing in it fades, as it does in a
// [history.Sketch], so that those of several days can be added up. It tells durations from 10 ms to two weeks apart by 5 %, and has
// at most 373 buckets. The zero histogram is empty. It is not safe for concurrent use while it changes.
type histogram struct {
	bins []bin // by bucket; those in which nothing is are missing
}

// A bin is how many durations are in a bucket.
type bin struct {
	bucket uint16
	n      uint32
}

// Bounds of a histogram's buckets, in seconds, and the factor by which their upper edges grow.
const (
	finest   = 0.01
	coarsest = 14 * 24 * 3600
	growth   = 1.05
)

// upper returns the upper edge of a bucket, in seconds.
func upper(bucket uint16) float64 { return finest * math.Pow(growth, float64(bucket)) }

// Observe adds a duration. A negative one counts as none, one beyond two weeks as two weeks.
func (h *histogram) Observe(d time.Duration) {
	t := min(max(d.Seconds(), finest), coarsest)
	h.add(uint16(math.Ceil(math.Log(t/finest)/math.Log(growth))), 1)
}

func (h *histogram) add(bucket uint16, n uint32) {
	at, ok := slices.BinarySearchFunc(h.bins, bucket, func(b bin, bucket uint16) int { return int(b.bucket) - int(bucket) })
	if !ok {
		h.bins = slices.Insert(h.bins, at, bin{bucket: bucket})
	}
	h.bins[at].n += n
}

// Add adds all that the other has.
func (h *histogram) Add(other histogram) {
	for _, b := range other.bins {
		h.add(b.bucket, b.n)
	}
}

// Len returns how many durations were observed.
func (h *histogram) Len() (n int) {
	for _, b := range h.bins {
		n += int(b.n)
	}
	return n
}

// Quantile returns the duration below which the share q of those observed is, from 0 to 1; 0 where none was observed.
func (h *histogram) Quantile(q float64) time.Duration {
	wanted := q * float64(h.Len())
	so := 0.0
	for i, b := range h.bins {
		if so += float64(b.n); so < wanted && i < len(h.bins)-1 {
			continue
		}
		to := upper(b.bucket)
		if b.bucket == 0 {
			return 0
		}
		share := 1 - max(0, so-wanted)/float64(b.n)
		return time.Duration((to/growth + (to-to/growth)*share) * float64(time.Second))
	}
	return 0
}
