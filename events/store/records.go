package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// recallBytes is how much memory the records that a worker keeps may take where the config does not say.
const recallBytes = 32 << 20

// Recall returns the record as this worker read or wrote it last.
func (s *Store) Recall(order watcher.Order) (watcher.Watch, watcher.Revision, bool) {
	return s.recall.Get(order)
}

// Read asks whichever server answers first.
func (s *Store) Read(ctx context.Context, order watcher.Order) (watcher.Watch, watcher.Revision, error) {
	stream, subject := s.Names.RecordStream(), s.Names.Record(order.Key())
	reply, err := s.ask(ctx, "DIRECT.GET."+stream+"."+subject, nil)
	if err != nil {
		return watcher.Watch{}, 0, fmt.Errorf("read %s from %s: %w", subject, stream, err)
	}
	switch status := reply.Header.Get("Status"); status {
	case "":
	case "404":
		return watcher.Watch{}, 0, watcher.ErrNoRecord
	default:
		return watcher.Watch{}, 0, fmt.Errorf("read %s from %s: %s %s", subject, stream, status, reply.Header.Get("Description"))
	}
	sequence, err := strconv.ParseUint(serverSaid(reply.Header, jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return watcher.Watch{}, 0, fmt.Errorf("read record of %s: %w", order, err)
	}
	return s.keep(order, reply.Header, reply.Data, sequence)
}

// ReadLatest asks the bucket's leader.
func (s *Store) ReadLatest(ctx context.Context, order watcher.Order) (watcher.Watch, watcher.Revision, error) {
	m, err := s.Last(ctx, s.Names.RecordStream(), s.Names.Record(order.Key()))
	if err != nil {
		return watcher.Watch{}, 0, err
	}
	return s.keep(order, m.header(), m.Data, m.Sequence)
}

// keep returns what decodeRecord does, and keeps it.
func (s *Store) keep(order watcher.Order, header nats.Header, encoded []byte, sequence uint64) (watcher.Watch, watcher.Revision, error) {
	if w, ok := s.recall.Same(order, watcher.Revision(sequence)); ok {
		return w, watcher.Revision(sequence), nil
	}
	w, revision, err := decodeRecord(order, header, encoded, sequence)
	if err == nil {
		s.recall.Put(w, revision, len(encoded))
	} else {
		s.recall.Drop(order)
	}
	return w, revision, err
}

// decodeRecord reads what the bucket holds for an order: a record, or, without data, nothing or the marker of its
// deletion. What has neither data nor a deletion's headers is a status that the server wrote to a reply subject.
func decodeRecord(order watcher.Order, header nats.Header, encoded []byte, sequence uint64) (watcher.Watch, watcher.Revision, error) {
	revision := watcher.Revision(sequence)
	switch {
	case len(encoded) > 0:
	case sequence == 0 || isDeletion(header):
		return watcher.Watch{}, revision, watcher.ErrNoRecord
	default:
		return watcher.Watch{}, revision, fmt.Errorf("read record of %s: %w: it is empty, and no deletion", order, watcher.ErrBroken)
	}
	w, err := watcher.DecodeWatch(encoded)
	if err == nil && w.Order != order {
		err = fmt.Errorf("it is the record of %s", w.Order)
	}
	if err != nil && !errors.Is(err, watcher.ErrNewerSchema) {
		err = fmt.Errorf("%w: %w", watcher.ErrBroken, err)
	}
	if err != nil {
		return watcher.Watch{}, revision, fmt.Errorf("read record of %s: %w", order, err)
	}
	return w, revision, nil
}

// RecordHeader is a header that a worker sets on each record, and nobody else: its schema. A record without it is taken
// for one of the release before, 1.x; the release after this one is to take it for a broken one.
const RecordHeader = "Orderwatch-Record"

func (s *Store) Write(ctx context.Context, w watcher.Watch, revision watcher.Revision) (watcher.Revision, error) {
	encoded, stored, err := w.Encode(s.Limit())
	if err == nil && !s.Fits(ctx, len(encoded)) {
		encoded, stored, err = w.Encode(s.Limit())
	}
	if err != nil {
		return 0, err
	}
	m := nats.NewMsg(s.Names.Write(s.Names.Record(w.Key())))
	m.Header.Set(RecordHeader, strconv.Itoa(w.Written()))
	m.Data = encoded
	sequence, err := s.Publish(ctx, s.Names.RecordStream(), m, jetstream.WithExpectLastSequencePerSubject(uint64(revision)))
	Passed(string(w.State), "stored", err)
	if err == nil {
		s.recall.Put(stored, watcher.Revision(sequence), len(encoded))
	} else {
		s.recall.Drop(w.Order)
	}
	return watcher.Revision(sequence), err
}

// Bounds of one batch. With subjects the server counts all that are left on them for each batch, which takes 25 ms for
// 100,000 records: hence not smaller ones.
const (
	recordBatch      = 5000
	recordBatchBytes = 8 << 20
)

// A Record is what the bucket holds for an order.
type Record struct {
	watcher.Watch // where it can be read; of a later version's: its id, its state and the teams of its requests
	Order         watcher.Order
	Sequence      uint64
	Stored        time.Time
	Err           error // why it cannot be read: ErrNoRecord, ErrBroken or ErrNewerSchema of package watcher
	Size          int   // in bytes, as it is stored
}

// Records yields what the bucket holds for orders, from the sequence on, as it was written. It ends with the first
// error.
func (s *Store) Records(ctx context.Context, from uint64) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for m, err := range s.messages(ctx, s.Names.RecordStream(), "", jetstreamext.GetBatchSeq(max(from, 1))) {
			if err != nil {
				yield(Record{}, err)
				return
			}
			if r, ok := s.recordOf(m); ok && !yield(r, nil) {
				return
			}
		}
	}
}

