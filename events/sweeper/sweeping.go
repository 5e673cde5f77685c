package sweeper

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/sweep"
)

// A sweeping sweeps one place as long as this worker has its lease. It is one goroutine's, but for its calls, hints and shown.
type sweeping struct {
	*Sweeper
	log   *slog.Logger
	place store.Place
	state *sweep.State
	hints hints
	shown shown

	every time.Duration // as the state was told
	count time.Time     // when the open watches are to be counted again, by this process's clock

	open     []string  // the open watches, as they were counted last
	heard    time.Time // when a list was last answered, by this process's clock
	prompted time.Time // when an order was last polled for the list's sake
}

func newSweeping(s *Sweeper, p store.Place, open []string) *sweeping {
	one := &sweeping{
		Sweeper: s, log: s.log.With("region", p.Region, "project", p.ProjectID), place: p, every: s.config.Every,
		state: sweep.New(sweep.Config{Every: s.config.Every, Rate: s.config.Rate}),
		hints: hints{more: make(chan struct{}, 1)},
	}
	var listed, others []string
	for _, name := range open {
		if s.listed.has(p, name) {
			listed = append(listed, name)
		} else {
			others = append(others, name)
		}
	}
	one.state.TakeOver(listed, others)
	one.counted(open)
	return one
}

// counted takes the open watches, and says when they are counted again: NATS names them all each time.
func (s *sweeping) counted(open []string) {
	s.open = open
	s.count = s.store.Clock.Local().Add(s.store.Timing.CheckEvery + time.Duration(len(open))*5*time.Millisecond)
}

// promptEvery is how often an order is polled while the list waits for a poll.
const promptEvery = 5 * time.Second

// prompt lets an open watch be polled, where the list has waited for long: only a poll shows that a login is accepted, or that a
// hold is over, and the list has let the polls be far apart.
func (s *sweeping) prompt() {
	now := s.store.Clock.Local()
	if len(s.open) == 0 || now.Sub(s.heard) < promptEvery || now.Sub(s.prompted) < promptEvery {
		return
	}
	s.prompted = now
	s.hints.add(hint{Hint: sweep.Hint{Name: s.open[0], Plain: true}})
	s.open = append(s.open[1:len(s.open):len(s.open)], s.open[0])
}

// mostCalls is how many calls of one list are under way at once: where the API is slow, one after the other would be late.
const mostCalls = 4

// An answered is a call of the list, and what came of it.
type answered struct {
	query sweep.Query
	page  sweep.Page
	err   error
}

