package outbox

import (
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// A lane is what this process knows of when it may call a channel. It is safe for concurrent use.
type lane struct {
	every   time.Duration // between two calls
	longest time.Duration // of the delays after errors
	mu      sync.Mutex
	last    time.Time // when the last call was to be made
	queue   queue
	until   time.Time // no call before
	code    string    // of the last error; empty after a success
	blindTo time.Time // the channel's history is not read before
	backoff *backoff.ExponentialBackOff
}

func newLane(timing Timing, jitter float64) *lane {
	return &lane{
		every: timing.Post, longest: timing.BackoffMax,
		queue: queue{grace: timing.Stale, waiters: make(map[string]waiter)},
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
	l.queue.last = last
	free := later(now, l.last.Add(l.every))
	ahead := l.queue.ahead(its, free, l.every, now)
	wait := free.Sub(now) + time.Duration(ahead)*l.every
	if ahead > 0 || wait > limit {
		return max(l.every, wait/2), false // at half of the time: others may have gone by then
	}
	l.last = free
	l.queue.leave(its)
	return wait, true
}

// wait notes that a message waits for a call, and comes back then.
func (l *lane) wait(its turn, back time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue.wait(its, back)
}

// leave notes that a message waits for no call.
func (l *lane) leave(its turn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue.leave(its)
}

// waiting returns how many messages wait, as far as this process has seen them.
func (l *lane) waiting(now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.queue.length(now)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
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

// works reports whether the last call did not fail. What waits while it does is told together only when
// Slack is back: then it is one digest.
func (l *lane) works() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.code == ""
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
