package tally

import (
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
)

// Bounds of the causes of a book.
const (
	mostCauses   = 500
	mostText     = 400 // of a cause's text, in bytes
	keptEnds     = 4   // of a cause, the latest
	keptNameSize = 256 // of a name, in bytes
)

// A digest stands for a cause, which is bounded by nothing.
type digest [16]byte

func digestOf(cause string) (d digest) {
	sum := sha256.Sum256([]byte(cause))
	copy(d[:], sum[:])
	return d
}

// A cause is what one book knows of a cause.
type cause struct {
	text    string
	outcome watcher.Outcome // of the latest
	count   int
	first   Occurrence
	latest  []Occurrence // at most keptEnds, newest first
}

// An Occurrence is a watch that failed for a cause. Its zero value is none.
type Occurrence struct {
	At        time.Time
	WatchID   string
	ProjectID string
	OrderName string
}

// dropped are causes for which there is no room any more: those that were not seen for the longest time.
type dropped struct {
	causes, count int
	last          time.Time // when the latest of them was seen
}

// fail counts the end for its cause.
func (b *book) fail(e end) {
	key := digestOf(e.cause)
	c := b.causes[key]
	if c == nil {
		c = &cause{text: strings.Clone(foreign.Cut(e.said, mostText))}
		b.causes[key] = c
	}
	o := occurrence(e)
	c.count++
	if c.first.At.IsZero() || o.At.Before(c.first.At) {
		c.first = o
	}
	at, _ := slices.BinarySearchFunc(c.latest, o, func(a, b Occurrence) int { return b.At.Compare(a.At) })
	c.latest = slices.Insert(c.latest, at, o)
	if at == 0 {
		c.outcome = e.completion.Outcome
	}
	c.latest = slices.Delete(c.latest, min(keptEnds, len(c.latest)), len(c.latest))
	if len(b.causes) > mostCauses {
		b.drop()
	}
}

func occurrence(e end) Occurrence {
	kept := func(name string) string { return strings.Clone(foreign.Cut(name, keptNameSize)) }
	c := e.completion
	return Occurrence{e.at.UTC(), kept(c.WatchID), kept(c.ProjectID), kept(c.OrderName)}
}

// drop lets go of the cause that was not seen for the longest time.
func (b *book) drop() {
	var oldest digest
	var c *cause
	for key, other := range b.causes {
		if c == nil || other.latest[0].At.Before(c.latest[0].At) {
			oldest, c = key, other
		}
	}
	b.dropped.causes++
	b.dropped.count += c.count
	if at := c.latest[0].At; at.After(b.dropped.last) {
		b.dropped.last = at
	}
	delete(b.causes, oldest)
}

// A Seen is what is known of the cause for which one watch failed, or goes on with items that failed.
type Seen struct {
	New    bool       // no other watch failed for it before
	Count  int        // watches that failed for it and have ended: this one, too, and those after it
	Before int        // watches that failed for it before this one; 0 with New false: some, that are not told apart any more
	First  Occurrence // the first watch that failed for it
	Last   Occurrence // the last one before this one; zero where that is not told apart any more
	Since  time.Time  // from when on it is known which causes there were
}

// seen returns what the book knows of a cause of the watch.
func (b *book) seen(key string, watch watcher.Completion, since time.Time) Seen {
	s := Seen{Since: since, New: true}
	if b == nil {
		return s
	}
	if b.dropped.last.After(since) {
		s.Since = b.dropped.last
	}
	c := b.causes[digestOf(key)]
	if c == nil {
		return s
	}
	before := func(o Occurrence) bool {
		return o.WatchID != watch.WatchID && (watch.CompletedAt.IsZero() || o.At.Before(watch.CompletedAt))
	}
	s.First, s.New, s.Count = c.first, !before(c.first), c.count
	for i, o := range c.latest {
		if before(o) {
			s.Last, s.Before = o, c.count-i
			break
		}
	}
	return s
}
