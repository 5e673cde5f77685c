package events

import (
	"encoding/json"

	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// CompletionEvent returns an event that says how a watch ended, as its record tells it: what a client is left
// with where NATS lost the completion event. It was never stored, so its Sequence and StoredAt are zero. It
// lacks the trace of the request. ok is false where the watch has not ended.
func CompletionEvent(s watcher.Snapshot) (e Event, ok bool) {
	if e.Encoded, ok = wire.EndOf(s); !ok {
		return e, false
	}
	return e, json.Unmarshal(e.Encoded, &e.Event) == nil
}
