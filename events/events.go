// Package events is a worker: it takes requests, wake-ups that are due, and events, beside any number of other
// workers, and answers the service. What to do with a request or a wake-up is decided in package watcher; here
// are the loops that carry messages to it, and what keeps an installation whole.
//
// It promises that a [Worker] keeps nothing but the polls in flight, so that it can be killed at any moment; that a
// delivery is acknowledged only after what it asked for is stored; that it comes back by itself after any outage of
// NATS; and that [Worker.Ready] says why it does not do its work.
//
//	wire     messages as they are on NATS
//	link     the connection and the pulling
//	store    records, wake-ups, events, notes and holds in JetStream
//	inspect  looks at an installation, for the doctor and for the status
//	client   what any Go program needs
//
// Read worker.go first, then loop.go (one consumer), service.go and status.go (request and reply). One worker at a
// time patrols: patrol.go, backlog.go, broken.go, ghosts.go. rearm.go, lost.go and ledger.go deal with streams that
// were emptied or made anew. attention.go and untold.go watch over what people are told.
package events

import (
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// A Config says how a [Worker] works. Every field is required unless it says otherwise.
type Config struct {
	Concurrency int // polls in flight, ≥ 1
	Requests    wire.Rules
	Policy      watcher.Policy // its MaxPayload is set from the server's

	// Troubles returns what keeps people from being told at the moment, one a line; nil: nothing. It must be
	// safe for concurrent use.
	Troubles func() []string
}
