// Package usual keeps how long orders take, for all workers, in the bucket ORDER_HISTORY: package watcher/history says what
// is kept under which key, and what follows from it.
//
// A [Keeper] takes the completions of the consumer history of ORDER_EVENTS, one at a time over all workers, and those of a
// second together. Each value says which event it has last, and is written by compare-and-set: an event that is delivered
// again counts once. Each worker has
// all values, and reads every few seconds which have changed. Nothing of this is needed to watch orders: a worker that may
// not create, read or write the bucket says so once and works as before, and a bucket that is lost or garbled costs nothing
// but the knowledge.
//
// Read usual.go (how it begins, and how values come to a worker), then learn.go (how they change).
package usual

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher/history"
)

// A Keeper knows how long orders take. It is safe for concurrent use.
type Keeper struct {
	log   *slog.Logger
	store *store.Store

	mu     sync.Mutex
	values map[string]*value // by key; never changed, but replaced
	last   uint64            // the latest revision that was read

	learned   value     // of its fields those of the events that were learned from here
	learnedAt time.Time // when that was

	denied atomic.Pointer[error] // what NATS denied since Ensure was called last
	stop   chan struct{}         // Watch is to end
	told   atomic.Bool           // it was said that it does not work
}

// A value is what the bucket has under a key.
type value struct {
	history.Key
	Sketch   history.Sketch `json:"sketch"`
	Sequence uint64         `json:"event_sequence"`  // of the last event that it holds, in ORDER_EVENTS
	StoredAt time.Time      `json:"event_stored_at"` // the latest of its events; a new leader's clock may be behind

	revision uint64
}

// has reports whether the value holds the event already. Where the stream was made anew its sequences begin again, later.
func (v *value) has(sequence uint64, storedAt time.Time) bool {
	return sequence <= v.Sequence && !storedAt.After(v.StoredAt)
}

// hold notes that the value holds the event.
func (v *value) hold(sequence uint64, storedAt time.Time) {
	v.Sequence = sequence
	if storedAt.After(v.StoredAt) {
		v.StoredAt = storedAt.UTC()
	}
}

// New returns a keeper that knows nothing yet.
func New(log *slog.Logger, s *store.Store) *Keeper {
	return &Keeper{log: log, store: s, values: make(map[string]*value), stop: make(chan struct{}, 1)}
}

const (
	deniedPause = 10 * time.Minute // before NATS is asked again for what it denied
	wholeEvery  = 10 * time.Minute // between two looks at all values: what expired leaves no trace
)

// Begin waits until bucket and consumer are there, and have been read. It returns false where ctx is done before, or so many
// tries have failed.
func (k *Keeper) Begin(ctx context.Context, tries int) bool {
	for try := 0; try < tries; try++ {
		pause := deniedPause
		if k.denied.Load() == nil {
			pause = k.store.Timing.Rebind.Interval("history", try-1)
		}
		if (try > 0 || pause == deniedPause) && !link.Sleep(ctx, pause) {
			return false
		}
		err := k.Ensure(ctx)
		if err == nil {
			err = k.look(ctx, true)
		}
		if err == nil || ctx.Err() != nil {
			return ctx.Err() == nil
		}
		k.failed(err)
	}
	return false
}

// Ensure makes sure of bucket and consumer.
func (k *Keeper) Ensure(ctx context.Context) error {
	k.denied.Store(nil)
	select {
	case <-k.stop:
	default:
	}
	return k.store.EnsureHistory(ctx, store.Listener{
		Made: func(asset string) { k.log.Info("created", "asset", asset) },
		Differs: func(asset string, d store.Difference) {
			k.log.Debug("setting is not as wanted", "asset", asset, "setting", d.Setting, "found", d.Found, "wanted", d.Wanted)
		},
	})
}

// Denied takes what NATS denied of [store.Config.HistoryNeeds]. It is asked for again some minutes later.
func (k *Keeper) Denied(err error) {
	k.failed(err)
	k.denied.Store(&err)
	select {
	case k.stop <- struct{}{}:
	default: // Watch is going to end
	}
}

