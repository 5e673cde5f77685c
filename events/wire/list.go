package wire

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// A ListQuery says which watches are wanted. Its zero value wants the newest 100 of all.
type ListQuery struct {
	State     watcher.State `json:"state,omitempty"`      // watching or ended; empty: both
	ProjectID string        `json:"project_id,omitempty"` // empty: every project
	Label     string        `json:"label,omitempty"`      // k=v: one of the watch's requests has this label
	Team      string        `json:"team,omitempty"`       // one of the watch's requests is this team's

	// A worker of a release before these four refuses a query that has one, with 400 and the field's name.
	Name      string            `json:"order_name,omitempty"`
	RequestID string            `json:"request_id,omitempty"` // of one of the watch's requests
	Outcomes  []watcher.Outcome `json:"outcomes,omitempty"`   // the watch has ended so, in one of these ways
	Since     time.Time         `json:"since,omitzero"`       // the watch goes on, or ended at that time or later

	Limit  int    `json:"limit,omitempty"`  // 1 to 1000; 0 stands for 100
	Cursor string `json:"cursor,omitempty"` // of the answer before: what comes after it
}

// A ListAnswer is one page of watches, newest first: by when the watch was accepted.
type ListAnswer struct {
	Watches []watcher.Snapshot `json:"watches"`          // without items and failures
	Cursor  string             `json:"cursor,omitempty"` // asks for the next page; empty where this was the last
	// Unreadable counts the watches of this page that are left out because a later version of this
	// program wrote their records.
	Unreadable int `json:"unreadable,omitempty"`
	// Broken are the records that cannot be read, oldest first: with the first page alone, where neither ended
	// watches nor a label, a team, a request or an outcome are asked for.
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

// Want asks for so many watches, 1 or more, as far as one page has room.
func (q *ListQuery) Want(n int) { q.Limit = min(n, maxLimit) }

// DecodeList reads a question for a list. The error is a *[watcher.FieldError].
func DecodeList(body []byte) (ListQuery, error) {
	q := ListQuery{Limit: defaultLimit}
	err := readFields(body, "a list request",
		field{"state", text(64, (*string)(&q.State), isState)},
		field{"project_id", text(64, &q.ProjectID, isProject)},
		field{"label", text(maxLabelKey+1+maxLabelValue, &q.Label, isLabel)},
		field{"team", text(64, &q.Team, func(_, s string) error { return CheckTeam(s) })},
		field{"order_name", text(128, &q.Name, isOrderName)},
		field{"request_id", text(maxRequestID, &q.RequestID)},
		field{"outcomes", outcomes(&q.Outcomes)},
		field{"since", moment(&q.Since)},
		field{"limit", wholeNumber(1, maxLimit, &q.Limit)},
		field{"cursor", text(64, &q.Cursor)},
	)
	return q, err
}

func isState(field, s string) error {
	return refuseIf(s != string(watcher.Watching) && s != string(watcher.Ended), field, "must be watching or ended")
}

// isProject checks the id of a project, which becomes part of a subject.
func isProject(_, s string) error { return watcher.Order{ProjectID: s, Name: "any"}.Validate() }

func isOrderName(_, s string) error { return watcher.Order{ProjectID: "any", Name: s}.Validate() }

// outcomes reads a list of outcomes, at most one for each that there is.
func outcomes(to *[]watcher.Outcome) reader {
	return func(field string, value json.RawMessage) error {
		isWrong := json.Unmarshal(value, to) != nil || string(value) == "null" || len(*to) > len(watcher.Outcomes) ||
			slices.ContainsFunc(*to, func(o watcher.Outcome) bool { return !slices.Contains(watcher.Outcomes[:], o) })
		return refuseIf(isWrong, field, fmt.Sprintf("must be a list of some of %q, at most %d", watcher.Outcomes, len(watcher.Outcomes)))
	}
}

// moment reads a time.
func moment(to *time.Time) reader {
	return func(field string, value json.RawMessage) error {
		var written string
		err := json.Unmarshal(value, &written)
		if err == nil {
			*to, err = time.Parse(time.RFC3339, written)
		}
		return refuseIf(err != nil, field, "must be a time, such as 2025-04-10T12:00:00Z")
	}
}

func isLabel(field, s string) error {
	return refuseIf(strings.Index(s, "=") < 1, field, "must be key=value")
}
