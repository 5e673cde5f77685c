// Package index knows the open watches of an installation without reading all their records: a row for each, and for the
// newest of those that have ended. It reads the bucket of records once, and from then on only what was written since. The
// patrol, the list of watches and their count ask it, and nobody writes to it.
//
// It promises that after [Index.CatchUp] the rows are those of the bucket as one of its servers has it, up to the time that
// was asked for; that a bucket which was made anew or emptied, or may have lost its latest records in a crash, is begun anew, without
// taking a record that is the same for a new one;
// and that its memory grows with the open watches, not with the records. One
// thing it cannot see: a record that somebody deleted without a marker, by hand. Its row stays until the watch is due, when
// the patrol reads the record; lists, which read the records of a page, do not show it.
//
// Wake-ups are not in it: workers may not read them by the batch.
//
// A [Board] is the same index for those who look: it has all open watches and those that ended within 24 hours, with what a
// screen shows, filters and sorts by. It reads and drops rows as the index does; what it promises beyond that, and what as time
// passes, its type says.
//
// Read the files in this order:
//
//	index.go   what is read, and when all is begun anew
//	row.go     what is kept of a record
//	sorted.go  rows by the age of their watches, and which ended ones are kept
//	page.go    pages of watches
//	count.go   how many watches there are
//	extra.go   what a board keeps of a record beside that
//	board.go   how a board is kept up to date, how far it can be believed, and what counts as a change
//	query.go   which rows a query wants, and what a view shows of them
//	frame.go   in which order rows come, and what sums them up
package index

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// An Index has a row for each open watch. It is safe for concurrent use. [New] makes one.
type Index struct {
	store *store.Store
	board *Board        // whose index it is; nil: a worker's
	epoch time.Time     // by the process's clock, when the index was made: rows count from it
	turn  chan struct{} // is full while somebody reads the bucket
	made  time.Time     // when the bucket was; of the one whose turn it is
	next  uint64        // its first sequence that was not read; 0: it is to be begun anew; of the one whose turn it is
	anew  uint64        // its last sequence when it was begun anew; of the one whose turn it is
	group string        // which differs where the bucket's server may have crashed; of the one whose turn it is

	mu     sync.RWMutex // of what follows
	rows   map[watcher.Order]*row
	old    map[watcher.Order]*row // those before the bucket was begun anew, until that is read again
	sorted sorted
	texts  map[string]string     // projects and regions, each once
	odd    map[watcher.Order]Odd // records that this version cannot read
	later  int                   // how many of these are of later versions
}

// An Odd is what the bucket holds for an order and this version cannot read.
type Odd struct {
	Order    watcher.Order
	Revision uint64
	Stored   time.Time
	Err      error // ErrNoRecord, which is the marker of a deletion, ErrBroken or ErrNewerSchema of package watcher
}

// mostOdd bounds how many of them are kept, and as many of later versions: an upgrade writes these, and they are not to keep
// out broken ones. Others are told of when these are gone, and the index was begun anew.
const mostOdd = 10_000

// New returns an index of the store's records. It has read nothing.
func New(s *store.Store) *Index {
	x := &Index{store: s, epoch: s.Clock.Local(), turn: make(chan struct{}, 1)}
	x.sorted.kept = keptEnded
	x.forget()
	return x
}

// forget forgets all.
func (x *Index) forget() {
	x.rows, x.odd, x.texts = make(map[watcher.Order]*row), make(map[watcher.Order]Odd), make(map[string]string)
	x.later = 0
	x.sorted = sorted{kept: x.sorted.kept}
}

