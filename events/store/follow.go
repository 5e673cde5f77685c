package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// Bounds of reading events for one who asks.
const (
	eventBatch  = 500             // messages that are read at a time
	eventScan   = 3 * time.Second // of reading before what was found is answered
	eventAround = 256             // bytes around events in an answer, and more
)

// EventsEnd returns the cursor after the last event, as the stream's leader sees it.
func (s *Store) EventsEnd(ctx context.Context) (cursor string, err error) {
	end, _, err := s.eventsEnd(ctx)
	return end.cursor(), err
}

// eventsEnd returns the place after the last event, and when that was stored; the zero time where none is kept.
func (s *Store) eventsEnd(ctx context.Context) (place, time.Time, error) {
	stream, err := s.JS.Stream(ctx, s.Names.EventStream())
	if err != nil {
		return place{}, time.Time{}, fmt.Errorf("look at %s: %w", s.Names.EventStream(), err)
	}
	info := stream.CachedInfo()
	lastTime := info.State.LastTime
	if info.State.Msgs == 0 { // all have expired
		lastTime = time.Time{}
	}
	return place{made: info.Created, after: info.State.LastSeq}, lastTime, nil
}

// EventsFrom returns the events that the question asks for and that may be seen, as many as fit into an answer. Whatever
// its cursor has passed was looked at, on the stream's leader where a replica did not have it yet.
func (s *Store) EventsFrom(ctx context.Context, q wire.EventsQuery, maySee func(subject string, event []byte) bool) (wire.EventsAnswer, error) {
	last, lastTime, err := s.eventsEnd(ctx)
	if err != nil {
		return wire.EventsAnswer{}, err
	}
	at, err := s.beginning(ctx, q, last, lastTime)
	if err != nil {
		return wire.EventsAnswer{}, err
	}
	wanted := func(subject string, event []byte) bool {
		wants := func(filter string) bool { return matches(filter, subject) }
		return (len(q.Subjects) == 0 || slices.ContainsFunc(q.Subjects, wants)) && maySee(subject, event)
	}
	r := &eventReader{store: s, wanted: wanted, limit: q.Limit, after: at.after, answer: wire.EventsAnswer{Events: []wire.StoredEvent{}}}
	if len(q.Subjects) == 1 {
		r.subject = q.Subjects[0]
	}
	if err := r.read(ctx, last.after); err != nil {
		return wire.EventsAnswer{}, err
	}
	r.answer.Cursor = place{made: last.made, after: r.after}.cursor()
	return r.answer, nil
}

// beginning returns where the question's events begin. last is the place after the last event, which was stored at
// lastTime.
func (s *Store) beginning(ctx context.Context, q wire.EventsQuery, last place, lastTime time.Time) (at place, err error) {
	switch {
	case q.Cursor != "":
		at, err = readCursor(q.Cursor)
		if err == nil && !at.made.Equal(last.made) { // the stream was made anew: all of it is news
			at.after = 0
		}
	case q.AfterSequence > 0:
		if at.after = q.AfterSequence; at.after > last.after { // likewise
			at.after = 0
		}
	case q.New, !q.Since.IsZero() && lastTime.Before(q.Since):
		at.after = last.after
	case !q.Since.IsZero():
		var first uint64
		for m, err := range s.messages(ctx, s.Names.EventStream(), "", jetstreamext.GetBatchStartTime(q.Since)) {
			if err != nil {
				return at, err
			}
			first = m.Sequence
			break
		}
		if first == 0 { // the replica that answered is late
			return at, errors.New("the events since then are not read yet")
		}
		at.after = first - 1
	}
	return at, err
}

// An eventReader reads events for one answer.
type eventReader struct {
	store   *Store
	wanted  func(subject string, event []byte) bool
	subject string // the one that is wanted; empty for several
	limit   int
	after   uint64 // the last sequence that was looked at
	size    int    // of the answer, in bytes
	answer  wire.EventsAnswer
}

