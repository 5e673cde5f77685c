package events

import (
	"context"
	"crypto/sha256"
	"encoding/json"
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
		if err != nil || len(waiting.watches) == 0 {
			return err
		}
		hold.ToldTo, hold.ToldIn = waiting.watches, waiting.channels
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
		Cause: hold.Kind, Reason: hold.Reason, Code: hold.Code, Said: hold.Said, Since: hold.Since, Until: hold.Until,
	}
	if !hold.Stands() {
		a.Until = hold.Over
	}
	for _, n := range hold.ToldTo {
		a.WaitingAll += n
	}
	for _, a.ProjectID = range slices.Sorted(maps.Keys(hold.ToldTo)) {
		a.Waiting, a.WaitingChannels = hold.ToldTo[a.ProjectID], hold.ToldIn[a.ProjectID]
		if err := w.store.Attention(ctx, a, w.store.Clock.Now()); err != nil {
			return err
		}
	}
	return nil
}

// waiting counts the watches that wait for what is held.
func (w *Worker) waiting(ctx context.Context, hold watcher.Hold) (*waiting, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	all := newWaiting()
	for r, err := range w.store.OpenWatches(ctx) {
		if err != nil {
			return nil, err
		}
		if hold.Keeps(&r.Watch) {
			all.add(&r.Watch)
		}
	}
	return all, nil
}

// waiting is what waits for an account, by project.
type waiting struct {
	watches  map[string]int
	channels map[string]watcher.WaitingChannels
	bytes    int                       // of the channels' JSON
	index    map[[sha256.Size]byte]int // by project, channel and labels, in the project's channels; -1: it is left out
}

func newWaiting() *waiting {
	return &waiting{watches: make(map[string]int), channels: make(map[string]watcher.WaitingChannels), index: make(map[[sha256.Size]byte]int)}
}

// Bounds of the channels that are told: every worker reads the hold that keeps them again and again.
const (
	maxWaitingChannels = 50       // of a project, but for a channel that is not among them
	maxWaitingBytes    = 32 << 10 // of all projects
)

// add counts the watch.
func (all *waiting) add(w *watcher.Watch) {
	all.watches[w.ProjectID]++
	counted := make(map[int]bool) // a watch counts once for each
	for _, r := range w.Requests {
		i := all.find(w.ProjectID, r)
		if i < 0 || counted[i] {
			continue
		}
		counted[i] = true
		c := &all.channels[w.ProjectID].Channels[i]
		c.Watches++
		c.Ended += w.Counts.Succeeded + w.Counts.Failed
		c.Items += w.Counts.Total
	}
}

// find returns where the request's channel and labels are among the project's; -1 where they are left out.
func (all *waiting) find(project string, r watcher.Request) int {
	c := watcher.WaitingChannel{SlackChannel: r.SlackChannel, Labels: r.Labels}
	encoded, err := json.Marshal(c)
	if err != nil {
		panic("events: " + err.Error()) // only texts are ever rendered
	}
	key := sha256.Sum256(append([]byte(project+" "), encoded...))
	if i, ok := all.index[key]; ok {
		return i
	}
	of, i := all.channels[project], -1
	same := func(other watcher.WaitingChannel) bool { return other.SlackChannel == c.SlackChannel }
	many := len(of.Channels) >= maxWaitingChannels && slices.ContainsFunc(of.Channels, same)
	if many || all.bytes+len(encoded) > maxWaitingBytes {
		of.Omitted++
	} else {
		i = len(of.Channels)
		of.Channels = append(of.Channels, c)
		all.bytes += len(encoded)
	}
	all.index[key], all.channels[project] = i, of
	return i
}
