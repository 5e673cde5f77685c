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

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// Complete publishes the completion once: it expects the sequence of the order's last completion. All workers publish
// the same for the same watch.
func (s *Store) Complete(ctx context.Context, c watcher.Completion, after uint64) error {
	key := c.Order().Key()
	c.Links = c.LinksAt(s.PublicURL)
	m, err := s.Names.CompletionEvent(c)
	if err == nil && !s.Fits(ctx, len(m.Data)) { // its record was written under a larger limit
		m, err = s.Names.CompletionEvent(c.Within(s.Limit()))
	}
	err = s.publishMade(ctx, m, err, jetstream.WithExpectLastSequenceForSubject(after, s.Names.Completed("*", key)))
	Passed("completion", "stored", err)
	return err
}

// publishMade publishes an event, or returns why it could not be made.
func (s *Store) publishMade(ctx context.Context, event *nats.Msg, err error, expect ...jetstream.PublishOpt) error {
	if err == nil {
		_, err = s.Publish(ctx, s.Names.EventStream(), event, expect...)
	}
	return err
}

func (s *Store) LastCompletion(ctx context.Context, order watcher.Order) (watchID string, sequence uint64, err error) {
	return s.lastEvent(ctx, s.Names.Completed("*", order.Key()))
}

// CompletionsFrom returns the events of completions from the sequence on, in their order: at most so many, and of about a
// megabyte. Any server of the stream may answer, also one that is behind.
func (s *Store) CompletionsFrom(ctx context.Context, from uint64, most int) (ends []Stored, err error) {
	options := []jetstreamext.GetBatchOpt{jetstreamext.GetBatchSeq(from), jetstreamext.GetBatchMaxBytes(1 << 20), jetstreamext.GetBatchSubject(s.Names.Completed("*", ">"))}
	_, _, err = s.batch(ctx, s.Names.EventStream(), most, options, func(m *jetstream.RawStreamMsg, _ error) bool {
		ends = append(ends, Stored{Subject: m.Subject, Sequence: m.Sequence, Data: m.Data, Time: m.Time})
		return true
	})
	return ends, err
}

// lastEvent returns the id of the last event on the subjects, and its sequence; 0 where there is none.
func (s *Store) lastEvent(ctx context.Context, subjects string) (id string, sequence uint64, err error) {
	m, err := s.Last(ctx, s.Names.EventStream(), subjects)
	if err != nil || m.Sequence == 0 {
		return "", 0, err
	}
	var e struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(m.Data, &e); err != nil {
		return "", 0, fmt.Errorf("read the last event on %s: %w", subjects, err)
	}
	return e.ID, m.Sequence, nil
}

func (s *Store) Progress(ctx context.Context, g watcher.Progress) error {
	g.Links = g.LinksAt(s.PublicURL)
	m, err := s.Names.ProgressEvent(g, s.Clock.Now())
	err = s.publishMade(ctx, m, err)
	Passed("progress", "stored", err)
	return err
}

// Reject publishes why the message is no request, and which others of its sender's no event tells of. Called again after a
// crash, it publishes an event with the same id.
func (s *Store) Reject(ctx context.Context, m wire.Incoming, why *watcher.FieldError, others wire.Omitted) error {
	event, err := s.Names.RejectedEvent(m, why, others, s.Clock.Now())
	err = s.publishMade(ctx, event, err)
	Passed("rejection", "stored", err)
	return err
}

// AttendRequest tells people of the rejection, where they were not told of another of the sender's for as long as
// Timing.Rejected says, and allow, which is asked last, allows it. A worker that dies before leaves it to the one that
// takes the message next; where another worker tells of the sender at the same time, this one does not.
func (s *Store) AttendRequest(ctx context.Context, m wire.Incoming, why *watcher.FieldError, allow func() bool) error {
	subject := s.Names.RejectedBy(m.Sender())
	last, err := s.Last(ctx, s.Names.EventStream(), subject)
	told := last.Sequence > 0 && s.Clock.Now().Sub(last.Time) < s.Timing.Rejected
	if err != nil || told || !allow() {
		return err
	}
	others := 0
	if last.Sequence > 0 {
		others = max(s.rejectedSince(ctx, m.Sender(), last.Sequence)-1, 0) // the message itself is among them
	}
	event, err := s.Names.RequestAttentionEvent(m, why, others, s.Clock.Now())
	err = s.publishMade(ctx, event, err, jetstream.WithExpectLastSequenceForSubject(last.Sequence, subject))
	if errors.Is(err, watcher.ErrConflict) {
		return nil
	}
	return err
}

// mostRejectedRead is how many bytes of rejections are read to count those of one sender.
const mostRejectedRead = 8 << 20

