package modelarts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/answer"
	"github.com/orderwatch/orderwatch/watcher/modelarts/login"
	"github.com/orderwatch/orderwatch/watcher/modelarts/turns"
)

const maxRate = 10_000 // calls a second

// An account is one login in one region. It says when it may be asked by this worker: in its turn, as package turns
// decides, and not at all while it is held.
type account struct {
	logger *slog.Logger
	rate   float64
	region string
	shared watcher.Accounts
	timing Timing
	holds  holds

	mu    sync.Mutex
	turns *turns.Turns
	load  load

	locks  bool      // the login is a key, which wrong calls lock
	proven bool      // the login was accepted
	trials int       // calls under way, each of which may show that
	trying time.Time // until when no further one is made
}

func newAccount(logger *slog.Logger, key, region string, c Config) *account {
	return &account{
		logger: logger, rate: c.Rate, region: region, shared: c.Accounts, timing: c.Timing, locks: login.Locks(c.Credential),
		holds: holds{logger: logger, account: key, region: region, shared: c.Accounts, timing: c.Timing, patience: 2*c.Timeout + c.Timing.ProbeGrace, now: c.Now},
		turns: turns.New(c.Rate, c.Accounts.Workers(), c.Timing.SlotGrace),
	}
}

// wait says whether a call about the project may be made now; then it has taken a token.
func (a *account) wait(ctx context.Context, project string, now time.Time, turn watcher.Turn) watcher.Leave {
	stands, probes := a.holds.look(ctx, project, now)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.share(now)
	switch {
	case stands.why == "":
	case stands.account: // one by one, so that they come back so
		return stands.leave(a.turns.Held(now, stands.until))
	default:
		return stands.leave(stands.until.Sub(now) + slack)
	}
	if !a.proven && !probes && a.trials > 0 && now.Before(a.trying) {
		return watcher.Leave{After: a.turns.Later(now, now.Add(a.timing.LoginPause), turn.Urgency), Why: "the login is being tried with one call"}
	}
	if probes {
		a.turns.Spend(now)
	} else if !turn.Taken {
		if turn.At.IsZero() {
			a.load.add(now, 1)
		}
		switch after, takes := a.turns.Ask(now, turn); {
		case !takes:
			if !turn.Wanted.IsZero() {
				a.load.putOff(now, now.Add(after).Sub(turn.Wanted), turn.Urgency)
				a.note(now)
			}
			return a.full(after)
		case after > 0:
			return watcher.Leave{Soon: after}
		}
	}
	if !a.proven {
		a.try(now)
	}
	return watcher.Leave{}
}

// book says when a caller is to come who wants to make a call then.
func (a *account) book(now time.Time, turn watcher.Turn) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.share(now)
	slot := a.turns.Book(now, turn.At, turn.Urgency)
	a.load.booked(now, turn.At, slot, turn.Urgency)
	a.note(now)
	return slot
}

// waitList says whether the project's list may be asked now; then it has taken a token. A list shows neither whether a
// login is accepted nor whether a hold is over: it waits until a poll has shown it.
func (a *account) waitList(project string, now time.Time) watcher.Leave {
	stands, over := a.holds.standings(project, now)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.share(now)
	switch {
	case stands.why != "":
		return stands.leave(stands.until.Sub(now) + slack)
	case len(over) > 0:
		return watcher.Leave{After: a.timing.ProbePause, Why: "a poll is to show whether the account is still held"}
	case !a.proven:
		return watcher.Leave{After: a.timing.LoginPause, Why: "a poll is to show whether the login is accepted"}
	}
	if after := a.turns.List(now); after > 0 {
		return a.full(after)
	}
	return watcher.Leave{}
}

// full says that the account may be asked again only after so long.
func (a *account) full(after time.Duration) watcher.Leave {
	return watcher.Leave{After: after, Full: true, Why: fmt.Sprintf("the configured rate, %g requests a second over %d workers, is used up", a.rate, a.turns.Workers())}
}

// slack is added to the time that a hold takes, so that rounding does not bring anybody back before its end.
const slack = time.Millisecond

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
	case a.trials >= fewTrials/a.turns.Workers():
		pause = longTrialPause
	}
	a.trying = now.Add(pause)
}

// allTried reports whether as many trials are under way as may be wrong.
func (a *account) allTried() bool { return a.locks && a.trials >= max(1, keyTrials/a.turns.Workers()) }

func (a *account) share(now time.Time) {
	a.turns.Share(now, a.shared.Workers(), a.shared.Reserved(a.region))
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
		a.proven = true
		a.turns.Released()
	case e != nil && e.Held == watcher.HeldLogin:
		a.proven = false
	}
}

// spend takes a token, if there is one, for a call that is made in any case.
func (a *account) spend(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.turns.Spend(now)
}
