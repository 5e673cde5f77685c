package store

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/watcher"
)

// A payload is the largest message that the server takes. A server whose limit is changed does not tell its clients,
// and closes the connection of one that sends more: the library then gives the connection up. So a worker asks again
// before it sends a large message. It is safe for concurrent use.
type payload struct {
	nc      *nats.Conn
	options nats.Options // of the connection, read before its handlers are set: the library reads and sets them under its lock

	asking sync.Mutex // held while the server is asked

	mu      sync.Mutex
	found   int       // by the last question; 0 before the first
	session uint64    // the reconnects before it was asked
	server  string    // that was asked
	asked   time.Time // when that was, by the process's clock; read and written by who holds asking, as server is
}

const (
	// payloadPause is how long an answer counts before a large message is sent.
	payloadPause = 2 * time.Second
	// payloadEvery is how long it counts where nobody sends one.
	payloadEvery = time.Minute
	// headerRoom is more than the headers of any message of this program, in bytes.
	headerRoom = 2 << 10
)

// Limit returns the largest message that the server takes, in bytes with its headers, as far as it is known.
func (p *payload) Limit() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	limit := int(p.nc.MaxPayload())
	if p.found > 0 && p.session == p.nc.Stats().Reconnects {
		limit = min(limit, p.found) // the connection knows of what the server said at its beginning
	}
	return limit
}

// Fits reports whether a message with so many bytes of data, and the headers that this program sets, may be sent. For
// a large one it asks the server.
func (p *payload) Fits(ctx context.Context, size int) bool {
	size += headerRoom
	if size > watcher.MinPayload/2 {
		p.refresh(ctx, payloadPause)
	}
	return size <= p.Limit()
}

// KeepLimit asks the server for its limit where the last answer is more than a minute old, or was too small, so that a
// worker knows before it needs to send a large message.
func (p *payload) KeepLimit(ctx context.Context) {
	pause := payloadEvery
	if p.Limit() < watcher.MinPayload {
		pause = payloadPause
	}
	p.refresh(ctx, pause)
}

// refresh asks the server what it takes now, by a connection of its own, unless that was done within the pause.
// Where there is no answer, what was known before counts.
func (p *payload) refresh(ctx context.Context, pause time.Duration) {
	p.asking.Lock()
	defer p.asking.Unlock()
	server, session := p.nc.ConnectedUrl(), p.nc.Stats().Reconnects
	if server == "" || server == p.server && session == p.session && time.Since(p.asked) < pause {
		return
	}
	p.server, p.asked = server, time.Now()
	limit, err := askPayload(ctx, p.options, server)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.found, p.session = limit, session
	}
}

// askPayload connects to the server with the options and returns what it takes.
func askPayload(ctx context.Context, options nats.Options, server string) (int, error) {
	options.Url, options.Servers = server, nil
	options.Name = "orderwatch, asking for max_payload"
	options.AllowReconnect, options.RetryOnFailedConnect, options.MaxReconnect = false, false, 0
	options.ConnectedCB, options.ReconnectedCB, options.DisconnectedCB, options.DisconnectedErrCB = nil, nil, nil, nil
	options.ClosedCB, options.DiscoveredServersCB, options.LameDuckModeHandler, options.ReconnectErrCB = nil, nil, nil, nil
	options.AsyncErrorCB = func(*nats.Conn, *nats.Subscription, error) {}
	if until, ok := ctx.Deadline(); ok {
		options.Timeout = min(options.Timeout, time.Until(until))
	}
	nc, err := options.Connect()
	if err != nil {
		return 0, fmt.Errorf("ask for max_payload: %w", err)
	}
	defer nc.Close()
	return int(nc.MaxPayload()), nil
}
