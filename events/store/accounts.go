package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// Accounts is what the workers on one NATS account tell each other through the bucket ORDER_ACCOUNTS: under
// worker.<id>, every two seconds, that they work, and about which order they were answered last; and under
// hold.<account> or hold.<account>.<project> why ModelArts may not be asked; under sweep.<region>.<project> who lists
// orders (leases.go). It is safe for concurrent use.
//
// A worker counts until it was not heard of for some seconds, by this process's clock, in which the bucket was read.
type Accounts struct {
	store *Store
	id    string        // of this worker
	told  chan struct{} // some worker wrote a hold

	mu       sync.Mutex
	holds    map[string]Held
	workers  map[string]presence      // the others
	answered map[string]watcher.Order // by account: this worker's
	deeds    map[string][]time.Time   // by team: when this worker did something for it that its limits count, a minute long
	leases   map[Place]Lease
	sign     uint64 // the revision of this worker's last one
	current  bool   // whether the last look showed it: the server that answered is not behind

	blind atomic.Bool // the bucket cannot be read
}

var _ watcher.Accounts = (*Accounts)(nil)

// A Held is a hold as it is stored.
type Held struct {
	watcher.Hold
	Revision watcher.Revision
}

// A presence is the last sign of another worker.
type presence struct {
	sign
	revision uint64
	seen     time.Time // by this process's clock
}

// A sign is what a worker says of itself. Releases before this one wrote an empty one.
type sign struct {
	Version  string                   `json:"version,omitempty"`  // of its program
	Answered map[string]watcher.Order `json:"answered,omitempty"` // by account: the order it was answered about last
	Deeds    map[string]int           `json:"deeds,omitempty"`    // by team: how much it did in the last minute that limits count
}

// mostDeeds bounds what a sign says of one team: no limit is larger.
const mostDeeds = 100_000

// Keys of the bucket begin so.
const (
	HoldKeys   = "hold."
	workerKeys = "worker."
)

func newAccounts(s *Store) *Accounts {
	return &Accounts{
		store: s, id: nuid.Next(), told: make(chan struct{}, 1),
		holds: make(map[string]Held), workers: make(map[string]presence), answered: make(map[string]watcher.Order),
		deeds:  make(map[string][]time.Time),
		leases: make(map[Place]Lease),
	}
}

// LookAtWorkers returns how many workers there are beside this process, the holds that stand, by their key, and the
// leases of those workers.
func (s *Store) LookAtWorkers(ctx context.Context) (present int, holds map[string]watcher.Hold, leases []Lease, err error) {
	a := newAccounts(s)
	if err := a.look(ctx); err != nil {
		return 0, nil, nil, err
	}
	holds = make(map[string]watcher.Hold)
	for key, h := range a.Standing() {
		if h.Stands() {
			holds[key] = h.Hold
		}
	}
	leases = slices.DeleteFunc(a.Leases(), func(l Lease) bool { return !l.Valid })
	return a.Workers() - 1, holds, leases, nil
}

// Holding returns the hold that keeps the watch waiting, for so long that people are told; the zero Hold where none does.
func (s *Store) Holding(w *watcher.Watch) (first watcher.Hold) {
	for _, h := range s.Accounts().Standing() {
		tells := h.Keeps(w) && s.Clock.Now().Sub(h.Since) >= s.Timing.Unreachable
		if tells && (first.Kind == "" || h.Since.Before(first.Since)) {
			first = h.Hold
		}
	}
	return first
}

// AskSooner lets accounts be asked soon whose holds keep the watch waiting, where people may have mended what they are held for.
func (s *Store) AskSooner(ctx context.Context, w *watcher.Watch) error {
	for key, h := range s.Accounts().Standing() {
		if next, sooner := h.Sooner(s.Clock.Now()); sooner && h.Keeps(w) {
			if err := s.Accounts().SetHold(ctx, key, next, h.Revision); err != nil && !errors.Is(err, watcher.ErrConflict) {
				return err
			}
		}
	}
	return nil
}

// ID returns the id of this worker.
func (a *Accounts) ID() string { return a.id }

