package store

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/orderwatch/orderwatch/watcher"
)

// Note returns what notifiers noted under the key, in the bucket ORDER_SLACK, as the bucket's leader sees it.
func (s *Store) Note(ctx context.Context, key string) ([]byte, watcher.Revision, error) {
	if err := checkNoteKey(key); err != nil {
		return nil, 0, err
	}
	m, err := s.Last(ctx, s.Names.NoteStream(), s.Names.Note(key))
	if len(m.Data) == 0 { // nothing is there, or the marker of a deletion
		m.Data = nil
	}
	return m.Data, watcher.Revision(m.Sequence), err
}

// Under returns, by key, what is noted under the keys that begin with the prefix and a dot, as the
// bucket's leader sees it.
func (s *Store) Under(ctx context.Context, prefix string) (map[string][]byte, error) {
	if err := checkNoteKey(prefix); err != nil {
		return nil, err
	}
	notes := make(map[string][]byte)
	for m, err := range s.Each(ctx, s.Names.NoteStream(), s.Names.Note(prefix)+".>") {
		if err != nil {
			return nil, err
		}
		if len(m.Data) > 0 { // no marker of a deletion
			notes[strings.TrimPrefix(m.Subject, s.Names.Note(""))] = m.Data
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
