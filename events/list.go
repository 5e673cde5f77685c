package events

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

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

// Bounds of a page.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// decodeList reads a question for a list. The error is a *[watcher.FieldError].
func decodeList(body []byte) (ListQuery, error) {
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

// A listed is a watch that is to be on the page.
type listed struct {
	watchID string
	order   watcher.Order
}

// list returns a page of watches. It reads all records of the projects that are asked for: there is
// no other order in the bucket than that of their writing.
func (s *store) list(ctx context.Context, q ListQuery, policy watcher.Policy) (ListAnswer, error) {
	page, err := s.newest(ctx, q)
	if err != nil {
		return ListAnswer{}, err
	}
	answer := ListAnswer{Watches: []watcher.Snapshot{}}
	if len(page) > q.Limit {
		page = page[:q.Limit]
		answer.Cursor = page[q.Limit-1].watchID
	}
	size, limit := 0, s.payload.limit()/8*7
	if q.Cursor == "" && q.State != watcher.Ended && q.Label == "" {
		if answer.Broken, err = s.brokenOf(ctx, q.ProjectID); err != nil {
			return ListAnswer{}, err
		}
		encoded, err := json.Marshal(answer.Broken)
		if err != nil {
			return ListAnswer{}, err
		}
		size = len(encoded)
	}
	for i, l := range page {
		w, _, err := s.Read(ctx, l.order)
		if errors.Is(err, watcher.ErrNoRecord) || errors.Is(err, watcher.ErrBroken) || err == nil && (w.ID != l.watchID || w.MovedAside() != nil) {
			continue // deleted, or watched anew, just now; or among the broken ones
		}
		if errors.Is(err, watcher.ErrNewerSchema) {
			answer.Unreadable++
			continue
		}
		if err != nil {
			return ListAnswer{}, err
		}
		row := policy.Snapshot(w).Brief()
		encoded, err := json.Marshal(row)
		if err != nil {
			return ListAnswer{}, err
		}
		if size += len(encoded) + 1; (size > limit || !s.payload.fits(ctx, size+headerRoom)) && i > 0 {
			answer.Cursor = page[i-1].watchID
			break
		}
		answer.Watches = append(answer.Watches, row)
	}
	return answer, nil
}

// brokenOf returns what is remembered of the project's broken records; of all where it is empty.
func (s *store) brokenOf(ctx context.Context, projectID string) ([]BrokenRecord, error) {
	list, _, err := s.brokenList(ctx)
	if projectID != "" {
		list = slices.DeleteFunc(list, func(b BrokenRecord) bool { return b.ProjectID != projectID })
	}
	return list, err
}

// newest returns the watches of the page and, where there are more, one of the next; newest first.
func (s *store) newest(ctx context.Context, q ListQuery) ([]listed, error) {
	subjects := ""
	if q.ProjectID != "" {
		subjects = s.names.record(q.ProjectID + ".>")
	}
	prefix := s.names.record("")
	var page []listed
	most, least := q.Limit+1, "" // least: a full page has only newer ones
	for from, done := uint64(1), false; !done; {
		var err error
		from, done, err = s.someRecords(ctx, subjects, from, func(m *jetstream.RawStreamMsg) error {
			head, ok := readHead(m.Data)
			order, isOrder := orderOf(m.Subject, prefix)
			if !ok || !isOrder || !q.wants(head, m.Data) || head.WatchID <= least {
				return nil
			}
			page = append(page, listed{head.WatchID, order})
			if len(page) >= 2*most {
				if page = sortPage(page, most); len(page) == most {
					least = page[most-1].watchID
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return sortPage(page, most), nil
}

// sortPage brings the newest to the front, and leaves out what is beyond the page, and what is there
// twice: a record that is rewritten while the bucket is read comes again at its new place.
func sortPage(page []listed, most int) []listed {
	slices.SortFunc(page, func(a, b listed) int { return cmp.Compare(b.watchID, a.watchID) }) // ids sort by time
	page = slices.Compact(page)
	return page[:min(most, len(page))]
}

// wants reports whether the record is one that the question asks for.
func (q ListQuery) wants(h head, record []byte) bool {
	if q.Cursor != "" && h.WatchID >= q.Cursor || q.State != "" && (h.State == watcher.Ended) != (q.State == watcher.Ended) {
		return false
	}
	if q.Label == "" {
		return true
	}
	w, err := watcher.DecodeWatch(record)
	if err != nil {
		return false
	}
	key, value, _ := strings.Cut(q.Label, "=")
	return w.Labelled(key, value)
}

// A head is what a list asks of every record.
type head struct {
	State   watcher.State `json:"state"`
	WatchID string        `json:"watch_id"`
}

// readHead reads what stands at the beginning of a record, or wherever it stands. Markers of deletion
// have none.
func readHead(record []byte) (h head, ok bool) {
	if len(record) == 0 {
		return head{}, false
	}
	decoder := json.NewDecoder(bytes.NewReader(record))
	decoder.Token() // {
	for range 3 {
		name, err := decoder.Token()
		if err != nil {
			break
		}
		var to any = new(json.RawMessage)
		switch name {
		case "state":
			to = &h.State
		case "watch_id":
			to = &h.WatchID
		}
		if decoder.Decode(to) != nil {
			break
		}
	}
	if h.State == "" || h.WatchID == "" {
		h = head{}
		_ = json.Unmarshal(record, &h) // what can be read of it
	}
	return h, h.WatchID != ""
}
