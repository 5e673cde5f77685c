package index

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// Count returns how many watches there are, given the broken records that workers know of. One is overdue, or stuck, where
// its next step is late by more than the patrol's slack.
func (x *Index) Count(ctx context.Context, broken []wire.BrokenRecord) (n wire.WatchCount, err error) {
	if err := x.CatchUp(ctx, time.Time{}); err != nil {
		return n, err
	}
	now, slack := x.store.Clock.Now(), x.store.Timing.PatrolSlack
	var late []Row
	for r := range x.Open() {
		if r.State == watcher.Ending {
			n.Ending++
			if now.Sub(r.Stored) > slack {
				n.Stuck++
			}
			continue
		}
		n.Watching++
		if now.Sub(r.NextPollAt) > max(0, r.NextPollAt.Sub(r.Stored))+slack {
			late = append(late, r)
		}
	}
	if n.Overdue, err = x.overdue(ctx, late, now); err != nil {
		return n, err
	}
	broken = slices.DeleteFunc(slices.Clone(broken), func(b wire.BrokenRecord) bool { return x.watchedAnew(b) })
	for _, o := range x.Odd(true) {
		known := slices.ContainsFunc(broken, func(b wire.BrokenRecord) bool { return b.Order == o.Order })
		switch {
		case errors.Is(o.Err, watcher.ErrNewerSchema):
			n.Newer++
		case !errors.Is(o.Err, watcher.ErrNoRecord) && !known:
			n.Unreadable++
		}
	}
	n.Unreadable += len(broken)
	n.All = true
	return n, nil
}

// watchedAnew reports whether the order has a record again since it was broken.
func (x *Index) watchedAnew(b wire.BrokenRecord) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	r := x.rows[b.Order]
	return r != nil && r.revision > b.Revision && !r.aside
}

// Longest is for how long a watch may be polled without its record being written, and some more. One with an older record
// that is late by it is late.
const Longest = 11 * time.Minute

// lookedAt is how many wake-ups are read for one count at the most.
const lookedAt = 200

// overdue returns how many of the watches that are late by their records are so by their wake-ups, too.
func (x *Index) overdue(ctx context.Context, late []Row, now time.Time) (n int, err error) {
	slices.SortFunc(late, func(a, b Row) int { return a.Stored.Compare(b.Stored) })
	for i, r := range late {
		if now.Sub(r.Stored) > Longest {
			n++
			continue
		}
		if i >= lookedAt {
			break
		}
		k, err := x.store.Newest(ctx, r.Order)
		if err != nil {
			return n, err
		}
		began, at := r.Stored, r.NextPollAt
		if k.Polls > 0 {
			began, at = k.PolledAt, k.At
		}
		if now.Sub(at) > max(0, at.Sub(began))+x.store.Timing.PatrolSlack {
			n++
		}
	}
	return n, nil
}
