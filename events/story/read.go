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
// order are read, by their subjects, and of many the newest.
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

// events reads what is published about the order since the watch was accepted.
func (r *reader) events(ctx context.Context) (all Events, err error) {
	n, order := r.store.Names, r.watch.Order()
	key := order.Key()
	if all.Progress, err = read[watcher.Progress](ctx, r, n.Progress(key), mostProgress); err != nil {
		return all, err
	}
	if all.Attention, err = read[watcher.OrderAttention](ctx, r, n.Attention("*", key), mostOther); err != nil {
		return all, err
	}
	if all.Again, err = read[watcher.Again](ctx, r, n.Renotify(key), mostOther); err != nil {
		return all, err
	}
	completions, err := read[watcher.Completion](ctx, r, n.Completed("*", key), mostOther)
	for i := range completions {
		if c := &completions[i]; c.WatchID != r.watch.WatchID {
			all.Before = c
		}
	}
	return all, err
}

// read reads the events on the subject that the view sees, and passes over those of other types.
func read[D wire.Data](ctx context.Context, r *reader, subject string, most int) (all []D, err error) {
	since := r.watch.AcceptedAt.Add(-acceptedSlop)
	events, unread, err := r.store.NewestEvents(ctx, subject, since, most)
	if unread.After(r.unread) {
		r.unread = unread
	}
	for _, e := range events {
		if !r.view.Event(r.watch.ProjectID, e.Data) {
			continue
		}
		if data, err := wire.Decode[D](r.view.ShownEvent(e.Data)); err == nil {
			all = append(all, data)
		}
	}
	return all, err
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
