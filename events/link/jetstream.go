package link

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// JetStream returns JetStream on the connection, whose API has subjects that begin with the prefix: $JS.API. where it
// has its usual name. A call whose context has no deadline ends after the timeout.
func JetStream(nc *nats.Conn, prefix string, timeout time.Duration) (jetstream.JetStream, error) {
	// Not NewWithDomain: jetstreamext leaves the API out of its subjects there.
	js, err := jetstream.NewWithAPIPrefix(nc, prefix, jetstream.WithDefaultTimeout(timeout))
	if err != nil {
		return nil, fmt.Errorf("use JetStream: %w", err)
	}
	return js, nil
}

// guarded is JetStream, of which these methods are calls of [Calls].
type guarded struct {
	jetstream.JetStream
	calls *Calls
	limit time.Duration
}

func (g guarded) Stream(ctx context.Context, name string) (stream jetstream.Stream, err error) {
	err = g.calls.Make(ctx, g.limit, func(ctx context.Context) error {
		stream, err = g.JetStream.Stream(ctx, name)
		return err
	})
	return stream, err
}

func (g guarded) Consumer(ctx context.Context, stream, name string) (consumer jetstream.Consumer, err error) {
	err = g.calls.Make(ctx, g.limit, func(ctx context.Context) error {
		consumer, err = g.JetStream.Consumer(ctx, stream, name)
		return err
	})
	return consumer, err
}

func (g guarded) PublishMsg(ctx context.Context, m *nats.Msg, options ...jetstream.PublishOpt) (ack *jetstream.PubAck, err error) {
	err = g.calls.Make(ctx, g.limit, func(ctx context.Context) error {
		ack, err = g.JetStream.PublishMsg(ctx, m, options...)
		return err
	})
	return ack, err
}

// Sleep waits, and reports whether it was not interrupted.
func Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
