package eventstest

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/schema/schematest"
	"github.com/orderwatch/orderwatch/watcher"
)

// Messages returns the number of messages in a stream on the subject.
func Messages(t testing.TB, js jetstream.JetStream, stream, subject string) uint64 {
	t.Helper()
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(t.Context(), jetstream.WithSubjectFilter(subject))
	if err != nil {
		t.Fatal(err)
	}
	var n uint64
	for _, count := range info.State.Subjects {
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
	Subject string // of the message
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

// Events returns the events of a stream whose subject begins so, oldest first. Each is as its schema says.
func Events(t testing.TB, js jetstream.JetStream, stream, prefix string) (list []Event) {
	t.Helper()
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	state := s.CachedInfo().State
	for sequence := max(1, state.FirstSeq); sequence <= state.LastSeq; sequence++ {
		m, err := s.GetMsg(t.Context(), sequence)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(m.Subject, prefix) {
			continue
		}
		if err := schematest.Event(m.Subject, m.Header, m.Data); err != nil {
			t.Errorf("event on %s: %v", m.Subject, err)
		}
		var envelope struct {
			ID   string          `json:"id"`
			Type string          `json:"type"`
			Data json.RawMessage `json:"data"`
		}
		if err := json.Unmarshal(m.Data, &envelope); err != nil {
			t.Fatalf("%s: %v", m.Subject, err)
		}
		list = append(list, Event{m.Subject, envelope.ID, envelope.Type, envelope.Data})
	}
	return list
}
