package index

import (
	"cmp"
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/history"
)

// aDay is for how long a board keeps watches that have ended.
const aDay = 24 * time.Hour

// A Board is an index of all open watches and of those that ended within 24 hours, with what a screen shows, filters and
// sorts by. It is safe for concurrent use. [NewBoard] makes one, [Board.Run] keeps it up to date.
//
// It promises that [Board.Query] shows what the bucket held at [Status].AsOf, whatever became of the server and the connection
// before; while all is read anew, what it held before that. All records are looked at once, and not those of the last day alone:
// an open watch is written at each poll or every ten minutes, but by nobody while no worker is there, and POLL_MAX has no upper
// bound. Of those that ended earlier only the beginning is read. Memory grows with the rows, by about 570 bytes each.
type Board struct {
	index  *Index
	policy watcher.Policy
	keys   map[string]*history.Key // each once; of the one whose turn it is

	mu      sync.Mutex // of what follows
	asOf    time.Time
	over    uint64 // the connection that the latest reading was over: how many there were before
	ready   bool
	failed  error // of the latest reading
	holds   map[string]watcher.Hold
	looked  time.Time // when holds were read, by the server's clock
	unseen  error     // of the latest try to read them
	changes uint64
	changed chan struct{} // is closed with the next change; nil: nobody waits for it
	asked   time.Time     // when somebody did last

	woken chan struct{} // somebody asks after nobody did for long

	framing sync.Mutex // of what follows; held while a frame is made
	frame   *frame
}

// NewBoard returns a board of the store's records, which are judged by the policy, of which Patience, Sketches and LateByUsual
// are used. It has read nothing.
func NewBoard(s *store.Store, policy watcher.Policy) *Board {
	b := &Board{index: New(s), policy: policy, keys: make(map[string]*history.Key), woken: make(chan struct{}, 1)}
	b.index.board, b.index.sorted.kept = b, math.MaxInt/4
	return b
}

// key returns one key for all that are equal.
func (b *Board) key(k history.Key) *history.Key {
	text := k.String()
	known := b.keys[text]
	if known == nil {
		known = &k
		b.keys[text] = known
	}
	return known
}

// oldest returns when a watch ended at the earliest that is kept.
func (x *Index) oldest() stamp { return stampOf(x.store.Clock.Now().Add(-aDay)) }

// A Status says how far a board can be believed.
type Status struct {
	Ready     bool      // all was read at least once: before, the rows are not all there
	Connected bool      // it is up to date; otherwise it is as it was AsOf
	AsOf      time.Time // by the server's clock; zero: nothing was read
	Err       error     // why it is not up to date; nil where it is, or where nothing was tried yet
}

// Status returns how far the board can be believed now.
func (b *Board) Status() Status {
	nc := b.index.store.JS.Conn()
	connected := nc.IsConnected() && !b.index.readsAnew()
	b.mu.Lock()
	defer b.mu.Unlock()
	s := Status{Ready: b.ready, AsOf: b.asOf, Err: b.failed}
	now := b.index.store.Clock.Now()
	s.Connected = connected && b.ready && b.failed == nil && b.over == nc.Stats().Reconnects && now.Sub(b.asOf) < stale
	if now.Sub(b.looked) >= stale+b.index.store.Timing.AccountsEvery {
		s.Connected, s.Err = false, cmp.Or(b.failed, b.unseen)
		if !b.looked.IsZero() {
			s.AsOf = b.looked
		}
	}
	return s
}

// Changes returns how many changes there were until now, and a channel that is closed with the next one: a record was read
// that is another one than before, a hold changed, or what Status returns. What changes as time passes, such as that a watch
// gets late, is none: who shows rows for long asks for them now and then.
func (b *Board) Changes() (n uint64, next <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.isAsked()
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	return b.changes, b.changed
}

