package events

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A Clock tells the server's time: the process's clock, which may be wrong, and the offset to the
// server's. It is safe for concurrent use.
type Clock struct {
	local  func() time.Time
	offset atomic.Int64 // nanoseconds
}

// NewClock returns a Clock on the process's clock, which must never be set back. nil stands for
// the machine's: its time when the Clock is made, and what has passed since, whatever becomes of
// the machine's time of day.
func NewClock(local func() time.Time) *Clock {
	if local == nil {
		start := time.Now()
		local = func() time.Time { return start.Add(time.Since(start)) }
	}
	return &Clock{local: local}
}

// Now returns the server's time, as far as it is known. Before the first answer of a server it is
// the process's.
func (c *Clock) Now() time.Time {
	return c.local().Add(time.Duration(c.offset.Load()))
}

// Offset returns how far the server's clock is ahead of the process's.
func (c *Clock) Offset() time.Duration { return time.Duration(c.offset.Load()) }

// maxRoundTrip is how long an answer may take to be believed: the time in it may be half of that wrong.
const maxRoundTrip = time.Second

// refresh asks the server that leads the stream for its time.
func (c *Clock) refresh(ctx context.Context, js jetstream.JetStream, stream string) error {
	asked := c.local()
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return fmt.Errorf("read the server's clock: %w", err)
	}
	took := c.local().Sub(asked)
	if took > maxRoundTrip && c.offset.Load() != 0 {
		return nil // it says too little of the time; the next one will
	}
	middle := asked.Add(took / 2)
	if server := s.CachedInfo().TimeStamp; !server.IsZero() {
		c.offset.Store(int64(server.Sub(middle)))
	}
	return nil
}
