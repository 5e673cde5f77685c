package watcher

import (
	"cmp"
	"slices"
	"time"
)

// An Outcome says how a watch ended.
type Outcome string

// The outcomes. Only the first three are the order's own.
const (
	Succeeded       Outcome = "succeeded"        // every item is succeed
	PartiallyFailed Outcome = "partially_failed" // every item has ended, some succeed and some failed
	AllFailed       Outcome = "failed"           // every item is failed
	TimedOut        Outcome = "timed_out"        // the deadline came first
	OrderNotFound   Outcome = "not_found"        // the API did not know the order until the grace period ended
	OrderRefused    Outcome = "refused"          // the API refuses this order or project for good
	Cancelled       Outcome = "cancelled"        // somebody cancelled the watch
)

// Outcomes lists every outcome, in the order in which people are told of them.
var Outcomes = [...]Outcome{Succeeded, PartiallyFailed, AllFailed, TimedOut, OrderNotFound, OrderRefused, Cancelled}

// A Completion is everything known of a watch that ended: the data of the completion event
// and the input of the summary that people read. Texts of items, failures and Error are the
// cloud's; texts of requests are their senders'. Both are untrusted.
type Completion struct {
	Outcome Outcome `json:"outcome"`
	Report
	CompletedAt time.Time `json:"completed_at"`
	// Error is there only where the outcome is not the order's own.
	Error *ErrorDetail `json:"error,omitempty"`
}

// A Progress is what changed in a watch that goes on.
type Progress struct {
	Report
	Number  int      `json:"-"` // counts the watch's progress events from 1
	Changes []Change `json:"changes"`
}

// A Report is what completion and progress have in common.
type Report struct {
	WatchID   string `json:"watch_id"`
	Region    string `json:"region"`
	ProjectID string `json:"project_id"`
	OrderName string `json:"order_name"`
	// Reason is one line that says why, e.g. "1 of 4 items failed".
	Reason string `json:"reason"`
	Counts Counts `json:"counts"`
	// Items are in the API's order. Where all would not fit, ItemsOmitted counts what is missing.
	Items        []Item    `json:"items"`
	ItemsOmitted int       `json:"items_omitted,omitempty"`
	Failures     []Failure `json:"failures"` // largest first
	Requests     []Request `json:"requests"` // every request that the watch answers, oldest first
	AcceptedAt   time.Time `json:"accepted_at"`
	Polls        int       `json:"polls"`
}

// Order returns the order that the report is about.
func (r *Report) Order() Order { return Order{r.ProjectID, r.OrderName} }

// A Failure stands for all failed items of an order that share message and action.
type Failure struct {
	Message       string   `json:"message"` // empty where the API gave none
	Action        string   `json:"action"`
	Count         int      `json:"count"`
	ResourceNames []string `json:"resource_names"`
}

// A Change is one item whose status changed, or that appeared (From is empty).
type Change struct {
	ResourceName string `json:"resource_name"`
	Action       string `json:"action"`
	From         Status `json:"from"`
	To           Status `json:"to"`
	// Replaces is the name of the item whose place it has taken; From is that item's status.
	Replaces string `json:"replaces,omitempty"`
	Message  string `json:"message,omitempty"`
}

// An ErrorDetail is the last error of a watch.
type ErrorDetail struct {
	// Code is the API's, also where the account is held for it. Where the API gave none it is the
	// [Class], or held.
	Code    string   `json:"code"`
	Message string   `json:"message"`
	Held    HoldKind `json:"held,omitempty"` // why the account may not be asked; empty where the order was asked
}

// A Request is one request to watch an order, as the completion names it.
type Request struct {
	ID           string            `json:"request_id"`
	RequestedBy  string            `json:"requested_by"`
	Link         string            `json:"link"`
	Labels       map[string]string `json:"labels,omitempty"`
	SlackChannel string            `json:"slack_channel"`    // where to post instead of the default
	ReceivedAt   time.Time         `json:"received_at"`      // when it was stored, by the server's clock
	LateAt       time.Time         `json:"late_at,omitzero"` // from when on the order is late for it; zero where it does not say

	Trace // the trace that the request belongs to
}

