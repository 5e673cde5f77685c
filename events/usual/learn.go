package usual

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/history"
)

// writeTries is how often a value is read again that somebody else wrote meanwhile.
const writeTries = 5

// retryAfter is when an event is looked at again that could not be learned from.
const retryAfter = 10 * time.Second

// Take learns from an event of the consumer history.
func (k *Keeper) Take(ctx context.Context, m *nats.Msg) watcher.Verdict {
	meta, err := m.Metadata()
	if err != nil {
		return watcher.Verdict{Err: err}
	}
	c, err := wire.Decode[watcher.Completion](m.Data)
	if err != nil {
		k.log.Debug("an event that cannot be read as a completion teaches nothing", "subject", m.Subject, "err", err)
		return watcher.Verdict{Action: watcher.Ack}
	}
	for _, o := range c.Observations() {
		if err := k.observe(ctx, o, meta.Sequence.Stream, meta.Timestamp); err != nil {
			return k.later(ctx, err)
		}
	}
	return watcher.Verdict{Action: watcher.Ack}
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

// observe adds what an event says to the value of a key, unless that has it.
func (k *Keeper) observe(ctx context.Context, o history.Observation, sequence uint64, storedAt time.Time) error {
	key := o.Key.String()
	k.mu.Lock()
	v := k.values[key]
	full := v == nil && len(k.values) >= o.Key.Most()
	k.mu.Unlock()
	if full {
		return nil
	}
	stream, subject := k.store.Names.HistoryStream(), k.store.Names.History(key)
	for range writeTries {
		var next value
		if v != nil {
			next = *v
		}
		if next.has(sequence, storedAt) {
			return nil
		}
		next.Key, next.Sequence, next.StoredAt = o.Key, sequence, storedAt.UTC()
		next.Sketch.Begin(storedAt)
		next.Sketch.Observe(o.Lasted, o.Ended)
		encoded, err := json.Marshal(next)
		if err != nil {
			return err
		}
		revision, err := k.store.Put(ctx, stream, subject, encoded, next.revision)
		if err == nil {
			next.revision = revision
			k.mu.Lock()
			k.take(key, &next)
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
