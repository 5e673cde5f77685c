package show

import (
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher/words"
)

// clock returns a time of the day, with the date where that is not today's.
func (p Page) clock(t time.Time, zone string) string {
	if t.IsZero() {
		return "at an unknown time"
	}
	t = t.In(p.Now.Location())
	format := time.DateTime
	if t.Format(time.DateOnly) == p.Now.Format(time.DateOnly) {
		format = time.TimeOnly
	}
	return strings.TrimRight(t.Format(format+" "+zone), " ")
}

// Ago returns a time that has passed, and how long ago that is.
func (p Page) Ago(t time.Time, zone string) string {
	passed := p.Now.Sub(t)
	switch {
	case t.IsZero():
		return p.clock(t, zone)
	case passed < time.Second:
		return p.clock(t, zone) + " (just now)"
	}
	return p.clock(t, zone) + " (" + words.Brief(passed) + " ago)"
}

// in says how far ahead a time is.
func (p Page) in(t time.Time) string {
	if left := t.Sub(p.Now); left > 0 {
		return "in " + words.Brief(left)
	}
	return "passed " + words.Brief(p.Now.Sub(t)) + " ago"
}
