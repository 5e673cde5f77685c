package index

import (
	"errors"
	"hash/fnv"
	"io"
	"math"
	"slices"
	"time"
	"unique"

	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// A Row is what the index knows of an open watch.
type Row struct {
	watcher.Order
	WatchID    string
	State      watcher.State
	Region     string
	Number     uint64    // of the wake-up that the record expects
	NextPollAt time.Time // by the record; there may have been polls since that it does not tell of
	Stored     time.Time // when the record was written, by the server's clock
	Revision   uint64
	Seen       time.Time // when this process read it, by the process's clock
}

// Watch returns what the index has of the record.
func (r *Row) Watch() watcher.Watch {
	return watcher.Watch{Order: r.Order, ID: r.WatchID, State: r.State, Region: r.Region, Wakeup: r.Number, NextPollAt: r.NextPollAt}
}

// A row is what is kept of a record, in little room: times are in nanoseconds.
type row struct {
	order    watcher.Order
	id       string
	state    watcher.State
	region   string
	number   uint64
	revision uint64
	next     int64 // since 1970
	stored   int64 // since 1970
	seen     int64 // since the index was made
	ended    int64 // since 1970; 0: it goes on
	marks    []mark
	requests []uint32 // hashes of the requests' ids
	extra    *extra   // of a board's row; nil in a worker's index
	size     uint32   // of the record, in bytes
	newer    bool     // a later version wrote it
	aside    bool     // it is in the place of one that could not be read
	manyMark bool     // marks were left out: the record says
	gone     bool     // it is in no map any more
}

// open reports whether the watch goes on. A later version's record is none that anything is done with.
func (r *row) open() bool { return r.state != watcher.Ended && !r.newer }

// mostMarks is how many of them a worker's row keeps at the most.
const mostMarks = 100

// rowOf returns what is kept of the record; nil where there is nothing to list.
func (x *Index) rowOf(r store.Record) *row {
	newer := errors.Is(r.Err, watcher.ErrNewerSchema)
	if r.Err != nil && !newer || newer && r.ID == "" {
		return nil
	}
	kept := &row{
		order: r.Order, id: r.ID, state: stateOf(r.State), revision: r.Sequence, stored: r.Stored.UnixNano(),
		seen: int64(x.store.Clock.Local().Sub(x.epoch)), size: uint32(r.Size), newer: newer,
	}
	if !newer {
		kept.region, kept.number, kept.next, kept.aside = r.Region, r.Wakeup, r.NextPollAt.UnixNano(), r.MovedAside() != nil
	}
	if c := r.Completion; c != nil && kept.state == watcher.Ended {
		kept.ended = c.CompletedAt.UnixNano()
	}
	most := mostMarks
	if x.board != nil {
		most = math.MaxInt
		if !x.addExtra(kept, r) {
			return nil
		}
	}
	kept.marks, kept.requests, kept.manyMark = marksOf(&r.Watch, most)
	return kept
}

// stateOf returns the constant, which needs no room of its own.
func stateOf(s watcher.State) watcher.State {
	for _, known := range []watcher.State{watcher.Watching, watcher.Ending, watcher.Ended} {
		if s == known {
			return known
		}
	}
	return ""
}

// show returns the row as others see it.
func (x *Index) show(r *row) Row {
	return Row{
		Order: r.order, WatchID: r.id, State: r.state, Region: r.region, Number: r.number, Revision: r.revision,
		NextPollAt: time.Unix(0, r.next), Stored: time.Unix(0, r.stored), Seen: x.epoch.Add(time.Duration(r.seen)),
	}
}

// A mark is what lists ask of a request, one text for all rows that have it.
type mark = unique.Handle[string]

// teamMark says that a request is the team's, labelMark that one has the label, key=value, and teamLabelMark that one of the
// team's has it. Neither teams nor keys of labels hold the byte that ends a team.
func teamMark(team string) mark             { return unique.Make(team + "\x00") }
func labelMark(label string) mark           { return unique.Make(label) }
func teamLabelMark(team, label string) mark { return unique.Make(team + "\x00" + label) }

// requestsOf returns all requests that the record has.
func requestsOf(w *watcher.Watch) []watcher.Request {
	if w.Completion == nil {
		return w.Requests
	}
	return slices.Concat(w.Completion.Requests, w.Requests)
}

// outcomeMark says how a watch ended.
func outcomeMark(o watcher.Outcome) mark { return unique.Make("\x00" + string(o)) }

// hashOf returns a hash of a request's id: a row has no room for the id.
func hashOf(id string) uint32 {
	h := fnv.New32a()
	io.WriteString(h, id)
	return h.Sum32()
}

// marksOf returns the marks of the watch's outcome and requests, each once, and the hashes of its requests' ids; none where
// there are more of either than that.
func marksOf(w *watcher.Watch, most int) (marks []mark, ids []uint32, tooMany bool) {
	add := func(m mark) {
		if !slices.Contains(marks, m) {
			marks = append(marks, m)
		}
	}
	if w.Completion != nil {
		add(outcomeMark(w.Completion.Outcome))
	}
	requests := requestsOf(w)
	for i := range requests {
		r := &requests[i]
		ids = append(ids, hashOf(r.ID))
		if r.Team != "" {
			add(teamMark(r.Team))
		}
		for key, value := range r.Labels {
			add(labelMark(key + "=" + value))
			if r.Team != "" {
				add(teamLabelMark(r.Team, key+"="+value))
			}
		}
		if len(marks) > most || len(ids) > most {
			return nil, nil, true
		}
	}
	return slices.Clip(marks), slices.Clip(ids), false
}

// has reports whether one of the requests has the mark.
func (r *row) has(m mark) bool { return slices.Contains(r.marks, m) }