// CatchUp reads what was written since the last time, up to the first record that was stored after the time; zero: all. Of
// a record that is written again and again only those who want all read anything. Where it fails, the next call goes on
// from there.
func (x *Index) CatchUp(ctx context.Context, before time.Time) error {
	select {
	case x.turn <- struct{}{}:
		defer func() { <-x.turn }()
	case <-ctx.Done():
		return fmt.Errorf("read what was written: %w", ctx.Err())
	}
	stream, err := x.store.JS.Stream(ctx, x.store.Names.RecordStream())
	if err != nil {
		return err
	}
	info := stream.CachedInfo()
	group := x.groupOf(info)
	if x.next == 0 || !info.Created.Equal(x.made) || info.State.LastSeq+1 < x.next || group != x.group {
		x.made, x.next, x.group, x.anew = info.Created, 1, group, info.State.LastSeq
		if x.board != nil {
			x.board.keepFrame()
		}
		x.mu.Lock()
		if x.old == nil {
			x.old = x.rows
		}
		x.forget()
		x.mu.Unlock()
		x.changed()
	}
	if info.State.Msgs == 0 {
		x.next = info.State.LastSeq + 1
	}
	if err := x.read(ctx, info.State, before); err != nil {
		return err
	}
	if x.next > info.State.LastSeq { // otherwise what was written anew may not be read yet
		x.purge(info.State.FirstSeq)
	}
	if x.next > x.anew {
		x.mu.Lock()
		if x.old != nil {
			x.old = nil
			x.changed()
		}
		x.mu.Unlock()
	}
	return nil
}

// Anew lets the next [Index.CatchUp] begin anew: the bucket may have lost records that the index has.
func (x *Index) Anew() {
	x.turn <- struct{}{}
	defer func() { <-x.turn }()
	x.next = 0
}

// groupOf returns a text that differs where another server process has the bucket, or leads those that have it: one that crashed
// may have lost records, and given their sequences to others since. Where the bucket has one replica, and that is not on the
// server of the connection, it does not differ: [Index.Anew] is for that.
func (x *Index) groupOf(info *jetstream.StreamInfo) string {
	if c := info.Cluster; c != nil && c.LeaderSince != nil {
		return c.Leader + c.LeaderSince.String()
	}
	group := x.store.JS.Conn().ConnectedServerId() // of its process
	if c := info.Cluster; c != nil {
		group += c.Leader
	}
	return group
}

// mostSingly is how many records are read one by one at the most, and singlyAtOnce how many of them are in memory at a time.
const (
	mostSingly   = 512
	singlyAtOnce = 64
)

// read reads what was written since the last time. For a batch the server counts what is left in the bucket, at each record
// of which it looks: a few are read one by one, where that takes less.
func (x *Index) read(ctx context.Context, state jetstream.StreamState, before time.Time) error {
	if state.LastSeq < x.next {
		return nil
	}
	take := func(r store.Record) bool {
		if !before.IsZero() && r.Stored.After(before) {
			return false
		}
		x.apply(r)
		x.next = r.Sequence + 1
		return true
	}
	if n := state.LastSeq + 1 - x.next; n <= min(state.Msgs/150, mostSingly) {
		return x.readSingly(ctx, state.LastSeq, take)
	}
	records := x.store.RecordsBefore(ctx, x.next, before)
	if x.board != nil {
		oldest := x.oldest().time().Add(-skew)
		records = x.store.RecordsOrHeads(ctx, x.next, func(head store.Record) bool { return head.State != watcher.Ended || !head.Stored.Before(oldest) })
	}
	for r, err := range records {
		if err != nil {
			return err
		}
		take(r)
	}
	return nil
}

// readSingly reads what was written since the last time, up to the last sequence, one by one, until take has enough.
func (x *Index) readSingly(ctx context.Context, last uint64, take func(store.Record) bool) error {
	for first := x.next; first <= last; first += singlyAtOnce {
		records, err := x.store.RecordsAt(ctx, first, min(first+singlyAtOnce-1, last))
		if err != nil {
			return err
		}
		for _, r := range records {
			if !take(r) {
				return nil
			}
		}
	}
	return nil
}

// See takes a record that was read by itself: what the index has is not that.
func (x *Index) See(r store.Record) { x.apply(r) }

