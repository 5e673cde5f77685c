package wire

import (
	"bytes"

	"github.com/orderwatch/orderwatch/watcher/history"
)

// A HistoryRequest asks how long orders take.
type HistoryRequest struct {
	Forget string `json:"forget,omitempty"` // a key whose orders are to be forgotten first
}

// A HistoryAnswer is what a worker knows of how long orders take.
type HistoryAnswer struct {
	Known []KnownOrders `json:"known"` // in the order of their keys; at most 500
}

// KnownOrders are those of one key. The durations are from where the phase begins, each nil where too few have ended.
type KnownOrders struct {
	Key       string        `json:"key"`
	Region    string        `json:"region"`
	Actions   []string      `json:"actions,omitempty"` // none: of all actions, or not known yet
	Phase     history.Phase `json:"phase,omitempty"`   // empty: the whole order
	Ends      int           `json:"ends"`              // as many as are remembered
	P10       *history.Span `json:"p10,omitempty"`     // one of ten took no longer
	P50       *history.Span `json:"p50,omitempty"`     // half of them took no longer
	P90       *history.Span `json:"p90,omitempty"`     // nine of ten took no longer
	LateAfter *history.Span `json:"late_after,omitempty"`
}

// maxHistoryKey is how long a key may be that is forgotten.
const maxHistoryKey = 400

// DecodeHistory reads a [HistoryRequest], and returns the key that is to be forgotten; empty for none. The error is a
// *[watcher.FieldError].
func DecodeHistory(body []byte) (forget string, err error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return "", nil
	}
	err = readFields(body, "a history request", field{"forget", text(maxHistoryKey, &forget)})
	return forget, err
}
