package events

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/time/rate"

	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// A patrol looks for watches whose wake-up is overdue and publishes it again: a timer whose due
// message could not be stored is not tried again by the server. One worker at a time patrols.
//
// Records lie in the bucket in the order in which they were written, so that those of watches
// which are polled are always near the end. A round reads from the oldest record that was not
// ended when it was last read, up to those written within the last slack. What is overdue is
// judged by how long this process has seen the same revision, not by anybody's time of day.
type patrol struct {
	log     *slog.Logger
	store   *store.Store
	clock   *store.Clock
	id      string // of this worker
	pace    *rate.Limiter
	cursor  uint64               // everything before it was ended or rewritten
	seen    map[uint64]time.Time // since when, by sequence of records that are watched
	backlog *backlog
	broken  *brokenRecords
	dead    *deadWakeups

	lease       uint64 // the revision of the lease that was last seen or written
	leaseRounds int    // for how many rounds
	holds       bool   // whether it is this worker's
}

// patrolPace is how many wake-ups a second a patrol publishes at the most.
const patrolPace = 200

func newPatrol(log *slog.Logger, s *store.Store, clock *store.Clock, id string) *patrol {
	return &patrol{log: log, store: s, clock: clock, id: id, pace: rate.NewLimiter(patrolPace, 1), seen: make(map[uint64]time.Time), backlog: newBacklog(s, clock), broken: newBrokenRecords(log, s, clock), dead: &deadWakeups{log: log, store: s}}
}

// run patrols until ctx is done.
func (p *patrol) run(ctx context.Context) {
	for link.Sleep(ctx, p.store.Timing.PatrolEvery) {
		if err := p.take(ctx); err != nil {
			p.log.Debug("patrol's lease not taken", "err", err)
			continue
		}
		if !p.holds {
			continue
		}
		if err := p.round(ctx); err != nil && ctx.Err() == nil {
			p.log.Warn("patrol's round not finished", "err", err)
		}
	}
}

// leaseKey is the key of the patrol's lease in the bucket. Keys of records have two tokens at least.
const leaseKey = "patrol"

// take renews this worker's lease, or takes over one that has stood still for too many rounds.
func (p *patrol) take(ctx context.Context) error {
	names := p.store.Names
	m, err := p.store.Last(ctx, names.RecordStream(), names.Record(leaseKey))
	if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return err
	}
	if m.Sequence != p.lease && !p.wrote(m) {
		p.holds, p.leaseRounds = false, 0
		clear(p.seen)
		clear(p.backlog.projects)
		p.cursor = 0 // the bucket may be another
		clear(p.broken.seen)
		p.broken.number(0)
	}
	p.lease = m.Sequence
	p.leaseRounds++
	if !p.holds && m.Sequence != 0 && p.leaseRounds <= p.store.Timing.PatrolLease {
		return nil
	}
	value, err := json.Marshal(map[string]string{"worker": p.id})
	if err != nil {
		return err
	}
	renewed, err := p.store.Put(ctx, names.RecordStream(), names.Record(leaseKey), value, m.Sequence)
	if err != nil {
		return err // without a round; what was seen stays, for when there is room again
	}
	p.holds, p.lease = true, renewed
	return nil
}

// wrote reports whether the lease is this worker's, whose acknowledgement got lost.
func (p *patrol) wrote(lease store.Stored) bool {
	var by struct{ Worker string }
	return p.holds && json.Unmarshal(lease.Data, &by) == nil && by.Worker == p.id
}

// round reads the records that were not written lately, publishes the wake-ups that are overdue, and
// deals with records that cannot be read and with wake-ups that are dead.
func (p *patrol) round(ctx context.Context) error {
	recent := p.clock.Now().Add(-p.store.Timing.PatrolSlack)
	seen := make(map[uint64]time.Time, len(p.seen))
	p.backlog.begin()
	if err := p.broken.begin(ctx); err != nil {
		return err
	}
	var failed error // of looking; the others are counted all the same
	next, first := p.cursor, uint64(0)
	for done := false; !done; {
		var err error
		next, done, err = p.store.Records(ctx, next, recent, func(m *jetstream.RawStreamMsg, order watcher.Order, w watcher.Watch, err error) error {
			if err != nil {
				var broken bool
				if broken, err = p.brokenAt(ctx, m, order, err); broken && first == 0 {
					first = m.Sequence
				}
				failed = cmp.Or(failed, err)
				return ctx.Err()
			}
			if w.State == watcher.Ended {
				return nil
			}
			if first == 0 {
				first = m.Sequence
			}
			since, ok := p.seen[m.Sequence]
			if !ok {
				since = p.clock.Local()
			}
			p.backlog.count(m, w)
			if failed == nil {
				since, failed = p.look(ctx, m, w, since)
			}
			seen[m.Sequence] = since
			return ctx.Err()
		})
		if err != nil {
			return err
		}
	}
	p.seen, p.cursor = seen, next
	if first != 0 {
		p.cursor = first
	}
	failed = errors.Join(failed, p.backlog.tell(ctx))
	failed = errors.Join(failed, p.dead.round(ctx, recent, func(order watcher.Order, revision watcher.Revision, stored time.Time) {
		p.broken.suspect(order, uint64(revision), stored)
	}))
	return errors.Join(failed, p.broken.end(ctx))
}

// brokenAt takes what is no record that can be read, given why, and reports whether it is to be looked at
// again: records of later versions are not, nor are deleted ones that no wake-up is for.
func (p *patrol) brokenAt(ctx context.Context, m *jetstream.RawStreamMsg, order watcher.Order, why error) (bool, error) {
	switch {
	case errors.Is(why, watcher.ErrNewerSchema):
		return false, nil
	case errors.Is(why, watcher.ErrNoRecord):
		if number, err := p.store.Highest(ctx, order); err != nil || number == 0 {
			return err != nil, err
		}
	}
	p.broken.suspect(order, m.Sequence, m.Time)
	return true, nil
}

// look publishes the wake-up of a watch that is overdue, and returns since when its record counts
// as seen.
func (p *patrol) look(ctx context.Context, m *jetstream.RawStreamMsg, w watcher.Watch, since time.Time) (time.Time, error) {
	interval := max(0, w.NextPollAt.Sub(m.Time))
	late := p.clock.Local().Sub(since) - interval - p.store.Timing.PatrolSlack
	if late < 0 {
		return since, nil
	}
	if err := p.pace.Wait(ctx); err != nil {
		return since, err
	}
	due, err := dueFor(ctx, p.store, w)
	if err != nil {
		return since, err
	}
	if due == liveDue {
		return p.clock.Local(), nil // another would not help
	}
	p.log.Warn("wake-up was overdue; published again", "watch", w.ID, "project", w.ProjectID, "order", w.Name, "state", w.State)
	if due == ghosts {
		if err := p.store.ReplaceDue(ctx, w.Expected()); err != nil {
			return since, err
		}
		return p.clock.Local(), nil
	}
	// In place of a timer that does not fire, which would stay for ever, and due at once.
	if err := p.store.SetTimer(ctx, w.Expected(), m.Time); err != nil {
		return since, err
	}
	return p.clock.Local(), nil
}