// failed says once that nothing is known of how long orders take, or learned, and why.
func (k *Keeper) failed(err error) {
	if k.denied.Load() != nil || errors.Is(err, link.ErrNotConnected) || !k.store.JS.Conn().IsConnected() || !k.told.CompareAndSwap(false, true) {
		return
	}
	k.log.Warn("it is not known how long orders usually take; all else works: it needs the bucket and the consumer history of deploy/README.md, and permissions for them", "bucket", k.store.Names.HistoryStream(), "err", err)
}

// Watch reads what changes until ctx is done, or NATS denies something.
func (k *Keeper) Watch(ctx context.Context) {
	whole := time.Now()
	for {
		select {
		case <-k.stop:
			return
		case <-ctx.Done():
			return
		case <-time.After(k.store.Timing.CheckEvery):
		}
		all := time.Since(whole) > wholeEvery
		if err := k.look(ctx, all); err != nil && ctx.Err() == nil {
			k.log.Debug("how long orders take was not read; trying again", "err", err)
		} else if all {
			whole = time.Now()
		}
	}
}

// Follow reads what changes until ctx is done, and neither makes nor learns anything: it is for those who only look.
func (k *Keeper) Follow(ctx context.Context) {
	for whole := (time.Time{}); ; {
		all := time.Since(whole) > wholeEvery
		err := k.look(ctx, all)
		if err == nil && all {
			whole = time.Now()
		}
		if err != nil && ctx.Err() == nil {
			k.log.Debug("how long orders take was not read; trying again", "err", err)
		}
		if !link.Sleep(ctx, k.store.Timing.CheckEvery) {
			return
		}
	}
}

// look reads the values that have changed since the last look, or the whole bucket.
func (k *Keeper) look(ctx context.Context, whole bool) error {
	ctx, cancel := context.WithTimeout(ctx, k.store.Timing.Request)
	defer cancel()
	k.mu.Lock()
	from := k.last + 1
	k.mu.Unlock()
	if whole {
		from = 1
	}
	read, last := make(map[string]*value), from-1
	for m, err := range k.store.Written(ctx, k.store.Names.HistoryStream(), from) {
		if err != nil {
			return fmt.Errorf("read how long orders take: %w", err)
		}
		key := strings.TrimPrefix(m.Subject, k.store.Names.History(""))
		read[key], last = k.decode(key, m), m.Sequence
	}
	if ctx.Err() != nil { // an answer that does not come ends the messages without an error
		return ctx.Err()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last = last
	if whole {
		k.values = make(map[string]*value, len(read))
	}
	for key, v := range read {
		k.take(key, v)
	}
	return nil
}

// decode returns the value of a key; one that knows nothing where that was deleted, or cannot be read.
func (k *Keeper) decode(key string, m store.Stored) *value {
	v := new(value)
	if len(m.Data) > 0 {
		err := json.Unmarshal(m.Data, v)
		if err == nil && v.Key.String() != key {
			err = fmt.Errorf("it is the value of %s", v.Key)
		}
		if err != nil {
			v = new(value)
			k.log.Debug("how long orders take cannot be read; it is learned anew", "key", key, "err", err)
		}
	}
	v.revision = m.Sequence
	return v
}

// take takes a value. One that is older than what is stored by now is found out when it is to be replaced. The caller holds
// the lock.
func (k *Keeper) take(key string, v *value) {
	if v.Sequence == 0 { // nothing is known
		delete(k.values, key)
		return
	}
	k.values[key] = v
}

// Sketch returns the sketch of a key as it is known here; nil where there is none. It is not changed any more.
func (k *Keeper) Sketch(key history.Key) *history.Sketch {
	k.mu.Lock()
	defer k.mu.Unlock()
	if v, ok := k.values[key.String()]; ok {
		return &v.Sketch
	}
	return nil
}

// Each calls f for all sketches that are known here, in the order of their keys.
func (k *Keeper) Each(f func(history.Key, *history.Sketch)) {
	k.mu.Lock()
	all := make([]*value, 0, len(k.values))
	for _, v := range k.values {
		all = append(all, v)
	}
	k.mu.Unlock()
	slices.SortFunc(all, func(a, b *value) int { return strings.Compare(a.Key.String(), b.Key.String()) })
	for _, v := range all {
		f(v.Key, &v.Sketch)
	}
}
