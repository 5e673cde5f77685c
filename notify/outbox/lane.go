package outbox

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// A lane is what this process knows of when it may call a channel. It is safe for concurrent use.
type lane struct {
	every   time.Duration // between two calls
	longest time.Duration // of the delays after errors
	mu      sync.Mutex
	last    time.Time         // when the last call was to be made
	waiters map[string]waiter // by who waits: not the messages themselves, which come again when their delays are over, to this worker or another
	grace   time.Duration     // a waiter that is so late has gone elsewhere
	until   time.Time         // no call before
	code    string            // of the last error; empty after a success
	blindTo time.Time         // the channel's history is not read before
	backoff *backoff.ExponentialBackOff
}

func newLane(timing Timing, jitter float64) *lane {
	return &lane{
		every: timing.Post, longest: timing.BackoffMax,
		grace: timing.Stale, waiters: make(map[string]waiter),
		backoff: backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(timing.BackoffInitial), backoff.WithMaxInterval(timing.BackoffMax),
			backoff.WithMultiplier(2), backoff.WithRandomizationFactor(jitter), backoff.WithMaxElapsedTime(0)),
	}
}

// reserve takes the next call where that comes within limit, and nobody waits for it whose turn is
// between the last that was taken and this one. It returns how long it takes until then; otherwise
// false, and when to come back.
func (l *lane) reserve(its, last turn, now time.Time, limit time.Duration) (time.Duration, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	free := now.Add(max(0, l.last.Add(l.every).Sub(now)))
	ahead := l.ahead(its, last, free, now)
	wait := free.Sub(now) + time.Duration(ahead)*l.every
	if ahead > 0 || wait > limit {
		return max(l.every, wait/2), false // at half of the time: others may have gone by then
	}
	l.last = free
	delete(l.waiters, its.Who)
	return wait, true
}

// wait notes that a message waits for a call, and comes back then.
func (l *lane) wait(its turn, back time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiters[its.Who] = waiter{its, back}
}

// leave notes that a message waits for no call.
func (l *lane) leave(its turn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.waiters, its.Who)
}

// storms reports whether many messages wait, as far as this process, one of the workers, has seen them, and the
// last call did not fail. What waits while it does is told together only when Slack is back: then it is one digest.
func (l *lane) storms(now time.Time, workers int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep(now)
	return l.code == "" && len(l.waiters)*min(workers, 2) > stormWaiting
}

// paused returns how long no call may be made.
func (l *lane) paused(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until.Sub(now)
}

// fail stops calls for delay, or for the backoff's next interval where delay is 0. It returns how
// long that is, and whether the error is another than the last.
func (l *lane) fail(now time.Time, delay time.Duration, code string) (time.Duration, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if delay == 0 {
		delay = l.backoff.NextBackOff()
		if delay > l.longest*3/4 { // all workers try at the same time then, and so what waits comes back together, in order
			delay = now.Add(l.longest).Truncate(l.longest).Sub(now)
		}
	}
	if until := now.Add(delay); until.After(l.until) {
		l.until = until
	}
	changed := l.code != code
	l.code = code
	return delay, changed
}

// noHistory notes that the channel's history cannot be read, and is not tried before then.
func (l *lane) noHistory(until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.blindTo = until
}

// blind reports whether the channel's history cannot be read.
func (l *lane) blind(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return now.Before(l.blindTo)
}

// succeed starts the backoff anew, and reports whether the last call failed.
func (l *lane) succeed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.backoff.Reset()
	failed := l.code != ""
	l.code = ""
	return failed
}

// A turn is a message's place in a channel's order.
type turn struct {
	Then time.Time `json:"then"` // when what it tells of happened
	Who  string    `json:"who"`  // the watch or the outage that it tells of
}

// before reports whether the turn comes before the other.
func (t turn) before(other turn) bool {
	return t.Then.Before(other.Then) || t.Then.Equal(other.Then) && t.Who < other.Who
}

// A waiter is a message that waits.
type waiter struct {
	its  turn
	back time.Time // when it comes again
}

// ahead returns how many that have earlier turns are back in time for the calls before its own, which are
// every so long from the free one on. The last turn that any worker took says which messages wait no more: a
// message whose turn was not after it, and that does not come back in time, was told by another worker.
func (l *lane) ahead(its, last turn, free, now time.Time) (n int) {
	l.sweep(now)
	var backs []time.Time
	for _, w := range l.waiters {
		passed := !last.before(w.its) && now.Sub(w.back) > 2*l.every
		if w.its.before(its) && !passed {
			backs = append(backs, w.back)
		}
	}
	slices.SortFunc(backs, time.Time.Compare)
	for _, back := range backs {
		if !back.After(free.Add(time.Duration(n) * l.every)) {
			n++
		}
	}
	return n
}

// sweep forgets those that have gone elsewhere.
func (l *lane) sweep(now time.Time) {
	maps.DeleteFunc(l.waiters, func(_ string, w waiter) bool { return now.Sub(w.back) > l.grace })
}
