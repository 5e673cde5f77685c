package events

import (
	"context"
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// A ledger says how the streams were. It lies in the bucket of records, where it is lost with them, and
// in ORDER_SLACK, where it is not; and each worker remembers it.
type ledger struct {
	ID        string                `json:"id"`                 // another one after each loss
	LostAt    time.Time             `json:"lost_at,omitzero"`   // when people were told of the loss after which it was begun; zero: of none
	Forgotten time.Time             `json:"forgotten,omitzero"` // when the records were lost last
	Streams   map[string]streamSeen `json:"streams"`            // by what is lost with them
}

// A streamSeen is how a stream was when it was looked at last.
type streamSeen struct {
	Created time.Time `json:"created"`
	Last    uint64    `json:"last"`             // sequence
	LastAt  time.Time `json:"last_at,omitzero"` // when the last message was stored; zero where none is there
}

// ledgerKey is the key of the ledger in both buckets.
const ledgerKey = "store"

// ledgerEvery is how often a ledger is written that has not changed: it must not expire.
const ledgerEvery = time.Hour

// A storeLook is what one look at the store found.
type storeLook struct {
	now     time.Time
	streams map[string]*jetstream.StreamInfo // by what is lost with them
	wakeups *jetstream.StreamInfo            // as they were before the streams were looked at
	record  keptLedger
	note    keptLedger
}

// A keptLedger is what lies in a place of the ledger.
type keptLedger struct {
	stream, subject string
	ledger          *ledger   // nil where it cannot be read
	revision        uint64    // 0 where nothing is there
	at              time.Time // when it was written
}

// losables are what can be lost, in the order in which people are told, with the stream and with what that means,
// given the moment.
var losables = []struct {
	what   string
	stream func(wire.Names) string
	reason string
}{
	{watcher.LostWatches, wire.Names.RecordStream, "what was watched before %s is forgotten: publish again"},
	{watcher.LostRequests, wire.Names.RequestStream, "requests that were published before %s and in no watch yet are forgotten: publish them again"},
	{watcher.LostEvents, wire.Names.EventStream, "events from before %s are gone: who had not read a completion finds it with orderwatch get"},
	{watcher.LostNotes, wire.Names.NoteStream, "what was posted to Slack before %s is forgotten: a message may come twice, or stay as it is"},
}

// lookAt looks at the streams before the ledgers: an absence that is read afterwards is that of what they held. It
// looks at the wake-ups before the records, which are stored first: the record of a wake-up without one was lost.
func lookAt(ctx context.Context, s *store.Store, now time.Time) (storeLook, error) {
	look := storeLook{now: now, streams: make(map[string]*jetstream.StreamInfo)}
	wakeups, err := s.JS.Stream(ctx, s.Names.WakeupStream())
	if err != nil {
		return look, err
	}
	look.wakeups = wakeups.CachedInfo()
	for _, l := range losables {
		stream, err := s.JS.Stream(ctx, l.stream(s.Names))
		if err != nil {
			return look, err
		}
		look.streams[l.what] = stream.CachedInfo()
	}
	if look.record, err = ledgerAt(ctx, s, s.Names.RecordStream(), s.Names.Record(ledgerKey)); err != nil {
		return look, err
	}
	look.note, err = ledgerAt(ctx, s, s.Names.NoteStream(), s.Names.Note(ledgerKey))
	return look, err
}

func ledgerAt(ctx context.Context, s *store.Store, stream, subject string) (keptLedger, error) {
	m, err := s.Value(ctx, stream, subject)
	kept := keptLedger{stream: stream, subject: subject, revision: m.Sequence, at: m.Time}
	var l ledger
	if json.Unmarshal(m.Data, &l) == nil && l.ID != "" {
		kept.ledger = &l
	}
	return kept, err
}

// known returns the ledger that the streams are compared with, given that of this worker; nil where nothing is known.
// toldByOther says that another worker has found a loss and told of it.
func (look storeLook) known(mine *ledger) (known *ledger, toldByOther bool) {
	there := look.record.ledger
	switch {
	case mine != nil && there != nil && there.ID != mine.ID && !there.LostAt.IsZero():
		return there, true
	case mine != nil:
		return mine, false
	case there != nil:
		return there, false
	case look.note.ledger != nil && look.fresh(look.note.at):
		return look.note.ledger, false
	}
	return nil, false
}

// fresh reports whether what was written then cannot have expired, wherever it lay.
func (look storeLook) fresh(at time.Time) bool {
	for _, info := range look.streams {
		if keeps := info.Config.MaxAge; keeps > 0 && look.now.Sub(at) > keeps/2 {
			return false
		}
	}
	return true
}

// lost returns what was lost since the ledger was written. noted says that it lay in ORDER_SLACK then.
func (look storeLook) lost(known *ledger, noted bool) (lost []lostPart) {
	if known == nil {
		return look.neverSeen()
	}
	for _, l := range losables {
		before, ok := known.Streams[l.what]
		info := look.streams[l.what]
		if !ok {
			continue
		}
		anew, emptied := !info.Created.Equal(before.Created), false
		switch l.what {
		case watcher.LostWatches:
			gone := look.record.revision == 0 || look.record.ledger != nil && look.record.ledger.ID != known.ID
			anew, emptied = anew && gone, gone && info.State.LastSeq >= before.Last
		case watcher.LostEvents:
			emptied = look.dropped(before, info)
		case watcher.LostNotes:
			emptied = noted && look.note.revision == 0
		}
		if anew {
			lost = append(lost, lostPart{l.what, info.Created, l.reason})
		} else if emptied {
			lost = append(lost, lostPart{l.what, look.now, l.reason})
		}
	}
	return lost
}

// dropped reports whether a stream whose messages only expire does not hold one any more that has not.
func (look storeLook) dropped(before streamSeen, info *jetstream.StreamInfo) bool {
	if before.LastAt.IsZero() || info.State.FirstSeq <= before.Last || info.State.LastSeq < before.Last {
		return false
	}
	return info.Config.MaxAge == 0 || look.now.Sub(before.LastAt) < info.Config.MaxAge/2
}

// neverSeen returns what was lost where no ledger is left: an empty bucket of records beside what only a
// watch leaves behind.
func (look storeLook) neverSeen() []lostPart {
	records := look.streams[watcher.LostWatches]
	if records.State.Msgs > 0 {
		return nil
	}
	for _, info := range []*jetstream.StreamInfo{look.streams[watcher.LostEvents], look.wakeups} {
		if info.State.Msgs == 0 || !look.fresh(info.State.LastTime) {
			continue
		}
		switch {
		case info == look.wakeups && records.State.LastSeq == 0, info.State.FirstTime.Before(records.Created):
			return []lostPart{{watcher.LostWatches, records.Created, losables[0].reason}}
		case records.State.LastSeq > 0:
			return []lostPart{{watcher.LostWatches, look.now, losables[0].reason}}
		}
	}
	return nil
}

// next returns the ledger as it is now.
func (look storeLook) next(known *ledger, lost []lostPart) ledger {
	next := ledger{ID: nuid.Next(), Streams: make(map[string]streamSeen)}
	if known != nil {
		next.LostAt, next.Forgotten = known.LostAt, known.Forgotten
		if len(lost) == 0 {
			next.ID = known.ID
		}
	}
	for _, p := range lost {
		next.LostAt = look.now
		if p.what == watcher.LostWatches {
			next.Forgotten = p.since
		}
	}
	for what, info := range look.streams {
		seen := streamSeen{Created: info.Created, Last: info.State.LastSeq}
		if info.State.Msgs > 0 {
			seen.LastAt = info.State.LastTime
		}
		next.Streams[what] = seen
	}
	return next
}

// keepLedger writes the ledger in both buckets, where it differs from what lies there or is to be written again. The
// bucket of records comes first: the other one says that it lies there.
func keepLedger(ctx context.Context, s *store.Store, look storeLook, l ledger) error {
	encoded, err := json.Marshal(l)
	if err != nil {
		return err
	}
	for _, kept := range []keptLedger{look.record, look.note} {
		if look.due(kept, l) {
			if _, err := s.Put(ctx, kept.stream, kept.subject, encoded, kept.revision); err != nil {
				return err
			}
		}
	}
	return nil
}

// due reports whether the ledger is to be written in the place of what lies there.
func (look storeLook) due(kept keptLedger, l ledger) bool {
	if kept.ledger == nil || kept.ledger.ID != l.ID || look.now.Sub(kept.at) > ledgerEvery {
		return true
	}
	for what, seen := range l.Streams {
		if !kept.ledger.Streams[what].Created.Equal(seen.Created) {
			return true
		}
	}
	return false
}
