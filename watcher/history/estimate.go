package history

import "time"

// Sketches returns the sketch of a key; nil where there is none. It must be safe for concurrent use, and the sketch is
// not changed any more.
type Sketches func(Key) *Sketch

// An Estimate is when an order is likely to be ready: always a range.
type Estimate struct {
	From    time.Time `json:"from,omitzero"` // one of ten is ready before
	To      time.Time `json:"to,omitzero"`   // nine of ten are ready before
	Samples int       `json:"samples"`       // ends of orders like it that are known; few: the times are missing
}

// Few reports whether too few orders like it have ended to say when it is ready.
func (e Estimate) Few() bool { return e.To.IsZero() }

// Estimate returns when the order, which has not ended, is likely to be ready, by the finest key that knows enough.
func (o Order) Estimate(sketches Sketches, now time.Time) Estimate {
	return EstimateBy(o.Clocks(), sketches, now)
}

// EstimateBy returns when an order is likely to be ready that is measured by these clocks, the finest first.
func EstimateBy(clocks []Clock, sketches Sketches, now time.Time) (e Estimate) {
	for _, c := range clocks {
		s := sketches(c.Key)
		if s == nil {
			continue
		}
		if from, to, ok := s.Left(now.Sub(c.Since)); ok {
			at := func(left time.Duration) time.Time { return now.Add(left).UTC().Truncate(time.Second) }
			return Estimate{at(from), at(to + time.Second), s.Known()}
		}
		e.Samples = max(e.Samples, s.Known())
	}
	return e
}

// Usual returns how long orders of its kind take as a whole; ok is false where too few are known.
func (o Order) Usual(sketches Sketches) (u Usual, ok bool) {
	c, ok := o.Kind()
	if !ok {
		return Usual{}, false
	}
	if s := sketches(c.Key); s != nil {
		return s.Usual()
	}
	return Usual{}, false
}

// LateAt returns from when on the order, which has not ended, is late beside those of its kind; zero where too few are
// known now, or for too short a time. Orders of other kinds say nothing of that, however many there are.
func (o Order) LateAt(sketches Sketches, now time.Time) time.Time {
	c, ok := o.Kind()
	if !ok {
		return time.Time{}
	}
	if s := sketches(c.Key); s != nil {
		if after, ok := s.Late(); ok && s.settled(after, now) {
			return c.Since.Add(after)
		}
	}
	return time.Time{}
}
