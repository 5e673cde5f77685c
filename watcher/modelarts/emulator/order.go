package emulator

import (
	"cmp"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Never is the time of what does not happen.
const Never time.Duration = math.MaxInt64

// An Order is the script of one order. All its times count from the start of its clock.
// The zero value is an order without items. In JSON, durations are texts such as "5s", and "never".
type Order struct {
	Items []Item `json:"items,omitempty"`
	// Count is what the API says to be the number of resources: a number over 0, or one of
	// CountSeen, CountAll, CountMissing; in JSON "seen", "all", "missing".
	Count int `json:"count,omitzero"`
	// NotFoundFor is how long the order is not known yet: 404 ModelArts.50015001.
	NotFoundFor time.Duration `json:"not_found_for,omitzero"`
	// FromFirstPoll starts the clock at the first poll instead of when the order is added.
	FromFirstPoll bool       `json:"from_first_poll,omitzero"`
	Spelling      Spelling   `json:"spelling,omitzero"`
	Timestamps    Timestamps `json:"timestamps,omitzero"`
	// List is how the order is listed.
	List Listing `json:"list,omitzero"`
	// Faults are looked through at each poll; the first that is meant for it happens.
	Faults []Fault `json:"faults,omitempty"`
}

// How an order's count comes about.
const (
	CountSeen    = 0  // the items that have appeared: it grows
	CountAll     = -1 // all items of the script, from the first poll on
	CountMissing = -2 // the answer has no count
)

// A Spelling is how the names of fields are written.
type Spelling string

// The spellings. The published pages disagree.
const (
	Lower Spelling = ""      // resourcename, begintimestamp
	Camel Spelling = "camel" // resourceName, beginTimestamp
)

// Timestamps are how times are written.
type Timestamps string

// The ways to write times, all in milliseconds since 1970. The published table and example disagree.
const (
	Integers Timestamps = ""        // 1744285793000
	Strings  Timestamps = "string"  // "1744285793000"
	Missing  Timestamps = "missing" // no such field
)

// An Item is the script of one resource.
type Item struct {
	ResourceName string        `json:"resource_name,omitzero"`
	Action       string        `json:"action,omitzero"`       // default createNode
	AppearAfter  time.Duration `json:"appear_after,omitzero"` // Never: it does not
	EndAfter     time.Duration `json:"end_after,omitzero"`    // Never: it goes on for ever
	Status       string        `json:"status,omitzero"`       // when ended; default succeed
	Running      string        `json:"running,omitzero"`      // the status before that; default processing
	Message      string        `json:"message,omitzero"`      // shown when ended
}

// A script is an order and what happened to it. Order does not change any more, and start not
// after the first poll.
type script struct {
	Order
	start time.Time
	polls int // since it was added
}

func newScript(o Order) *script {
	o.Items, o.Faults = slices.Clone(o.Items), slices.Clone(o.Faults)
	return &script{Order: o}
}

func (s *script) answer(now time.Time) answer {
	elapsed := now.Sub(s.start)
	seen := []any{} // shown as [], never as null
	for _, i := range s.Items {
		if i.AppearAfter == Never || elapsed < i.AppearAfter {
			continue
		}
		row := s.row(i, elapsed)
		if s.Spelling == Camel {
			seen = append(seen, camelRow(row))
		} else {
			seen = append(seen, row)
		}
	}
	body := map[string]any{"items": seen}
	switch s.Count {
	case CountMissing:
	case CountAll:
		body["count"] = len(s.Items)
	case CountSeen:
		body["count"] = len(seen)
	default:
		body["count"] = s.Count
	}
	return jsonAnswer(http.StatusOK, body)
}

// A lowerRow is an item as the page of 2025-11 writes it.
type lowerRow struct {
	Action    string `json:"action"`
	Resource  string `json:"resourcename"`
	Status    string `json:"status"`
	BeganAt   any    `json:"begintimestamp,omitempty"`
	UpdatedAt any    `json:"updatetimestamp,omitempty"`
	Message   string `json:"message,omitempty"`
}

// A camelRow is an item as the page of 2026-01 writes it.
type camelRow struct {
	Action    string `json:"action"`
	Resource  string `json:"resourceName"`
	Status    string `json:"status"`
	BeganAt   any    `json:"beginTimestamp,omitempty"`
	UpdatedAt any    `json:"updateTimestamp,omitempty"`
	Message   string `json:"message,omitempty"`
}

func (s *script) row(i Item, elapsed time.Duration) lowerRow {
	row := lowerRow{Action: cmp.Or(i.Action, "createNode"), Resource: i.ResourceName, Status: cmp.Or(i.Running, "processing")}
	updated := i.AppearAfter
	if i.EndAfter != Never && elapsed >= i.EndAfter {
		row.Status, row.Message = cmp.Or(i.Status, "succeed"), i.Message
		updated = max(updated, i.EndAfter)
	}
	row.BeganAt, row.UpdatedAt = s.timestamp(i.AppearAfter), s.timestamp(updated)
	return row
}

func (s *script) timestamp(after time.Duration) any {
	return s.Timestamps.write(s.start.Add(after).UnixMilli())
}

// write returns milliseconds as they are written into JSON.
func (t Timestamps) write(ms int64) any {
	switch t {
	case Missing:
		return nil
	case Strings:
		return strconv.FormatInt(ms, 10)
	default:
		return ms
	}
}

func jsonAnswer(status int, body any) answer {
	b, err := json.Marshal(body)
	if err != nil {
		panic("emulator: " + err.Error()) // only texts and numbers are ever rendered
	}
	return answer{status, "application/json", b}
}
