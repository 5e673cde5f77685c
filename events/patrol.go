package events

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/orderwatch/orderwatch/events/index"
	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// A patrol looks for watches whose wake-up is overdue and publishes it again: the server does not try a timer again
// whose due message it could not store. One worker at a time patrols.
//
// A round lets the index read what was written until the slack began, and, where a watch is late by that, all. So records
// that are written again and again are not read, and those that wait are read once. Overdue is judged by how long this
// process has seen the same revision, not by a time of day. Polls that changed nothing leave the record as it was: where
// it says that a watch is late, its wake-up is read.
type patrol struct {
	log     *slog.Logger
	store   *store.Store
	index   *index.Index
	id      string // of this worker
	pace    *rate.Limiter
	asks    int                    // patrolAsks, but in tests
	began   time.Time              // by the process's clock: since when it is this worker's
	looks   map[watcher.Order]look // at watches that were late
	backlog backlog
	broken  brokenRecords
	dead    deadWakeups
	open    map[watcher.State]int // watches, by the last round
	again   prometheus.Counter    // wake-ups that were published again
	turned  prometheus.Gauge      // when it last looked whether a round is due

	lease       uint64 // the revision of the lease that was last seen or written
	leaseRounds int    // for how many rounds
	holds       bool   // whether it is this worker's

	finished atomic.Pointer[patrolRound] // the last round; nil where there was none, it failed, or another worker patrols
}

// A look is what was found out about a watch that is late by its record.
type look struct {
	revision uint64        // of the record
	due      time.Time     // when its next poll is due, as far as is known; by the server's clock
	since    time.Time     // since when it is known that nothing happened, by the process's clock
	interval time.Duration // for how long nothing was to happen then
	asked    time.Time     // when its wake-up was read, by the process's clock
	absent   bool          // the record was not there when it was read last
}

// A patrolRound is what one round found.
type patrolRound struct {
	at      time.Time // when it was finished, by the server's clock
	lease   uint64    // the revision of the lease that was written for it
	overdue int       // watches that were due for longer than PatrolSlack
	open    map[watcher.State]int
}

const (
	patrolPace  = 200  // wake-ups a second that a patrol publishes at the most
	patrolLease = 3    // rounds without a sign of the patrolling worker, before another takes over
	patrolAsks  = 3000 // wake-ups that a round reads of watches that are late, and may have been polled since
	asksAtOnce  = 16
)

func newPatrol(log *slog.Logger, s *store.Store, x *index.Index, id string, m *metrics) *patrol {
	return &patrol{
		log: log, store: s, index: x, id: id, pace: rate.NewLimiter(patrolPace, 1), asks: patrolAsks, looks: make(map[watcher.Order]look),
		backlog: backlog{store: s, projects: make(map[string]*overdueWatches)},
		broken:  brokenRecords{log: log, store: s, number: m.broken, moved: m.repairs.WithLabelValues(brokenRecord), seen: make(map[watcher.Order]suspicion)},
		dead:    deadWakeups{log: log, store: s, removed: m.repairs.WithLabelValues(deadWakeup)},
		again:   m.repairs.WithLabelValues(overdueWakeup), turned: m.turns.WithLabelValues("patrol"),
	}
}

// run patrols until ctx is done.
func (p *patrol) run(ctx context.Context) {
	for link.Sleep(ctx, p.store.Timing.PatrolEvery) {
		p.finished.Store(p.turn(ctx))
		p.turned.SetToCurrentTime()
	}
}