// A Trace is a W3C trace context, handed on from a request to the events that answer it. The zero
// Trace is none.
type Trace struct {
	Parent string `json:"traceparent,omitempty"`
	State  string `json:"tracestate,omitempty"`
}

// An Again is somebody's wish that people are told once more how a watch ended.
type Again struct {
	ID        string    `json:"request_id"` // the same for the same wish; of A-Z a-z 0-9 - _
	WatchID   string    `json:"watch_id"`
	ProjectID string    `json:"project_id"`
	OrderName string    `json:"order_name"`
	Sequence  uint64    `json:"completion_sequence"` // where the completion is stored
	By        string    `json:"by"`                  // person or program; shown to people
	At        time.Time `json:"at"`
	Channels  []string  `json:"channels"` // where; empty: where the requests say
}

// report sums up the watch. items are those of the answer at hand; without them the record's
// are taken. Those that are no longer listed follow.
func (w *Watch) report(reason string, items []Item) Report {
	var omitted int
	if items == nil {
		items, omitted = recall(w.seenItems())
	} else {
		items = w.shown(items)
	}
	for _, m := range w.Missing {
		if m.Digest != "" || m.N > 0 {
			omitted += m.count()
			continue
		}
		items = append(items, m.item())
	}
	return Report{
		WatchID: w.ID, Region: w.Region, ProjectID: w.ProjectID, OrderName: w.Name,
		Reason: reason, Counts: w.Counts,
		Items: orEmpty(items), ItemsOmitted: omitted, Failures: orEmpty(group(items, w.Counts.Failed)),
		Requests: w.Requests, AcceptedAt: w.AcceptedAt, Polls: w.Polls,
	}
}

// shown returns the answer's items as the watch has them: what an answer shows that is behind is as it
// was seen last.
func (w *Watch) shown(items []Item) []Item {
	if len(items) != len(w.Items) {
		return items
	}
	items = slices.Clone(items)
	for i, s := range w.Items {
		if s.Kept {
			items[i] = s.item()
		}
		items[i].Action, items[i].Replaces = s.Action, s.Replaces // an answer may lack the action
	}
	return items
}

func (m *MissingItem) item() Item {
	it := m.SeenItem.item()
	it.MissingSince = fromMillis(m.Since)
	if m.Deleted {
		it.TakenFor = TakenForDeleted
	}
	return it
}

// orEmpty returns s as a list that is written as [] where it is empty.
func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// group puts the failed items that share message and action together, the largest group first.
// Failed items beyond those given are a group without a message.
func group(items []Item, failed int) []Failure {
	type cause struct{ message, action string }
	var failures []Failure
	index := make(map[cause]int)
	for _, it := range items {
		if it.Status != Failed {
			continue
		}
		failed--
		i, ok := index[cause{it.Message, it.Action}]
		if !ok {
			i = len(failures)
			index[cause{it.Message, it.Action}] = i
			failures = append(failures, Failure{Message: it.Message, Action: it.Action})
		}
		failures[i].Count++
		failures[i].ResourceNames = append(failures[i].ResourceNames, it.ResourceName)
	}
	if failed > 0 {
		failures = append(failures, Failure{Count: failed, ResourceNames: []string{}})
	}
	slices.SortStableFunc(failures, func(a, b Failure) int { return cmp.Compare(b.Count, a.Count) })
	return failures
}

// Progress returns what is said of a watch that goes on, when an answer with these items was
// folded into it and these changes were found.
func (p Policy) Progress(w Watch, changes []Change, items []Item) Progress {
	limit := p.payload() - eventOverhead
	g := Progress{Report: w.report(open(w), bounded(items, w.LastPollAt)), Number: w.Progressed, Changes: changes}
	for size(g.Changes) > limit/4 {
		g.Changes = g.Changes[:len(g.Changes)/2] // best effort: the items still tell
	}
	fit(&g.Report, limit-size(g.Changes))
	return g
}
