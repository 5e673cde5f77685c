package link

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrNotConnected says that there is no connection to a server at the moment.
var ErrNotConnected = errors.New("not connected to NATS")

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
