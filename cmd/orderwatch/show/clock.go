package show

import (
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// clock returns a time of the day, with the date where that is not today's, and the zone.
func (p Page) clock(t time.Time) string {
	if t.IsZero() {
		return "at an unknown time"
	}
	return output.Clock(t, p.Now)
}

// Ago returns a time that has passed, and how long ago that is.
func (p Page) Ago(t time.Time) string {
	passed := p.Now.Sub(t)
	switch {
	case t.IsZero():
		return p.clock(t)
	case passed < time.Second:
		return p.clock(t) + " (just now)"
	}
	return p.clock(t) + " (" + words.Brief(passed) + " ago)"
}

// in says how far ahead a time is.
func (p Page) in(t time.Time) string {
	if left := t.Sub(p.Now); left > 0 {
		return "in " + words.Brief(left)
	}
	return "passed " + words.Brief(p.Now.Sub(t)) + " ago"
}
