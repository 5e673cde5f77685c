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
func (c Config) beginWhere(ctx context.Context, js jetstream.JetStream, stream jetstream.Stream, wanted jetstream.ConsumerConfig) (jetstream.ConsumerConfig, error) {
	if wanted.Durable != wire.SlackConsumer {
		return wanted, nil
	}
	bucket, err := js.Stream(ctx, c.Names.NoteStream())
	if err != nil {
		return wanted, fmt.Errorf("find where consumer %s begins: %w", wire.SlackConsumer, err)
	}
	m, err := bucket.GetLastMsgForSubject(ctx, c.Names.Note(settledKey))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return wanted, nil
	}
	var at settled
	if err == nil {
		err = json.Unmarshal(m.Data, &at)
	}
	if err != nil {
		return wanted, fmt.Errorf("find where consumer %s begins: %w", wire.SlackConsumer, err)
	}
	if at.Sequence > stream.CachedInfo().State.LastSeq { // the stream was made anew, too
		at.Sequence = 0
	}
	wanted.DeliverPolicy, wanted.OptStartSeq = jetstream.DeliverByStartSequencePolicy, at.Sequence+1
	return wanted, nil
}

// NoteSettled notes how far the consumer slack has come: all events up to the sequence are done with. It is best
// effort: at worst some events are looked at again, which the notifier knows.
func (s *Store) NoteSettled(ctx context.Context, sequence uint64) error {
	text, revision, err := s.Note(ctx, settledKey)
	if err != nil {
		return err
	}
	var at settled
	if text != nil {
		if err := json.Unmarshal(text, &at); err != nil {
			return err
		}
	}
	if sequence == at.Sequence {
		return nil
	}
	if text, err = json.Marshal(settled{sequence}); err != nil {
		return err
	}
	_, err = s.SetNote(ctx, settledKey, text, revision)
	if errors.Is(err, watcher.ErrConflict) {
		return nil // another worker noted it
	}
	return err
}
