package events

import (
	"context"
	"log/slog"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/watcher"
)

// Undelivered publishes what could not be delivered to people. It is safe for concurrent use.
type Undelivered struct{ store *store }

var _ watcher.Undelivered = (*Undelivered)(nil)

// NewUndelivered returns a publisher on the connection. The stream is the worker's to create.
func NewUndelivered(log *slog.Logger, config Config, nc *nats.Conn, clock *Clock) (*Undelivered, error) {
	js, err := link.JetStream(nc, config.Names.Domain, config.Timing.Request)
	if err != nil {
		return nil, err
	}
	return &Undelivered{newStore(log, config, js, clock)}, nil
}

// Keep publishes the message as an event. Only nil says that it is stored.
func (u *Undelivered) Keep(ctx context.Context, m watcher.UndeliveredMessage) error {
	event, err := u.store.names.UndeliveredEvent(m)
	if err != nil {
		return err
	}
	_, err = u.store.publish(ctx, u.store.names.EventStream(), event)
	return err
}
