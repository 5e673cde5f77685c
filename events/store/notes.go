package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// Note returns what notifiers noted under the key, in the bucket ORDER_SLACK, as the bucket's leader sees it.
func (s *Store) Note(ctx context.Context, key string) ([]byte, watcher.Revision, error) {
	if err := checkNoteKey(key); err != nil {
		return nil, 0, err
	}
	m, err := s.Value(ctx, s.Names.NoteStream(), s.Names.Note(key))
	if len(m.Data) == 0 { // nothing is there, or the marker of a deletion, or it was refused
		m.Data = nil
	}
	return m.Data, watcher.Revision(m.Sequence), err
}

// Under returns, by key, what is noted under the keys that begin with the prefix and a dot, as the
// bucket's leader sees it.
func (s *Store) Under(ctx context.Context, prefix string) (map[string][]byte, error) {
	stored, err := s.NotesUnder(ctx, prefix)
	notes := make(map[string][]byte)
	for _, m := range stored {
		notes[strings.TrimPrefix(m.Subject, s.Names.Note(""))] = m.Data
	}
	return notes, err
}

// NotesUnder returns the same as messages, which say when each was noted last.
func (s *Store) NotesUnder(ctx context.Context, prefix string) (notes []Stored, err error) {
	if err := checkNoteKey(prefix); err != nil {
		return nil, err
	}
	for m, err := range s.Each(ctx, s.Names.NoteStream(), s.Names.Note(prefix)+".>") {
		if err != nil {
			return nil, err
		}
		if m = s.trusted(m); len(m.Data) > 0 { // no marker of a deletion
			notes = append(notes, m)
		}
	}
	return notes, nil
}

// SetNote notes the text under the key, expecting its last revision.
func (s *Store) SetNote(ctx context.Context, key string, text []byte, revision watcher.Revision) (watcher.Revision, error) {
	if err := checkNoteKey(key); err != nil {
		return 0, err
	}
	sequence, err := s.Put(ctx, s.Names.NoteStream(), s.Names.Note(key), text, uint64(revision))
	return watcher.Revision(sequence), err
}

var noteKey = regexp.MustCompile(`^[-_=/a-zA-Z0-9]+(\.[-_=/a-zA-Z0-9]+)*$`)

// checkNoteKey refuses what would be a wildcard, or no subject.
func checkNoteKey(key string) error {
	if !noteKey.MatchString(key) {
		return fmt.Errorf("%q is no key of a note", key)
	}
	return nil
}

// settledKey is the key of the note that says how far the consumer slack has come.
const settledKey = "settled"

// A settled is that note. The consumer slack begins with the events that come after it was made; made anew, after
// somebody deleted it, it begins where the one before it stopped; with the first event where the note was deleted, too.
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
