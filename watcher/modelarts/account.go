package modelarts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/answer"
	"github.com/orderwatch/orderwatch/watcher/modelarts/login"
)

const (
	maxRate = 10_000 // calls a second
	// slack is added to every time that is handed out, so that rounding leaves the token that is
	// waited for whole.
	slack = time.Millisecond
	// burst is how many calls may come at once, in seconds of the rate: enough for wake-ups, which
	// come every 250 ms, and little enough to keep within a tenth of the rate over 5 s.
	burst = 0.4
)

// An account is one login in one region. It says when it may be asked by this worker: no more often
// than the worker's share of its rate, and not at all while it is held.
//
// A watch that may not ask now is handed a slot. Slots are one call apart, so the watches come back one by one.
// While a slot is still to come, a watch without one is handed a later one, so that no watch waits while another
// goes twice. A watch may come in its turn and find no token, since turns of other workers were used here: it goes
// before all watches without a slot.
type account struct {
	logger *slog.Logger
	rate   float64
	shared watcher.Accounts
	timing Timing
	holds  holds

	mu        sync.Mutex
	workers   int // among which the rate is shared
	limiter   *rate.Limiter
	lastSlot  time.Time
	lastFront time.Time // the last slot of those who had a turn
	lastHeld  time.Time // the last slot after the account's hold

	locks  bool      // the login is a key, which wrong calls lock
	proven bool      // the login was accepted
	trials int       // calls under way, each of which may show that
	trying time.Time // until when no further one is made
}

func newAccount(logger *slog.Logger, key, region string, c Config) *account {
	a := &account{
		logger: logger, rate: c.Rate, shared: c.Accounts, timing: c.Timing, workers: c.Accounts.Workers(), locks: login.Locks(c.Credential),
		holds: holds{logger: logger, account: key, region: region, shared: c.Accounts, timing: c.Timing, patience: 2*c.Timeout + c.Timing.ProbeGrace, now: c.Now},
	}
	a.limiter = rate.NewLimiter(rate.Limit(a.perSecond()), a.burst())
	return a
}

// wait says whether a call about the project may be made now; then it has taken a token. turn.At is
// the slot that the caller was handed.
func (a *account) wait(ctx context.Context, project string, now time.Time, turn watcher.Turn) watcher.Leave {
	stands, probes := a.holds.look(ctx, project, now)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.share(now)
	switch {
	case stands.why == "":
	case stands.account: // one by one, so that they come back so
		return watcher.Leave{After: a.next(&a.lastHeld, now, stands.until), Why: stands.why, Held: stands.kind, Code: stands.code, Said: stands.said}
	default:
		return watcher.Leave{After: stands.until.Sub(now) + slack, Why: stands.why, Held: stands.kind, Code: stands.code, Said: stands.said}
	}
	if !a.proven && !probes && a.trials > 0 && now.Before(a.trying) {
		return watcher.Leave{After: a.next(&a.lastSlot, now, now.Add(a.timing.LoginPause)), Why: "the login is being tried with one call"}
	}
	queues := a.lastSlot.After(now)
	late := now.Sub(turn.At)
	hasTurn := probes || late >= 0 && late < a.timing.SlotGrace
	if (hasTurn || !queues || a.idle(now)) && a.limiter.AllowN(now, 1) || probes {
		if !a.proven {
			a.try(now)
		}
		return watcher.Leave{}
	}
	missing := now.Add(a.calls(1 - a.limiter.TokensAt(now)))
	why := fmt.Sprintf("the configured rate, %g requests a second over %d workers, is used up", a.rate, a.workers)
	if hasTurn {
		return watcher.Leave{After: a.next(&a.lastFront, now, missing), Why: why}
	}
	return watcher.Leave{After: a.next(&a.lastSlot, now, missing), Why: why}
}

// A login of which nothing is known is tried with one call. An order that is never answered must not
// keep the others waiting until its call ends: after trialPause another one may try, and so on; once
// fewTrials are under way, over all workers, after a longer pause. A key is tried by no more calls at once
// than may be wrong: more than five wrong ones lock it. Tokens are not locked.
const (
	trialPause     = 250 * time.Millisecond
	longTrialPause = 2 * time.Second
	fewTrials      = 4
	keyTrials      = 5 // of all workers
)

// try notes a call that may show that the login is accepted.
func (a *account) try(now time.Time) {
	a.trials++
	pause := trialPause
	switch {
	case a.allTried():
		pause = a.holds.patience // until one of them ends
	case a.trials >= fewTrials/a.workers:
		pause = longTrialPause
	}
	a.trying = now.Add(pause)
}

// allTried reports whether as many trials are under way as may be wrong.
func (a *account) allTried() bool { return a.locks && a.trials >= max(1, keyTrials/a.workers) }

func (a *account) share(now time.Time) {
	workers := a.shared.Workers()
	if workers == a.workers {
		return
	}
	a.workers = workers
	a.limiter.SetBurstAt(now, a.burst())
	a.limiter.SetLimitAt(now, rate.Limit(a.perSecond()))
}

func (a *account) perSecond() float64 { return a.rate / float64(a.workers) }

func (a *account) burst() int { return max(1, int(a.perSecond()*burst)) }

// idle reports whether more than one token is there, and as many as can be: slots that were handed
// out are not used, since their watches ended or went to another worker.
func (a *account) idle(now time.Time) bool {
	return a.limiter.Burst() > 1 && a.limiter.TokensAt(now) > float64(a.limiter.Burst())-0.01
}

// next hands out the free slot after the last one that is not before the earliest.
func (a *account) next(last *time.Time, now, earliest time.Time) time.Duration {
	next := last.Add(a.calls(1))
	if next.Before(earliest) {
		next = earliest
	}
	*last = next
	return next.Sub(now) + slack
}

// calls returns how long n calls take at the worker's share of the rate.
func (a *account) calls(n float64) time.Duration {
	return time.Duration(n / a.perSecond() * float64(time.Second))
}

// heard takes note of how a call ended. It may add to the error.
func (a *account) heard(ctx context.Context, c call, err error) {
	if asAPIError(err).TakesLogin() {
		a.mu.Lock()
		a.proven = true
		a.mu.Unlock()
	}
	b := a.holds.heard(ctx, c, err)
	e, _ := errors.AsType[*answer.Error](err)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.trials = max(0, a.trials-1) // not before the hold stands that follows from a wrong login
	if !a.allTried() {
		a.trying = earlier(a.trying, c.ended.Add(trialPause))
	}
	switch {
	case b == answer.Answers:
		a.proven, a.lastHeld = true, time.Time{}
	case e != nil && e.Held == watcher.HeldLogin:
		a.proven = false
	}
}

// spend takes a token, if there is one, for a call that is made in any case.
func (a *account) spend(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.limiter.AllowN(now, 1)
}
