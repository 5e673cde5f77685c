package watcher_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// A history is what the checker of a model knows: what was asked, what was answered, what was
// stored.
type history struct {
	sent      []string                  // ids of requests, in the order in which they were stored
	given     []given                   // the cloud's answers
	polledNow []uint64                  // numbers of wake-ups that somebody made due
	troubles  int                       // what went wrong until now
	counted   int                       // polls that led to a version of the record
	looked    int                       // versions of the record that were looked at
	carried   map[string]int            // polls that a watch has of the one that it follows
	promised  map[string][]watcher.Wish // cancels that were answered, by the watch
	patrolled time.Time
	judge     *judge // of the watch at hand, where the cloud is wild
	wrong     []string
}

type given struct {
	at time.Time
	watcher.Answer
	err error
}

// longest is how long after the last fault, or the last request, something may still be open: a
// wake-up that was lost at the last moment, an order that goes on.
const longest = 20 * time.Minute

func (m *model) blame(format string, args ...any) {
	m.wrong = append(m.wrong, fmt.Sprintf(format, args...))
	m.tell("WRONG: "+format, args...)
}

// acknowledged holds that what follows from a delivery was stored before it was acknowledged.
func (m *model) acknowledged(d *delivery, v watcher.Verdict) {
	switch {
	case v.Action == watcher.Refuse:
		m.blame("%s: refused: %v", d.name(), v.Err)
	case d.request != "" && !m.follows(d.request):
		m.blame("%s: acknowledged, and no record names it, or no wake-up of its watch was stored", d.name())
	case d.request == "" && !m.succeeded(d.wakeup):
		m.blame("%s: acknowledged, and neither is a later wake-up stored nor has the watch ended", d.name())
	}
}

// follows reports whether a record names the request, and, where the request started the watch, a
// wake-up of it was stored.
func (m *model) follows(id string) bool {
	versions := m.records[poolKey]
	for v := range versions {
		w := &versions[v].watch
		for i, r := range named(w) {
			if identity(r) == id {
				return i > 0 || w.State != watcher.Watching || slices.ContainsFunc(m.scheduled, func(k watcher.Wakeup) bool { return k.WatchID == w.ID })
			}
		}
	}
	return false
}

// named returns the requests of the record, also those that go on in the watch that follows.
func named(w *watcher.Watch) []watcher.Request {
	if w.Completion != nil {
		return slices.Concat(w.Completion.Requests, w.Requests)
	}
	return w.Requests
}

// plain returns the id that a request had when it was sent.
func plain(id string) string {
	id, _, _ = strings.Cut(id, "#")
	return id
}

// identity returns the identity that a request had when it was sent.
func identity(r watcher.Request) string {
	r.ID = plain(r.ID)
	return r.Identity()
}

// succeeded reports whether a successor of the wake-up was stored, or, after one more hint, the same for later.
func (m *model) succeeded(k watcher.Wakeup) bool {
	if waits := m.waiting[poolKey]; k.Hint != nil && waits.Number == k.Number && waits.At.After(k.At) {
		return true
	}
	stored := false // k itself
	for _, other := range m.scheduled {
		stored = stored || other == k
		if other.Number > k.Number || k.Revision != 0 && other.LaterThan(k) || stored && k.Hint != nil && other.Number == k.Number && other.At.After(k.At) {
			return true
		}
	}
	versions := m.records[poolKey]
	for v := range versions {
		if w := &versions[v].watch; w.ID == k.WatchID && w.State == watcher.Ended {
			return true
		}
	}
	return false
}

// look holds what is true of each version of the record and the one before it.
func (m *model) look() {
	versions := m.story
	for ; m.looked < len(versions); m.looked++ {
		w := versions[m.looked].watch
		if m.traces {
			m.tell("record %d: %s %s, %d requests, wake-up %d in %s, %d polls, wish %t", versions[m.looked].revision, w.ID, w.State, len(named(&w)), w.Wakeup, w.NextPollAt.Sub(m.now), w.Polls, w.Wish != nil)
		}
		var before watcher.Watch
		if m.looked > 0 {
			before = versions[m.looked-1].watch
			m.lookAt(before, w)
		}
		if m.polled(before, w) && (w.Polls > before.Polls || w.Wakeup > before.Wakeup) {
			m.counted++
		}
		m.judgeAt(before, w)
		m.hintsAt(before, w)
		m.termsAt(before, w)
		m.conditionsAt(before, w)
	}
	m.hear()
}