// run sweeps until ctx is done, or the lease is no longer this worker's.
func (s *sweeping) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var working sync.WaitGroup
	defer func() {
		cancel()
		working.Wait()
		s.metrics.rows.DeleteLabelValues(s.place.Region, s.place.ProjectID)
	}()
	working.Go(func() { s.publish(ctx) })
	answers, underWay := make(chan answered, mostCalls), 0
	for s.holds(ctx) {
		s.exchange()
		wait := s.store.Timing.AccountsEvery // until the lease is looked at again, where all calls are under way
		for underWay < mostCalls {
			q, later := s.next(ctx)
			if later > 0 {
				wait = min(wait, later)
				break
			}
			underWay++
			working.Go(func() { answers <- s.call(ctx, q) })
		}
		select {
		case a := <-answers:
			underWay--
			s.hear(ctx, a)
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// leastWait is the shortest time in which nothing is looked at, but for answers.
const leastWait = 10 * time.Millisecond

// exchange tells the state what polls have shown, and takes the hints that it gives.
func (s *sweeping) exchange() {
	now := s.store.Clock.Now()
	for _, o := range s.shown.take() {
		s.state.Polled(o.name, o.running, o.ended, now)
	}
	for _, h := range s.state.Hints(now) {
		s.hints.add(hint{Hint: h})
	}
}

// next returns the call that is due, and may be made; or how much later it is to be looked again.
func (s *sweeping) next(ctx context.Context) (q sweep.Query, later time.Duration) {
	now, accounts := s.store.Clock.Now(), s.store.Accounts()
	if accounts.Blind() || accounts.Lease(s.place).Off(now) {
		return q, s.store.Timing.AccountsEvery
	}
	q, due := s.state.Next(now)
	if !due {
		return q, max(s.state.Wake(now).Sub(now), leastWait)
	}
	if leave := s.config.Cloud.WaitList(ctx, s.place.Region, s.place.ProjectID, now); leave.After > 0 {
		s.state.Dropped(q)
		if leave.Held == "" {
			s.prompt()
		}
		return q, max(leave.After, leastWait)
	}
	return q, 0
}

func (s *sweeping) call(ctx context.Context, q sweep.Query) answered {
	page, err := s.config.Cloud.List(ctx, s.place.Region, s.place.ProjectID, q)
	return answered{q, page, err}
}

// hear takes the answer of a call.
func (s *sweeping) hear(ctx context.Context, a answered) {
	now := s.store.Clock.Now()
	switch {
	case a.err == nil:
		s.heard = s.store.Clock.Local()
		s.state.Heard(a.query, a.page, now)
	case ctx.Err() != nil:
		s.state.Dropped(a.query)
	default:
		s.log.Debug("list failed", "err", a.err)
		s.state.Failed(a.query, failureOf(a.err), now)
	}
	if done, ok := s.state.Done(); ok {
		s.finish(done)
	}
}

// failureOf returns what an error of the list means for the list.
func failureOf(err error) sweep.Failure {
	e, ok := errors.AsType[*watcher.PollError](err)
	if !ok {
		return sweep.Failure{Why: err.Error()}
	}
	held := e.Held != "" || e.Class == watcher.Throttled
	return sweep.Failure{Final: !held && e.Class != watcher.MayPass, Held: held, Why: e.Error()}
}

// finish tells of a sweep that has ended.
func (s *sweeping) finish(done sweep.Summary) {
	result := "incomplete"
	if done.Complete {
		result = "complete"
		s.metrics.rows.WithLabelValues(s.place.Region, s.place.ProjectID).Set(float64(done.Rows))
		s.tell(done)
	}
	s.metrics.sweeps.WithLabelValues(s.place.Region, result).Inc()
}

// tell tells all workers which orders the sweep listed as running.
func (s *sweeping) tell(done sweep.Summary) {
	subject := s.store.Names.Listed(s.place.Key())
	for _, l := range listings(s.store.Accounts().ID(), done.Began, s.every, done.Listed) {
		if s.muted() {
			return
		}
		m := nats.NewMsg(subject)
		m.Header.Set(store.KeyHeader, subject)
		m.Data = l.encode()
		if err := s.store.JS.Conn().PublishMsg(m); err != nil {
			s.log.Debug("not told what is listed", "err", err)
			return
		}
	}
}

// holds reports whether the lease is this worker's. It keeps what the lease says up to date, and gives the lease back where too
// few watches are open.
func (s *sweeping) holds(ctx context.Context) bool {
	accounts := s.store.Accounts()
	lease := accounts.Lease(s.place)
	if ctx.Err() != nil || lease.Worker != accounts.ID() {
		return false
	}
	if now := s.store.Clock.Local(); !now.Before(s.count) && !accounts.Blind() {
		open, err := s.Sweeper.open(ctx, s.place)
		if err != nil {
			open = s.open
		}
		if s.counted(open); err == nil && len(open) == 0 && !lease.Off(s.store.Clock.Now()) {
			s.log.Info("no longer sweeping the orders of a project: no watch is open")
			return accounts.GiveBack(ctx, lease) != nil // where it fails, the next look tells
		}
	}
	s.every = sweep.Stretch(s.config.Every, s.calls(), s.config.Rate)
	s.state.Pace(s.every)
	next, age := s.say(lease), s.store.Clock.Now().Sub(lease.Stored)
	if age > renewEvery || !next.Same(lease) && (age > sayEvery || !next.OffUntil.Equal(lease.OffUntil)) {
		if err := accounts.SetLease(ctx, next); err != nil && ctx.Err() == nil && !errors.Is(err, watcher.ErrConflict) {
			s.log.Debug("lease not written", "err", err)
		}
	}
	return true
}

// How often a lease is written: at least, so that the bucket does not drop it, and at the most, unless the list turns out
// to be of no use.
const (
	renewEvery = 10 * time.Minute
	sayEvery   = time.Second
)

// useAgain is how long a list that was of no use is read without a fault before it is said to be of use.
const useAgain = 10 * time.Minute

// calls returns how many calls the sweeps of all workers take in the region, each once.
func (s *sweeping) calls() int {
	calls, now := s.state.Calls(), s.store.Clock.Now()
	for _, l := range s.store.Accounts().Leases() {
		if l.Valid && !l.Off(now) && l.Place.Region == s.place.Region && l.Place != s.place {
			calls += l.Pages
		}
	}
	return calls
}

// say returns the lease with what it is to say now. That the list is of no use, and that it is of use again, is said once in
// the log, by the worker that found it.
func (s *sweeping) say(lease store.Lease) store.Lease {
	now := s.store.Clock.Now()
	until, why := s.state.Off(now)
	next := lease
	next.Pages, next.Every = s.state.Calls(), s.every
	switch {
	case !until.IsZero():
		next.OffUntil, next.Why = until, why
		if lease.Why == "" {
			s.log.Warn("ModelArts' list of orders is of no use; orders are polled as without it", "until", until, "why", why)
		}
	case lease.Why != "" && now.Sub(lease.OffUntil) > useAgain:
		next.OffUntil, next.Why = time.Time{}, ""
		s.log.Info("ModelArts' list of orders is of use again")
	}
	return next
}
