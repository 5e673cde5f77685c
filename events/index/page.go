package index

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// A listed is a watch that is to be on the page.
type listed struct {
	watchID  string
	order    watcher.Order
	revision uint64
	size     int  // of the record, in bytes
	unsure   bool // whether it is wanted, the record says
}

// List returns a page of watches, as the view shows those that it has. Of records it reads those of the page, those that
// were written since the last time, and where the page goes on beyond the ended watches that are kept, older ones.
func (x *Index) List(ctx context.Context, q wire.ListQuery, view teams.View, policy watcher.Policy) (wire.ListAnswer, error) {
	page, err := x.page(ctx, q, view)
	if err != nil {
		return wire.ListAnswer{}, err
	}
	answer := wire.ListAnswer{Watches: []watcher.Snapshot{}}
	if len(page) > q.Limit {
		page = page[:q.Limit]
		answer.Cursor = page[q.Limit-1].watchID
	}
	size, limit := 0, x.store.Limit()/8*7
	if q.Cursor == "" && q.State != watcher.Ended && q.Label == "" && q.Team == "" && q.RequestID == "" && len(q.Outcomes) == 0 {
		if answer.Broken, err = x.brokenOf(ctx, q, view); err != nil {
			return wire.ListAnswer{}, err
		}
		encoded, err := json.Marshal(answer.Broken)
		if err != nil {
			return wire.ListAnswer{}, err
		}
		size = len(encoded)
	}
	i := -1
	for r, err := range x.records(ctx, page, x.merge) {
		i++
		switch {
		case err != nil:
			return wire.ListAnswer{}, err
		case errors.Is(r.Err, watcher.ErrNewerSchema):
			answer.Unreadable++
			continue
		case r.Err != nil || r.ID != page[i].watchID || r.MovedAside() != nil:
			continue // deleted, or watched anew, just now; or among the broken ones
		}
		now := x.store.Clock.Now()
		row := view.Shown(policy.Snapshot(r.Watch, x.store.Holding(&r.Watch), now).Brief())
		encoded, err := json.Marshal(row)
		if err != nil {
			return wire.ListAnswer{}, err
		}
		if size += len(encoded) + 1; (size > limit || !x.store.Fits(ctx, size)) && i > 0 {
			answer.Cursor = page[i-1].watchID
			break
		}
		answer.Watches = append(answer.Watches, row)
	}
	return answer, nil
}

// brokenOf returns what is remembered of broken records of the query's project and order, as far as the view has the projects.
func (x *Index) brokenOf(ctx context.Context, q wire.ListQuery, view teams.View) ([]wire.BrokenRecord, error) {
	list, _, err := x.store.BrokenList(ctx)
	list = slices.DeleteFunc(list, func(b wire.BrokenRecord) bool {
		return q.ProjectID != "" && b.ProjectID != q.ProjectID || q.Name != "" && b.Name != q.Name || !view.Project(b.ProjectID)
	})
	return list, err
}

// Bounds of the records that are read at a time.
const (
	mostAtOnce      = 200
	mostBytesAtOnce = 8 << 20
)

// records yields the records of the listed watches, in their order, after what is done with those that are read at a time;
// one that is not there has an error.
func (x *Index) records(ctx context.Context, page []listed, with func(context.Context, map[watcher.Order]store.Record) error) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		for len(page) > 0 {
			n, size := 0, 0
			for n < len(page) && n < mostAtOnce && (n == 0 || size+page[n].size <= mostBytesAtOnce) {
				size += page[n].size
				n++
			}
			orders := make([]watcher.Order, n)
			for i, l := range page[:n] {
				orders[i] = l.order
			}
			found, err := x.store.Latest(ctx, orders)
			if err == nil && with != nil {
				err = with(ctx, found)
			}
			if err != nil {
				yield(store.Record{}, err)
				return
			}
			for _, l := range page[:n] {
				r, ok := found[l.order]
				if !ok {
					r.Err = watcher.ErrNoRecord
				}
				if !yield(r, nil) {
					return
				}
			}
			page = page[n:]
		}
	}
}

// mergedAtOnce is of how many watches the wake-ups are read at a time.
const mergedAtOnce = 8

// merge adds to the records the polls that they were left unwritten after. Where the next poll by the record is still to
// come there were none.
func (x *Index) merge(ctx context.Context, found map[watcher.Order]store.Record) (failed error) {
	var (
		running sync.WaitGroup
		mu      sync.Mutex // of found, and of the error
		slots   = make(chan struct{}, mergedAtOnce)
	)
	now := x.store.Clock.Now()
	for _, r := range slices.Collect(maps.Values(found)) {
		if r.Err != nil || r.State != watcher.Watching || r.Polls == 0 || r.NextPollAt.After(now) {
			continue
		}
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			k, err := x.store.Newest(ctx, r.Order)
			mu.Lock()
			defer mu.Unlock()
			failed = cmp.Or(failed, err)
			r.Watch = r.Merged(k)
			found[r.Order] = r
		})
	}
	running.Wait()
	return failed
}

