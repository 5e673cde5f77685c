package usual

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/history"
)

// writeTries is how often a value is read again that somebody else wrote meanwhile.
const writeTries = 5

// retryAfter is when an event is looked at again that could not be learned from.
const retryAfter = 10 * time.Second

// learnEvery is how often values are written at the most: completions that come sooner wait, and are learned from together.
const learnEvery = time.Second

// mostTogether is how many completions are learned from together.
const mostTogether = 256

// Take learns from an event of the consumer history, and, where the last was learned from a moment ago, a moment later
// from those that follow it, too: each key is written once for all of them. When they are delivered, nothing is left to do.
func (k *Keeper) Take(ctx context.Context, m *nats.Msg) watcher.Verdict {
	meta, err := m.Metadata()
	if err != nil {
		return watcher.Verdict{Err: err}
	}
	end := store.Stored{Subject: m.Subject, Sequence: meta.Sequence.Stream, Time: meta.Timestamp, Data: m.Data}
	k.mu.Lock()
	learned, pause := k.learned, min(learnEvery, k.store.Timing.AckWait/4)-time.Since(k.learnedAt)
	k.mu.Unlock()
	if learned.has(end.Sequence, end.Time) {
		return watcher.Verdict{Action: watcher.Ack}
	}
	ends, learnedAt := []store.Stored{end}, time.Now()
	if pause > 0 {
		link.Sleep(ctx, pause)
		more, err := k.store.CompletionsFrom(ctx, end.Sequence+1, mostTogether)
		ends, learnedAt = append(ends, more...), time.Now()
		if err != nil {
			k.log.Debug("completions are learned from one by one", "err", err)
			learnedAt = time.Time{} // the next one does not wait
		}
	}
	if err := k.learn(ctx, ends); err != nil {
		return k.later(ctx, err)
	}
	for _, end := range ends {
		learned.hold(end.Sequence, end.Time)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.learned, k.learnedAt = learned, learnedAt
	return watcher.Verdict{Action: watcher.Ack}
}

// An observed is what an event says of a key.
type observed struct {
	history.Observation
	sequence uint64
	storedAt time.Time
}

// learn adds what the events say, in their order, to the values.
func (k *Keeper) learn(ctx context.Context, ends []store.Stored) error {
	var keys []string
	by := make(map[string][]observed)
	for _, end := range ends {
		c, err := wire.Decode[watcher.Completion](end.Data)
		if err != nil {
			k.log.Debug("an event that cannot be read as a completion teaches nothing", "subject", end.Subject, "err", err)
			continue
		}
		for _, o := range c.Observations() {
			key := o.Key.String()
			if by[key] == nil {
				keys = append(keys, key)
			}
			by[key] = append(by[key], observed{o, end.Sequence, end.Time})
		}
	}
	for _, key := range keys {
		if err := k.observe(ctx, key, by[key]); err != nil {
			return err
		}
	}
	return nil
}

// later puts the event back. Somebody may have deleted the bucket: it is made anew.
func (k *Keeper) later(ctx context.Context, why error) watcher.Verdict {
	k.failed(why)
	if k.denied.Load() == nil {
		if err := k.Ensure(ctx); err != nil {
			k.log.Debug("the bucket of how long orders take is not as it must be", "err", err)
		}
	}
	return watcher.Verdict{After: retryAfter, Err: &watcher.RetryError{After: retryAfter, Err: why}}
}

// observe adds what events say to the value of their key, unless that has them.
func (k *Keeper) observe(ctx context.Context, key string, all []observed) error {
	k.mu.Lock()
	v := k.values[key]
	full := v == nil && len(k.values) >= all[0].Key.Most()
	k.mu.Unlock()
	if full {
		return nil
	}
	stream, subject := k.store.Names.HistoryStream(), k.store.Names.History(key)
	for range writeTries {
		next := v.with(all)
		if next == nil {
			return nil
		}
		encoded, err := json.Marshal(next)
		if err != nil {
			return err
		}
		next.revision, err = k.store.Put(ctx, stream, subject, encoded, next.revision)
		if err == nil {
			k.mu.Lock()
			k.take(key, next)
			k.mu.Unlock()
			return nil
		}
		if !errors.Is(err, watcher.ErrConflict) {
			return err
		}
		found, err := k.store.Value(ctx, stream, subject)
		if err != nil {
			return err
		}
		v = k.decode(key, found)
	}
	return watcher.ErrConflict
}

// with returns the value with what the events say that it does not have, nil where it has them all. A nil value knows nothing.
func (v *value) with(all []observed) *value {
	var next value
	if v != nil {
		next = *v
	}
	more := false
	for _, o := range all {
		if next.has(o.sequence, o.storedAt) {
			continue
		}
		next.Key, more = o.Key, true
		next.hold(o.sequence, o.storedAt)
		next.Sketch.Begin(o.storedAt)
		next.Sketch.Observe(o.Lasted, o.Ended)
	}
	if !more {
		return nil
	}
	return &next
}

// Forget deletes what is known of a key; ok is false where nothing is known of it.
func (k *Keeper) Forget(ctx context.Context, key string) (ok bool, err error) {
	k.mu.Lock()
	_, ok = k.values[key]
	k.mu.Unlock()
	if !ok {
		return false, nil
	}
	revision, err := k.store.Delete(ctx, k.store.Names.HistoryStream(), k.store.Names.History(key))
	if err != nil {
		return true, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.take(key, &value{revision: revision})
	return true, nil
}
