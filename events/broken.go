package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// brokenRecords is what a patrol knows of records that cannot be read. The patrol tells of each at once, and moves it
// aside after a while. What it knows is kept in the bucket, for other workers.
type brokenRecords struct {
	log    *slog.Logger
	store  *store.Store
	policy func() watcher.Policy
	number prometheus.Gauge   // how many there are
	moved  prometheus.Counter // aside

	seen  map[watcher.Order]suspicion // in rounds until now
	round map[watcher.Order]suspicion // in this one
	list  []wire.BrokenRecord         // as it is kept
	kept  uint64                      // the revision of the list

	forgotten time.Time // when all records were lost, of which people are told at once; zero for never
	losing    bool      // all records may be lost just now, and people not be told yet
}

// A suspicion is what the patrol found in the place of a record.
type suspicion struct {
	revision uint64    // what it found; 0 for nothing
	stored   time.Time // when that was stored; of nothing: when the wake-up was
	since    time.Time // when this patrol found it first, by the process's clock
}

// Bounds of what is remembered.
const (
	mostBroken   = 200 // records in the list, and suspicions in one round
	mostRequests = 50  // ids of requests of each
)

// keptPrefix begins the keys of the bytes of records that were moved aside. No project's id holds a "=".
const keptPrefix = "=broken."

// begin begins a round.
func (b *brokenRecords) begin(ctx context.Context) error {
	b.round = make(map[watcher.Order]suspicion)
	var err error
	b.list, b.kept, err = b.store.BrokenList(ctx)
	return err
}

// suspect takes what cannot be read, or is not there.
func (b *brokenRecords) suspect(order watcher.Order, revision uint64, stored time.Time) {
	before, known := b.seen[order]
	if known && before.revision == revision {
		b.round[order] = before
	} else if len(b.round) < mostBroken {
		b.round[order] = suspicion{revision, stored, b.store.Clock.Local()}
	}
}

// lookForLoss finds out whether all records were lost. It does so after the round has read: an absence before
// that is seen here, too.
func (b *brokenRecords) lookForLoss(ctx context.Context) error {
	names := b.store.Names
	kept, err := ledgerAt(ctx, b.store, names.RecordStream(), names.Record(ledgerKey))
	if err != nil {
		return err
	}
	b.losing = kept.revision == 0
	if kept.ledger != nil {
		b.forgotten = kept.ledger.Forgotten
	}
	return nil
}

// end ends a round: it tells of what is broken, and moves aside what has been for long enough.
func (b *brokenRecords) end(ctx context.Context) error {
	b.seen = b.round
	if err := b.lookForLoss(ctx); err != nil {
		return err
	}
	before := slices.Clone(b.list)
	failed := b.forget(ctx)
	for order, s := range b.seen {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := b.deal(ctx, order, s); err != nil {
			failed = errors.Join(failed, fmt.Errorf("broken record of %s: %w", order, err))
		}
	}
	b.number.Set(float64(len(b.list)))
	if reflect.DeepEqual(b.list, before) {
		return failed
	}
	return errors.Join(failed, b.store.SetBrokenList(ctx, b.list, b.kept))
}

// forget leaves out what has a record again.
func (b *brokenRecords) forget(ctx context.Context) (failed error) {
	b.list = slices.DeleteFunc(b.list, func(known wire.BrokenRecord) bool {
		w, _, err := b.store.ReadLatest(ctx, known.Order)
		switch {
		case err == nil:
			return w.MovedAside() == nil
		case errors.Is(err, watcher.ErrNoRecord):
			_, still := b.seen[known.Order]
			return !still
		case !errors.Is(err, watcher.ErrBroken):
			failed = errors.Join(failed, err)
		}
		return false
	})
	return failed
}

// deal makes the next step for one broken record, as the server that writes has it.
func (b *brokenRecords) deal(ctx context.Context, order watcher.Order, s suspicion) error {
	_, revision, why := b.store.ReadLatest(ctx, order)
	if uint64(revision) != s.revision || !errors.Is(why, watcher.ErrBroken) && !errors.Is(why, watcher.ErrNoRecord) {
		return nil // it is another since, or cannot be read at the moment
	}
	if b.losing && s.revision == 0 && b.store.Clock.Local().Sub(s.since) < b.store.Timing.Broken {
		return nil
	}
	known := slices.IndexFunc(b.list, func(k wire.BrokenRecord) bool { return k.Order == order && k.Revision == s.revision })
	ripe, err := b.ripe(ctx, s)
	if err != nil || known >= 0 && !ripe {
		return err
	}
	found, err := b.find(ctx, order, s, why)
	if err != nil {
		return err
	}
	forgotten := s.revision == 0 && s.stored.Before(b.forgotten)
	if known < 0 {
		a := b.policy().Attention(found)
		if forgotten {
			a.ToldOf = watcher.Lost
		}
		if err := b.store.Attend(ctx, a); err != nil {
			return err
		}
		b.log.Error("broken record: it cannot be read, and people are told; its watch is over", "watch", found.WatchID, "project", order.ProjectID, "order", order.Name, "since", found.Since, "err", why)
		b.list = slices.DeleteFunc(b.list, func(k wire.BrokenRecord) bool { return k.Order == order })
		if len(b.list) >= mostBroken {
			b.list = b.list[1:]
		}
		b.list = append(b.list, wire.BrokenRecord{Order: order, WatchID: found.WatchID, Since: found.Since, Reason: found.Why, Requests: idsOf(found.Open), Revision: s.revision})
		known = len(b.list) - 1
	}
	if !ripe {
		return nil
	}
	if forgotten {
		found.Open = nil // people publish these again as they are
	}
	return b.move(ctx, &b.list[known], found)
}

