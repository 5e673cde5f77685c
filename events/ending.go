package events

import (
	"encoding/json"

	"github.com/orderwatch/orderwatch/watcher"
)

// CompletionEvent returns an event that says how a watch ended, as its record tells it: what a client is left
// with where NATS lost the completion event. It was never stored, so its Sequence and StoredAt are zero. It
// lacks the trace of the request. ok is false where the watch has not ended.
func CompletionEvent(s watcher.Snapshot) (e Event, ok bool) {
	if s.State != watcher.Ended {
		return e, false
	}
	c := watcher.Completion{Outcome: s.Outcome, Report: s.Report, CompletedAt: s.CompletedAt}
	switch s.Outcome {
	case watcher.TimedOut, watcher.OrderNotFound, watcher.OrderRefused:
		c.Error = s.LastError
	}
	m, err := message("", newReport(typeCompleted, c.WatchID, c.CompletedAt, &c.Report), watcher.Trace{}, c)
	if err != nil {
		return e, false
	}
	e.Encoded = m.Data
	return e, json.Unmarshal(m.Data, &e.Event) == nil
}
