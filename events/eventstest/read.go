package eventstest

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/schema/schematest"
	"github.com/orderwatch/orderwatch/watcher"
)

// Messages returns the number of messages in a stream on the subject.
func Messages(t testing.TB, js jetstream.JetStream, stream, subject string) uint64 {
	t.Helper()
	reply, err := js.Conn().RequestWithContext(t.Context(), "$JS.API.STREAM.INFO."+stream, fmt.Appendf(nil, `{"subjects_filter":%q}`, subject))
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		State jetstream.StreamState
		Error *jetstream.APIError
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		t.Fatal(err)
	}
	if answer.Error != nil {
		t.Fatal(answer.Error)
	}
	var n uint64
	for _, count := range answer.State.Subjects {
		n += count
	}
	return n
}

// Last returns the last message of a stream on the subject.
func Last(t testing.TB, js jetstream.JetStream, stream, subject string) *jetstream.RawStreamMsg {
	t.Helper()
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.GetLastMsgForSubject(t.Context(), subject)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// An Event is what a stream of events holds of one.
type Event struct {
	Subject string `json:"-"` // of the message
	ID      string
	Type    string
	Data    json.RawMessage
}

// Completion returns the event's data.
func (e Event) Completion(t testing.TB) (c watcher.Completion) {
	t.Helper()
	e.read(t, &c)
	return c
}

// Attention returns the event's data.
func (e Event) Attention(t testing.TB) (a watcher.Attention) {
	t.Helper()
	e.read(t, &a)
	return a
}

func (e Event) read(t testing.TB, data any) {
	t.Helper()
	if err := json.Unmarshal(e.Data, data); err != nil {
		t.Fatal(err)
	}
}

// Events returns the events of a stream on the subject, oldest first. Each is as its schema says.
func Events(t testing.TB, js jetstream.JetStream, stream, subject string) (list []Event) {
	t.Helper()
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	for next := uint64(1); ; next++ {
		m, err := s.GetMsg(t.Context(), next, jetstream.WithGetMsgSubject(subject))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := schematest.Event(m.Subject, m.Header, m.Data); err != nil {
			t.Errorf("event on %s: %v", m.Subject, err)
		}
		e := Event{Subject: m.Subject}
		if err := json.Unmarshal(m.Data, &e); err != nil {
			t.Fatalf("%s: %v", m.Subject, err)
		}
		list, next = append(list, e), m.Sequence
	}
}
