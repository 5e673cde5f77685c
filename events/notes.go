package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/watcher"
)

// Notes is what notifiers remember, in the bucket ORDER_SLACK. It is safe for concurrent use.
type Notes struct{ store *store }

var _ watcher.Notes = (*Notes)(nil)

// NewNotes returns the notes on the connection. The bucket is the worker's to create.
func NewNotes(log *slog.Logger, config Config, nc *nats.Conn, clock *Clock) (*Notes, error) {
	js, err := link.JetStream(nc, config.Names.Domain, config.Timing.Request)
	if err != nil {
		return nil, err
	}
	return &Notes{newStore(log, config, js, clock)}, nil
}

// Note returns what is noted under the key, as the bucket's leader sees it.
func (n *Notes) Note(ctx context.Context, key string) ([]byte, watcher.Revision, error) {
	if err := checkNoteKey(key); err != nil {
		return nil, 0, err
	}
	names := n.store.names
	m, err := n.store.last(ctx, names.NoteStream(), names.Note(key))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil, 0, nil
	case err != nil:
		return nil, 0, err
	case len(m.Data) == 0: // the marker of a deletion
		return nil, watcher.Revision(m.Sequence), nil
	}
	return m.Data, watcher.Revision(m.Sequence), nil
}

// Under returns, by key, what is noted under the keys that begin with the prefix and a dot, as the
// bucket's leader sees it.
func (n *Notes) Under(ctx context.Context, prefix string) (map[string][]byte, error) {
	if err := checkNoteKey(prefix); err != nil {
		return nil, err
	}
	names, notes := n.store.names, make(map[string][]byte)
	for from := uint64(1); ; {
		m, err := n.store.next(ctx, names.NoteStream(), names.Note(prefix)+".>", from)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return notes, nil
		}
		if err != nil {
			return nil, err
		}
		if len(m.Data) > 0 { // no marker of a deletion
			notes[strings.TrimPrefix(m.Subject, names.Note(""))] = m.Data
		}
		from = m.Sequence + 1
	}
}

// SetNote notes the text under the key, expecting its last revision.
func (n *Notes) SetNote(ctx context.Context, key string, text []byte, revision watcher.Revision) (watcher.Revision, error) {
	if err := checkNoteKey(key); err != nil {
		return 0, err
	}
	m := &nats.Msg{Subject: n.store.names.Write(n.store.names.Note(key)), Data: text}
	sequence, err := n.store.publish(ctx, n.store.names.NoteStream(), m, jetstream.WithExpectLastSequencePerSubject(uint64(revision)))
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
