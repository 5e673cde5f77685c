package story

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
)

// Bounds of what is read for one story.
const (
	readTime     = 5 * time.Second
	mostProgress = 8 << 20 // bytes of events, the newest
	mostOther    = 4 << 20
	acceptedSlop = time.Second // by the clocks of two workers
)

// Read returns the story of a watch as the view sees it. The snapshot is what the view shows of it. Only the events of its
// order are read, by their subjects, and of many the newest; those of other watches of the order are left out.
func Read(ctx context.Context, s *store.Store, view teams.View, w watcher.Snapshot) (wire.Story, error) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	r := reader{s, view, w, time.Time{}}
	events, err := r.events(ctx)
	if err != nil {
		return wire.Story{}, err
	}
	notes, err := r.notes(ctx)
	if err != nil {
		return wire.Story{}, err
	}
	story := wire.Story{Watch: w.Brief(), UnreadBefore: r.unread}
	story.Lines, story.Omitted = Of(w, events, notes)
	return r.fit(ctx, story), nil
}

// A reader reads for one story.
type reader struct {
	store  *store.Store
	view   teams.View
	watch  watcher.Snapshot
	unread time.Time // events before it were not read; zero: all were
}

// events reads what is published about the watch, and about those before it whose requests it goes on for.
func (r *reader) events(ctx context.Context) (all Events, err error) {
	n, order := r.store.Names, r.watch.Order()
	key := order.Key()
	watches, before, err := r.before(ctx, n.Completed("*", key))
	if err != nil {
		return all, err
	}
	all.Before = before
	isOther := func(watchID string) bool { return !slices.Contains(watches, watchID) }
	if all.Progress, err = read[watcher.Progress](ctx, r, n.Progress(key), mostProgress); err != nil {
		return all, err
	}
	all.Progress = slices.DeleteFunc(all.Progress, func(g watcher.Progress) bool { return isOther(g.WatchID) })
	if all.Attention, err = read[watcher.OrderAttention](ctx, r, n.Attention("*", key), mostOther); err != nil {
		return all, err
	}
	all.Attention = slices.DeleteFunc(all.Attention, func(a watcher.OrderAttention) bool { return isOther(a.WatchID) })
	all.Again, err = read[watcher.Again](ctx, r, n.Renotify(key), mostOther)
	all.Again = slices.DeleteFunc(all.Again, func(a watcher.Again) bool { return isOther(a.WatchID) })
	return all, err
}

// before returns the ids of the watch and of those that it goes on for, as their completions say, also those that the view
// does not see; and of the completions that it sees the last.
func (r *reader) before(ctx context.Context, subject string) (watches []string, last *watcher.Completion, err error) {
	events, err := r.newest(ctx, subject, mostOther)
	watches = []string{r.watch.WatchID}
	for _, e := range slices.Backward(events) {
		c, err := wire.Decode[watcher.Completion](e.Data)
		if err != nil || !slices.Contains(watches, c.NextWatchID) {
			continue
		}
		watches = append(watches, c.WatchID)
		if seen, ok := shown[watcher.Completion](r, e); ok && last == nil {
			last = &seen
		}
	}
	return watches, last, err
}

// read reads the events on the subject that the view sees, and passes over those of other types.
func read[D wire.Data](ctx context.Context, r *reader, subject string, most int) (all []D, err error) {
	events, err := r.newest(ctx, subject, most)
	for _, e := range events {
		if data, ok := shown[D](r, e); ok {
			all = append(all, data)
		}
	}
	return all, err
}

// newest returns the events on the subject since the watch was accepted, oldest first: of many the newest.
func (r *reader) newest(ctx context.Context, subject string, most int) ([]store.Stored, error) {
	events, unread, err := r.store.NewestEvents(ctx, subject, r.watch.AcceptedAt.Add(-acceptedSlop), most)
	if unread.After(r.unread) {
		r.unread = unread
	}
	return events, err
}

// shown returns what the view shows of an event; ok is false where it is of another type, or not seen.
func shown[D wire.Data](r *reader, e store.Stored) (data D, ok bool) {
	if !r.view.Event(r.watch.ProjectID, e.Data) {
		return data, false
	}
	data, err := wire.Decode[D](r.view.ShownEvent(e.Data))
	return data, err == nil
}

// notes reads where people were told of the watch. A view that does not have all of its requests is not told the channels of
// others.
func (r *reader) notes(ctx context.Context) (notes []Note, err error) {
	prefix := "watch." + foreign.Token(r.watch.WatchID)
	stored, err := r.store.NotesUnder(ctx, prefix)
	for _, m := range stored {
		channel := strings.TrimPrefix(m.Subject, r.store.Names.Note(prefix)+".")
		own := slices.ContainsFunc(r.watch.Requests, func(q watcher.Request) bool { return q.SlackChannel == channel })
		if !r.view.All() && r.watch.OtherRequests > 0 && !own {
			channel = ""
		}
		if n, ok := noteOf(channel, m.Time, m.Data); ok {
			notes = append(notes, n)
		}
	}
	return notes, err
}

// fit leaves out lines until the story is as small as the server takes.
func (r *reader) fit(ctx context.Context, story wire.Story) wire.Story {
	for most := len(story.Lines); most > 0; most /= 2 {
		encoded, err := json.Marshal(story)
		if err != nil || r.store.Fits(ctx, len(encoded)) {
			break
		}
		kept, omitted := fitted(slices.Clone(story.Lines), most/2)
		story.Lines, story.Omitted = kept, story.Omitted+omitted
	}
	return story
}
