package eventstest

import (
	"cmp"
	"context"
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

// Settled returns nil once a consumer is done with each message that the stream holds for it. How many are pending, as
// the server says, is no proof: it counts a message for a consumer some time after it has stored it.
func Settled(ctx context.Context, js jetstream.JetStream, stream, consumer string) error {
	c, err := js.Consumer(ctx, stream, consumer)
	if err != nil {
		return err
	}
	subjects, last := c.CachedInfo().Config.FilterSubjects, uint64(0)
	if len(subjects) == 0 {
		subjects = []string{cmp.Or(c.CachedInfo().Config.FilterSubject, ">")}
	}
	for _, subject := range subjects {
		sequence, err := lastSequence(ctx, js, stream, subject)
		if err != nil {
			return err
		}
		last = max(last, sequence)
	}
	info, err := c.Info(ctx)
	if err != nil {
		return err
	}
	if info.AckFloor.Stream < last || info.NumAckPending > 0 {
		return fmt.Errorf("%s is done with messages up to %d of %d, and %d are under way", consumer, info.AckFloor.Stream, last, info.NumAckPending)
	}
	return nil
}

// lastSequence asks the server that leads a stream for the sequence of the last message on the subject; 0: there is none.
func lastSequence(ctx context.Context, js jetstream.JetStream, stream, subject string) (uint64, error) {
	reply, err := js.Conn().RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, fmt.Appendf(nil, `{"last_by_subj":%q}`, subject))
	if err != nil {
		return 0, err
	}
	var answer struct {
		Message struct{ Seq uint64 }
		Error   *jetstream.APIError
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return 0, err
	}
	if answer.Error != nil && answer.Error.ErrorCode != jetstream.JSErrCodeMessageNotFound {
		return 0, answer.Error
	}
	return answer.Message.Seq, nil
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
