package events

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// A patrol looks for watches whose wake-up is overdue and publishes it again: the server does not try a timer again
// whose due message it could not store. One worker at a time patrols.
//
// Records lie in the bucket in the order in which they were written, so that those of watches which are polled are near
// the end. A round reads from the oldest record that was not ended when it was last read, up to those written within
// the last slack. Overdue is judged by how long this process has seen the same revision, not by a time of day.
type patrol struct {
	log     *slog.Logger
	store   *store.Store
	id      string // of this worker
	pace    *rate.Limiter
	cursor  uint64               // everything before it was ended or rewritten
	seen    map[uint64]time.Time // since when, by sequence of records that are watched
	backlog backlog
	broken  brokenRecords
	dead    deadWakeups

	lease       uint64 // the revision of the lease that was last seen or written
	leaseRounds int    // for how many rounds
	holds       bool   // whether it is this worker's

	finished atomic.Pointer[patrolRound] // the last round; nil where there was none, it failed, or another worker patrols
}

// A patrolRound is what one round found.
type patrolRound struct {
	at      time.Time // when it was finished, by the server's clock
	lease   uint64    // the revision of the lease that was written for it
	overdue int       // watches that were due for longer than PatrolSlack
}

const (
	patrolPace  = 200 // wake-ups a second that a patrol publishes at the most
	patrolLease = 3   // rounds without a sign of the patrolling worker, before another takes over
)

func newPatrol(log *slog.Logger, s *store.Store, id string, broken prometheus.Gauge) *patrol {
	return &patrol{
		log: log, store: s, id: id, pace: rate.NewLimiter(patrolPace, 1), seen: make(map[uint64]time.Time),
		backlog: backlog{store: s, projects: make(map[string]*overdueWatches)},
		broken:  brokenRecords{log: log, store: s, number: broken, seen: make(map[watcher.Order]suspicion)},
		dead:    deadWakeups{log: log, store: s},
	}
}

// run patrols until ctx is done.
func (p *patrol) run(ctx context.Context) {
	for link.Sleep(ctx, p.store.Timing.PatrolEvery) {
		p.finished.Store(p.turn(ctx))
	}
}

// turn makes a round where it is this worker's; nil where it is not, or failed.
func (p *patrol) turn(ctx context.Context) *patrolRound {
	if err := p.take(ctx); err != nil {
		p.log.Debug("patrol's lease not taken", "err", err)
		return nil
	}
	if !p.holds {
		return nil
	}
	if err := p.round(ctx); err != nil {
		if ctx.Err() == nil && !errors.Is(err, link.ErrNotConnected) {
			p.log.Warn("patrol's round not finished", "err", err)
		}
		return nil
	}
	return &patrolRound{p.store.Clock.Now(), p.lease, p.backlog.number()}
}

// leaseKey is the key of the patrol's lease in the bucket. Keys of records have two tokens at least.
const leaseKey = "patrol"

// take renews this worker's lease, or takes over one that has stood still for too many rounds.
func (p *patrol) take(ctx context.Context) error {
	names := p.store.Names
	m, err := p.store.Value(ctx, names.RecordStream(), names.Record(leaseKey))
	if err != nil {
		return err
	}
	mine := p.holds && (m.Refused || workerOf(m) == p.id) // its acknowledgement may have got lost
	if m.Sequence != p.lease && !mine && !m.Refused {
		p.holds, p.leaseRounds = false, 0
		clear(p.seen)
		clear(p.backlog.projects)
		p.cursor = 0 // the bucket may be another
		clear(p.broken.seen)
		p.broken.number.Set(0)
	}
	p.lease = m.Sequence
	p.leaseRounds++
	if !p.holds && m.Sequence != 0 && p.leaseRounds <= patrolLease {
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

// workerOf returns the worker whose lease it is; empty where that cannot be read.
func workerOf(lease store.Stored) string {
	var by struct{ Worker string }
	_ = json.Unmarshal(lease.Data, &by)
	return by.Worker
}

// round reads the records that were not written lately, publishes the wake-ups that are overdue, and
// deals with records that cannot be read and with wake-ups that are dead.
func (p *patrol) round(ctx context.Context) error {
	recent := p.store.Clock.Now().Add(-p.store.Timing.PatrolSlack)
	seen := make(map[uint64]time.Time, len(p.seen))
	p.backlog.begin()
	if err := p.broken.begin(ctx); err != nil {
		return err
	}
	var failed error // of looking; the others are counted all the same
	next, first := p.cursor, uint64(0)
	for r, err := range p.store.Records(ctx, p.cursor) {
		if err = cmp.Or(err, ctx.Err()); err != nil {
			return err
		}
		if r.Stored.After(recent) {
			break
		}
		next = r.Sequence + 1
		again := r.State != watcher.Ended
		if r.Err != nil {
			again, err = p.suspects(ctx, r)
			failed = cmp.Or(failed, err)
		} else if again {
			since, ok := p.seen[r.Sequence]
			if !ok {
				since = p.store.Clock.Local()
			}
			p.backlog.count(r)
			if failed == nil {
				since, failed = p.look(ctx, r, since)
			}
			seen[r.Sequence] = since
		}
		if again && first == 0 {
			first = r.Sequence
		}
	}
	p.seen, p.cursor = seen, next
	if first != 0 {
		p.cursor = first
	}
	return errors.Join(failed, p.backlog.tell(ctx), p.dead.round(ctx, recent, p.broken.suspect), p.broken.end(ctx))
}

// suspects takes what is no record that can be read, and reports whether it is to be looked at
// again: records of later versions are not, nor are deleted ones that no wake-up is for.
func (p *patrol) suspects(ctx context.Context, r store.Record) (bool, error) {
	switch {
	case errors.Is(r.Err, watcher.ErrNewerSchema):
		return false, nil
	case errors.Is(r.Err, watcher.ErrNoRecord):
		if number, err := p.store.Highest(ctx, r.Order); err != nil || number == 0 {
			return err != nil, err
		}
	}
	p.broken.suspect(r.Order, r.Sequence, r.Stored)
	return true, nil
}

// look publishes the wake-up of a watch that is overdue, and returns since when its record counts as seen.
func (p *patrol) look(ctx context.Context, r store.Record, since time.Time) (time.Time, error) {
	interval := max(0, r.NextPollAt.Sub(r.Stored))
	late := p.store.Clock.Local().Sub(since) - interval - p.store.Timing.PatrolSlack
	if late < 0 {
		return since, nil
	}
	if err := p.pace.Wait(ctx); err != nil {
		return since, err
	}
	due, err := dueFor(ctx, p.store, r.Watch)
	if err != nil {
		return since, err
	}
	if due != liveDue { // another would not help
		p.log.Warn("wake-up was overdue; published again", "watch", r.ID, "project", r.ProjectID, "order", r.Name, "state", r.State)
	}
	switch due {
	case ghosts:
		err = p.store.ReplaceDue(ctx, r.Expected())
	case noDue: // in place of a timer that does not fire, which would stay for ever, and due at once
		err = p.store.SetTimer(ctx, r.Expected(), r.Stored)
	}
	if err != nil {
		return since, err
	}
	return p.store.Clock.Local(), nil
}