// polled reports whether a poll by the worker at hand led from the one version to the other: others write the polls that
// wake-ups tell of.
func (m *model) polled(before, w watcher.Watch) bool {
	made := w.Wakeup > before.Wakeup || before.State == watcher.Watching && w.State == watcher.Ending || !w.LastPollAt.Equal(before.LastPollAt)
	return made && !m.at.given.at.IsZero() && w.State != watcher.Ended && !followed(before, w)
}

// again reports whether the worker at hand was given a wake-up whose poll had been made, and had left the record unwritten.
func (m *model) again(before watcher.Watch) bool {
	k := m.at.wakeup
	written := m.story[slices.IndexFunc(m.story, func(v version) bool { return v.watch.Wakeup == before.Wakeup })].watch
	another := k.Polls > 0 && k.Polls == before.Polls && !k.At.Equal(before.NextPollAt)
	joined := k.Revision < m.story[m.looked-1].revision // since it was published
	return k.Number == before.Wakeup && (another || joined || max(k.Polls, written.Polls) < before.Polls)
}

func (m *model) lookAt(before, w watcher.Watch) {
	switch {
	case before.ID != w.ID && before.State != watcher.Ended && !followed(before, w):
		m.blame("%s took the place of %s, which is %s", w.ID, before.ID, before.State)
	case before.ID == w.ID && before.State != w.State && before.State != previous[w.State]:
		m.blame("%s is %s after %s", w.ID, w.State, before.State)
	case w.Wakeup < before.Wakeup:
		m.blame("wake-up %d is followed by %d", before.Wakeup, w.Wakeup)
	case before.ID == w.ID && m.polled(before, w) && before.Wish == nil && m.now.Before(before.NextPollAt) && !slices.Contains(m.polledNow, before.Wakeup) && !m.again(before):
		m.blame("poll %d of %s was made %s too early", w.Polls, w.ID, before.NextPollAt.Sub(m.now))
	case w.State == watcher.Watching && w.Wish != nil && m.polled(before, w) && m.now.Before(w.NextPollAt):
		m.blame("%s is cancelled, and waits for %s", w.ID, w.NextPollAt.Sub(m.now))
	}
}

var previous = map[watcher.State]watcher.State{watcher.Ending: watcher.Watching, watcher.Ended: watcher.Ending}

// atTheEnd holds what is true once nothing is left to do.
func (m *model) atTheEnd() {
	counts, watches := make(map[string]int), make(map[string]int)
	for _, c := range m.completions {
		watches[c.WatchID]++
		if watches[c.WatchID] > 1 {
			m.blame("%s has %d completions", c.WatchID, watches[c.WatchID])
		}
		for _, r := range c.Requests {
			counts[identity(r)]++
		}
		m.punctual(c.Completion)
		if !m.truthful(c.Completion) {
			m.blame("%s: %s (%s): the cloud never said so", c.WatchID, c.Outcome, c.Reason)
		}
	}
	for _, id := range m.sent {
		if counts[id] != 1 {
			m.blame("request %s is named in %d completions", id, counts[id])
		}
	}
	if w, _, _ := m.latest(); w.State != watcher.Ended {
		m.blame("the record is %q", w.State)
	}
	m.heardOnce()
	if m.shown > m.counted+2*m.troubles {
		m.blame("asked %d times for %d polls and %d troubles", m.shown, m.counted, m.troubles)
	}
}

// truthful reports whether the completion says what the cloud said, or a person, or the clock.
func (m *model) truthful(c watcher.Completion) bool {
	if m.wild { // judged when it was fixed
		return c.Outcome != watcher.TimedOut || m.late(c)
	}
	seen := len(c.Items) == 0 || slices.ContainsFunc(m.given, func(g given) bool {
		return slices.Equal(g.Items, c.Items)
	})
	ended := len(c.Items) > 0 && !slices.ContainsFunc(c.Items, func(it watcher.Item) bool { return !it.Status.Ended() })
	switch c.Outcome {
	case watcher.Succeeded, watcher.PartiallyFailed:
		return seen && ended
	case watcher.TimedOut:
		return seen && m.late(c)
	case watcher.Cancelled:
		return seen && slices.ContainsFunc(m.records[poolKey], func(v version) bool { return v.watch.ID == c.WatchID && v.watch.Wish != nil })
	}
	return false
}

// late reports whether the deadline of each request had passed.
func (m *model) late(c watcher.Completion) bool {
	return !slices.ContainsFunc(c.Requests, func(r watcher.Request) bool {
		return c.CompletedAt.Before(m.deadline(r).Truncate(time.Millisecond))
	})
}