// recordOf reads a message of the bucket. It reports whether it is for an order, and not one of what workers tell each
// other, such as the patrol's lease.
func (s *Store) recordOf(m *jetstream.RawStreamMsg) (Record, bool) {
	order, ok := wire.OrderOf(m.Subject, s.Names.Record(""))
	if !ok {
		return Record{Sequence: m.Sequence, Stored: m.Time}, false
	}
	w, _, err := decodeRecord(order, m.Header, m.Data, m.Sequence)
	if errors.Is(err, watcher.ErrNewerSchema) {
		h, _ := readHead(m.Data)
		requests, _ := requestsOf(m.Data)
		w.ID, w.State = h.WatchID, h.State
		for _, r := range requests {
			w.Requests = append(w.Requests, watcher.Request{Team: r.Team})
		}
	}
	return Record{w, order, m.Sequence, m.Time, err, len(m.Data)}, true
}

// OpenWatches yields the records of all watches that have not ended, as Records does.
func (s *Store) OpenWatches(ctx context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for r, err := range s.Records(ctx, 1) {
			if err == nil && (r.Err != nil || r.State == watcher.Ended) {
				continue // the patrol tells of those that cannot be read
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// messages yields a stream's messages on the subjects, empty for all, from the start on, batch by batch. It ends with
// the first error.
func (s *Store) messages(ctx context.Context, stream, subjects string, start jetstreamext.GetBatchOpt) iter.Seq2[*jetstream.RawStreamMsg, error] {
	return func(yield func(*jetstream.RawStreamMsg, error) bool) {
		options := []jetstreamext.GetBatchOpt{start, jetstreamext.GetBatchMaxBytes(recordBatchBytes)}
		if subjects != "" {
			options = append(options, jetstreamext.GetBatchSubject(subjects))
		}
		for {
			next, done, err := s.batch(ctx, stream, recordBatch, options, yield)
			if err != nil {
				yield(nil, fmt.Errorf("read %s: %w", stream, err))
			}
			if err != nil || done {
				return
			}
			options[0] = jetstreamext.GetBatchSeq(next)
		}
	}
}

// batch yields one batch of so many messages at the most. It returns where the next one begins, and whether there is none,
// or yield had enough.
func (s *Store) batch(ctx context.Context, stream string, most int, options []jetstreamext.GetBatchOpt, yield func(*jetstream.RawStreamMsg, error) bool) (next uint64, done bool, err error) {
	err = s.Calls.Make(ctx, time.Minute, func(ctx context.Context) error {
		next, done, err = s.readBatch(ctx, stream, most, options, yield)
		return err
	})
	return next, done, err
}

func (s *Store) readBatch(ctx context.Context, stream string, most int, options []jetstreamext.GetBatchOpt, yield func(*jetstream.RawStreamMsg, error) bool) (next uint64, done bool, err error) {
	messages, err := jetstreamext.GetBatch(ctx, s.JS, stream, most, options...)
	if err != nil {
		return 0, false, err
	}
	read, size := 0, 0
	for m, err := range messages {
		switch {
		case errors.Is(err, jetstreamext.ErrNoMessages):
			return next, true, nil
		case err != nil:
			return next, false, err
		}
		if err := asStored(m); err != nil {
			return next, false, err
		}
		if !yield(m, nil) {
			return next, true, nil
		}
		next, read, size = m.Sequence+1, read+1, size+len(m.Data)
	}
	// What ended before its bounds has come to the end. It does not matter that more was written since:
	// otherwise a reader over a slow link would never be done. An answer that does not come ends it without an error.
	return next, read < most && size < recordBatchBytes/2, ctx.Err()
}