// ripe reports whether the record has been broken for long enough: by the time at which it was stored,
// and, for half of that at least, in the rounds of this patrol, whatever the clocks say.
func (b *brokenRecords) ripe(ctx context.Context, s suspicion) (bool, error) {
	bound := b.store.Timing.Broken
	if b.store.Clock.Local().Sub(s.since) < bound/2 {
		return false, nil
	}
	consumer, err := b.store.JS.Consumer(ctx, b.store.Names.WakeupStream(), wire.PollerConsumer)
	if err != nil {
		return false, err
	}
	bound = max(bound, 2*consumer.CachedInfo().Config.AckWait)
	return b.store.Clock.Now().Sub(s.stored) >= bound, nil
}

// move puts a record in the place of the broken one, whose bytes it keeps under another key first.
func (b *brokenRecords) move(ctx context.Context, known *wire.BrokenRecord, found watcher.Broken) error {
	names := b.store.Names
	m, err := b.store.Last(ctx, names.RecordStream(), names.Record(known.Key()))
	if err != nil || m.Sequence != known.Revision { // it is another since
		return err
	}
	if len(m.Data) > 0 {
		kept := keptPrefix + known.Key()
		if _, err := b.store.Publish(ctx, names.RecordStream(), &nats.Msg{Subject: names.Write(names.Record(kept)), Data: m.Data}); err != nil {
			return err
		}
		known.Kept = kept
	}
	revision, err := b.store.Write(ctx, b.policy().Replace(found, b.store.Clock.Now().UTC().Truncate(time.Millisecond)), watcher.Revision(known.Revision))
	if err != nil {
		return err
	}
	b.moved.Inc()
	known.MovedAt, known.Revision = b.store.Clock.Now().UTC(), uint64(revision)
	b.log.Warn("broken record moved aside; the order's next request starts a new watch", "watch", found.WatchID, "project", known.ProjectID, "order", known.Name, "kept", known.Kept)
	return nil
}

// find returns what is known of the watch from its wake-ups and events, not from the broken record.
func (b *brokenRecords) find(ctx context.Context, order watcher.Order, s suspicion, why error) (watcher.Broken, error) {
	found := watcher.Broken{Order: order, Since: s.stored.UTC().Truncate(time.Millisecond), Why: "it is none that a worker wrote"}
	if errors.Is(why, watcher.ErrNoRecord) {
		found.Why = "it was deleted while its watch went on"
	}
	var err error
	if found.Highest, found.WatchID, err = b.store.HighestOf(ctx, order); err != nil {
		return found, err
	}
	if err := asked(ctx, b.store, &found); err != nil {
		return found, err
	}
	if found.WatchID == "" {
		found.WatchID = fmt.Sprintf("w_unknown-%d", s.revision)
	}
	return found, nil
}

// asked fills in the requests that the order's events name.
func asked(ctx context.Context, s *store.Store, found *watcher.Broken) error {
	answered := make(map[string]bool)
	err := s.EachEvent(ctx, s.Names.Completed("*", found.Key()), func(encoded []byte) {
		c, err := wire.Decode[watcher.Completion](encoded)
		if err != nil {
			return
		}
		found.Region = c.Region
		for _, r := range c.Requests {
			if id := r.Identity(); !answered[id] {
				answered[id] = true
				found.Answered = append(found.Answered, id)
			}
		}
	})
	if err != nil {
		return err
	}
	scheduled := found.WatchID != ""
	return s.EachEvent(ctx, s.Names.Progress(found.Key()), func(encoded []byte) {
		g, err := wire.Decode[watcher.Progress](encoded)
		if err != nil {
			return
		}
		found.Region = g.Region
		if !scheduled {
			found.WatchID = g.WatchID
		}
		for _, r := range g.Requests {
			if id := r.Identity(); !answered[id] {
				answered[id] = true
				found.Open = append(found.Open, r)
			}
		}
	})
}

func idsOf(requests []watcher.Request) []string {
	ids := []string{}
	for _, r := range requests[:min(len(requests), mostRequests)] {
		ids = append(ids, r.ID)
	}
	return ids
}
