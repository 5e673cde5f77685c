package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// A listed is a watch that is to be on the page.
type listed struct {
	watchID string
	order   watcher.Order
}

// List returns a page of watches, as the view shows those that it has. It reads all records of the projects that are asked for: there is
// no other order in the bucket than that of their writing.
func (s *Store) List(ctx context.Context, q wire.ListQuery, view teams.View, policy watcher.Policy) (wire.ListAnswer, error) {
	page, err := s.newest(ctx, q, view)
	if err != nil {
		return wire.ListAnswer{}, err
	}
	answer := wire.ListAnswer{Watches: []watcher.Snapshot{}}
	if len(page) > q.Limit {
		page = page[:q.Limit]
		answer.Cursor = page[q.Limit-1].watchID
	}
	size, limit := 0, s.Limit()/8*7
	if q.Cursor == "" && q.State != watcher.Ended && q.Label == "" && q.Team == "" {
		if answer.Broken, err = s.brokenOf(ctx, q.ProjectID, view); err != nil {
			return wire.ListAnswer{}, err
		}
		encoded, err := json.Marshal(answer.Broken)
		if err != nil {
			return wire.ListAnswer{}, err
		}
		size = len(encoded)
	}
	for i, l := range page {
		w, _, err := s.Read(ctx, l.order)
		switch {
		case errors.Is(err, watcher.ErrNewerSchema):
			answer.Unreadable++
			continue
		case errors.Is(err, watcher.ErrNoRecord), errors.Is(err, watcher.ErrBroken), err == nil && (w.ID != l.watchID || w.MovedAside() != nil):
			continue // deleted, or watched anew, just now; or among the broken ones
		case err != nil:
			return wire.ListAnswer{}, err
		}
		row := view.Shown(policy.Snapshot(w, s.Holding(&w), s.Clock.Now()).Brief())
		encoded, err := json.Marshal(row)
		if err != nil {
			return wire.ListAnswer{}, err
		}
		if size += len(encoded) + 1; (size > limit || !s.Fits(ctx, size)) && i > 0 {
			answer.Cursor = page[i-1].watchID
			break
		}
		answer.Watches = append(answer.Watches, row)
	}
	return answer, nil
}

// brokenKey is the key of the list of broken records in the bucket.
const brokenKey = "broken"

// BrokenList returns what is remembered of broken records, oldest first, and its revision; 0 where nothing is.
func (s *Store) BrokenList(ctx context.Context) (list []wire.BrokenRecord, revision uint64, err error) {
	m, err := s.Value(ctx, s.Names.RecordStream(), s.Names.Record(brokenKey))
	if json.Unmarshal(m.Data, &list) != nil {
		list = nil // nothing is there, or it is found anew
	}
	return list, m.Sequence, err
}

// SetBrokenList remembers the list, expecting its last revision.
func (s *Store) SetBrokenList(ctx context.Context, list []wire.BrokenRecord, revision uint64) error {
	encoded, err := json.Marshal(list)
	if err == nil {
		_, err = s.Put(ctx, s.Names.RecordStream(), s.Names.Record(brokenKey), encoded, revision)
	}
	return err
}

// brokenOf returns what is remembered of the project's broken records, of all where it is empty, as far as the view has the
// projects.
func (s *Store) brokenOf(ctx context.Context, projectID string, view teams.View) ([]wire.BrokenRecord, error) {
	list, _, err := s.BrokenList(ctx)
	list = slices.DeleteFunc(list, func(b wire.BrokenRecord) bool {
		return projectID != "" && b.ProjectID != projectID || !view.Project(b.ProjectID)
	})
	return list, err
}

// newest returns the watches of the page and, where there are more, one of the next; newest first.
func (s *Store) newest(ctx context.Context, q wire.ListQuery, view teams.View) ([]listed, error) {
	subjects := ""
	if q.ProjectID != "" {
		subjects = s.Names.Record(q.ProjectID + ".>")
	}
	prefix := s.Names.Record("")
	var page []listed
	most, least := q.Limit+1, "" // least: a full page has only newer ones
	for m, err := range s.messages(ctx, s.Names.RecordStream(), subjects, jetstreamext.GetBatchSeq(1)) {
		if err != nil {
			return nil, err
		}
		head, ok := readHead(m.Data)
		order, isOrder := wire.OrderOf(m.Subject, prefix)
		if !ok || !isOrder || !wants(q, view, head, m.Data) || !view.Project(order.ProjectID) && !askedBy(view.Team(), m.Data) || head.WatchID <= least {
			continue
		}
		page = append(page, listed{head.WatchID, order})
		if len(page) >= 2*most {
			if page = sortPage(page, most); len(page) == most {
				least = page[most-1].watchID
			}
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

// wants reports whether the record is one that the question asks for, as the view shows it.
func wants(q wire.ListQuery, view teams.View, h head, record []byte) bool {
	if q.Cursor != "" && h.WatchID >= q.Cursor || q.State != "" && (h.State == watcher.Ended) != (q.State == watcher.Ended) {
		return false
	}
	if q.Team != "" && !askedBy(q.Team, record) {
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
	return view.Labelled(w, key, value)
}

// askedBy reports whether one of the requests in the record is the team's.
func askedBy(team string, record []byte) bool {
	if !bytes.Contains(record, []byte(`"team":"`+team+`"`)) { // most are of others
		return false
	}
	requests, err := requestsOf(record)
	return err == nil && slices.ContainsFunc(requests, func(r teamRequest) bool { return r.Team == team })
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