// Now returns the server's time, by which holds are judged.
func (a *Accounts) Now() time.Time { return a.store.Clock.Now() }

// Blind reports whether the bucket cannot be read at the moment.
func (a *Accounts) Blind() bool { return a.blind.Load() }

// Workers returns how many workers there are, with this one.
func (a *Accounts) Workers() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return 1 + len(a.workers)
}

// Hold returns the hold under the key, as far as this worker knows.
func (a *Accounts) Hold(key string) (watcher.Hold, watcher.Revision) {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.holds[key]
	return h.Hold, h.Revision
}

// SetHold stores the hold for all workers.
func (a *Accounts) SetHold(ctx context.Context, key string, hold watcher.Hold, revision watcher.Revision) error {
	encoded, err := json.Marshal(hold)
	if err != nil {
		return err
	}
	written, err := a.writeHold(ctx, key, encoded, revision)
	switch {
	case err == nil:
		a.set(key, hold, written)
		return nil
	case errors.Is(err, watcher.ErrConflict), underWay(err):
		a.reread(ctx, key)
		return fmt.Errorf("%w (%w)", watcher.ErrConflict, err)
	}
	a.set(key, hold, revision) // until the bucket has a later one
	return err
}

// Forget deletes what is kept of a hold.
func (a *Accounts) Forget(ctx context.Context, key string, revision watcher.Revision) error {
	written, err := a.writeHold(ctx, key, nil, revision)
	if err != nil {
		a.reread(ctx, key)
		return err
	}
	a.set(key, watcher.Hold{}, written)
	return nil
}

// reread takes the hold from the server that writes.
func (a *Accounts) reread(ctx context.Context, key string) {
	names := a.store.Names
	m, err := a.store.Value(ctx, names.AccountStream(), names.Account(HoldKeys+key))
	if err == nil && m.Refused {
		a.keep(key, m.Sequence, true)
		return
	}
	var hold watcher.Hold
	if err != nil || len(m.Data) > 0 && json.Unmarshal(m.Data, &hold) != nil {
		return // the next look will tell
	}
	a.set(key, hold, watcher.Revision(m.Sequence))
}

func (a *Accounts) set(key string, hold watcher.Hold, revision watcher.Revision) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.holds[key] = Held{hold, revision}
}

// update notes a hold that is later than the one that is known: another worker wrote it.
func (a *Accounts) update(key string, hold watcher.Hold, revision watcher.Revision) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.holds[key]
	if revision <= before.Revision {
		return
	}
	a.holds[key] = Held{hold, revision}
	if hold.Stands() && !before.Hold.Stands() {
		a.store.log.Warn("modelarts account is held, as another worker found", "account", key, "kind", hold.Kind, "until", hold.Until, "err", hold.Reason)
	}
}

// keep notes that what stands under the hold's key was refused: what is known of the hold stays, and is written in its
// place with the next change. It returns the hold. Of a key that this worker has no hold for it notes nothing, unless it
// asked for the key itself: somebody can let the server write under any number of keys.
func (a *Accounts) keep(key string, sequence uint64, asked bool) watcher.Hold {
	a.mu.Lock()
	defer a.mu.Unlock()
	h, known := a.holds[key]
	if !known && !asked {
		return watcher.Hold{}
	}
	h.Revision = max(h.Revision, watcher.Revision(sequence))
	a.holds[key] = h
	return h.Hold
}

// write stores a value in the bucket; without one it marks the key as deleted.
func (a *Accounts) write(ctx context.Context, key string, value []byte, expect ...jetstream.PublishOpt) (watcher.Revision, error) {
	names := a.store.Names
	m := a.store.marked(names.Account(key), value)
	if value == nil {
		m.Header.Set(kvOperation, "DEL")
	}
	sequence, err := a.store.Publish(ctx, names.AccountStream(), m, expect...)
	return watcher.Revision(sequence), err
}

// writeHold stores what is kept of a hold, whose last revision it expects.
func (a *Accounts) writeHold(ctx context.Context, key string, value []byte, last watcher.Revision) (watcher.Revision, error) {
	return a.write(ctx, HoldKeys+key, value, jetstream.WithExpectLastSequencePerSubject(uint64(last)))
}

