// Package schedule says how long it is from one poll of a watch to the next. It is read in one file.
package schedule

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// A Backoff is the schedule of a watch's polls: exponential up to Max, then even. It never ends;
// the watch's deadline does that.
type Backoff struct {
	Initial    time.Duration // the first interval; > 0
	Multiplier float64       // of each interval by the next; ≥ 1
	Max        time.Duration // the longest interval before jitter; ≥ Initial
	Jitter     float64       // 0.2: each interval is drawn from 0.8 to 1.2 of itself; 0 to 1
}

// Interval returns the time between poll number step and the next, counted from 0 where the
// schedule started anew. Equal arguments give equal intervals; another seed gives another jitter.
func (b Backoff) Interval(seed string, step int) time.Duration {
	schedule := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(b.Initial),
		backoff.WithMultiplier(b.Multiplier),
		backoff.WithMaxInterval(b.Max),
		backoff.WithRandomizationFactor(0), // its jitter has no seed
		backoff.WithMaxElapsedTime(0),      // otherwise it stops after 15 minutes
	)
	interval := schedule.NextBackOff()
	for range step {
		next := schedule.NextBackOff()
		if next == interval {
			break
		}
		interval = next
	}
	return b.jitter(interval, seed, step)
}

// AtMost returns the interval, no longer than Max: jitter makes it shorter at the most.
func (b Backoff) AtMost(seed string, step int) time.Duration {
	return min(b.Interval(seed, step), b.Max)
}

// Steps returns how many polls it takes until the interval is at its longest, counted as those of Interval.
func (b Backoff) Steps() int {
	if b.Multiplier <= 1 || b.Max <= b.Initial {
		return 0
	}
	return int(math.Ceil(math.Log(float64(b.Max)/float64(b.Initial)) / math.Log(b.Multiplier)))
}

func (b Backoff) jitter(interval time.Duration, seed string, step int) time.Duration {
	hash := fnv.New64a()
	hash.Write([]byte(seed))
	random := rand.New(rand.NewPCG(hash.Sum64(), uint64(step))).Float64()
	return time.Duration(float64(interval) * (1 + b.Jitter*(2*random-1)))
}
