package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// brokenKey is the key of the list of broken records in the bucket.
const brokenKey = "broken"

// BrokenList returns what is remembered of broken records, oldest first, and its revision; 0 where nothing is.
func (s *Store) BrokenList(ctx context.Context) (list []wire.BrokenRecord, revision uint64, err error) {
	m, err := s.Value(ctx, s.Names.RecordStream(), s.Names.Record(brokenKey))
	if json.Unmarshal(m.Data, &list) != nil {
		list = nil // nothing is there, or it is found anew
	}
	return list, m.Sequence, err
}

// SetBrokenList remembers the list, expecting its last revision.
func (s *Store) SetBrokenList(ctx context.Context, list []wire.BrokenRecord, revision uint64) error {
	encoded, err := json.Marshal(list)
	if err == nil {
		_, err = s.Put(ctx, s.Names.RecordStream(), s.Names.Record(brokenKey), encoded, revision)
	}
	return err
}

// firstBatch is how many records are read first where it is not known how many are wanted: the server sends a whole batch.
// For each it counts what is left in the bucket, which takes 25 ms for 100,000 records: hence not less.
const firstBatch = 500

// RecordsBefore yields what the bucket holds from the sequence on, as it was written, up to the first that was stored after
// the time; zero: all. What workers tell each other is among it, and has no Order. It ends with the first error. Any server
// of the stream may answer, also one that is behind.
func (s *Store) RecordsBefore(ctx context.Context, from uint64, before time.Time) iter.Seq2[Record, error] {
	return s.recordsUntil(ctx, from, func(m *jetstream.RawStreamMsg) bool { return !before.IsZero() && m.Time.After(before) }, s.recordAlone)
}

// RecordsBetween does so up to a sequence, which is not among them. To decode a record takes most of the time: wanted is asked
// before, with the record's order, id and state alone, and with its text. One that is not wanted has no Order.
func (s *Store) RecordsBetween(ctx context.Context, from, to uint64, wanted func(Record, []byte) bool) iter.Seq2[Record, error] {
	return s.recordsUntil(ctx, from, func(m *jetstream.RawStreamMsg) bool { return m.Sequence >= to }, func(m *jetstream.RawStreamMsg) Record {
		if h, ok := s.headOf(m); !ok || !wanted(h, m.Data) {
			return Record{Sequence: m.Sequence, Stored: m.Time}
		}
		return s.recordAlone(m)
	})
}

// RecordsOrHeads yields what the bucket holds from the sequence on, as RecordsBefore does. Of a record that is not wanted it
// yields what wanted is asked with: order, id, state, sequence and time alone.
func (s *Store) RecordsOrHeads(ctx context.Context, from uint64, wanted func(Record) bool) iter.Seq2[Record, error] {
	return s.recordsUntil(ctx, from, func(*jetstream.RawStreamMsg) bool { return false }, func(m *jetstream.RawStreamMsg) Record {
		if h, ok := s.headOf(m); ok && !wanted(h) {
			return h
		}
		return s.recordAlone(m)
	})
}

// recordAlone reads a message of the bucket, also one of what workers tell each other.
func (s *Store) recordAlone(m *jetstream.RawStreamMsg) Record {
	r, _ := s.recordOf(m)
	return r
}

func (s *Store) recordsUntil(ctx context.Context, from uint64, end func(*jetstream.RawStreamMsg) bool, read func(*jetstream.RawStreamMsg) Record) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		next, stream := max(from, 1), s.Names.RecordStream()
		for most := firstBatch; ; most = recordBatch {
			options := []jetstreamext.GetBatchOpt{jetstreamext.GetBatchSeq(next), jetstreamext.GetBatchMaxBytes(recordBatchBytes)}
			after, done, err := s.batch(ctx, stream, most, options, func(m *jetstream.RawStreamMsg, _ error) bool {
				if end(m) {
					return false
				}
				return yield(read(m), nil)
			})
			if err != nil {
				yield(Record{}, fmt.Errorf("read %s: %w", stream, err))
			}
			if err != nil || done {
				return
			}
			next = after
		}
	}
}

// headOf reads which watch a record is of, and its state, without decoding it. A message that is no record has none.
func (s *Store) headOf(m *jetstream.RawStreamMsg) (Record, bool) {
	order, ok := wire.OrderOf(m.Subject, s.Names.Record(""))
	if !ok {
		return Record{}, false
	}
	h, ok := readHead(m.Data)
	watch := watcher.Watch{Order: order, ID: h.WatchID, State: h.State}
	return Record{Watch: watch, Order: order, Sequence: m.Sequence, Stored: m.Time, Size: len(m.Data)}, ok
}

