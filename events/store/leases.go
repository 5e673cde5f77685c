package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/watcher"
)

// A Place is a project in a region: what one list of orders is of.
type Place struct {
	Region, ProjectID string
}

// Key returns the place as tokens of a subject.
func (p Place) Key() string { return p.Region + "." + p.ProjectID }

// placeOf returns the place of a key; false where it is none.
func placeOf(key string) (Place, bool) {
	region, project, ok := strings.Cut(key, ".")
	p := Place{region, project}
	return p, ok && region != "" && watcher.Order{ProjectID: project, Name: "any"}.Validate() == nil
}

// A Lease says which worker sweeps a place: lists its orders again and again. The lease is in the bucket
// ORDER_ACCOUNTS, under sweep.<region>.<project>. It is valid as long as its worker is present, and so is never
// renewed for that; it is written again before the bucket drops it.
type Lease struct {
	Place    Place         `json:"-"`
	Worker   string        `json:"worker"`             // its id
	Pages    int           `json:"pages,omitempty"`    // calls that one sweep takes
	Every    time.Duration `json:"-"`                  // from the beginning of one sweep to that of the next
	OffUntil time.Time     `json:"off_until,omitzero"` // the list is of no use: it is not asked before
	Why      string        `json:"why,omitempty"`      // why that is so; for people, and the cloud's text is in it

	Revision watcher.Revision `json:"-"`
	Stored   time.Time        `json:"-"` // by the server's clock
	Valid    bool             `json:"-"` // its worker is present
}

// A leaseValue is a lease as it is stored.
type leaseValue struct {
	Lease
	Every string `json:"every,omitempty"` // as Go writes durations
}

// Same reports whether the leases say the same.
func (l Lease) Same(other Lease) bool {
	return l.Worker == other.Worker && l.Pages == other.Pages && l.Every == other.Every && l.OffUntil.Equal(other.OffUntil) && l.Why == other.Why
}

// Off reports whether the place is not swept at that time, since the list is of no use.
func (l Lease) Off(now time.Time) bool { return now.Before(l.OffUntil) }

// perSecond returns how many calls a second the sweeps take.
func (l Lease) perSecond(now time.Time) float64 {
	if !l.Valid || l.Off(now) || l.Every <= 0 {
		return 0
	}
	return float64(l.Pages) / l.Every.Seconds()
}

// leaseKeys begin the keys of leases in the bucket. Releases before this one pass over them.
const leaseKeys = "sweep."

// maxLeases is how many places are swept at the most, over all workers.
const maxLeases = 256

// ErrTooManyLeases means that as many places are swept as can be.
var ErrTooManyLeases = fmt.Errorf("%d projects are swept, and no more can be", maxLeases)

// Leases returns the leases that are known, in no order: also those of workers that are gone. It forgets those that the
// bucket has dropped.
func (a *Accounts) Leases() (all []Lease) {
	now := a.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	for p, l := range a.leases {
		switch {
		case now.Sub(l.Stored) > accountsMaxAge:
			delete(a.leases, p)
		case l.Worker != "":
			all = append(all, a.judged(l))
		}
	}
	return all
}

// Lease returns the lease of the place; its Worker is empty where there is none.
func (a *Accounts) Lease(p Place) Lease {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.leases[p]
	l.Place = p
	return a.judged(l)
}

// judged returns the lease with whether its worker is present.
func (a *Accounts) judged(l Lease) Lease {
	_, present := a.workers[l.Worker]
	l.Valid = present || l.Worker == a.id
	return l
}

// Reserved returns how many calls a second the sweeps of all workers take in the region.
func (a *Accounts) Reserved(region string) (perSecond float64) {
	now := a.Now()
	for _, l := range a.Leases() {
		if l.Place.Region == region {
			perSecond += l.perSecond(now)
		}
	}
	return perSecond
}

// SetLease stores the lease as this worker's, if its last revision is that of the lease. With watcher.ErrConflict another worker
// was quicker, and Lease returns what it stored; with ErrTooManyLeases it cannot be taken. After another error nothing
// is known: the next look tells.
func (a *Accounts) SetLease(ctx context.Context, l Lease) error {
	l.Worker = a.id
	if a.Lease(l.Place).Worker == "" && len(a.Leases()) >= maxLeases {
		return ErrTooManyLeases
	}
	encoded, err := json.Marshal(leaseValue{l, l.Every.String()})
	if err != nil {
		return err
	}
	return a.writeLease(ctx, l, encoded)
}

// GiveBack deletes the lease, if its last revision is that of the lease. The errors are those of SetLease.
func (a *Accounts) GiveBack(ctx context.Context, l Lease) error {
	l = Lease{Place: l.Place, Revision: l.Revision}
	return a.writeLease(ctx, l, nil)
}

func (a *Accounts) writeLease(ctx context.Context, l Lease, encoded []byte) error {
	written, err := a.write(ctx, leaseKeys+l.Place.Key(), encoded, jetstream.WithExpectLastSequencePerSubject(uint64(l.Revision)))
	if errors.Is(err, watcher.ErrConflict) || underWay(err) {
		a.rereadLease(ctx, l.Place)
		return fmt.Errorf("%w (%w)", watcher.ErrConflict, err)
	}
	if err != nil {
		return err
	}
	l.Revision, l.Stored = written, a.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.leases[l.Place] = l
	return nil
}

// rereadLease takes the lease from the server that writes. What was expired by the bucket is not there any more, and
// the revision that was known is no use.
func (a *Accounts) rereadLease(ctx context.Context, p Place) {
	names := a.store.Names
	m, err := a.store.Value(ctx, names.AccountStream(), names.Account(leaseKeys+p.Key()))
	if err != nil {
		return // the next look tells
	}
	l := decodeLease(p, m.Data, m.Sequence, m.Time)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.leases[p] = l
}

// takeLease notes a lease that is later than the one that is known.
func (a *Accounts) takeLease(p Place, m *jetstream.RawStreamMsg) {
	l := decodeLease(p, m.Data, m.Sequence, m.Time)
	a.mu.Lock()
	defer a.mu.Unlock()
	if l.Revision > a.leases[p].Revision { // also where it was deleted: the next one expects that
		a.leases[p] = l
	}
}

// decodeLease reads a lease. What is deleted, or cannot be read, is one of no worker.
func decodeLease(p Place, value []byte, sequence uint64, stored time.Time) (l Lease) {
	var v leaseValue
	err := json.Unmarshal(value, &v)
	if every, everyErr := time.ParseDuration(v.Every); err == nil && everyErr == nil && every >= 0 && v.Pages >= 0 {
		l = v.Lease
		l.Every = every
	}
	l.Place, l.Revision, l.Stored = p, watcher.Revision(sequence), stored
	return l
}