// page returns the watches of the page and, where there are more, one of the next; newest first.
func (x *Index) page(ctx context.Context, q wire.ListQuery, view teams.View) ([]listed, error) {
	if err := x.CatchUp(ctx, time.Time{}); err != nil {
		return nil, err
	}
	w := wishOf(q, view)
	known := make(map[uint64]bool) // by revision: whether a record is wanted that was read to find that out
	for {
		page, floor := x.newest(w, known)
		unsure := slices.Clone(page)
		unsure = slices.DeleteFunc(unsure, func(l listed) bool { return !l.unsure })
		if len(unsure) == 0 {
			if full := len(page) > q.Limit && page[q.Limit].watchID > floor; full || floor == "" || q.State == watcher.Watching {
				return page, nil
			}
			return x.withOlder(ctx, w, page, floor)
		}
		i := -1
		for r, err := range x.records(ctx, unsure, nil) {
			if err != nil {
				return nil, err
			}
			i++
			known[unsure[i].revision] = w.wantsRecord(r)
		}
	}
}

// newest returns the page as far as the index has it, and up to which id it has no ended watches.
func (x *Index) newest(w wish, known map[uint64]bool) (page []listed, floor string) {
	x.mu.Lock() // it may put them in order
	defer x.mu.Unlock()
	x.sorted.order()
	end := len(x.sorted.rows)
	if w.Cursor != "" {
		end, _ = slices.BinarySearchFunc(x.sorted.rows, w.Cursor, byRow)
	}
	for i := end - 1; i >= 0 && len(page) <= w.Limit; i-- {
		r := x.sorted.rows[i]
		if r.gone {
			continue
		}
		wanted, unsure := w.wants(r)
		if unsure {
			if yes, ok := known[r.revision]; ok {
				wanted, unsure = yes, false
			}
		}
		if wanted || unsure {
			page = append(page, listed{r.id, r.order, r.revision, int(r.size), unsure})
		}
	}
	return page, x.sorted.floor
}

// A wish is what a question asks for, as a view shows it.
type wish struct {
	wire.ListQuery
	view         teams.View
	viewer, team mark // of the view's team, and of the one that is asked for
	label        mark // as the view sees it
	request      mark
	outcomes     []mark
}

func wishOf(q wire.ListQuery, view teams.View) wish {
	w := wish{ListQuery: q, view: view, viewer: teamMark(view.Team()), team: teamMark(q.Team), label: labelMark(q.Label), request: requestMark(q.RequestID)}
	for _, o := range q.Outcomes {
		w.outcomes = append(w.outcomes, outcomeMark(o))
	}
	if !view.All() {
		w.label = teamLabelMark(view.Team(), q.Label)
	}
	return w
}

// wants reports whether the watch is one that is asked for, or whether only the record says.
func (w *wish) wants(r *row) (wanted, unsure bool) {
	ended, ofRequests := r.state == watcher.Ended, w.Team != "" || w.Label != "" || w.RequestID != "" || len(w.Outcomes) > 0
	switch {
	case w.State != "" && ended != (w.State == watcher.Ended),
		w.ProjectID != "" && r.order.ProjectID != w.ProjectID,
		w.Name != "" && r.order.Name != w.Name,
		len(w.Outcomes) > 0 && !ended,
		ended && !w.Since.IsZero() && r.next < w.Since.UnixNano():
		return false, false
	}
	project := w.view.Project(r.order.ProjectID)
	switch {
	case !ofRequests && project:
		return true, false
	case r.newer && (w.Label != "" || w.RequestID != "" || len(w.Outcomes) > 0):
		return false, false
	case r.manyMark:
		return false, true
	case len(w.outcomes) > 0 && !slices.ContainsFunc(w.outcomes, r.has), w.RequestID != "" && !r.has(w.request):
		return false, false
	case w.RequestID != "": // the mark may be that of another
		return false, true
	}
	return (project || r.has(w.viewer)) && (w.Team == "" || r.has(w.team)) && (w.Label == "" || r.has(w.label)), false
}

// wantsRecord is wants of a record whose requests decide, as far as they do.
func (w *wish) wantsRecord(r store.Record) bool {
	watch := r.Watch
	watch.Order = r.Order
	ofTeam := func(asked watcher.Request) bool { return asked.Team == w.Team }
	if !w.view.Owns(&watch) || w.Team != "" && !slices.ContainsFunc(requestsOf(&watch), ofTeam) {
		return false
	}
	asked := func(r watcher.Request) bool { return r.ID == w.RequestID }
	if w.RequestID != "" && !slices.ContainsFunc(w.view.Own(requestsOf(&watch)), asked) {
		return false
	}
	if len(w.Outcomes) > 0 && (watch.Completion == nil || !slices.Contains(w.Outcomes, watch.Completion.Outcome)) {
		return false
	}
	key, value, _ := strings.Cut(w.Label, "=")
	return w.Label == "" || r.Err == nil && w.view.Labelled(watch, key, value)
}

