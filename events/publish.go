package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/watcher"
)

// Types of events, as CloudEvents names them.
const (
	typeCompleted = "io.orderwatch.order.completed.v1"
	typeProgress  = "io.orderwatch.order.progressed.v1"
	typeRejected  = "io.orderwatch.request.rejected.v1"
)

// contentType is that of a CloudEvent in structured mode.
const contentType = event.ApplicationCloudEventsJSON

// message returns a CloudEvent in structured mode. It carries no Nats-Msg-Id: the server checks
// that before the expected sequence, and forgets it after two minutes. The trace context is in its
// headers and, for those who are handed the event without them, in CloudEvents' extension.
func message(subject string, e event.Event, t watcher.Trace, data any) (*nats.Msg, error) {
	if t.Parent != "" {
		e.SetExtension("traceparent", t.Parent)
	}
	if t.State != "" {
		e.SetExtension("tracestate", t.State)
	}
	if err := e.SetData(event.ApplicationJSON, data); err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.ID(), err)
	}
	if err := e.Validate(); err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.ID(), err)
	}
	encoded, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.ID(), err)
	}
	m := nats.NewMsg(subject)
	m.Header.Set("Content-Type", contentType)
	carry(m.Header, t)
	m.Data = encoded
	return m, nil
}

func newEvent(kind, id string, at time.Time) event.Event {
	e := event.New()
	e.SetType(kind)
	e.SetID(id)
	e.SetSource("/orderwatch")
	e.SetTime(at)
	return e
}

func newReport(kind, id string, at time.Time, r *watcher.Report) event.Event {
	e := newEvent(kind, id, at)
	e.SetSource("/orderwatch/" + r.Region + "/" + r.ProjectID)
	e.SetSubject(r.OrderName)
	return e
}

// traceOf returns the trace of the request that started the watch. The others' are in the report.
func traceOf(r *watcher.Report) watcher.Trace {
	if len(r.Requests) == 0 {
		return watcher.Trace{}
	}
	return r.Requests[0].Trace
}

// Complete publishes the completion once: on the order's subjects, expecting the sequence of the
// order's last completion. Whoever publishes it for the same watch publishes the same.
func (s *store) Complete(ctx context.Context, c watcher.Completion, after uint64) error {
	key := c.Order().Key()
	m, err := s.completion(c)
	if err == nil && !s.payload.fits(ctx, len(m.Data)+headerRoom) { // its record was written under a larger limit
		m, err = s.completion(c.Within(s.payload.limit()))
	}
	if err != nil {
		return err
	}
	_, err = s.publish(ctx, s.names.eventStream(), m, jetstream.WithExpectLastSequenceForSubject(after, s.names.completed("*", key)))
	passed("completion", "stored", err)
	if err == nil {
		s.completed(c.Outcome)
	}
	return err
}

func (s *store) completion(c watcher.Completion) (*nats.Msg, error) {
	subject := s.names.completed(c.Outcome, c.Order().Key())
	return message(subject, newReport(typeCompleted, c.WatchID, c.CompletedAt, &c.Report), traceOf(&c.Report), c)
}

func (s *store) LastCompletion(ctx context.Context, order watcher.Order) (watchID string, sequence uint64, err error) {
	return s.lastEvent(ctx, s.names.completed("*", order.Key()))
}

// lastEvent returns the id of the last event on the subjects, and its sequence; 0 where there is none.
func (s *store) lastEvent(ctx context.Context, subjects string) (id string, sequence uint64, err error) {
	m, err := s.last(ctx, s.names.eventStream(), subjects)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, err
	}
	var e struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(m.Data, &e); err != nil {
		return "", 0, fmt.Errorf("read the last event on %s: %w", subjects, err)
	}
	return e.ID, m.Sequence, nil
}

func (s *store) Progress(ctx context.Context, g watcher.Progress) error {
	id := fmt.Sprintf("%s.%d", g.WatchID, g.Number)
	m, err := message(s.names.progress(g.Order().Key()), newReport(typeProgress, id, s.now(), &g.Report), traceOf(&g.Report), g)
	if err != nil {
		return err
	}
	_, err = s.publish(ctx, s.names.eventStream(), m)
	passed("progress", "stored", err)
	return err
}

// decodeCompletion reads a completion event.
func decodeCompletion(encoded []byte) (watcher.Completion, error) {
	var c watcher.Completion
	_, err := decodeEvent(encoded, &c)
	return c, err
}

// decodeProgress reads a progress event.
func decodeProgress(encoded []byte) (watcher.Progress, error) {
	var e event.Event
	if err := json.Unmarshal(encoded, &e); err != nil {
		return watcher.Progress{}, fmt.Errorf("decode event: %w", err)
	}
	var g watcher.Progress
	if err := e.DataAs(&g); err != nil {
		return watcher.Progress{}, fmt.Errorf("decode event %s: %w", e.ID(), err)
	}
	_, number, _ := strings.Cut(e.ID(), ".") // of the id <watch_id>.<n>
	n, err := strconv.Atoi(number)
	if err != nil {
		return watcher.Progress{}, fmt.Errorf("decode event %s: no number of a progress event: %w", e.ID(), err)
	}
	g.Number = n
	return g, nil
}

// decodeEvent reads an event's data and returns its type.
func decodeEvent(encoded []byte, data any) (kind string, err error) {
	var e event.Event
	if err := json.Unmarshal(encoded, &e); err != nil {
		return "", fmt.Errorf("decode event: %w", err)
	}
	if err := e.DataAs(data); err != nil {
		return "", fmt.Errorf("decode event %s: %w", e.ID(), err)
	}
	return e.Type(), nil
}
