package events

import (
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// DecodeRequest reads a message on orders.watch as the worker does.
func DecodeRequest(rules RequestRules, body []byte, msgID string, sequence uint64, stored time.Time) (watcher.Ask, error) {
	return rules.decode(incoming{body: body, msgID: msgID, sequence: sequence, stored: stored})
}
