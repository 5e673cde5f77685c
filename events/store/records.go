package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// directLast returns the last message on the subject from whichever server answers first.
func (s *Store) directLast(ctx context.Context, stream, subject string) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timing.Request)
	defer cancel()
	reply, err := s.JS.Conn().RequestWithContext(ctx, s.Names.API("DIRECT.GET."+stream+"."+subject), nil)
	if err != nil {
		return nil, fmt.Errorf("read %s from %s: %w", subject, stream, err)
	}
	switch status := reply.Header.Get("Status"); status {
	case "":
		return reply, nil
	case "404":
		return nil, jetstream.ErrMsgNotFound
	default:
		return nil, fmt.Errorf("read %s from %s: %s %s", subject, stream, status, reply.Header.Get("Description"))
	}
}

func (s *Store) Read(ctx context.Context, order watcher.Order) (watcher.Watch, watcher.Revision, error) {
	m, err := s.directLast(ctx, s.Names.RecordStream(), s.Names.Record(order.Key()))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return watcher.Watch{}, 0, watcher.ErrNoRecord
	}
	if err != nil {
		return watcher.Watch{}, 0, err
	}
	sequence, err := sequenceOf(m.Header)
	if err != nil {
		return watcher.Watch{}, 0, fmt.Errorf("read record of %s: %w", order, err)
	}
	return DecodeRecord(order, m.Data, sequence)
}

func (s *Store) ReadLatest(ctx context.Context, order watcher.Order) (watcher.Watch, watcher.Revision, error) {
	m, err := s.Last(ctx, s.Names.RecordStream(), s.Names.Record(order.Key()))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return watcher.Watch{}, 0, watcher.ErrNoRecord
	}
	if err != nil {
		return watcher.Watch{}, 0, err
	}
	return DecodeRecord(order, m.Data, m.Sequence)
}

// DecodeRecord reads what the bucket holds for an order: a record, or, without data, the marker of
// its deletion.
func DecodeRecord(order watcher.Order, encoded []byte, sequence uint64) (watcher.Watch, watcher.Revision, error) {
	revision := watcher.Revision(sequence)
	if len(encoded) == 0 {
		return watcher.Watch{}, revision, watcher.ErrNoRecord
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

// RecordHeader is a header that a worker sets on each record, and nobody else: its schema. A record without
// it is taken for one of the previous release, 1.x before this header, so that releases can be rolled
// forward and back. The release after this one is to take such a record for a broken one.
const RecordHeader = "Orderwatch-Record"

func (s *Store) Write(ctx context.Context, w watcher.Watch, revision watcher.Revision) (watcher.Revision, error) {
	encoded, err := watcher.EncodeWatch(w, s.Limit())
	if err == nil && !s.Fits(ctx, len(encoded)) {
		encoded, err = watcher.EncodeWatch(w, s.Limit())
	}
	if err != nil {
		return 0, err
	}
	m := nats.NewMsg(s.Names.Write(s.Names.Record(w.Key())))
	m.Header.Set(RecordHeader, strconv.Itoa(w.Schema))
	m.Data = encoded
	sequence, err := s.Publish(ctx, s.Names.RecordStream(), m, jetstream.WithExpectLastSequencePerSubject(uint64(revision)))
	Passed(string(w.State), "stored", err)
	return watcher.Revision(sequence), err
}

// Bounds of one call that reads records. With subjects the server counts, for each call, all that are
// left on them, which takes 25 ms for 100,000 records: hence not smaller ones.
const (
	recordBatch      = 5000
	recordBatchBytes = 8 << 20
)

// OpenWatches hands a batch of records of watches that have not ended to f, from the sequence on, up
// to those that were written after until; zero: all. It returns where the next batch begins, and
// whether there is none.
func (s *Store) OpenWatches(ctx context.Context, from uint64, until time.Time, f func(*jetstream.RawStreamMsg, watcher.Watch) error) (next uint64, done bool, err error) {
	return s.Records(ctx, from, until, func(m *jetstream.RawStreamMsg, _ watcher.Order, w watcher.Watch, err error) error {
		if err != nil || w.State == watcher.Ended {
			return nil // markers of deletion, records of later versions; the patrol tells of others
		}
		return f(m, w)
	})
}

// Records does so for what the bucket holds for orders, whatever it is. The error is that of
// reading it as a record.
func (s *Store) Records(ctx context.Context, from uint64, until time.Time, f func(*jetstream.RawStreamMsg, watcher.Order, watcher.Watch, error) error) (next uint64, done bool, err error) {
	prefix := s.Names.Record("")
	return s.SomeRecords(ctx, "", from, func(m *jetstream.RawStreamMsg) error {
		if !until.IsZero() && m.Time.After(until) {
			return errEnough
		}
		order, ok := wire.OrderOf(m.Subject, prefix)
		if !ok {
			return nil // what workers tell each other, such as the patrol's lease
		}
		w, _, err := DecodeRecord(order, m.Data, m.Sequence)
		return f(m, order, w, err)
	})
}

// errEnough ends the reading of records.
var errEnough = errors.New("enough")

// SomeRecords hands a batch of what the bucket holds on the subjects, empty for all, to f, from the
// sequence on. It returns where the next batch begins, and whether there is none, or f had enough.
func (s *Store) SomeRecords(ctx context.Context, subjects string, from uint64, f func(*jetstream.RawStreamMsg) error) (next uint64, done bool, err error) {
	next, done, err = s.batch(ctx, s.Names.RecordStream(), subjects, jetstreamext.GetBatchSeq(max(from, 1)), f)
	return max(next, from), done, err
}

// batch hands one batch of a stream's messages on the subjects, empty for all, to f, from the start on. It returns the
// sequence after the last one that f took, 0 where there was none, and whether there are no more, or f had enough.
func (s *Store) batch(ctx context.Context, stream, subjects string, start jetstreamext.GetBatchOpt, f func(*jetstream.RawStreamMsg) error) (next uint64, done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	options := []jetstreamext.GetBatchOpt{start, jetstreamext.GetBatchMaxBytes(recordBatchBytes)}
	if subjects != "" {
		options = append(options, jetstreamext.GetBatchSubject(subjects))
	}
	messages, err := jetstreamext.GetBatch(ctx, s.JS, stream, recordBatch, options...)
	if err != nil {
		return 0, false, fmt.Errorf("read %s: %w", stream, err)
	}
	read, size := 0, 0
	for m, err := range messages {
		if errors.Is(err, jetstreamext.ErrNoMessages) {
			return next, true, nil
		}
		if err != nil {
			return next, false, fmt.Errorf("read %s: %w", stream, err)
		}
		err = f(m)
		if errors.Is(err, errEnough) {
			return next, true, nil
		}
		next = m.Sequence + 1
		read, size = read+1, size+len(m.Data)
		if err != nil {
			return next, false, err
		}
	}
	if ctx.Err() != nil { // an answer that does not come ends the batch without an error
		return next, false, fmt.Errorf("read %s: %w", stream, ctx.Err())
	}
	// What ended before its bounds has come to the end. It does not matter that more was written since:
	// otherwise whoever reads over a slow link would never be done.
	return next, read < recordBatch && size < recordBatchBytes/2, nil
}