// readAtOnce is how many records are asked for at a time, one by one.
const readAtOnce = 16

// RecordsAt returns what the bucket holds at the sequences, from the first to the last, as RecordsBefore yields it, as the
// bucket's leader sees it: another server may not have one yet, and it would be passed over. Each is asked for by itself: of a
// large bucket some hundred are read sooner so than in a batch.
func (s *Store) RecordsAt(ctx context.Context, first, last uint64) ([]Record, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timing.Request)
	defer cancel()
	found := make([]Record, last-first+1)
	var (
		running sync.WaitGroup
		next    atomic.Uint64
		failed  atomic.Pointer[error]
	)
	for range min(readAtOnce, len(found)) {
		running.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(found) || failed.Load() != nil {
					return
				}
				var err error
				if found[i], err = s.recordAt(ctx, first+uint64(i)); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	running.Wait()
	if err := failed.Load(); err != nil {
		return nil, fmt.Errorf("read %s: %w", s.Names.RecordStream(), *err)
	}
	return slices.DeleteFunc(found, func(r Record) bool { return r.Sequence == 0 }), nil
}

// recordAt returns what the bucket holds at the sequence; without a sequence where that is nothing.
func (s *Store) recordAt(ctx context.Context, sequence uint64) (Record, error) {
	m, err := s.Get(ctx, s.Names.RecordStream(), sequence)
	if err != nil || m.Sequence == 0 {
		return Record{}, err
	}
	r, _ := s.recordOf(&jetstream.RawStreamMsg{Subject: m.Subject, Sequence: m.Sequence, Header: m.header(), Data: m.Data, Time: m.Time})
	return r, nil
}

// RecordsOf yields what the bucket holds for the project's orders, as Records does.
func (s *Store) RecordsOf(ctx context.Context, projectID string) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for m, err := range s.messages(ctx, s.Names.RecordStream(), s.Names.Record(projectID+".>"), jetstreamext.GetBatchSeq(1)) {
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

// Latest returns what the bucket holds for the orders, by order. Any server of the bucket may answer, also one that is behind. An
// order is missing for which the bucket holds nothing. All together are to be no larger than a server keeps for a slow reader.
func (s *Store) Latest(ctx context.Context, orders []watcher.Order) (found map[watcher.Order]Record, err error) {
	if len(orders) == 0 {
		return make(map[watcher.Order]Record), nil
	}
	err = s.Calls.Make(ctx, s.Timing.Request, func(ctx context.Context) error {
		found, err = s.latest(ctx, orders)
		return err
	})
	return found, err
}

func (s *Store) latest(ctx context.Context, orders []watcher.Order) (map[watcher.Order]Record, error) {
	found := make(map[watcher.Order]Record, len(orders))
	stream := s.Names.RecordStream()
	subjects := make([]string, len(orders))
	for i, order := range orders {
		subjects[i] = s.Names.Record(order.Key())
	}
	messages, err := jetstreamext.GetLastMsgsFor(ctx, s.JS, stream, subjects)
	if err != nil {
		return nil, fmt.Errorf("read %d records from %s: %w", len(orders), stream, err)
	}
	for m, err := range messages {
		if errors.Is(err, jetstreamext.ErrNoMessages) {
			return found, nil
		}
		if err == nil {
			err = asStored(m)
		}
		if err != nil {
			return nil, fmt.Errorf("read %d records from %s: %w", len(orders), stream, err)
		}
		if r, ok := s.recordOf(m); ok {
			found[r.Order] = r
		}
	}
	if len(found) < len(orders) {
		return found, ctx.Err() // an answer that does not come ends them without an error
	}
	return found, nil
}

// A head is what is asked first of every record.
type head struct {
	State   watcher.State `json:"state"`
	WatchID string        `json:"watch_id"`
}

// readHead reads what stands at the beginning of a record, or wherever it stands. Markers of deletion
// have none.
func readHead(record []byte) (h head, ok bool) {
	if len(record) == 0 {
		return head{}, false
	}
	decoder := json.NewDecoder(bytes.NewReader(record))
	decoder.Token() // {
	for range 3 {
		name, err := decoder.Token()
		if err != nil {
			break
		}
		var to any = new(json.RawMessage)
		switch name {
		case "state":
			to = &h.State
		case "watch_id":
			to = &h.WatchID
		}
		if decoder.Decode(to) != nil {
			break
		}
	}
	if h.State == "" || h.WatchID == "" {
		h = head{}
		_ = json.Unmarshal(record, &h) // what can be read of it
	}
	return h, h.WatchID != ""
}
