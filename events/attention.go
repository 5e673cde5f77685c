package events

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// attend tells people of accounts that have not been asked for a while, and of their end. Every
// worker does; each event is published once.
func (w *Worker) attend(ctx context.Context) {
	for link.Sleep(ctx, w.store.Timing.CheckEvery) {
		for key, h := range w.store.Accounts().Standing() {
			if err := w.attendTo(ctx, key, h); err != nil && ctx.Err() == nil && !errors.Is(err, watcher.ErrConflict) {
				w.log.Warn("people not told of an account; trying again", "account", key, "err", err)
			}
		}
	}
}

// attendTo makes the next step for one hold: who is to be told is noted, and told that it stands, then that it is over;
// then it is forgotten. A worker that finds the event published goes on from there.
func (w *Worker) attendTo(ctx context.Context, key string, h store.Held) error {
	hold, now := h.Hold, w.store.Clock.Now()
	told := len(hold.ToldTo) > 0
	switch {
	case hold.Stands() && now.Sub(hold.Until) > unasked: // no watch is left there, or the login is another
		hold.Over = now
		return w.store.Accounts().SetHold(ctx, key, hold, h.Revision)
	case hold.Stands() && !told:
		if now.Sub(hold.Since) < w.store.Timing.Unreachable || now.Sub(w.counted[key]) < countEvery {
			return nil
		}
		w.counted[key] = now
		waiting, err := w.waiting(ctx, hold)
		if err != nil || len(waiting) == 0 {
			return err
		}
		hold.ToldTo = waiting
		return w.store.Accounts().SetHold(ctx, key, hold, h.Revision)
	case hold.Stands() && hold.ToldAt.IsZero():
		if err := w.tell(ctx, key, hold); err != nil {
			return err
		}
		hold.ToldAt = now
		return w.store.Accounts().SetHold(ctx, key, hold, h.Revision)
	case hold.Stands():
		return nil
	case told:
		if err := w.tell(ctx, key, hold); err != nil {
			return err
		}
	}
	return w.store.Accounts().Forget(ctx, key, h.Revision)
}

// unasked is how long after its time a hold is believed that nobody looks for the end of.
const unasked = 20 * time.Minute

// countEvery is how often the watches are counted at most that wait for an account.
const countEvery = 30 * time.Second

// tell publishes the event for each project that waited when people were told first.
func (w *Worker) tell(ctx context.Context, key string, hold watcher.Hold) error {
	a := watcher.Attention{
		Account: key, Kind: hold.Kind.Attention(!hold.Stands()), Region: hold.Region,
		Cause: hold.Kind, Reason: hold.Reason, Since: hold.Since, Until: hold.Until,
	}
	if !hold.Stands() {
		a.Until = hold.Over
	}
	for _, n := range hold.ToldTo {
		a.WaitingAll += n
	}
	for _, a.ProjectID = range slices.Sorted(maps.Keys(hold.ToldTo)) {
		a.Waiting = hold.ToldTo[a.ProjectID]
		if err := w.store.Attention(ctx, a, w.store.Clock.Now()); err != nil {
			return err
		}
	}
	return nil
}

// waiting returns how many watches wait for what is held, by project.
func (w *Worker) waiting(ctx context.Context, hold watcher.Hold) (map[string]int, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	waiting := make(map[string]int)
	for r, err := range w.store.OpenWatches(ctx) {
		if err != nil {
			return nil, err
		}
		if hold.Keeps(&r.Watch) {
			waiting[r.ProjectID]++
		}
	}
	return waiting, nil
}