// rejectedSince counts the rejections of the sender's that are stored after that event, as far as they can be read.
func (s *Store) rejectedSince(ctx context.Context, sender string, sequence uint64) (n int) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	read := 0
	for m, err := range s.messages(ctx, s.Names.EventStream(), s.Names.Rejected(), jetstreamext.GetBatchSeq(sequence+1)) {
		if err != nil || read > mostRejectedRead {
			return n
		}
		read += len(m.Data)
		if r, err := wire.Decode[wire.Rejection](m.Data); err == nil && r.Sender == sender {
			n++
		}
	}
	return n
}

// Keep publishes a message that could not be delivered to people as an event. Only nil says that it is stored.
func (s *Store) Keep(ctx context.Context, m watcher.UndeliveredMessage) error {
	event, err := s.Names.UndeliveredEvent(m)
	return s.publishMade(ctx, event, err)
}

// FindCompletion returns the event that the request means, and where it is stored. One that the view does not have is none.
func (s *Store) FindCompletion(ctx context.Context, q wire.RenotifyRequest, view teams.View) (c watcher.Completion, sequence uint64, err error) {
	if q.WatchID != "" {
		return s.completionOf(ctx, q, view)
	}
	m, err := s.Last(ctx, s.Names.EventStream(), s.Names.Completed("*", q.Key()))
	if err == nil && m.Sequence > 0 {
		c, err = wire.Decode[watcher.Completion](m.Data)
	}
	switch {
	case err != nil:
		return c, 0, err
	case m.Sequence == 0, !view.Completed(c):
		return c, 0, &wire.ServiceError{Code: 404, Reason: "no watch of this order has ended, or its event is no longer kept"}
	}
	return c, m.Sequence, nil
}

// completionOf looks for the watch's event among those that were stored since it was accepted.
func (s *Store) completionOf(ctx context.Context, q wire.RenotifyRequest, view teams.View) (c watcher.Completion, sequence uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timing.List)
	defer cancel()
	since, err := wire.StartedAt(q.WatchID)
	if err != nil {
		return c, 0, err
	}
	subject := s.Names.Completed("*", ">")
	if q.Name != "" {
		subject = s.Names.Completed("*", q.Key())
	}
	start := jetstreamext.GetBatchStartTime(since.Add(-time.Minute))
	for m, err := range s.messages(ctx, s.Names.EventStream(), subject, start) {
		if err != nil {
			return c, 0, err
		}
		if found, err := wire.Decode[watcher.Completion](m.Data); err == nil && found.WatchID == q.WatchID && view.Completed(found) {
			return found, m.Sequence, nil
		}
	}
	return c, 0, &wire.ServiceError{Code: 404, Reason: "no event of this watch is kept: it has not ended, or that is too long ago"}
}

// mostRead is how many bytes of events are read for one order.
const mostRead = 64 << 20

// EachEvent hands the events on the subject to f, oldest first, until mostRead.
func (s *Store) EachEvent(ctx context.Context, subject string, f func([]byte)) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	read := 0
	for m, err := range s.messages(ctx, s.Names.EventStream(), subject, jetstreamext.GetBatchSeq(1)) {
		if err != nil || read > mostRead {
			return err
		}
		f(m.Data)
		read += len(m.Data)
	}
	return nil
}

// shortest is a time of which all events are read, however many they are: an order has one in each poll at the most.
const shortest = 4 * time.Second

// NewestEvents returns the events on the subject that were stored since the time, oldest first: of more than so many bytes
// the newest. Those before unread are left out; the zero time where all are there.
func (s *Store) NewestEvents(ctx context.Context, subject string, since time.Time, most int) (events []Stored, unread time.Time, err error) {
	last, err := s.Last(ctx, s.Names.EventStream(), subject)
	if err != nil || last.Sequence == 0 || last.Time.Before(since) {
		return nil, time.Time{}, err
	}
	for whole := false; !whole; {
		left := last.Time.Sub(since)
		if events, whole, err = s.eventsSince(ctx, subject, since, most, left <= shortest); err != nil {
			return nil, time.Time{}, err
		}
		switch {
		case !whole && left > shortest: // a part that is likely to fit
			since = last.Time.Add(-max(left/4, shortest))
			unread = since
		case !whole:
			return events, events[0].Time, nil
		}
	}
	return events, unread, nil
}

// eventsSince returns the events since the time until they have so many bytes, or, where it is to read on, the newest that
// have; whole says that they are all.
func (s *Store) eventsSince(ctx context.Context, subject string, since time.Time, most int, on bool) (events []Stored, whole bool, err error) {
	size, whole := 0, true
	for m, err := range s.messages(ctx, s.Names.EventStream(), subject, jetstreamext.GetBatchStartTime(since)) {
		if err != nil {
			return nil, false, err
		}
		events, size = append(events, Stored{Subject: m.Subject, Sequence: m.Sequence, Data: m.Data, Time: m.Time}), size+len(m.Data)
		for size > most && len(events) > 1 {
			whole = false
			if !on {
				return events, false, nil
			}
			events, size = events[1:], size-len(events[0].Data)
		}
	}
	return events, whole, nil
}

