package history

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// Buckets of a sketch: their upper edges grow by the same factor each.
const (
	buckets    = 96
	firstEdge  = 2.0       // seconds
	lastEdge   = 48 * 3600 // seconds; what takes longer is only known to do so
	remembered = 200       // each observation lets go of one part in so many
	keep       = 1 - 1.0/remembered
)

// How many ends must be known.
const (
	EnoughForRange = 10
	EnoughForLate  = 30
)

// A Sketch is how long orders of one key took: in each bucket of durations, how many ended, and for how many seconds
// orders were at risk of ending. What is old fades. The zero Sketch knows nothing. It is not safe for concurrent use
// while it observes.
type Sketch struct {
	ended [buckets]float64
	risk  [buckets]float64
	since time.Time // when the first was observed; zero where that is not known
}

// edges are the buckets' upper edges, in seconds.
var edges = func() (all [buckets]float64) {
	for i := range all {
		all[i] = firstEdge * math.Pow(lastEdge/firstEdge, float64(i)/(buckets-1))
	}
	return all
}()

// lower returns the bucket's lower edge.
func lower(i int) float64 {
	if i == 0 {
		return 0
	}
	return edges[i-1]
}

// bucket returns the bucket of a duration in seconds.
func bucket(t float64) int {
	i, _ := slices.BinarySearch(edges[:], t)
	return min(i, buckets-1)
}

// Observe adds an order that ended after it had lasted so long, or, where it did not end, lasted longer than that.
func (s *Sketch) Observe(lasted time.Duration, ended bool) {
	for i := range s.ended {
		s.ended[i] *= keep
		s.risk[i] *= keep
	}
	t := max(lasted.Seconds(), 0)
	if t > lastEdge {
		t, ended = lastEdge, false
	}
	k := bucket(t)
	for i := range k {
		s.risk[i] += edges[i] - lower(i)
	}
	s.risk[k] += t - lower(k)
	if ended {
		s.ended[k]++
	}
}

// Begin notes when the first order is observed, unless that is known.
func (s *Sketch) Begin(at time.Time) {
	if s.since.IsZero() {
		s.since = at.UTC()
	}
}

// settled reports whether orders have been observed for much longer than they take. Before, those that take long are missing:
// of many that begin together the quickest end first.
func (s *Sketch) settled(take time.Duration, now time.Time) bool { return now.Sub(s.since) >= 2*take }

// Known returns how many ends in a row would be remembered as well as those that the sketch has seen.
func (s *Sketch) Known() int {
	weight := 0.0
	for _, n := range s.ended {
		weight += n
	}
	faded := min(weight/remembered, 0.99)
	return int(math.Round(math.Log1p(-faded) / math.Log(keep)))
}

// Left returns how much longer an order takes that has lasted so long: one of ten takes less than from, nine of ten less
// than to. Fewer than [EnoughForRange] ends are too few: ok is false.
func (s *Sketch) Left(lasted time.Duration) (from, to time.Duration, ok bool) {
	if s.Known() < EnoughForRange {
		return 0, 0, false
	}
	c, so := s.curve(), max(lasted.Seconds(), 0)
	return seconds(c.quantile(so, .1) - so), seconds(c.quantile(so, .9) - so), true
}

// Usual returns how long orders take, two days at the most; ok is false as for Left.
func (s *Sketch) Usual() (u Usual, ok bool) {
	known := s.Known()
	if known < EnoughForRange {
		return Usual{}, false
	}
	c := s.curve()
	at := func(q float64) Span { return Span(seconds(min(c.quantile(0, q), lastEdge)).Round(time.Second)) }
	return Usual{P10: at(.1), P50: at(.5), P90: at(.9), Samples: known}, true
}

// Late returns from how long on an order is late: it has lasted longer than 95 % of those that ended. Those that never
// ended are none of these: among all orders, where one of ten never ends, none was ever late. It is the upper edge of a
// bucket, so that one end more hardly ever moves it. Fewer than [EnoughForLate] ends are too few: ok is false.
func (s *Sketch) Late() (after time.Duration, ok bool) {
	if s.Known() < EnoughForLate {
		return 0, false
	}
	last := 0
	for i, n := range s.ended {
		if n >= leastEnd {
			last = i
		}
	}
	c := s.curve()
	ended := func(i int) float64 { return 1 - math.Exp(-c.until[i]) }
	for i := range last {
		if ended(i) >= .95*ended(last) {
			return seconds(edges[i]), true
		}
	}
	return seconds(edges[last]), true
}

