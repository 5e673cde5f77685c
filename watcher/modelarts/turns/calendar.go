package turns

import "time"

// A calendar says how many slots were handed out for each span of time from now on.
type calendar struct {
	width time.Duration // of a span
	begin int64         // the first span
	taken []uint16      // by span
}

// leastRoom is how many slots a span has room for, if it is longer than a second.
const leastRoom = 4

// kept is how many spans are kept that have passed: a caller may come with a time that is a little behind.
const kept = 3

// pass forgets the spans that have passed, and all where spans are to be much longer or shorter: so many slots a second there
// are now.
func (c *calendar) pass(now time.Time, perSecond float64) {
	width := max(time.Second, duration(leastRoom/perSecond))
	if c.width == 0 || width > 2*c.width || width < c.width/2 {
		*c = calendar{width: width}
	}
	if passed := c.span(now) - c.begin - kept; passed > 0 {
		c.taken = c.taken[min(passed, int64(len(c.taken))):]
		c.begin += passed
	}
}

func (c *calendar) span(at time.Time) int64 { return at.UnixNano() / int64(c.width) }

// count returns how many slots of the span were handed out.
func (c *calendar) count(span int64) int {
	if i := span - c.begin; i >= 0 && i < int64(len(c.taken)) {
		return int(c.taken[i])
	}
	return 0
}

// room reports whether a slot of the span is free.
func (c *calendar) room(span int64, perSecond float64) bool {
	each := min(perSecond*c.width.Seconds(), maxSlots)
	return c.count(span) < max(1, int(float64(span+1)*each)-int(float64(span)*each))
}

const (
	maxSlots = 1<<16 - 2 // of a span
	maxSpans = 1 << 17   // what comes later is not counted
)

// free reports whether a slot is free now.
func (c *calendar) free(now time.Time, perSecond float64) bool { return c.room(c.span(now), perSecond) }

// first returns the first free slot that is not before the earliest.
func (c *calendar) first(earliest time.Time, perSecond float64) time.Time {
	at, _ := c.find(earliest, perSecond)
	return at
}

// take hands it out.
func (c *calendar) take(earliest time.Time, perSecond float64) time.Time {
	at, span := c.find(earliest, perSecond)
	if span-c.begin > maxSpans {
		return at
	}
	for int64(len(c.taken)) <= span-c.begin {
		c.taken = append(c.taken, 0)
	}
	c.taken[span-c.begin]++
	return at
}

func (c *calendar) find(earliest time.Time, perSecond float64) (at time.Time, span int64) {
	span = max(c.span(earliest), c.begin)
	for !c.room(span, perSecond) {
		span++
	}
	at = time.Unix(0, span*int64(c.width)).Add(duration(float64(c.count(span)) / perSecond))
	return later(earliest, at.UTC()), span
}
