package store

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A Clock tells the server's time: that of the process's clock, and its offset. It is safe for concurrent use.
type Clock struct {
	local func() time.Time
	known atomic.Pointer[reading] // nil before the first answer of a server
}

// A reading is what one answer says of the server's clock.
type reading struct {
	offset time.Duration // of the server's clock to the process's
	doubt  time.Duration // by how much that may be wrong: the answer was as long on its way, one way
	at     time.Time     // by the process's clock
}

// drift is by how much of the time that passes two clocks may go apart.
const drift = 100e-6

// counts reports whether a reading takes the place of one before it, nil for none: it is as sure, after
// all the time since, or they contradict each other, since a clock was set or another server answered.
func (r reading) counts(before *reading) bool {
	if before == nil {
		return true
	}
	doubt := before.doubt + time.Duration(drift*float64(r.at.Sub(before.at).Abs()))
	return r.doubt <= doubt || (r.offset-before.offset).Abs() > r.doubt+doubt
}

// NewClock returns a Clock on the process's clock, which must never be set back. nil stands for the machine's time when
// the Clock is made, and what has passed since.
func NewClock(local func() time.Time) *Clock {
	if local == nil {
		start := time.Now()
		local = func() time.Time { return start.Add(time.Since(start)) }
	}
	return &Clock{local: local}
}

// Now returns the server's time; before the first answer of a server it is the process's.
func (c *Clock) Now() time.Time { return c.local().Add(c.Offset()) }

// Local returns the time of the process's clock, by which this process measures how long something lasts.
func (c *Clock) Local() time.Time { return c.local() }

// Offset returns how far the server's clock is ahead of the process's.
func (c *Clock) Offset() time.Duration {
	if known := c.known.Load(); known != nil {
		return known.offset
	}
	return 0
}

// Refresh asks the server that leads the stream for its time.
func (c *Clock) Refresh(ctx context.Context, js jetstream.JetStream, stream string) error {
	asked := c.local()
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return fmt.Errorf("read the server's clock: %w", err)
	}
	server := s.CachedInfo().TimeStamp
	if server.IsZero() {
		return nil
	}
	oneWay := c.local().Sub(asked) / 2
	r := reading{offset: server.Sub(asked.Add(oneWay)), doubt: oneWay, at: asked}
	if before := c.known.Load(); r.counts(before) {
		c.known.CompareAndSwap(before, &r) // where another was quicker, its own counts
	}
	return nil
}
