package index

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// A Late is an open watch whose next step is overdue, and by how long.
type Late struct {
	Row
	By time.Duration
}

// Count returns how many watches there are by what was read until now, and those that are late: by more than the patrol's
// slack, and their interval. broken are the broken records that workers know of. Of watches that are late by their records,
// but may have been polled since, it reads some wake-ups, and takes the others for polled if one of those was; an error is
// about that, and what is known is returned, too.
func (x *Index) Count(ctx context.Context, broken []wire.BrokenRecord) (n wire.WatchCount, late []Late, err error) {
	now, slack := x.store.Clock.Now(), x.store.Timing.PatrolSlack
	for r := range x.Open() {
		switch waited := now.Sub(r.Stored); {
		case r.State != watcher.Ending:
			n.Watching++
			if by := now.Sub(r.NextPollAt); by > max(0, r.NextPollAt.Sub(r.Stored))+slack {
				late = append(late, Late{r, by})
			}
		default:
			n.Ending++
			if waited > slack {
				n.Stuck++
				late = append(late, Late{r, waited})
			}
		}
	}
	late, err = x.stillLate(ctx, late, now)
	n.Overdue = len(late) - n.Stuck
	broken = x.StillBroken(broken)
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
	return n, late, err
}

// StillBroken returns those of the broken records whose orders are not watched again since.
func (x *Index) StillBroken(broken []wire.BrokenRecord) []wire.BrokenRecord {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.DeleteFunc(slices.Clone(broken), func(b wire.BrokenRecord) bool {
		r := x.rows[b.Order]
		return r != nil && r.revision > b.Revision && !r.aside
	})
}

// Longest is for how long a watch may be polled without its record being written, and some more. One with an older record
// that is late by it is late.
const Longest = 11 * time.Minute

// lookedAt is how many wake-ups are read for one count at the most. The others are taken for polled, but where none of those
// was that were looked at: then nobody polls.
const lookedAt = 200

// stillLate leaves out the watches that were polled since their records were written.
func (x *Index) stillLate(ctx context.Context, late []Late, now time.Time) (still []Late, err error) {
	looked, polled := 0, 0
	var others []Late
	for _, l := range late {
		if l.State == watcher.Watching && now.Sub(l.Stored) <= Longest && err == nil {
			if looked++; looked > lookedAt {
				others = append(others, l)
				continue
			}
			var k watcher.Wakeup
			if k, err = x.store.Newest(ctx, l.Order); err == nil && k.Polls > 0 && k.At.After(l.NextPollAt) {
				if l.By = now.Sub(k.At); l.By <= max(0, k.At.Sub(k.PolledAt))+x.store.Timing.PatrolSlack {
					polled++
					continue
				}
			}
		}
		still = append(still, l)
	}
	if polled == 0 {
		still = append(still, others...)
	}
	return still, err
}

// Projects returns a project for each region that has one: of the record that was written last.
func (x *Index) Projects() map[string]string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	newest := make(map[string]*row)
	for _, r := range x.rows {
		if before := newest[r.region]; !r.newer && (before == nil || before.revision < r.revision) {
			newest[r.region] = r
		}
	}
	projects := make(map[string]string, len(newest))
	for region, r := range newest {
		projects[region] = r.order.ProjectID
	}
	return projects
}
