package events

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/index"
	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// A rearming publishes the wake-ups that open watches expect again: of all watches after the servers of ORDER_WAKEUPS
// have changed or the stream was made anew, since a server that begins to lead may know nothing of the timers that
// another one kept; after the stream lost most of its messages, of the watches that have no wake-up there. Otherwise
// the watches would stand still until the patrol. It is one goroutine's.
type rearming struct {
	log   *slog.Logger
	store *store.Store
	index *index.Index

	group string                // the servers as they were last seen; empty before the first look
	state jetstream.StreamState // the same of what the stream holds
	left  int                   // how many passes are still to be made
	all   bool                  // in these passes: of all watches, also where the stream holds a wake-up
}

const (
	rearmEvery    = 2 * time.Second // between two looks at the stream, where Timing.CheckEvery is not shorter
	rearmPasses   = 2               // after a change: a server that began to lead may not have read all at the first
	rearmAtOnce   = 16              // wake-ups that are published at a time
	rearmPatience = 2 * time.Second // for one publish: servers that elect a leader swallow what they are sent
	rearmSlack    = time.Second     // so long after its time a wake-up is taken to be about to come
)

// run looks at the stream until ctx is done.
func (r *rearming) run(ctx context.Context) {
	every := min(r.store.Timing.CheckEvery, rearmEvery)
	for wait := every; link.Sleep(ctx, wait); {
		wait = every
		if err := r.look(ctx); err != nil && ctx.Err() == nil {
			r.log.Debug("wake-ups not published again; trying again", "err", err)
			wait = min(every, time.Second)
		}
	}
}

// look makes a pass where one is due.
func (r *rearming) look(ctx context.Context) error {
	stream, err := r.store.JS.Stream(ctx, r.store.Names.WakeupStream())
	if err != nil {
		return err
	}
	info := stream.CachedInfo()
	group := groupOf(info)
	switch {
	case r.group == "": // nothing to compare with
	case group != r.group:
		r.left, r.all = rearmPasses, true
	case emptied(r.state, info.State):
		r.all = r.all && r.left > 0
		r.left = rearmPasses
	}
	r.group, r.state = group, info.State
	if r.left == 0 {
		return nil
	}
	mine, err := r.mine(ctx)
	if err != nil {
		return err
	}
	if mine {
		published, err := r.pass(ctx)
		if err != nil {
			return err
		}
		why := "wake-ups were gone from the stream; published again"
		if r.all {
			why = "the stream's servers changed, or it was made anew; wake-ups published again"
		}
		if r.all || published > 0 {
			r.log.Info(why, "stream", r.store.Names.WakeupStream(), "wakeups", published)
		}
	}
	r.left--
	return nil
}

// emptied reports whether most of what the stream held is gone at once. Where many watches end and the others are
// polled between two looks, it only looks like that: a pass finds out which wake-ups are missing.
func emptied(before, now jetstream.StreamState) bool {
	return before.Msgs > 0 && now.Msgs*2 <= before.Msgs && now.FirstSeq > before.LastSeq
}

// groupOf returns a text that differs where the stream was made anew, or its servers, its leader or the beginning of
// its lead differ.
func groupOf(info *jetstream.StreamInfo) string {
	group := fmt.Sprint("made ", info.Created.UTC().Format(time.RFC3339Nano), " replicas ", info.Config.Replicas)
	c := info.Cluster
	if c == nil {
		return group
	}
	var peers []string
	for _, p := range c.Replicas {
		peers = append(peers, p.Name)
	}
	slices.Sort(peers)
	since := ""
	if c.LeaderSince != nil {
		since = c.LeaderSince.UTC().Format(time.RFC3339Nano)
	}
	return fmt.Sprint(group, " ", c.RaftGroup, " ", c.Leader, " ", since, " ", peers, " ", c.Desired != nil)
}

// mine reports whether this worker is to do it: it is the one that patrols, or none does.
func (r *rearming) mine(ctx context.Context) (bool, error) {
	m, err := r.store.Value(ctx, r.store.Names.RecordStream(), r.store.Names.Record(leaseKey))
	gone := r.store.Clock.Now().Sub(m.Time) > 2*r.store.Timing.PatrolEvery
	return gone || slices.Contains([]string{"", r.store.Accounts().ID()}, workerOf(m)), err
}

// pass publishes the wake-ups of open watches, first those that are expected first: many take minutes. It returns how many.
// It ends where the stream stores none.
func (r *rearming) pass(ctx context.Context) (published int, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var (
		mu      sync.Mutex
		failed  error // of those that run
		running sync.WaitGroup
		slots   = make(chan struct{}, rearmAtOnce)
	)
	if err := r.index.CatchUp(ctx, time.Time{}); err != nil {
		return 0, err
	}
	soonest := func(a, b index.Row) int { return a.NextPollAt.Compare(b.NextPollAt) }
	for _, row := range slices.SortedFunc(r.index.Open(), soonest) {
		if err = ctx.Err(); err != nil {
			break
		}
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			ok, err := r.rearm(ctx, row.Watch())
			mu.Lock()
			defer mu.Unlock()
			if ok && err == nil {
				published++
			}
			failed = cmp.Or(failed, err)
			if store.NotStoring(err) {
				stop()
			}
		})
	}
	running.Wait()
	return published, cmp.Or(failed, err)
}

// rearm publishes the wake-up that is there, at its own time, or the one that the record expects, and reports whether it
// did: not where it is due and there, and not where none is known to be missing. Where what was read is old, an old wake-up
// takes the timer's place: the worker that is given it publishes the expected one.
func (r *rearming) rearm(ctx context.Context, w watcher.Watch) (bool, error) {
	if !r.all {
		missing, err := r.missing(ctx, w)
		if err != nil || !missing {
			return false, err
		}
	}
	k, err := r.store.Newest(ctx, w.Order)
	if err != nil {
		return false, err
	}
	if dead(k, w) {
		k = w.Expected()
	}
	now := r.store.Clock.Now()
	if now.Sub(k.At) > rearmSlack {
		due, err := r.store.Last(ctx, r.store.Names.WakeupStream(), r.store.Names.Due(w.Key()))
		if err != nil || due.Sequence != 0 {
			return false, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, rearmPatience)
	defer cancel()
	return true, r.store.SetTimer(ctx, k, latest(k.At, now))
}

// missing reports whether the stream holds no wake-up of the watch, though its record expects one. A poll stores the
// record, then the next wake-up, and only then acknowledges its own wake-up: until the watch ends, one is there, and
// any leads to the one that is expected. Where the record changed meanwhile, nothing is known.
func (r *rearming) missing(ctx context.Context, w watcher.Watch) (bool, error) {
	number, err := r.store.Highest(ctx, w.Order)
	if err != nil || number > 0 {
		return false, err
	}
	now, _, err := r.store.ReadLatest(ctx, w.Order)
	return err == nil && now.State != watcher.Ended && now.ID == w.ID && now.Wakeup == w.Wakeup, err
}