// turn makes a round where it is this worker's; nil where it is not, or failed.
func (p *patrol) turn(ctx context.Context) *patrolRound {
	if err := p.take(ctx); err != nil {
		p.log.Debug("patrol's lease not taken", "err", err)
		return nil
	}
	if !p.holds {
		if err := p.index.CatchUp(ctx, p.recent()); err != nil { // so that a list need not read all
			p.log.Debug("records not read", "err", err)
		}
		return nil
	}
	if err := p.round(ctx); err != nil {
		if ctx.Err() == nil && !errors.Is(err, link.ErrNotConnected) {
			p.log.Warn("patrol's round not finished", "err", err)
		}
		return nil
	}
	return &patrolRound{p.store.Clock.Now(), p.lease, p.backlog.number(), p.open}
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
		clear(p.looks)
		clear(p.backlog.projects)
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
	if !p.holds {
		p.began = p.store.Clock.Local()
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

// round publishes the wake-ups that are overdue, and deals with records that cannot be read and with wake-ups that are dead.
func (p *patrol) round(ctx context.Context) error {
	recent := p.recent()
	p.backlog.begin()
	if err := p.broken.begin(ctx); err != nil {
		return err
	}
	late, err := p.late(ctx, recent)
	if err != nil {
		return err
	}
	unread, failed := p.askAll(ctx, late) // the others are counted all the same
	for _, r := range late {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		l := p.known(r)
		if unread[r.Order] && !p.wasOverdue(l) {
			continue // in the next round
		}
		if p.overdue(l) && !l.absent {
			p.backlog.count(r, l.due)
		}
		if failed == nil && p.silent(l) {
			l, failed = p.look(ctx, r, l)
		}
		p.looks[r.Order] = l
	}
	failed = cmp.Or(failed, p.suspects(ctx, recent))
	return errors.Join(failed, p.backlog.tell(ctx), p.dead.round(ctx, recent, p.broken.suspect), p.broken.end(ctx))
}

// recent is when the slack began: what was written since is not looked at.
func (p *patrol) recent() time.Time { return p.store.Clock.Now().Add(-p.store.Timing.PatrolSlack) }

// late returns the watches that are late, as far as is known.
func (p *patrol) late(ctx context.Context, recent time.Time) (late []index.Row, err error) {
	for _, before := range []time.Time{recent, {}} {
		if err := p.index.CatchUp(ctx, before); err != nil {
			return nil, err
		}
		late, p.open = nil, make(map[watcher.State]int)
		looks := make(map[watcher.Order]look)
		for r := range p.index.Open() {
			p.open[r.State]++
			l := p.known(r)
			if before, ok := p.looks[r.Order]; ok && l == before {
				looks[r.Order] = l
			}
			if p.overdue(l) || p.silent(l) {
				late = append(late, r)
			}
		}
		p.looks = looks
		if len(late) == 0 {
			break
		}
	}
	slices.SortFunc(late, func(a, b index.Row) int { return cmp.Compare(a.Revision, b.Revision) })
	return late, nil
}

// known returns what is known of a watch.
func (p *patrol) known(r index.Row) look {
	if l, ok := p.looks[r.Order]; ok && l.revision == r.Revision {
		return l
	}
	return look{r.Revision, latest(r.NextPollAt, r.Stored), latest(r.Seen, p.began), max(0, r.NextPollAt.Sub(r.Stored)), time.Time{}, false}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// overdue reports whether the watch was to be polled long ago, by the server's clock.
func (p *patrol) overdue(l look) bool {
	return p.store.Clock.Now().Sub(l.due) >= p.store.Timing.PatrolSlack
}

// silent reports whether this process has seen nothing happen for too long.
func (p *patrol) silent(l look) bool {
	return p.store.Clock.Local().Sub(l.since) >= l.interval+p.store.Timing.PatrolSlack
}

// mayGoOn reports whether the watch may have been polled since its record was written, and nobody has looked lately.
func (p *patrol) mayGoOn(r index.Row, l look) bool {
	asked := !l.asked.IsZero() && p.store.Clock.Local().Sub(l.asked) < p.store.Timing.PatrolSlack
	return !asked && p.store.Clock.Now().Sub(r.Stored) < index.Longest
}

// wasOverdue reports whether the watch was overdue when its wake-up was read last.
func (p *patrol) wasOverdue(l look) bool {
	since := p.store.Clock.Local().Sub(l.asked)
	return !l.asked.IsZero() && p.store.Clock.Now().Sub(l.due)-since >= p.store.Timing.PatrolSlack
}

// askAll reads the wake-ups of those watches that may have been polled since, some at a time. Where they are too many for one
// round, those come first whose wake-up was not read for longest; the others are unread.
func (p *patrol) askAll(ctx context.Context, late []index.Row) (unread map[watcher.Order]bool, failed error) {
	var asks []index.Row
	for _, r := range late {
		if l := p.known(r); p.overdue(l) && p.mayGoOn(r, l) {
			asks = append(asks, r)
		}
	}
	unread = make(map[watcher.Order]bool)
	if len(asks) > p.asks {
		slices.SortStableFunc(asks, func(a, b index.Row) int { return p.known(a).asked.Compare(p.known(b).asked) })
		for _, r := range asks[p.asks:] {
			unread[r.Order] = true
		}
		asks = asks[:p.asks]
	}
	var (
		running sync.WaitGroup
		mu      sync.Mutex // of looks, and of the error
		slots   = make(chan struct{}, asksAtOnce)
	)
	for _, r := range asks {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		mu.Lock()
		l := p.known(r)
		mu.Unlock()
		running.Go(func() {
			defer func() { <-slots }()
			l, err := p.ask(ctx, r, l)
			mu.Lock()
			defer mu.Unlock()
			p.looks[r.Order] = l
			failed = cmp.Or(failed, err)
		})
	}
	running.Wait()
	return unread, failed
}

// ask reads the watch's wake-up, and returns what is known then.
func (p *patrol) ask(ctx context.Context, r index.Row, l look) (look, error) {
	l.asked = p.store.Clock.Local()
	names := p.store.Names
	m, err := p.store.Last(ctx, names.WakeupStream(), names.Subjects+".*."+r.Key())
	if err != nil || m.Sequence == 0 {
		return l, err
	}
	prefix := names.Waiting("")
	if strings.HasPrefix(m.Subject, names.Due("")) {
		prefix = names.Due("")
	}
	k, err := store.DecodeWakeup(m.Subject, prefix, m.Data)
	if err != nil { // it is none, and one may lie beside it
		k, err = p.store.Newest(ctx, r.Order)
	}
	if err == nil {
		l = p.goesOn(r, l, k)
	}
	return l, err
}

// goesOn returns what is known of a watch after its wake-up was read: where that is due later than was known, it goes on.
func (p *patrol) goesOn(r index.Row, l look, k watcher.Wakeup) look {
	if dead(k, r.Watch()) || !k.At.After(l.due) {
		return l
	}
	l.due, l.since, l.interval = k.At, p.store.Clock.Local(), 0
	if k.Polls > 0 {
		l.interval = max(0, k.At.Sub(k.PolledAt))
	}
	return l
}

// look publishes the wake-up of a watch that is overdue, and returns what is known then. It reads what the servers that
// write have.
func (p *patrol) look(ctx context.Context, r index.Row, l look) (look, error) {
	w, revision, err := p.store.ReadLatest(ctx, r.Order)
	switch {
	case revision != 0 && uint64(revision) < r.Revision: // the server has lost its latest records: others may be gone, too
		p.index.Anew()
		return l, nil
	case errors.Is(err, watcher.ErrNoRecord) && revision == 0: // deleted without a marker, or the server is behind
		if l.absent {
			p.index.Forget(r.Order, r.Revision)
		}
		l.absent, l.since = true, p.store.Clock.Local()
		return l, nil
	case errors.Is(err, watcher.ErrNoRecord), errors.Is(err, watcher.ErrBroken), errors.Is(err, watcher.ErrNewerSchema):
		return l, nil // it is another since
	case err != nil:
		return l, err
	case uint64(revision) != r.Revision:
		p.index.See(store.Record{Watch: w, Order: r.Order, Sequence: uint64(revision), Stored: p.store.Clock.Now()})
		return l, nil
	}
	l.absent = false
	k, err := p.store.Newest(ctx, r.Order)
	if err != nil {
		return l, err
	}
	if l = p.goesOn(r, l, k); !p.silent(l) {
		return l, nil
	}
	if err := p.pace.Wait(ctx); err != nil {
		return l, err
	}
	due, err := dueFor(ctx, p.store, w, k)
	if err != nil {
		return l, err
	}
	if due != liveDue { // another would not help
		p.log.Warn("wake-up was overdue; published again", "watch", r.WatchID, "project", r.ProjectID, "order", r.Name, "state", r.State)
	}
	if dead(k, w) {
		k = w.Expected()
	}
	switch due {
	case ghosts:
		err = p.store.ReplaceDue(ctx, k)
	case noDue: // in place of a timer that does not fire, which would stay for ever, and due at once
		err = p.store.SetTimer(ctx, k, r.Stored)
	}
	if err == nil {
		l.since, l.interval = p.store.Clock.Local(), max(0, r.NextPollAt.Sub(r.Stored))
		if due != liveDue {
			p.again.Inc()
		}
	}
	return l, err
}

// suspects takes what was stored before recent and is no record that can be read: deleted ones only where a wake-up is for
// them, and none of later versions.
func (p *patrol) suspects(ctx context.Context, recent time.Time) error {
	for _, o := range p.index.Odd(false) {
		if o.Stored.After(recent) {
			continue
		}
		if errors.Is(o.Err, watcher.ErrNoRecord) {
			number, err := p.store.Highest(ctx, o.Order)
			if err != nil {
				return err
			}
			if number == 0 {
				p.index.Forget(o.Order, o.Revision)
				continue
			}
		}
		p.broken.suspect(o.Order, o.Revision, o.Stored)
	}
	return nil
}
