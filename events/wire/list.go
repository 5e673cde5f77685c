package wire

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// A ListQuery says which watches are wanted. Its zero value wants the newest 100 of all.
type ListQuery struct {
	State     watcher.State `json:"state,omitempty"`      // watching or ended; empty: both
	ProjectID string        `json:"project_id,omitempty"` // empty: every project
	Label     string        `json:"label,omitempty"`      // k=v: one of the watch's requests has this label
	Limit     int           `json:"limit,omitempty"`      // 1 to 1000; 0 stands for 100
	Cursor    string        `json:"cursor,omitempty"`     // of the answer before: what comes after it
}

// A ListAnswer is one page of watches, newest first: by when the watch was accepted.
type ListAnswer struct {
	Watches []watcher.Snapshot `json:"watches"`          // without items and failures
	Cursor  string             `json:"cursor,omitempty"` // asks for the next page; empty where this was the last
	// Unreadable counts the watches of this page that are left out because a later version of this
	// program wrote their records.
	Unreadable int `json:"unreadable,omitempty"`
	// Broken are the records that cannot be read, oldest first: with the first page alone, where neither ended
	// watches nor a label are asked for.
	Broken []BrokenRecord `json:"broken_records,omitempty"`
}

// A BrokenRecord is a record that cannot be read, or was deleted while its watch went on, as workers
// remember it until the order is watched again.
type BrokenRecord struct {
	watcher.Order
	WatchID  string    `json:"watch_id"`          // of its wake-ups or events; made up where they name none
	Since    time.Time `json:"since"`             // when it was written, or deleted
	Reason   string    `json:"reason"`            // why it cannot be read
	Requests []string  `json:"requests"`          // ids of requests that are to be published again, with new ids
	MovedAt  time.Time `json:"moved_at,omitzero"` // when it was moved aside: requests start a new watch since then
	Kept     string    `json:"kept_as,omitempty"` // the key of the bucket where its bytes are kept
	Revision uint64    `json:"revision"`          // of what is in its place; 0 for nothing
}

// Bounds of a page.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// DecodeList reads a question for a list. The error is a *[watcher.FieldError].
func DecodeList(body []byte) (ListQuery, error) {
	q := ListQuery{Limit: defaultLimit}
	err := eachField(body, "", func(name string, value json.RawMessage) error {
		switch name {
		case "state":
			return state(value, &q.State)
		case "project_id":
			return projectID(value, &q.ProjectID)
		case "label":
			return labelFilter(value, &q.Label)
		case "limit":
			return wholeNumber(name, value, 1, maxLimit, &q.Limit)
		case "cursor":
			return text(name, value, 64, &q.Cursor)
		}
		return &watcher.FieldError{Field: show(name), Reason: "is no field of a list request; the fields are state, project_id, label, limit, cursor"}
	})
	return q, err
}

func state(value json.RawMessage, to *watcher.State) error {
	var s string
	if err := text("state", value, 64, &s); err != nil {
		return err
	}
	*to = watcher.State(s)
	if *to != "" && *to != watcher.Watching && *to != watcher.Ended {
		return &watcher.FieldError{Field: "state", Reason: "must be watching or ended"}
	}
	return nil
}

// projectID reads the id of a project, which becomes part of a subject.
func projectID(value json.RawMessage, to *string) error {
	if err := text("project_id", value, 64, to); err != nil || *to == "" {
		return err
	}
	return watcher.Order{ProjectID: *to, Name: "any"}.Validate()
}

func labelFilter(value json.RawMessage, to *string) error {
	if err := text("label", value, maxLabelKey+1+maxLabelValue, to); err != nil || *to == "" {
		return err
	}
	if key, _, ok := strings.Cut(*to, "="); !ok || key == "" {
		return &watcher.FieldError{Field: "label", Reason: "must be key=value"}
	}
	return nil
}
