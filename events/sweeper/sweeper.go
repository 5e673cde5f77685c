// Package sweeper lists the running orders of projects again and again, so that an order that ends is asked for at
// once. What is to be listed next, and what a list shows, is decided in package sweep; here are who lists what, and
// what is told to whom.
//
// It promises that nothing hangs on the list: it publishes wake-ups that are expected anyhow, with a hint, and says
// which orders were listed as running. Where a list is wrong, refused or slow, orders are polled as without it. A place,
// which is a project in a region, is swept by one worker, by a lease: a worker that has polled two open watches there
// takes it where no present worker has it, and gives it back when none is open.
//
// Read the files in this order:
//
//	sweeper.go   which worker sweeps what: leases are taken and given back
//	sweeping.go  how one place is swept
//	hints.go     what a hint does, and how many there may be in a second
//	listed.go    which orders were listed as running: told to all workers, and remembered
//	seen.go      where this worker polls orders
//	metrics.go   what is counted
package sweeper

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/sweep"
)

// A Cloud lists orders. It must be safe for concurrent use.
type Cloud interface {
	// WaitList says whether the account may be asked now for a list of the project's orders; then the caller must ask,
	// at once.
	WaitList(ctx context.Context, region, projectID string, now time.Time) watcher.Leave
	// List asks once for one page.
	List(ctx context.Context, region, projectID string, q sweep.Query) (sweep.Page, error)
}

// A Config says what is swept. Every field is required.
type Config struct {
	Cloud   Cloud
	Every   time.Duration // from the beginning of one sweep to that of the next, > 0; longer where the rate asks for it
	Rate    float64       // calls a second of an account, over all workers
	Regions []string      // that may be asked
}

// A Sweeper sweeps places, beside those of other workers. Its methods are safe for concurrent use.
type Sweeper struct {
	log     *slog.Logger
	config  Config
	store   *store.Store
	metrics metrics
	seen    *seen
	listed  *listed
	denied  atomic.Pointer[time.Time] // when NATS last did not permit it to tell what is listed

	mu      sync.Mutex
	running map[store.Place]*sweeping
	looked  map[store.Place]time.Time // when open watches may be counted again; Run's alone
}

// New returns a sweeper of the worker that has the store.
func New(log *slog.Logger, config Config, s *store.Store, registry prometheus.Registerer) *Sweeper {
	accounts := s.Accounts()
	holder := func(p store.Place) string {
		if l := accounts.Lease(p); l.Valid {
			return l.Worker
		}
		return ""
	}
	return &Sweeper{
		log: log, config: config, store: s, metrics: newMetrics(registry, accounts, config.Regions),
		seen:    &seen{now: s.Clock.Local, places: make(map[store.Place]*[2]poll)},
		listed:  &listed{log: log, now: s.Clock.Local, holder: holder, places: make(map[store.Place]*known)},
		running: make(map[store.Place]*sweeping), looked: make(map[store.Place]time.Time),
	}
}

// Orders returns the orders, whose polls say where there is something to sweep, and whether the list is of use.
func (s *Sweeper) Orders(o watcher.Orders) watcher.Orders { return watched{o, s} }

// Swept reports whether one of the last complete sweeps, of any worker, listed the order as running.
func (s *Sweeper) Swept(region string, order watcher.Order) bool {
	return s.listed.has(store.Place{Region: region, ProjectID: order.ProjectID}, order.Name)
}

// Denied notes that NATS did not permit this worker to tell what is listed, or to hear of it.
func (s *Sweeper) Denied() {
	now := s.store.Clock.Local()
	if s.denied.Swap(&now) == nil {
		s.log.Warn("NATS does not permit to tell other workers which orders are listed: they are polled as often as without the list; give the worker's user the subject, as deploy/NATS.md lists it, and restart the worker",
			"subject", s.store.Names.Listed(">"))
	}
}

// deniedFor is how long what NATS did not permit is not tried again.
const deniedFor = time.Hour

// muted reports whether NATS does not permit to tell what is listed.
func (s *Sweeper) muted() bool {
	at := s.denied.Load()
	return at != nil && s.store.Clock.Local().Sub(*at) < deniedFor
}

// minOpen is how many open watches a place needs for a sweep to begin. It goes on while one is open: the list has let the
// polls of that one be far apart.
const minOpen = 2

