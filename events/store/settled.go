package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// The consumer slack begins with the events that come after it was made: what is older nobody waits for. Made anew,
// after somebody deleted it, it begins where the one before it stopped: what was settled is not told
// again, and what was not is not forgotten.

// settledKey is the key of the note that says how far the consumer slack has come.
const settledKey = "settled"

// A settled is that note.
type settled struct {
	Sequence uint64 `json:"sequence"` // of ORDER_EVENTS: all events up to it are done with
}

// beginWhere returns the consumer as it is to be made.
func (s *Store) beginWhere(ctx context.Context, stream jetstream.Stream, wanted jetstream.ConsumerConfig) (jetstream.ConsumerConfig, error) {
	if wanted.Durable != wire.SlackConsumer {
		return wanted, nil
	}
	at, revision, err := s.settledAt(ctx)
	switch {
	case err != nil:
		return wanted, fmt.Errorf("find where consumer %s begins: %w", wire.SlackConsumer, err)
	case revision == 0:
		return wanted, nil
	case at > stream.CachedInfo().State.LastSeq: // the stream was made anew, too
		at = 0
	}
	wanted.DeliverPolicy, wanted.OptStartSeq = jetstream.DeliverByStartSequencePolicy, at+1
	return wanted, nil
}

// NoteSettled notes how far the consumer slack has come: all events up to the sequence are done with. It is best
// effort: at worst some events are looked at again, which the notifier knows.
func (s *Store) NoteSettled(ctx context.Context, sequence uint64) error {
	before, revision, err := s.settledAt(ctx)
	if err != nil || sequence == before {
		return err
	}
	text, err := json.Marshal(settled{sequence})
	if err != nil {
		return err
	}
	_, err = s.SetNote(ctx, settledKey, text, revision)
	if errors.Is(err, watcher.ErrConflict) {
		return nil // another worker noted it
	}
	return err
}

// settledAt reads the note; its revision is 0 where there is none.
func (s *Store) settledAt(ctx context.Context) (sequence uint64, revision watcher.Revision, err error) {
	text, revision, err := s.Note(ctx, settledKey)
	var at settled
	if err == nil && text != nil {
		err = json.Unmarshal(text, &at)
	}
	return at.Sequence, revision, err
}
