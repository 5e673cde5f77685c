package events

import (
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/watcher"
)

// DecodeRequest reads a message on orders.watch as the worker does.
func DecodeRequest(rules RequestRules, body []byte, header nats.Header, sequence uint64, stored time.Time) (watcher.Ask, error) {
	return rules.decode(incoming{body: body, header: header, sequence: sequence, stored: stored, made: streamID(sequence, stored)})
}