// withOlder adds the watches to the page that ended and are older than those which are kept, as the bucket has them. A record
// is stored after its watch was accepted, so that what was stored before the oldest watch of a full page was accepted has
// none that is newer. Of a project all records are read.
func (x *Index) withOlder(ctx context.Context, w wish, page []listed, floor string) ([]listed, error) {
	p := &older{wish: w, x: x, page: page, floor: floor}
	if w.ProjectID == "" {
		page, err := p.backwards(ctx)
		if err != nil {
			err = fmt.Errorf("%w: %w", ErrOlder, err)
		}
		return page, err
	}
	for r, err := range x.store.RecordsOf(ctx, w.ProjectID) {
		if err != nil {
			return nil, err
		}
		p.see(r)
	}
	return p.sort(), nil
}

// ErrOlder says that the page was not found among the ended watches that are older than those which are kept. Asked again, it
// is looked for from the beginning.
var ErrOlder = errors.New("look for older watches")

// An older is a page that is filled from the bucket.
type older struct {
	wish
	x     *Index
	page  []listed
	floor string
}

// may reports whether the record may be wanted, by its order, its id, its state and its text.
func (p *older) may(r store.Record, text []byte) bool {
	if r.State != watcher.Ended || r.ID > p.floor || p.Cursor != "" && r.ID >= p.Cursor {
		return false
	}
	key, value, _ := strings.Cut(p.Label, "=")
	return (p.view.Project(r.Order.ProjectID) || mentions(text, p.view.Team())) && mentions(text, p.Team) && mentions(text, p.RequestID) && (p.Name == "" || p.Name == r.Order.Name) && mentions(text, key) && mentions(text, value)
}

// mentions reports whether the text of a record may hold the word; one that JSON may hold otherwise it may hold.
func mentions(text []byte, word string) bool {
	simple := func(c rune) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("-_./: ", c)
	}
	return strings.ContainsFunc(word, func(c rune) bool { return !simple(c) }) || bytes.Contains(text, []byte(word))
}

// see takes a record.
func (p *older) see(r store.Record) {
	kept := p.x.rowOf(r)
	if r.Order == (watcher.Order{}) || kept == nil || kept.state != watcher.Ended || kept.id > p.floor || p.Cursor != "" && kept.id >= p.Cursor {
		return
	}
	wanted, unsure := p.wants(kept)
	if unsure {
		wanted = p.wantsRecord(r)
	}
	if wanted {
		p.page = append(p.page, listed{watchID: kept.id, order: kept.order, size: r.Size})
	}
	if len(p.page) > 4*(p.Limit+1) {
		p.sort()
	}
}

// sort brings the newest to the front, and leaves out what is beyond the page, and what is there twice: a record that is
// rewritten while the bucket is read comes again at its new place.
func (p *older) sort() []listed {
	slices.SortFunc(p.page, func(a, b listed) int { return cmp.Compare(b.watchID, a.watchID) }) // ids sort by time
	p.page = slices.CompactFunc(p.page, func(a, b listed) bool { return a.watchID == b.watchID && a.order == b.order })
	p.page = p.page[:min(p.Limit+1, len(p.page))]
	return p.page
}

// Bounds of a window of the bucket, in records. Sequences are sparse, so that it is found out how wide one is.
const (
	fewInWindow  = 500
	manyInWindow = 4000
)

// skew is by how much the clock that a watch's id was made by may be ahead of the one that records are stored by.
const skew = time.Minute

// backwards reads the bucket from its end, window by window.
func (p *older) backwards(ctx context.Context) ([]listed, error) {
	stream, err := p.x.store.JS.Stream(ctx, p.x.store.Names.RecordStream())
	if err != nil {
		return nil, err
	}
	first, end := stream.CachedInfo().State.FirstSeq, stream.CachedInfo().State.LastSeq+1
	for width := uint64(manyInWindow); end > first; {
		begin := max(first, end-min(end, width))
		read, oldest, newest := 0, time.Time{}, time.Time{}
		for r, err := range p.x.store.RecordsBetween(ctx, begin, end, p.may) {
			if err != nil {
				return nil, err
			}
			if read++; read == 1 {
				oldest = r.Stored
			}
			newest = r.Stored
			p.see(r)
		}
		if p.sort(); len(p.page) > p.Limit && read > 0 {
			if accepted, err := wire.StartedAt(p.page[p.Limit].watchID); err == nil && accepted.After(oldest.Add(skew)) {
				break
			}
		}
		if read > 0 && newest.Before(p.Since) {
			break // nothing before ended later
		}
		switch {
		case read < fewInWindow:
			width *= 4
		case read > manyInWindow:
			width = max(width/4, 1)
		}
		end = begin
	}
	return p.page, nil
}
