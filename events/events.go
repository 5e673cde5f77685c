// Package events is orderwatch's NATS side: requests in, records, wake-ups, and events out, all
// on JetStream.
//
//	ORDER_REQUESTS  orders.watch                requests; consumer intake
//	ORDER_WATCHES   (key-value)                 one record for each order's watch; the patrol's lease
//	ORDER_WAKEUPS   orders.waiting.>, orders.due.>   scheduled wake-ups become due; consumer poller
//	ORDER_ACCOUNTS  (key-value)                 which workers there are; why accounts are held
//	ORDER_SLACK     (key-value)                 what was posted where
//	ORDER_EVENTS    orders.completed.>, …       events; consumer slack
//
// A [Worker] keeps nothing but the polls in flight: it can be killed, and any number of them can
// run beside each other. What to do with a request or a wake-up is decided in package watcher;
// this package carries messages between its interfaces and the server, and translates the
// server's answers into evidence (see evidence.go).
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