// Begin makes this worker known to the others, and them to it, before it asks for anything.
func (a *Accounts) Begin(ctx context.Context) error {
	a.greet(ctx)
	return a.look(ctx)
}

// Run keeps this worker known and the others' holds up to date until ctx is done, and then takes its leave.
func (a *Accounts) Run(ctx context.Context) {
	timing := a.store.Timing
	listening, err := a.store.JS.Conn().Subscribe(a.store.Names.Account(HoldKeys+">"), func(*nats.Msg) {
		select {
		case a.told <- struct{}{}:
		default: // it is going to look
		}
	})
	if err == nil { // without the permission it looks a little later
		defer listening.Unsubscribe()
	}
	greeted, blind, told := a.store.Clock.local(), false, false
	for ctx.Err() == nil {
		if now := a.store.Clock.local(); now.Sub(greeted) >= timing.WorkerSign {
			a.greet(ctx)
			greeted = now
		}
		switch err := a.look(ctx); {
		case err != nil && ctx.Err() == nil:
			if !told && !errors.Is(err, link.ErrNotConnected) && a.store.JS.Conn().IsConnected() {
				a.store.log.Warn("what workers share cannot be read; trying again until it can", "err", err)
				told = true
			}
			blind = true
		default:
			a.review(blind)
			blind, told = false, false
		}
		a.blind.Store(blind)
		select {
		case <-a.told:
		case <-time.After(timing.AccountsEvery):
		case <-ctx.Done():
		}
	}
	bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	a.write(bye, workerKeys+a.id, nil) // where it fails the others notice a little later
}

// Answered notes it; it is told with the next sign.
func (a *Accounts) Answered(key string, order watcher.Order) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answered[key] = order
}

// LastAnswered returns what the worker said whose sign is the latest of those that said so.
func (a *Accounts) LastAnswered(key string) (order watcher.Order, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	latest := uint64(0)
	for _, w := range a.workers {
		if o, said := w.Answered[key]; said && w.revision > latest {
			order, ok, latest = o, true, w.revision
		}
	}
	return order, ok
}

// did notes that this worker did something for the team that its limits count.
func (a *Accounts) did(team string, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.deeds[team] = append(a.deeds[team], at)
}

// deedsOf returns when workers did something for the team in the last minute that its limits count: of the others, which
// say only how much, as if it were now.
func (a *Accounts) deedsOf(team string, now time.Time) []time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := slices.Clone(a.ownDeeds(team, now))
	for _, other := range a.workers {
		all = append(all, slices.Repeat([]time.Time{now}, min(max(other.Deeds[team], 0), mostDeeds))...)
	}
	return all
}

// ownDeeds forgets what is older than a minute, and returns the rest. The caller holds mu.
func (a *Accounts) ownDeeds(team string, now time.Time) []time.Time {
	a.deeds[team] = slices.DeleteFunc(a.deeds[team], func(at time.Time) bool { return now.Sub(at) >= rateWindow })
	if len(a.deeds[team]) == 0 {
		delete(a.deeds, team)
	}
	return a.deeds[team]
}

// greet says that this worker works.
func (a *Accounts) greet(ctx context.Context) {
	a.mu.Lock()
	deeds, now := make(map[string]int), a.store.Clock.Now()
	for team := range a.deeds {
		if n := len(a.ownDeeds(team, now)); n > 0 {
			deeds[team] = n
		}
	}
	encoded, err := json.Marshal(sign{Version: wire.Semantic(a.store.Version), Answered: a.answered, Deeds: deeds})
	a.mu.Unlock()
	if err != nil {
		panic("events: " + err.Error()) // only texts are ever rendered
	}
	written, err := a.write(ctx, workerKeys+a.id, encoded)
	if err != nil {
		a.store.log.Debug("sign of this worker not stored", "err", err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sign, a.current = uint64(written), false
}

// look reads the whole bucket, which has a few keys.
func (a *Accounts) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, a.store.Timing.Request)
	defer cancel()
	for m, err := range a.store.messages(ctx, a.store.Names.AccountStream(), "", jetstreamext.GetBatchSeq(1)) {
		if err != nil {
			return fmt.Errorf("read what workers share: %w", err)
		}
		a.take(ctx, m)
	}
	return ctx.Err() // an answer that does not come ends the messages without an error
}

