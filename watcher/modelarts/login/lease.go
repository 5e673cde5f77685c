package login

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/answer"
)

// A lease is a proof that ends. It is taken at its first use, and taken anew before it ends, by one
// caller at a time; the others go on with the old one. After a failure it is left alone for a while.
type lease[T comparable] struct {
	logger *slog.Logger
	now    func() time.Time
	early  time.Duration // it is renewed so long before its end,
	part   int           // but not before one part of so many of its life is left
	take   func(context.Context) (T, time.Time, error)
	turn   chan struct{} // holds one for the caller who takes it

	mu          sync.Mutex
	proof       T
	ends        time.Time // zero: there is none
	renews      time.Time
	failed      error // of the last try; nil after one that went well
	failedUntil time.Time
	dropped     time.Time // when the API last took it for dead
}

// Bounds of a lease.
const (
	// unknownLife is how long a proof is used that has ended already when it comes, or does not say
	// when: nobody hands out what is dead, so it is this process's clock that is wrong.
	unknownLife = 10 * time.Minute
	// dropPause is how soon after another a proof can be dropped: where a new one did not help, one
	// more will not.
	dropPause = time.Minute
	// Between two tries to renew a proof that is still valid, and one that is not.
	renewPause, maxRenewPause = time.Second, time.Minute
)

func newLease[T comparable](logger *slog.Logger, now func() time.Time, early time.Duration, part int, take func(context.Context) (T, time.Time, error)) *lease[T] {
	return &lease[T]{logger: logger, now: now, early: early, part: part, take: take, turn: make(chan struct{}, 1)}
}

func (l *lease[T]) get(ctx context.Context) (T, error) {
	proof, left, due := l.look()
	if left > 0 {
		if due {
			proof = l.renew(ctx, proof)
		}
		return proof, nil
	}
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return proof, ctx.Err()
	}
	if proof, left, _ = l.look(); left > 0 {
		return proof, nil // another caller has taken it
	}
	if err := l.denied(); err != nil {
		return proof, err
	}
	return l.try(ctx)
}

// look returns the proof, how long it is valid, and whether it should be renewed now.
func (l *lease[T]) look() (proof T, left time.Duration, due bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	return l.proof, l.ends.Sub(now), !now.Before(l.renews) && !now.Before(l.failedUntil)
}

// renew returns a new proof; the old one, which is still valid, if another caller is at it already,
// or it fails. It takes at most half the time that the caller has.
func (l *lease[T]) renew(ctx context.Context, old T) T {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	default:
		return old
	}
	if proof, left, due := l.look(); left > 0 && !due {
		return proof // another caller was quicker
	}
	if deadline, ok := ctx.Deadline(); ok {
		half, cancel := context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
		ctx = half
	}
	proof, err := l.try(ctx)
	if err != nil {
		return old
	}
	return proof
}

// denied returns the last failure while the lease is left alone.
func (l *lease[T]) denied() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.now(); l.failed != nil && now.Before(l.failedUntil) {
		return withRetryAfter(l.failed, l.failedUntil.Sub(now))
	}
	return nil
}

// try takes a proof and keeps what came of it.
func (l *lease[T]) try(ctx context.Context) (T, error) {
	proof, ends, err := l.take(ctx)
	if errors.Is(ctx.Err(), context.Canceled) {
		return proof, ctx.Err() // the caller does not want it any more: that says nothing
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if err != nil {
		l.fail(now, err)
		return proof, err
	}
	if !ends.After(now) {
		ends = now.Add(unknownLife)
	}
	if l.failed != nil {
		l.logger.Info("modelarts login works again")
	}
	l.proof, l.ends, l.failed, l.failedUntil = proof, ends, nil, time.Time{}
	l.renews = ends.Add(-min(l.early, ends.Sub(now)/time.Duration(l.part)))
	return proof, nil
}

// fail says when the next try may be. What the account's owner must mend is told once.
func (l *lease[T]) fail(now time.Time, err error) {
	pause := renewPause
	if left := l.ends.Sub(now); left > 0 {
		pause = min(max(left/10, pause), maxRenewPause)
		if l.failed == nil {
			l.logger.Warn("modelarts login cannot be renewed: the old one is used until it ends", "until", l.ends, "err", err)
		}
	}
	if e, ok := errors.AsType[*watcher.PollError](err); ok {
		pause = max(pause, e.RetryAfter)
		if e.Class == watcher.Forbidden {
			pause = max(pause, maxRenewPause)
		}
	}
	l.failed, l.failedUntil = err, now.Add(pause)
}

// drop forgets the proof if it is this one, and reports whether a new try makes sense.
func (l *lease[T]) drop(proof T) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	switch {
	case now.Before(l.failedUntil):
		return false
	case l.proof != proof:
		return true // another caller has dropped it
	case !l.dropped.IsZero() && now.Sub(l.dropped) < dropPause && now.Before(l.renews):
		return false
	}
	var none T
	l.proof, l.ends, l.dropped = none, time.Time{}, now
	return true
}

// idle reports whether nothing would be lost with the lease.
func (l *lease[T]) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	return !l.ends.After(now) && !l.failedUntil.After(now)
}

// withRetryAfter returns the error with another time in it.
func withRetryAfter(err error, wait time.Duration) error {
	e, ok := errors.AsType[*answer.Error](err)
	if !ok {
		return err
	}
	again := *e
	again.RetryAfter = wait
	return &again
}
