package link

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Calls are calls of the server. Each goes over one connection: it waits until there is one, and ends when that is lost,
// since no answer can come any more. nats.go alone would let it wait for the answer until its deadline, and would send what
// was begun without a connection when there is one, perhaps long after everybody gave it up. It is safe for concurrent use.
type Calls struct {
	mu        sync.Mutex
	connected context.Context // ends when the connection is lost; nil: there is none
	lose      context.CancelFunc
	back      chan struct{} // closed when there is a connection again, or when it was closed for good
	closed    bool          // for good: nats.go fails each call at once
}

// NewCalls returns the calls over the connection. They end with it.
func NewCalls(nc *nats.Conn) *Calls {
	c := &Calls{back: make(chan struct{})}
	statuses := nc.StatusChanged(nats.CONNECTED, nats.DISCONNECTED, nats.RECONNECTING, nats.CLOSED)
	if nc.IsConnected() {
		c.turned(nats.CONNECTED)
	}
	if nc.IsClosed() {
		nc.RemoveStatusListener(statuses)
		c.turned(nats.CLOSED)
		return c
	}
	go func() {
		defer nc.RemoveStatusListener(statuses)
		for status := range statuses {
			if c.turned(status); status == nats.CLOSED {
				return
			}
		}
	}()
	return c
}

// turned takes what the connection has turned to, perhaps from the same.
func (c *Calls) turned(status nats.Status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case status == nats.CONNECTED && c.connected == nil:
		c.connected, c.lose = context.WithCancel(context.Background())
		close(c.back)
	case status != nats.CONNECTED && c.connected != nil:
		c.lose()
		c.connected, c.back = nil, make(chan struct{})
	}
	if status == nats.CLOSED {
		c.closed = true
		close(c.back)
	}
}

// Make waits for a connection, for the limit at the most, and makes a call: f, with a context that ends when the connection is
// lost, or after the limit, which begins anew with the call. The error is f's, ctx's where that was cancelled, or an [ErrNotConnected], which does not say whether the
// server did what was asked.
func (c *Calls) Make(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	connected, _, down := c.state()
	if down {
		wait, stop := context.WithTimeout(ctx, limit)
		defer stop()
		var err error
		if connected, err = c.await(wait); err != nil {
			return err
		}
	}
	call, cancel := context.WithTimeout(ctx, limit) // the wait for a connection leaves no less for the answer
	defer cancel()
	if connected != nil {
		defer context.AfterFunc(connected, cancel)()
	}
	err := f(call)
	if errors.Is(err, context.Canceled) && ctx.Err() == nil {
		return fmt.Errorf("%w any more: the answer cannot come", ErrNotConnected)
	}
	return err
}

// state reports whether there is no connection at the moment. Otherwise it returns a context that ends when the connection is lost;
// nil where it was closed for good.
func (c *Calls) state() (connected context.Context, back chan struct{}, down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.connected, c.back, c.connected == nil && !c.closed
}

// JetStream returns js, of which Stream, Consumer and PublishMsg make calls with the limit.
func (c *Calls) JetStream(js jetstream.JetStream, limit time.Duration) jetstream.JetStream {
	return guarded{js, c, limit}
}

// await waits until there is a connection, and returns what state does.
func (c *Calls) await(ctx context.Context) (connected context.Context, err error) {
	for {
		connected, back, down := c.state()
		if !down {
			return connected, nil
		}
		select {
		case <-back:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return nil, ctx.Err()
			}
			return nil, ErrNotConnected
		}
	}
}

// Rest waits for so long, but where there is no connection until there is one. It reports whether it was not interrupted.
func (c *Calls) Rest(ctx context.Context, d time.Duration) bool {
	if _, _, down := c.state(); down {
		_, err := c.await(ctx)
		return err == nil
	}
	return Sleep(ctx, d)
}
