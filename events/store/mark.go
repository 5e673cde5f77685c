package store

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// KeyHeader is a header that a worker sets on whatever it writes to a bucket but records, and nobody else: the subject
// of the key. NATS writes to the reply subject of any request without asking whether the requester may write there; what
// it writes is an acknowledgement, an answer, a status without data, or a message of a stream with its own headers. None
// of these has this one. A value of another key does not fit.
//
// Workers of the release before set none. What they wrote is taken, unless it looks like one of those.
const KeyHeader = "Orderwatch-Key"

// marked returns a message that holds a value of a key, given the key's subject.
func (s *Store) marked(subject string, value []byte) *nats.Msg {
	m := nats.NewMsg(s.Names.Write(subject))
	m.Header.Set(KeyHeader, subject)
	m.Data = value
	return m
}

// Value returns what workers wrote last under a key of a bucket, given its stream and its subject, as Last does. Where
// that was deleted, or was not written by a worker, it has a sequence and no data.
func (s *Store) Value(ctx context.Context, stream, subject string) (Stored, error) {
	m, err := s.Last(ctx, stream, subject)
	return s.trusted(m), err
}

// trusted returns the value of a key, without data where no worker wrote it. That is logged once.
func (s *Store) trusted(m Stored) Stored {
	if m.Sequence == 0 {
		return m
	}
	why := foreign(m.Subject, m.header(), m.Data)
	if why == "" {
		return m
	}
	s.strangers.tell(s.log, m, why)
	m.Data, m.Refused = nil, true
	return m
}

// foreign says why a value of a key was not written by a worker, and is no deletion; empty where it may have been.
func foreign(subject string, header nats.Header, data []byte) string {
	key := header.Get(KeyHeader)
	switch {
	case len(data) == 0 && !isDeletion(header):
		return "it is empty, and no deletion"
	case len(data) == 0 || key == subject:
		return ""
	case key != "":
		return "it was written under another key"
	case looksAnswered(data):
		return "it is an answer of the server or of the service, or an event"
	}
	return ""
}

// isDeletion reports whether the headers are those of the marker that a client, or the server itself, leaves in the
// place of what it deletes.
func isDeletion(header nats.Header) bool {
	return header.Get(kvOperation) != "" || header.Get(jetstream.MarkerReasonHeader) != ""
}

const kvOperation = "KV-Operation"

// looksAnswered reports whether JSON has what is in acknowledgements and answers of JetStream, in events and in answers
// of the service, and in nothing that workers of the release before kept in a bucket. What is no JSON was not theirs.
func looksAnswered(data []byte) bool {
	if bytes.HasPrefix(data, []byte("[")) { // the list of broken records
		return !json.Valid(data)
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(data, &fields) != nil {
		return true
	}
	for _, name := range []string{"stream", "seq", "type", "error", "specversion", "schema", "watch_id", "state"} {
		if _, has := fields[name]; has {
			return true
		}
	}
	code := fields["code"]
	return len(code) > 0 && code[0] != '"' // of an error of the service
}

// strangers remembers what was refused, to say it once. It is safe for concurrent use.
type strangers struct {
	mu   sync.Mutex
	told map[string]stranger // by subject
}

// A stranger is what was logged last of a key.
type stranger struct {
	sequence uint64
	at       time.Time
}

// Bounds of what is remembered and logged: somebody can write thousands, under one key or under many.
const (
	mostStrangers  = 50
	strangersEvery = time.Minute // of one key
)

func (r *strangers) tell(log *slog.Logger, m Stored, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told == nil {
		r.told = make(map[string]stranger)
	}
	before, known := r.told[m.Subject]
	if before.sequence == m.Sequence || known && time.Since(before.at) < strangersEvery || !known && len(r.told) >= mostStrangers {
		return
	}
	r.told[m.Subject] = stranger{m.Sequence, time.Now()}
	log.Error("refused what no worker wrote; it is treated as if it were not there, and replaced with the next write: somebody uses this key as a reply subject, see deploy/SECURITY.md",
		"subject", m.Subject, "sequence", m.Sequence, "why", why)
	if !known && len(r.told) == mostStrangers {
		log.Error("refused what no worker wrote, under many keys; no more of them are logged", "keys", mostStrangers)
	}
}

// header returns the message's headers.
func (m Stored) header() nats.Header {
	if len(m.Headers) == 0 {
		return nil
	}
	header, err := nats.DecodeHeadersMsg(m.Headers)
	if err != nil {
		return nil
	}
	return header
}

// serverSaid returns what the server says of a message that it was asked for directly. It puts its headers behind those
// of the message, which may have the same: it was an answer of the server itself then, to a reply subject.
func serverSaid(header nats.Header, name string) string {
	values := header[name]
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// asStored corrects the subject, the sequence and the time of a message in a batch, which the library takes from the
// first headers of these names.
func asStored(m *jetstream.RawStreamMsg) (err error) {
	if len(m.Header[jetstream.SequenceHeader]) < 2 {
		return nil
	}
	m.Subject = serverSaid(m.Header, jetstream.SubjectHeader)
	if m.Sequence, err = strconv.ParseUint(serverSaid(m.Header, jetstream.SequenceHeader), 10, 64); err != nil {
		return err
	}
	m.Time, err = time.Parse(time.RFC3339Nano, serverSaid(m.Header, jetstream.TimeStampHeaer))
	return err
}