// read reads up to the sequence, or until the answer is full or takes too long.
func (r *eventReader) read(ctx context.Context, last uint64) error {
	end := time.Now().Add(eventScan)
	for r.after < last {
		read, err := r.batch(ctx)
		switch {
		case err != nil || r.answer.More:
			return err
		case time.Now().After(end):
			r.answer.More = true
			return nil
		}
		if read == 0 {
			break
		}
	}
	subject := r.subject
	if subject == "" {
		subject = ">"
	}
	for r.after < last { // what the replica did not have
		if time.Now().After(end) {
			r.answer.More = true
			return nil
		}
		m, err := r.store.Next(ctx, r.store.Names.EventStream(), subject, r.after+1)
		if err != nil {
			return err
		}
		if m.Sequence == 0 {
			break
		}
		if !r.take(ctx, m) {
			return nil
		}
	}
	r.after = max(r.after, last)
	return nil
}

// batch reads some of what is there, and returns how many messages.
func (r *eventReader) batch(ctx context.Context) (read int, err error) {
	err = r.store.Calls.Make(ctx, r.store.Timing.Request, func(ctx context.Context) error {
		read, err = r.readBatch(ctx)
		return err
	})
	return read, err
}

func (r *eventReader) readBatch(ctx context.Context) (read int, err error) {
	options := []jetstreamext.GetBatchOpt{jetstreamext.GetBatchSeq(r.after + 1), jetstreamext.GetBatchMaxBytes(r.store.Limit())}
	if r.subject != "" {
		options = append(options, jetstreamext.GetBatchSubject(r.subject))
	}
	messages, err := jetstreamext.GetBatch(ctx, r.store.JS, r.store.Names.EventStream(), eventBatch, options...)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", r.store.Names.EventStream(), err)
	}
	for m, err := range messages {
		switch {
		case errors.Is(err, jetstreamext.ErrNoMessages):
			return read, nil
		case err != nil:
			return read, fmt.Errorf("read %s: %w", r.store.Names.EventStream(), err)
		}
		if err := asStored(m); err != nil {
			return read, err
		}
		if read++; !r.take(ctx, Stored{Subject: m.Subject, Sequence: m.Sequence, Data: m.Data, Time: m.Time}) {
			return read, nil
		}
	}
	return read, ctx.Err()
}

// take adds the message to the answer where it is wanted, or counts it there where it is larger than an answer may be. It
// returns false where the answer is full.
func (r *eventReader) take(ctx context.Context, m Stored) bool {
	if r.wanted(m.Subject, m.Data) {
		e := wire.StoredEvent{Subject: m.Subject, Sequence: m.Sequence, StoredAt: m.Time.UTC(), Event: m.Data}
		encoded, err := json.Marshal(e)
		n, size := len(r.answer.Events), r.size+len(encoded)+eventAround
		switch {
		case err != nil: // only orderwatch may publish here
		case n > 0 && (n >= r.limit || size > r.store.Limit()/8*7 || !r.store.Fits(ctx, size)):
			r.answer.More = true
			return false
		case !r.store.Fits(ctx, size):
			r.store.log.Warn("an event is larger than an answer may be: who follows events by the service passes over it", "subject", m.Subject, "sequence", m.Sequence)
			r.answer.Omitted++
		default:
			r.size, r.answer.Events = size, append(r.answer.Events, e)
		}
	}
	r.after = m.Sequence
	return true
}

// matches reports whether the subject is one of those that the filter, which may have wildcards, stands for.
func matches(filter, subject string) bool {
	for {
		want, filterRest, filterGoesOn := strings.Cut(filter, ".")
		is, rest, goesOn := strings.Cut(subject, ".")
		switch {
		case want == ">":
			return true
		case want != "*" && want != is, filterGoesOn != goesOn:
			return false
		case !goesOn:
			return true
		}
		filter, subject = filterRest, rest
	}
}

// A place is one in the stream of events. A cursor names it.
type place struct {
	made  time.Time // when the stream was made: where it is made anew, its sequences begin again
	after uint64    // the sequence of the last event before it
}

// cursor returns the text that names the place.
func (p place) cursor() string { return fmt.Sprintf("%d.%d", p.made.UnixNano(), p.after) }

// readCursor returns the place that a cursor names. The error is a *[watcher.FieldError].
func readCursor(cursor string) (place, error) {
	made, after, _ := strings.Cut(cursor, ".")
	ns, err := strconv.ParseInt(made, 10, 64)
	sequence, afterErr := strconv.ParseUint(after, 10, 64)
	if err != nil || afterErr != nil {
		return place{}, &watcher.FieldError{Field: "cursor", Reason: "is none of an answer"}
	}
	return place{time.Unix(0, ns), sequence}, nil
}
