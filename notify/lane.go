package notify

import (
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"golang.org/x/time/rate"
)

// postsPerSecond is Slack's documented pace of chat.postMessage for one channel. It may let bursts
// pass, and hides them.
const postsPerSecond = 1

// Delays after errors that may pass.
const (
	backoffInitial = 2 * time.Second
	backoffMax     = time.Minute
)

// A lane is the pace of one channel. It is safe for concurrent use.
type lane struct {
	limiter *rate.Limiter

	mu      sync.Mutex
	until   time.Time // no call before
	code    string    // of the last error; empty after a success
	backoff *backoff.ExponentialBackOff
}

func newLane(jitter float64) *lane {
	return &lane{
		limiter: rate.NewLimiter(postsPerSecond, 1),
		backoff: backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(backoffInitial), backoff.WithMaxInterval(backoffMax),
			backoff.WithMultiplier(2), backoff.WithRandomizationFactor(jitter), backoff.WithMaxElapsedTime(0)),
	}
}

// reserve takes the next turn where it comes within limit, and returns how long it takes until
// then. Otherwise it takes none and returns false.
func (l *lane) reserve(now time.Time, limit time.Duration) (time.Duration, bool) {
	r := l.limiter.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait > limit {
		r.CancelAt(now)
		return wait, false
	}
	return wait, true
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

// succeed starts the backoff anew, and reports whether the last call failed.
func (l *lane) succeed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.backoff.Reset()
	failed := l.code != ""
	l.code = ""
	return failed
}