// take takes one value of the bucket. One that no worker wrote is no sign, and no hold; a hold that this worker knows is
// written in its place.
func (a *Accounts) take(ctx context.Context, m *jetstream.RawStreamMsg) {
	key := strings.TrimPrefix(m.Subject, a.store.Names.Account(""))
	if why := foreign(m.Subject, m.Header, m.Data); why != "" {
		account, isHold := strings.CutPrefix(key, HoldKeys)
		if !isHold { // somebody can let the server write thousands, which expire: they are told of once, and not counted
			a.store.strangers.tell(a.store.log, Stored{Subject: a.store.Names.Account(workerKeys + ">"), Sequence: 1}, why)
			return
		}
		a.store.strangers.tell(a.store.log, Stored{Subject: m.Subject, Sequence: m.Sequence}, why)
		if hold := a.keep(account, m.Sequence, false); hold.Kind != "" {
			_ = a.SetHold(ctx, account, hold, watcher.Revision(m.Sequence)) // where it fails, the next look tries again
		}
		return
	}
	if id, ok := strings.CutPrefix(key, workerKeys); ok {
		a.meet(id, m)
	}
	if place, ok := strings.CutPrefix(key, leaseKeys); ok {
		if p, ok := placeOf(place); ok {
			a.takeLease(p, m)
		}
	}
	if account, ok := strings.CutPrefix(key, HoldKeys); ok {
		var hold watcher.Hold
		if len(m.Data) > 0 {
			if err := json.Unmarshal(m.Data, &hold); err != nil {
				a.store.log.Warn("a hold cannot be read; only orderwatch may write here", "key", key, "err", err)
				return
			}
		}
		a.update(account, hold, watcher.Revision(m.Sequence))
	}
}

// meet notes a sign of another worker: one that is new here, and not old.
func (a *Accounts) meet(id string, m *jetstream.RawStreamMsg) {
	now := a.store.Clock.local()
	var said sign
	_ = json.Unmarshal(m.Data, &said) // a sign that cannot be read is one
	a.mu.Lock()
	defer a.mu.Unlock()
	before, known := a.workers[id]
	switch {
	case id == a.id:
		a.current = m.Sequence >= a.sign
	case len(m.Data) == 0:
		delete(a.workers, id)
	case known && m.Sequence == before.revision:
	case known || a.store.Clock.Now().Sub(m.Time) < a.store.Timing.WorkerGone:
		a.workers[id] = presence{said, m.Sequence, now}
	}
}

// Count returns how many workers there are, with this one, which has the version.
func (a *Accounts) Count(version string) *wire.WorkerCount {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := &wire.WorkerCount{Present: 1 + len(a.workers), Versions: map[string]int{version: 1}}
	for _, other := range a.workers {
		if wire.Semantic(other.Version) == other.Version {
			c.Versions[other.Version]++
		}
	}
	return c
}

// review forgets workers that gave no sign for too long, unless the server that answered may be behind. After a time in
// which the bucket could not be read it takes all for present: they could not give a sign.
func (a *Accounts) review(wasBlind bool) {
	now := a.store.Clock.local()
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, last := range a.workers {
		switch {
		case wasBlind:
			last.seen = now
			a.workers[id] = last
		case a.current && now.Sub(last.seen) > a.store.Timing.WorkerGone:
			delete(a.workers, id)
		}
	}
}

// Standing returns the holds that are stored, by key, those among them that are over.
func (a *Accounts) Standing() map[string]Held {
	a.mu.Lock()
	defer a.mu.Unlock()
	standing := make(map[string]Held)
	for key, h := range a.holds {
		if h.Kind != "" {
			standing[key] = h
		}
	}
	return standing
}