// isAsked lets the board read often again, if it did not. The caller holds mu.
func (b *Board) isAsked() {
	now := time.Now()
	if now.Sub(b.asked) > idleAfter {
		select {
		case b.woken <- struct{}{}:
		default:
		}
	}
	b.asked = now
}

// idle reports whether nobody asked for long, nor waits for a change.
func (b *Board) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed == nil && time.Since(b.asked) > idleAfter
}

// change counts a change. The caller holds mu.
func (b *Board) change() {
	b.changes++
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

// readsAnew reports whether what was read before is read again.
func (x *Index) readsAnew() bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.old != nil
}

// hasChanged counts a change.
func (b *Board) hasChanged() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.change()
}

// read reads what was written since the last time.
func (b *Board) read(ctx context.Context) error {
	at, over := b.index.store.Clock.Now(), b.index.store.JS.Conn().Stats().Reconnects
	err := b.index.CatchUp(ctx, time.Time{})
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if (err == nil) != (b.failed == nil) || !b.ready || over != b.over {
		b.change()
	}
	b.failed = err
	if err == nil {
		b.ready, b.asOf, b.over = true, at, over
	}
	return err
}

// How often a board reads. An ordered consumer would be some milliseconds behind for a third of the CPU, which is little either
// way; but who may create a consumer may let the server send records to any subject, and a page is to be allowed nothing but reads.
const (
	followEvery = 250 * time.Millisecond // while somebody asks
	idleEvery   = 2 * time.Second
	idleAfter   = 10 * time.Second // so long after somebody asked last
	dropEvery   = 10 * time.Second // rows of watches that ended a day ago; nobody is shown them meanwhile
	stale       = 10 * time.Second // without a reading: what is known is shown as old
)

// Run keeps the board up to date until ctx is done, whatever becomes of the connection.
func (b *Board) Run(ctx context.Context) {
	looked, dropped := time.Time{}, time.Now()
	for ctx.Err() == nil {
		_ = b.read(ctx) // Status says why
		now := time.Now()
		if now.Sub(looked) >= b.index.store.Timing.AccountsEvery {
			looked = now
			b.look(ctx)
		}
		if now.Sub(dropped) >= dropEvery {
			dropped = now
			b.index.dropEnded()
		}
		every := followEvery
		if b.idle() {
			every = idleEvery
		}
		select {
		case <-time.After(every):
		case <-b.woken:
		case <-ctx.Done():
		}
	}
}

// look reads which accounts may not be asked. Where it fails, what is known stays, and Status says that it is old.
func (b *Board) look(ctx context.Context) {
	at := b.index.store.Clock.Now()
	_, holds, _, err := b.index.store.LookAtWorkers(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	if (err == nil) != (b.unseen == nil) || b.looked.IsZero() {
		b.change()
	}
	if b.unseen = err; err != nil {
		return
	}
	b.looked = at
	same := len(holds) == len(b.holds)
	for key, h := range holds {
		before, ok := b.holds[key]
		same = same && ok && before.Kind == h.Kind && before.Since.Equal(h.Since) && before.Until.Equal(h.Until) && before.Reason == h.Reason
	}
	b.holds = holds
	if !same {
		b.change()
	}
}

// Holding returns the hold that keeps the watch waiting, for so long that people are told; the zero Hold where none does.
func (b *Board) Holding(w *watcher.Watch) (first watcher.Hold) {
	s := b.index.store
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range b.holds {
		tells := h.Keeps(w) && s.Clock.Now().Sub(h.Since) >= s.Timing.Unreachable
		if tells && (first.Kind == "" || h.Since.Before(first.Since)) {
			first = h
		}
	}
	return first
}

// dropEnded drops the rows of watches that ended more than a day ago.
func (x *Index) dropEnded() {
	x.mu.Lock()
	defer x.mu.Unlock()
	oldest := x.oldest()
	for _, r := range x.rows {
		if r.extra.ended != 0 && r.extra.ended < oldest {
			x.drop(r)
		}
	}
}
