// Package tally sums up how the watches of an installation ended: outcomes by the day, how long orders took by region and
// actions, how soon their ends were known, and the causes for which they failed, with when each was first and last seen. The
// page shows it, and asks it whether the cause of an order is new.
//
// It promises that a completion counts once, however often the events are read; that a team is told of the watches alone
// that it sees in lists; and that its memory does not grow with the events: each team has a book of its own, of at most 90
// days, 100 kinds of orders and 500 causes. A book is mostly some 100 kB, and 20 MB at the very most. What is beyond these
// bounds is summed up, and the answers say so. Nothing is stored: a process that begins reads the
// events of ORDER_EVENTS once, and follows them from then on.
//
// What counts as one cause is what counts as one where people are told of failures alike: [message.AlikeTo]. That ModelArts
// does not know the order is one cause, whatever its error says, and a deadline that came first is two: with items that still
// went on, and without any item. How long an order took is what package watcher/history learns from: [watcher.Completion.Observations].
//
// Read the files in this order:
//
//	tally.go      which completions count, and in whose books
//	book.go       what one team's book has: days, kinds of orders, detection
//	causes.go     the causes of a book, and whether one is new
//	histogram.go  how long things took on one day, or in one hour
//	answers.go    what is asked of a tally
//	follow.go     how the events come
package tally

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
)

// A Tally sums up completions. It is safe for concurrent use. [New] makes one.
type Tally struct {
	teams   teams.Teams
	secrets *foreign.Secrets

	mu    sync.RWMutex
	once  once
	since time.Time        // when the first event was stored; zero before it
	last  time.Time        // when the newest event was stored
	books map[string]*book // by the team; the empty one is the operator's, which has all
	read  bool             // all events that were stored before it began are read
	away  error            // why the events are not followed at the moment; nil where they are
}

// New returns a tally of nothing, for teams as the workers know them. Secrets, which may be nil, do not stand in causes.
func New(t teams.Teams, secrets *foreign.Secrets) *Tally {
	return &Tally{teams: t, secrets: secrets, once: newOnce(), books: make(map[string]*book)}
}

// Apply counts a completion whose event was stored at the time, unless that was counted before.
func (t *Tally) Apply(c watcher.Completion, stored time.Time) {
	e := t.endOf(c, stored)
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.once.is(c.WatchID, stored) {
		return
	}
	if t.since.IsZero() || stored.Before(t.since) {
		t.since = stored
	}
	if stored.After(t.last) {
		t.last = stored
	}
	t.book("").take(e)
	for _, team := range t.teams.Names() {
		if t.teams.View(team).Completed(c) {
			t.book(team).take(e)
		}
	}
}

// book returns the team's book.
func (t *Tally) book(team string) *book {
	b := t.books[team]
	if b == nil {
		b = newBook()
		t.books[team] = b
	}
	return b
}

// An end is what counts of a completion.
type end struct {
	at         time.Time // when the watch ended; not after its event was stored
	completion watcher.Completion
	cause      string // equal for those that failed alike; empty where nothing failed
	said       string // the cause for people
}

// endOf returns what counts of a completion.
func (t *Tally) endOf(c watcher.Completion, stored time.Time) end {
	e := end{at: c.CompletedAt, completion: c}
	if e.at.IsZero() || e.at.After(stored) {
		e.at = stored
	}
	e.cause, e.said = t.causeOf(c)
	return e
}

// causeOf returns the cause of a completion; empty where nothing failed.
func (t *Tally) causeOf(c watcher.Completion) (cause, said string) {
	if !message.Fails(c.Outcome) && len(c.Failures) == 0 {
		return "", ""
	}
	late := c.Outcome == watcher.TimedOut
	switch unknown := c.Outcome == watcher.OrderNotFound || late && c.Error != nil && c.Error.UnknownOrder(); {
	case unknown && c.Counts.Total > 0:
		return "gone", "ModelArts does not know the order any more"
	case unknown:
		return "unknown", "ModelArts does not know the order"
	case late && c.Error == nil && c.Counts.Total == 0:
		return "empty", "The deadline came first: no item appeared"
	case late && c.Error == nil:
		return "unfinished", "The deadline came first: not all items had ended"
	}
	cause, words, _ := message.AlikeTo(c, t.secrets)
	return cause, words.Cause
}

// mostRemembered is how many completions are remembered one by one, so that each counts once. It is more than end within
// [overlap].
const mostRemembered = 1 << 14

// once knows which completions were counted: the latest one by one, all others by when they were stored.
type once struct {
	seed  maphash.Seed
	known map[uint64]struct{}
	ring  []counted // the latest, in a ring that begins at next where it is full
	next  int
}

type counted struct {
	hash   uint64 // of the watch's id
	stored time.Time
}

func newOnce() once {
	return once{seed: maphash.MakeSeed(), known: make(map[uint64]struct{})}
}

// is reports whether the completion is to be counted, and remembers it.
func (o *once) is(watchID string, stored time.Time) bool {
	hash := maphash.String(o.seed, watchID)
	if _, ok := o.known[hash]; ok {
		return false
	}
	entry := counted{hash, stored}
	if len(o.ring) < mostRemembered {
		o.ring = append(o.ring, entry)
	} else {
		oldest := o.ring[o.next]
		if stored.Before(oldest.stored) {
			return false // it was counted, and is forgotten
		}
		delete(o.known, oldest.hash)
		o.ring[o.next] = entry
		o.next = (o.next + 1) % mostRemembered
	}
	o.known[hash] = struct{}{}
	return true
}
