package events

import (
	"context"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// What the tests of this package reach besides its public names.

var (
	NotThere  = notThere
	Published = published
)

// NewStore returns what keeps records, wake-ups and events, without a worker.
func NewStore(config Config, nc *nats.Conn, clock *Clock) (Store, error) {
	js, err := link.JetStream(nc, config.Names.Domain, config.Timing.Request)
	s := newStore(slog.New(slog.DiscardHandler), config, js, clock)
	s.completed = func(watcher.Outcome) {}
	return s, err
}

// LossLooks returns how often the worker has looked whether the store was lost.
func (w *Worker) LossLooks() int64 { return w.losses.looks.Load() }

// A Reading is what one answer says of the server's clock.
type Reading = reading

// NewReading returns a reading.
func NewReading(offset, doubt time.Duration, at time.Time) Reading { return reading{offset, doubt, at} }

// Counts reports whether the reading takes the place of one before it.
func (r reading) Counts(before *Reading) bool { return r.counts(before) }

// A Store is all that the domain asks of this package.
type Store interface {
	watcher.Records
	watcher.Wakeups
	watcher.Events
}

// A Patrol patrols when it is told to.
type Patrol struct{ p *patrol }

// NewPatrol returns a patrol over a store of [NewStore].
func NewPatrol(log *slog.Logger, s Store, clock *Clock, id string) Patrol {
	p := newPatrol(log, s.(*store), clock, id)
	p.broken.policy = func() watcher.Policy { return watcher.Policy{MaxPayload: 1 << 20, DefaultRegion: "cn-north-4"} }
	return Patrol{p}
}

// Take takes or renews the lease, and reports whether it is this patrol's.
func (p Patrol) Take(ctx context.Context) (bool, error) {
	err := p.p.take(ctx)
	return p.p.holds, err
}

// Round makes one round.
func (p Patrol) Round(ctx context.Context) error { return p.p.round(ctx) }

// Cursor is the sequence at which the next round begins.
func (p Patrol) Cursor() uint64 { return p.p.cursor }

// List returns a page of what the store of [NewStore] holds.
func List(ctx context.Context, s Store, q wire.ListQuery) (wire.ListAnswer, error) {
	return s.(*store).list(ctx, q, watcher.Policy{MaxPayload: 1 << 20})
}

// Provision creates the streams and consumers.
func Provision(ctx context.Context, config Config, js jetstream.JetStream) error {
	return config.ensure(ctx, listener{made: func(string) {}, differs: func(string, difference) {}}, js, "")
}

// PulledAfter returns how many wake-ups lie in open pulls of a worker that was given such leaves.
func PulledAfter(slots int, leaves ...watcher.Leave) int {
	pulls := &openPulls{slots: slots}
	for _, leave := range leaves {
		ratedOrders{leaving{leave: leave}, pulls}.Wait(context.Background(), "", watcher.Order{}, time.Time{}, time.Time{})
	}
	return pulls.wanted()
}

// leaving gives one leave.
type leaving struct {
	watcher.Orders
	leave watcher.Leave
}

func (l leaving) Wait(context.Context, string, watcher.Order, time.Time, time.Time) watcher.Leave {
	return l.leave
}
