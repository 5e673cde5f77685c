package client

import (
	"encoding/json"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// An Event is an event as the stream keeps it.
type Event struct {
	event.Event
	Sequence uint64
	StoredAt time.Time
	Encoded  []byte // the CloudEvent's JSON
}

// Completion returns the data of an event that says how a watch ended; false where it is another.
func (e *Event) Completion() (watcher.Completion, bool) { return dataOf[watcher.Completion](e) }

// Progress returns the data of an event that says what changed.
func (e *Event) Progress() (watcher.Progress, bool) { return dataOf[watcher.Progress](e) }

// RequestAttention returns the data of an event for people about a message that was no request.
func (e *Event) RequestAttention() (watcher.RequestAttention, bool) {
	return dataOf[watcher.RequestAttention](e)
}

// Rejection returns the data of an event that says why a message was no request.
func (e *Event) Rejection() (wire.Rejection, bool) { return dataOf[wire.Rejection](e) }

// Attention returns the data of an event about an account.
func (e *Event) Attention() (watcher.Attention, bool) { return dataOf[watcher.Attention](e) }

// OrderAttention returns the data of an event about one watch that people should look at.
func (e *Event) OrderAttention() (watcher.OrderAttention, bool) {
	return dataOf[watcher.OrderAttention](e)
}

// Undelivered returns the data of an event about a message that Slack finally refused.
func (e *Event) Undelivered() (watcher.UndeliveredMessage, bool) {
	return dataOf[watcher.UndeliveredMessage](e)
}

// Again returns the data of an event that asks to tell people again.
func (e *Event) Again() (watcher.Again, bool) { return dataOf[watcher.Again](e) }

func dataOf[D wire.Data](e *Event) (D, bool) {
	data, err := wire.DataOf[D](e.Event)
	return data, err == nil
}

// CompletionEvent returns an event that says how a watch ended, as its record tells it: what a client is left
// with where NATS lost the completion event. It was never stored, so its Sequence and StoredAt are zero. It
// lacks the trace of the request. ok is false where the watch has not ended.
func CompletionEvent(s watcher.Snapshot) (e Event, ok bool) {
	if e.Encoded, ok = wire.EndOf(s); !ok {
		return e, false
	}
	return e, json.Unmarshal(e.Encoded, &e.Event) == nil
}