// Renotify publishes the wish. It carries the trace of the watch.
func (s *Store) Renotify(ctx context.Context, c watcher.Completion, again watcher.Again) error {
	m, err := s.Names.RenotifyEvent(c, again)
	return s.publishMade(ctx, m, err)
}

// attendTries is how often the last event is read anew after a conflict, before the caller gets it.
const attendTries = 5

// Attend publishes the event, unless the order's last one of the kind is it, or one that came after it. It is published
// once, however many workers call Attend: a publish expects the sequence of the last one.
func (s *Store) Attend(ctx context.Context, a watcher.OrderAttention) error {
	for try := 1; ; try++ {
		err := s.attendOnce(ctx, a)
		again := (errors.Is(err, watcher.ErrConflict) || underWay(err)) && try < attendTries
		if !again || !link.Sleep(ctx, s.Timing.Rebind.Interval("attend", try)) {
			return err
		}
	}
}

func (s *Store) attendOnce(ctx context.Context, a watcher.OrderAttention) error {
	subject := s.Names.Attention(a.Kind, a.Order().Key())
	last, sequence, err := s.lastEvent(ctx, subject)
	if err != nil || isAttended(a, last) {
		return err
	}
	a.Links = a.LinksAt(s.PublicURL)
	m, err := s.Names.OrderAttentionEvent(a, s.Clock.Now())
	return s.publishMade(ctx, m, err, jetstream.WithExpectLastSequenceForSubject(sequence, subject))
}

// isAttended reports whether the order's last event of the kind, given its id, is the attention's, or a
// later one: of the same watch, or of a later watch, whose id is the larger one; or whether the attention tells of the end of
// what people were not told of.
func isAttended(a watcher.OrderAttention, last string) bool {
	watchID, rest, _ := strings.Cut(last, ".")
	_, since, _ := strings.Cut(rest, ".")
	ms, err := strconv.ParseInt(since, 10, 64)
	switch {
	case !a.Until.IsZero():
		a.Until = time.Time{}
		return last != wire.OrderAttentionID(a) // that it is over follows that it is so
	case last == wire.OrderAttentionID(a):
		return true
	case err != nil, a.Kind == watcher.BrokenRecord: // the watch's id may be unknown, and made up
		return false
	case watchID == a.WatchID:
		return ms >= a.Since.UnixMilli()
	}
	return watchID > a.WatchID
}

// Attention publishes the event, unless the project's last one is it, or a later one of the same outage.
func (s *Store) Attention(ctx context.Context, a watcher.Attention, now time.Time) error {
	subjects, id := s.Names.Attention("*", a.ProjectID), wire.AttentionID(a)
	last, sequence, err := s.lastEvent(ctx, subjects)
	if err != nil || last == id || !a.Over() && strings.HasPrefix(last, strings.TrimSuffix(id, string(a.Kind))) {
		return err
	}
	m, err := s.Names.AttentionEvent(a, now)
	return s.publishMade(ctx, m, err, jetstream.WithExpectLastSequenceForSubject(sequence, subjects))
}

// allProjects is the project that an event is of which concerns all.
const allProjects = "all"

// lostOnce is how long one event tells of what was lost: two workers may find it at the same time.
const lostOnce = time.Minute

// TellLoss publishes the event about streams that were lost, unless another was just before that tells of the same.
// Where another worker publishes its event at the same time the error is a [watcher.ErrConflict]; the next call
// finds that event.
func (s *Store) TellLoss(ctx context.Context, a watcher.Attention, now time.Time) error {
	a.ProjectID = allProjects
	subject := s.Names.Attention(watcher.Lost, allProjects)
	last, err := s.Last(ctx, s.Names.EventStream(), subject)
	if err != nil || tellsOf(last, a, now) {
		return err
	}
	m, err := s.Names.AttentionEvent(a, now)
	return s.publishMade(ctx, m, err, jetstream.WithExpectLastSequenceForSubject(last.Sequence, subject))
}

// tellsOf reports whether the event is the same as the other, or was stored just before and tells of all that the
// other does.
func tellsOf(event Stored, a watcher.Attention, now time.Time) bool {
	told, err := wire.Decode[watcher.Attention](event.Data)
	if err != nil {
		return false
	}
	if wire.AttentionID(told) == wire.AttentionID(a) {
		return true
	}
	untold := func(what string) bool { return !slices.Contains(told.Lost, what) }
	return now.Sub(event.Time) < lostOnce && !slices.ContainsFunc(a.Lost, untold)
}

// Losses returns what people were told of losses, oldest first, as long as the events are kept.
func (s *Store) Losses(ctx context.Context) (told []watcher.Attention, err error) {
	subject := s.Names.Attention(watcher.Lost, allProjects)
	for m, err := range s.Each(ctx, s.Names.EventStream(), subject) {
		if err != nil {
			return told, err
		}
		if a, err := wire.Decode[watcher.Attention](m.Data); err == nil {
			told = append(told, a)
		}
	}
	return told, nil
}