// apply takes what the bucket holds for an order, where that is later than what the index has.
func (x *Index) apply(r store.Record) {
	if r.Order == (watcher.Order{}) {
		return // of what workers tell each other
	}
	next := x.rowOf(r)
	x.mu.Lock()
	defer x.mu.Unlock()
	before := x.rows[r.Order]
	if before != nil && before.revision > r.Sequence || x.odd[r.Order].Revision > r.Sequence {
		return
	}
	if o := x.old[r.Order]; next != nil && o != nil && !o.gone && o.revision == next.revision && o.stored == next.stored {
		next = o // it is the same, and was seen before
	} else if next != nil && (before == nil || before.revision < r.Sequence) {
		x.changed()
	}
	x.dropOdd(r.Order)
	x.addOdd(r)
	switch {
	case next == nil || x.sorted.beyond(next):
		if before != nil {
			x.drop(before)
		}
	case before != nil && before.id == next.id: // it keeps its place
		x.sorted.change(before, next)
		next.order, next.id, next.region = before.order, before.id, x.text(next.region)
		*before = *next
	default:
		if before != nil {
			x.drop(before)
		}
		next.order.ProjectID, next.region = x.text(next.order.ProjectID), x.text(next.region)
		own := next.id + next.order.Name // and not a part of the whole message
		next.id, next.order.Name = own[:len(next.id)], own[len(next.id):]
		x.rows[next.order] = next
		x.sorted.add(next)
	}
	for _, old := range x.sorted.tooMany() {
		delete(x.rows, old.order)
	}
}

// addOdd keeps what cannot be read, where there is room.
func (x *Index) addOdd(r store.Record) {
	later := errors.Is(r.Err, watcher.ErrNewerSchema)
	if r.Err == nil || later && x.later >= mostOdd || !later && len(x.odd)-x.later >= mostOdd {
		return
	}
	order := watcher.Order{ProjectID: x.text(r.Order.ProjectID), Name: strings.Clone(r.Order.Name)}
	x.odd[order] = Odd{order, r.Sequence, r.Stored, r.Err}
	if later {
		x.later++
	}
}

// dropOdd removes what could not be read.
func (x *Index) dropOdd(order watcher.Order) {
	if errors.Is(x.odd[order].Err, watcher.ErrNewerSchema) {
		x.later--
	}
	delete(x.odd, order)
}

// text returns one text for all that are equal.
func (x *Index) text(s string) string {
	if known, ok := x.texts[s]; ok {
		return known
	}
	s = strings.Clone(s)
	x.texts[s] = s
	return s
}

// drop removes a row.
func (x *Index) drop(r *row) {
	delete(x.rows, r.order)
	x.sorted.remove(r)
	x.changed()
}

// changed counts a change of a board's rows.
func (x *Index) changed() {
	if x.board != nil {
		x.board.hasChanged()
	}
}

// purge removes what was stored before the bucket's first record, and was not written again: it is gone without a marker.
func (x *Index) purge(first uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for order, o := range x.odd {
		if o.Revision < first {
			x.dropOdd(order)
		}
	}
	if x.sorted.lowest >= first {
		return
	}
	x.sorted.lowest = x.next
	for _, r := range x.rows {
		if r.revision < first {
			x.drop(r)
		} else {
			x.sorted.lowest = min(x.sorted.lowest, r.revision)
		}
	}
}

// Forget drops what the index has of the order, if that is still of the revision: the record is not there any more, or
// nothing is to be done about it.
func (x *Index) Forget(order watcher.Order, revision uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if r := x.rows[order]; r != nil && r.revision == revision {
		x.drop(r)
	}
	if x.odd[order].Revision == revision {
		x.dropOdd(order)
	}
}

// Next returns the first sequence of the bucket that was not read.
func (x *Index) Next() uint64 {
	x.turn <- struct{}{}
	defer func() { <-x.turn }()
	return x.next
}

// Open yields the rows of open watches, in no order. The index is not to be used meanwhile.
func (x *Index) Open() iter.Seq[Row] {
	return func(yield func(Row) bool) {
		x.mu.RLock()
		defer x.mu.RUnlock()
		for _, r := range x.rows {
			if r.open() && !yield(x.show(r)) {
				return
			}
		}
	}
}

// Odd returns what the bucket holds for orders and this version cannot read, in no order; of a later version's records too,
// if they are wanted.
func (x *Index) Odd(newer bool) (all []Odd) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, o := range x.odd {
		if newer || !errors.Is(o.Err, watcher.ErrNewerSchema) {
			all = append(all, o)
		}
	}
	return all
}
