package events

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderwatch/orderwatch/events/index"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// What the tests of this package reach besides its public names.

// LossLooks returns how often the worker has looked whether the store was lost.
func (w *Worker) LossLooks() int64 { return w.losses.looks.Load() }

// A Patrol patrols when it is told to.
type Patrol struct {
	p        *patrol
	Registry *prometheus.Registry // of what it counts
}

// NewPatrol returns a patrol over the store.
func NewPatrol(log *slog.Logger, s *store.Store, id string) Patrol {
	registry := prometheus.NewRegistry()
	p := newPatrol(log, s, index.New(s), id, newMetrics(registry, s, nil))
	p.broken.policy = func() watcher.Policy { return watcher.Policy{MaxPayload: 1 << 20, DefaultRegion: "cn-north-4"} }
	return Patrol{p, registry}
}

// Take takes or renews the lease, and reports whether it is this patrol's.
func (p Patrol) Take(ctx context.Context) (bool, error) {
	err := p.p.take(ctx)
	return p.p.holds, err
}

// AskAtMost lets a round read so many wake-ups at the most.
func (p Patrol) AskAtMost(n int) { p.p.asks = n }

// Overdue is how many watches the last round found overdue.
func (p Patrol) Overdue() int { return p.p.backlog.number() }

// Round makes one round.
func (p Patrol) Round(ctx context.Context) error { return p.p.round(ctx) }

// Cursor is the sequence of the first record that the next round looks at, or of the first that it reads.
func (p Patrol) Cursor() uint64 {
	first := p.p.index.Next()
	for r := range p.p.index.Open() {
		first = min(first, r.Revision)
	}
	return first
}

// Rows is how many watches are known.
func (p Patrol) Rows() (n int) {
	for range p.p.index.Open() {
		n++
	}
	return n
}

// See lets the index have the record.
func (p Patrol) See(r store.Record) { p.p.index.See(r) }

// Vitals are what was seen of an installation.
type Vitals struct {
	Patrolled, Due, Untold time.Time
	Overdue                int
	ReadBack               bool
}

// Ill returns why no heartbeat may be made.
func (v Vitals) Ill(now time.Time, c store.Config) string {
	return vitals{v.Patrolled, v.Overdue, v.ReadBack, v.Due, v.Untold}.ill(now, c)
}

// PulledAfter returns how many wake-ups lie in open pulls of a worker with free slots that was given such leaves.
func PulledAfter(slots int, leaves ...watcher.Leave) int {
	pulls := &openPulls{}
	for _, leave := range leaves {
		ratedOrders{leaving{leave: leave}, pulls}.Wait(context.Background(), "", watcher.Order{}, time.Time{}, watcher.Turn{})
	}
	return pulls.wanted(slots)
}

// leaving gives one leave.
type leaving struct {
	watcher.Orders
	leave watcher.Leave
}

func (l leaving) Wait(context.Context, string, watcher.Order, time.Time, watcher.Turn) watcher.Leave {
	return l.leave
}

func (leaving) Book(_ string, _ watcher.Order, _ time.Time, turn watcher.Turn) time.Time {
	return turn.At
}

// WaitingOf counts watches that wait, by project.
func WaitingOf(watches ...watcher.Watch) (map[string]int, map[string]watcher.WaitingChannels) {
	all := newWaiting()
	for _, w := range watches {
		all.add(&w)
	}
	return all.watches, all.channels
}

// A Rearming looks at the stream of wake-ups when it is told to.
type Rearming struct{ r *rearming }

// NewRearming returns one over the store.
func NewRearming(log *slog.Logger, s *store.Store) Rearming {
	return Rearming{&rearming{log: log, store: s, index: index.New(s)}}
}

// Look looks once, and makes a pass where one is due.
func (r Rearming) Look(ctx context.Context) error { return r.r.look(ctx) }

// Due is how many passes are still to be made.
func (r Rearming) Due() int { return r.r.left }

// A Following answers questions for events.
type Following struct{ f *following }

// NewFollowing returns one over the store.
func NewFollowing(s *store.Store) Following {
	return Following{&following{store: s, reading: make(chan struct{}, mostReading)}}
}

// Ask asks it as the team, which sees what maySee says.
func (f Following) Ask(ctx context.Context, team, question string, maySee func() bool) (wire.EventsAnswer, error) {
	return f.f.ask(ctx, team, []byte(question), func(string, []byte) bool { return maySee() })
}

// Waiting returns how many wait, and how many of them are the team's.
func (f Following) Waiting(team string) (all, of int) {
	f.f.mu.Lock()
	defer f.f.mu.Unlock()
	if mine := f.f.shares[team]; mine != nil {
		of = mine.waiting
	}
	return f.f.waiting, of
}

// TakeTurns takes all turns of the team to read events, until the test has ended.
func (w *Worker) TakeTurns(t *testing.T, team string) {
	mine, leave := w.service.follow.share(team)
	for range cap(mine.reading) {
		mine.reading <- struct{}{}
	}
	t.Cleanup(func() {
		for range cap(mine.reading) {
			<-mine.reading
		}
		leave()
	})
}