// leastEnd is how much must be left of an end that is remembered.
const leastEnd = 0.01

func seconds(t float64) time.Duration { return time.Duration(t * float64(time.Second)) }

// A curve is how likely orders are to end, by how long they have lasted.
type curve struct {
	hazard [buckets]float64 // by the second
	until  [buckets]float64 // summed up to the bucket's upper edge: e to the minus that is the share that lasts longer
}

// Before anything is known, each second is as likely to be the last as 1 in the seconds so far and a minute. That counts as
// much as priorEnds ends in each bucket.
const (
	priorEnds  = 0.02
	priorDelay = 60.0 // seconds
)

// curve returns the hazards, each smoothed by its neighbours.
func (s *Sketch) curve() *curve {
	smooth := func(x *[buckets]float64, i int) float64 {
		sum, weight := 2*x[i], 2.0
		if i > 0 {
			sum, weight = sum+x[i-1], weight+1
		}
		if i < buckets-1 {
			sum, weight = sum+x[i+1], weight+1
		}
		return sum / weight
	}
	var c curve
	sum := 0.0
	for i := range c.hazard {
		middle := (lower(i) + edges[i]) / 2
		c.hazard[i] = (smooth(&s.ended, i) + priorEnds) / (smooth(&s.risk, i) + priorEnds*(middle+priorDelay))
		sum += c.hazard[i] * (edges[i] - lower(i))
		c.until[i] = sum
	}
	return &c
}

// quantile returns after how many seconds, from the beginning on, the share q of those have ended that lasted so long. Beyond
// the last edge each second is as likely to be the last as in the last bucket, and at least as before anything was known: where
// some orders never end, too, that says days and not years.
func (c *curve) quantile(so, q float64) float64 {
	at := bucket(so)
	wanted := c.until[at] - c.hazard[at]*max(0, edges[at]-so) - math.Log(1-q)
	for i := at; i < buckets; i++ {
		if c.until[i] >= wanted {
			return max(so, edges[i]-(c.until[i]-wanted)/c.hazard[i])
		}
	}
	return max(so, lastEdge) + (wanted-c.until[buckets-1])/max(c.hazard[buckets-1], 1/(lastEdge+priorDelay))
}

// sketchJSON is how a sketch is written: without the buckets at the end in which nothing is.
type sketchJSON struct {
	Ended []number  `json:"ended"`
	Risk  []number  `json:"at_risk"` // seconds
	Since time.Time `json:"since,omitzero"`
}

// A number is written with four digits: rounding by less than what one observation lets go of.
type number float64

func (n number) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(n), 'g', 4, 64), nil
}

// MarshalJSON writes the sketch in about 1.3 kB.
func (s Sketch) MarshalJSON() ([]byte, error) {
	return json.Marshal(sketchJSON{numbers(s.ended), numbers(s.risk), s.since})
}

func numbers(all [buckets]float64) []number {
	used := 0
	list := make([]number, buckets)
	for i, n := range all {
		if list[i] = number(n); n >= 1e-4 {
			used = i + 1
		} else {
			list[i] = 0
		}
	}
	return list[:used]
}

// UnmarshalJSON refuses what no sketch can be.
func (s *Sketch) UnmarshalJSON(text []byte) error {
	var read sketchJSON
	if err := json.Unmarshal(text, &read); err != nil {
		return err
	}
	*s = Sketch{since: read.Since}
	const most = 1.001 * remembered // of observations, with what rounding adds
	for _, list := range []struct {
		from []number
		to   *[buckets]float64
		most func(i int) float64
	}{
		{read.Ended, &s.ended, func(int) float64 { return most }},
		{read.Risk, &s.risk, func(i int) float64 { return most * (edges[i] - lower(i)) }},
	} {
		if len(list.from) > buckets {
			return fmt.Errorf("a sketch has %d buckets, not %d", buckets, len(list.from))
		}
		for i, n := range list.from {
			if n < 0 || float64(n) > list.most(i) {
				return fmt.Errorf("%v in bucket %d of a sketch cannot be", float64(n), i)
			}
			list.to[i] = float64(n)
		}
	}
	return nil
}