// Run sweeps until ctx is done. That this worker is gone then, the others know by its sign.
func (s *Sweeper) Run(ctx context.Context) {
	prefix := s.store.Names.Listed("")
	hearing, err := s.store.JS.Conn().Subscribe(s.store.Names.Listed(">"), func(m *nats.Msg) {
		if p, ok := placeOf(m.Subject, prefix); ok {
			s.listed.take(p, m)
		}
	})
	if err == nil { // without it orders are polled as without the list
		defer hearing.Unsubscribe()
	}
	var sweeps sync.WaitGroup
	defer sweeps.Wait()
	for link.Sleep(ctx, s.store.Timing.AccountsEvery) {
		if s.store.Accounts().Blind() {
			continue
		}
		for _, p := range s.vacant() {
			if one := s.take(ctx, p); one != nil {
				s.set(p, one)
				sweeps.Go(func() {
					defer s.set(p, nil)
					one.run(ctx)
				})
			}
		}
	}
}

// set notes what sweeps the place; nil: nothing.
func (s *Sweeper) set(p store.Place, one *sweeping) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[p] = one; one == nil {
		delete(s.running, p)
	}
}

// sweeps returns what sweeps the place; nil where this worker does not.
func (s *Sweeper) sweeps(p store.Place) *sweeping {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running[p]
}

// vacant returns the places that no present worker sweeps, and that this one may: those that it polls orders of, and
// those whose lease is of a worker that is gone.
func (s *Sweeper) vacant() (places []store.Place) {
	now := s.store.Clock.Local()
	candidates := s.seen.several()
	for _, l := range s.store.Accounts().Leases() {
		candidates = append(candidates, l.Place)
	}
	for p, until := range s.looked {
		if !now.Before(until) {
			delete(s.looked, p)
		}
	}
	for _, p := range candidates {
		_, looked := s.looked[p]
		if !looked && s.sweeps(p) == nil && s.mayTake(s.store.Accounts().Lease(p)) && !slices.Contains(places, p) {
			places = append(places, p)
		}
	}
	return places
}

// mayTake reports whether this worker may have the lease: no other that is present has it.
func (s *Sweeper) mayTake(l store.Lease) bool {
	return (!l.Valid || l.Worker == s.store.Accounts().ID()) && slices.Contains(s.config.Regions, l.Place.Region)
}

// take takes the lease of a place where enough watches are open, and gives it back where they are not; nil where this
// worker is not to sweep the place.
func (s *Sweeper) take(ctx context.Context, p store.Place) *sweeping {
	lease := s.store.Accounts().Lease(p)
	if !s.mayTake(lease) { // another worker was quicker
		return nil
	}
	open, err := s.open(ctx, p)
	s.looked[p] = s.store.Clock.Local().Add(s.store.Timing.CheckEvery)
	switch {
	case err != nil:
	case len(open) < minOpen && lease.Worker == "":
	case len(open) == 0 && lease.Off(s.store.Clock.Now()): // it says for how long the list is not asked
	case len(open) == 0:
		err = s.store.Accounts().GiveBack(ctx, lease)
	default:
		// Why and until when the list is of no use is kept from the worker that is gone.
		lease.Pages, lease.Every = max(lease.Pages, 1), max(lease.Every, s.config.Every)
		if err = s.store.Accounts().SetLease(ctx, lease); err == nil {
			s.log.Info("sweeping the orders of a project", "region", p.Region, "project", p.ProjectID, "watches", len(open))
			return newSweeping(s, p, open)
		}
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, watcher.ErrConflict) {
		s.log.Debug("lease not taken", "region", p.Region, "project", p.ProjectID, "err", err)
	}
	return nil
}

// unwatched reports whether the error says that nobody here watches the order.
func unwatched(err error) bool {
	return errors.Is(err, watcher.ErrNoRecord) || errors.Is(err, watcher.ErrBroken) || errors.Is(err, watcher.ErrNewerSchema)
}

// fewOpen is how many watches are looked at one by one, whether they are open.
const fewOpen = 16

// open returns the orders of the place whose watches are open. Where there are many, a few among them may just have ended,
// or be of the project in another region.
func (s *Sweeper) open(ctx context.Context, p store.Place) ([]string, error) {
	names, err := s.store.OpenOrders(ctx, p.ProjectID)
	if err != nil || len(names) > fewOpen {
		return names, err
	}
	var open []string
	for _, name := range names {
		w, _, err := s.store.Read(ctx, watcher.Order{ProjectID: p.ProjectID, Name: name})
		if err != nil && !unwatched(err) {
			return nil, err
		}
		if err == nil && w.State != watcher.Ended && w.Region == p.Region {
			open = append(open, name)
		}
	}
	return open, nil
}
