package notify

import (
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// postInterval is Slack's documented pace of chat.postMessage for one channel. It may let bursts
// pass, and hides them.
const postInterval = time.Second

// Delays after errors that may pass.
const (
	backoffInitial = 2 * time.Second
	backoffMax     = time.Minute
)

// A lane is the pace of one channel. It is safe for concurrent use.
type lane struct {
	mu      sync.Mutex
	last    time.Time // when the last call was to be made
	queued  time.Time // the last turn that was given away
	until   time.Time // no call before
	code    string    // of the last error; empty after a success
	shutTil time.Time // the channel's history cannot be read
	backoff *backoff.ExponentialBackOff
}

func newLane(jitter float64) *lane {
	return &lane{
		backoff: backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(backoffInitial), backoff.WithMaxInterval(backoffMax),
			backoff.WithMultiplier(2), backoff.WithRandomizationFactor(jitter), backoff.WithMaxElapsedTime(0)),
	}
}

// reserve takes the call whose turn it is where that comes within limit, and returns how long it
// takes until then. Otherwise it returns false, and turn is when to come back: everybody gets
// another, in the order in which they came.
func (l *lane) reserve(now time.Time, turn *time.Time, limit time.Duration) (time.Duration, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	free := later(now, l.last.Add(postInterval))
	if turn.IsZero() || turn.Before(now) && free.Sub(now) > limit { // none, or a missed one
		*turn = later(now, l.queued.Add(postInterval))
		l.queued = *turn
	}
	at := later(free, *turn)
	wait := at.Sub(now)
	if wait > limit {
		return wait, false
	}
	l.last, *turn = at, time.Time{}
	return wait, true
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
	}
	if until := now.Add(delay); until.After(l.until) {
		l.until = until
	}
	changed := l.code != code
	l.code = code
	return delay, changed
}

// shut notes that the channel's history cannot be read for a while.
func (l *lane) shut(until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shutTil = until
}

// blind reports whether the channel's history cannot be read.
func (l *lane) blind(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return now.Before(l.shutTil)
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
