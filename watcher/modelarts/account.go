package modelarts

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"golang.org/x/time/rate"

	"github.com/orderwatch/orderwatch/watcher"
)

const (
	maxRate = 10_000 // calls a second
	// slack is added to every time that is handed out, so that rounding leaves the token that is
	// waited for whole.
	slack = time.Millisecond
)

// An account says when one region may be asked by this process: no more often than its rate, and
// not at all for a while after the API throttled it.
//
// Whoever may not ask now is handed a slot: slots are one call apart, so those who were put off
// come back one by one. While somebody has a slot that is still to come, whoever has none is handed
// one behind it, so that nobody waits while others go twice.
type account struct {
	logger *slog.Logger
	rate   float64

	mu       sync.Mutex
	limiter  *rate.Limiter
	lastSlot time.Time

	backoff        *backoff.ExponentialBackOff // of holds whose length the API does not say
	throttledSince time.Time                   // zero: not throttled
	heldFrom       time.Time                   // when the last hold began
	heldUntil      time.Time
}

func newAccount(logger *slog.Logger, perSecond float64) *account {
	return &account{
		logger:  logger,
		rate:    perSecond,
		limiter: rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond))),
		backoff: backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(time.Second),
			backoff.WithMultiplier(2),
			backoff.WithMaxInterval(time.Minute),
			backoff.WithMaxElapsedTime(0), // it never gives up
		),
	}
}

// slotGrace is how late who was handed a slot may come.
const slotGrace = 10 * time.Second

// wait returns zero, and takes a token; or how long to wait, and why. turn is the slot that the
// caller was handed.
func (a *account) wait(now, turn time.Time) (time.Duration, string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Before(a.heldUntil) {
		return a.slot(now, a.heldUntil), "ModelArts throttles the account until " + a.heldUntil.UTC().Format(time.RFC3339)
	}
	queues := a.lastSlot.After(now)
	late := now.Sub(turn)
	hasTurn := late >= 0 && late < slotGrace
	if (hasTurn || !queues || a.idle(now)) && a.limiter.AllowN(now, 1) {
		return 0, ""
	}
	missing := 1 - a.limiter.TokensAt(now)
	return a.slot(now, now.Add(a.calls(missing))), fmt.Sprintf("the configured rate, %g requests a second, is used up", a.rate)
}

// idle reports whether more than one token is there, and as many as can be: slots that were handed
// out are not used, since their watches ended or went to another replica.
func (a *account) idle(now time.Time) bool {
	return a.limiter.Burst() > 1 && a.limiter.TokensAt(now) > float64(a.limiter.Burst())-0.01
}

// slot hands out the next free slot that is not before the earliest.
func (a *account) slot(now, earliest time.Time) time.Duration {
	next := a.lastSlot.Add(a.calls(1))
	if next.Before(earliest) {
		next = earliest
	}
	a.lastSlot = next
	return next.Sub(now) + slack
}

// calls returns how long n calls take at the account's rate.
func (a *account) calls(n float64) time.Duration {
	return time.Duration(n / a.rate * float64(time.Second))
}

// heard takes note of how a call ended that began at a time.
func (a *account) heard(began, now time.Time, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e, ok := errors.AsType[*APIError](err)
	switch {
	case ok && e.Class == watcher.Throttled:
		a.hold(began, now, e)
	case err == nil, ok && e.Status/100 == 4: // the API looked at it
		a.release(began, now)
	}
}

// hold stops the calls. The API or the limit that it names says for how long; where neither
// does, one second at first, and twice as long each time, up to a minute. Calls that were under way
// when the hold began say nothing new about that.
func (a *account) hold(began, now time.Time, e *APIError) {
	wait := e.RetryAfter
	if wait == 0 {
		if !began.After(a.heldFrom) {
			return
		}
		wait = a.backoff.NextBackOff()
	}
	until := now.Add(wait)
	if !until.After(a.heldUntil) {
		return
	}
	a.heldFrom, a.heldUntil = now, until
	if a.throttledSince.IsZero() {
		a.throttledSince = now
		a.logger.Warn("modelarts throttles the account", "wait", wait, "until", until, "err", e)
	}
}

// release ends the throttling, once a call that began after the hold was answered.
func (a *account) release(began, now time.Time) {
	if a.throttledSince.IsZero() || began.Before(a.heldUntil) {
		return
	}
	a.logger.Info("modelarts no longer throttles the account", "wait", now.Sub(a.throttledSince))
	a.throttledSince = time.Time{}
	a.backoff.Reset()
}
