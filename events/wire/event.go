package wire

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/watcher"
)

// Data is what the events carry, each kind its own.
type Data interface {
	watcher.Completion | watcher.Progress | watcher.Attention | watcher.OrderAttention | watcher.Again | watcher.RequestAttention | watcher.UndeliveredMessage | Rejection
}

// Types of events, as CloudEvents names them.
const (
	typeCompleted   = "io.orderwatch.order.completed.v1"
	typeProgress    = "io.orderwatch.order.progressed.v1"
	typeRejected    = "io.orderwatch.request.rejected.v1"
	typeAttention   = "io.orderwatch.attention.v1" // about an account or the whole installation
	typeRenotify    = "io.orderwatch.slack.renotify.v1"
	typeUndelivered = "io.orderwatch.slack.undelivered.v1"
	// typeOrderAttention is about one watch that people should look at; the data say why. A worker of the release before
	// does not know it, logs one ERROR and tells nobody. Its subjects have more tokens than orders.attention.*.<project_id>
	// matches.
	typeOrderAttention = "io.orderwatch.order.attention.v1"
	// typeRequestAttention is about a message that was no request. A worker of the release before does with it the same.
	typeRequestAttention = "io.orderwatch.request.attention.v1"
)

// typeOf returns the type of the events that carry such data.
func typeOf[D Data]() string {
	switch any(*new(D)).(type) {
	case watcher.Completion:
		return typeCompleted
	case watcher.Progress:
		return typeProgress
	case watcher.Attention:
		return typeAttention
	case watcher.OrderAttention:
		return typeOrderAttention
	case watcher.RequestAttention:
		return typeRequestAttention
	case watcher.Again:
		return typeRenotify
	case watcher.UndeliveredMessage:
		return typeUndelivered
	}
	return typeRejected
}

// Decode reads an event as it was published, and returns its data. An event of another type is an error.
func Decode[D Data](encoded []byte) (D, error) {
	var e struct { // not an event.Event, which would be read twice, and its data twice more
		ID   string    `json:"id"`
		Type string    `json:"type"`
		Time time.Time `json:"time"`
		Data D         `json:"data"`
	}
	if err := json.Unmarshal(encoded, &e); err != nil {
		return e.Data, fmt.Errorf("decode event: %w", err)
	}
	return typed(e.Data, e.ID, e.Type, e.Time)
}

// DataOf returns the data of an event. An event of another type is an error.
func DataOf[D Data](e event.Event) (data D, err error) {
	if e.Type() == typeOf[D]() {
		err = e.DataAs(&data)
	}
	if err != nil {
		return data, fmt.Errorf("decode event %s: %w", e.ID(), err)
	}
	return typed(data, e.ID(), e.Type(), e.Time())
}

// typed returns the data of an event with what its envelope says of them.
func typed[D Data](data D, id, kind string, at time.Time) (D, error) {
	if kind != typeOf[D]() {
		return data, fmt.Errorf("decode event: unknown type %q", kind)
	}
	switch data := any(&data).(type) {
	case *watcher.OrderAttention:
		data.At = at
	case *watcher.Progress:
		_, number, _ := strings.Cut(id, ".") // of the id <watch_id>.<n>
		var err error
		if data.Number, err = strconv.Atoi(number); err != nil {
			return *new(D), fmt.Errorf("decode event %s: no number of a progress event: %w", id, err)
		}
		data.At = at
	}
	return data, nil
}

// CompletionEvent returns the message that says how a watch ended.
func (n Names) CompletionEvent(c watcher.Completion) (*nats.Msg, error) {
	return message(n.Completed(c.Outcome, c.Order().Key()), newReport(typeCompleted, c.WatchID, c.CompletedAt, &c.Report), traceOf(&c.Report), c)
}

// EndOf returns the event that says how a watch ended, as its snapshot tells it. It lacks the trace of the
// request. ok is false where the watch has not ended.
func EndOf(s watcher.Snapshot) (encoded []byte, ok bool) {
	if s.State != watcher.Ended {
		return nil, false
	}
	c := watcher.Completion{Outcome: s.Outcome, Report: s.Report, CompletedAt: s.CompletedAt, Detection: s.Detection}
	switch s.Outcome {
	case watcher.TimedOut, watcher.OrderNotFound, watcher.OrderRefused:
		c.Error = s.LastError
	}
	m, err := message("", newReport(typeCompleted, c.WatchID, c.CompletedAt, &c.Report), watcher.Trace{}, c)
	if err != nil {
		return nil, false
	}
	return m.Data, true
}

// ProgressEvent returns the message that says what changed, at the time.
func (n Names) ProgressEvent(g watcher.Progress, at time.Time) (*nats.Msg, error) {
	id := fmt.Sprintf("%s.%d", g.WatchID, g.Number)
	return message(n.Progress(g.Order().Key()), newReport(typeProgress, id, at, &g.Report), traceOf(&g.Report), g)
}

// AttentionEvent returns the message about an account, or the whole installation, at the time.
func (n Names) AttentionEvent(a watcher.Attention, at time.Time) (*nats.Msg, error) {
	e := newEvent(typeAttention, AttentionID(a), at)
	e.SetSource("/orderwatch/" + a.Region + "/" + a.ProjectID)
	return message(n.Attention(a.Kind, a.ProjectID), e, watcher.Trace{}, a)
}

// AttentionID returns the id of the event: <outage>.<project_id>.<kind>.
func AttentionID(a watcher.Attention) string {
	return a.Outage() + "." + a.ProjectID + "." + string(a.Kind)
}

// OrderAttentionEvent returns the message about one watch that people should look at, at the time.
func (n Names) OrderAttentionEvent(a watcher.OrderAttention, at time.Time) (*nats.Msg, error) {
	return message(n.Attention(a.Kind, a.Order().Key()), newReport(typeOrderAttention, OrderAttentionID(a), at, &a.Report), traceOf(&a.Report), a)
}

// OrderAttentionID returns the id of the event: <watch_id>.<kind>.<since in ms since 1970>, or, where it tells that
// this is over, <watch_id>.<kind>_over.<since>. A worker of the release before reads the since of both.
func OrderAttentionID(a watcher.OrderAttention) string {
	kind := string(a.Kind)
	if !a.Until.IsZero() {
		kind += "_over"
	}
	return fmt.Sprintf("%s.%s.%d", a.WatchID, kind, a.Since.UnixMilli())
}

// RenotifyEvent returns the message that asks the workers to tell people of a watch again. It carries the trace of
// the watch.
func (n Names) RenotifyEvent(c watcher.Completion, again watcher.Again) (*nats.Msg, error) {
	return message(n.Renotify(c.Order().Key()), newReport(typeRenotify, "again_"+again.ID, again.At, &c.Report), traceOf(&c.Report), again)
}

// UndeliveredEvent returns the message about a message that Slack finally refused.
func (n Names) UndeliveredEvent(u watcher.UndeliveredMessage) (*nats.Msg, error) {
	e := newEvent(typeUndelivered, u.ID, u.RefusedAt)
	if u.OrderName != "" {
		e.SetSubject(u.OrderName)
	}
	return message(n.Undelivered("slack"), e, watcher.Trace{}, u)
}

// message returns a CloudEvent in structured mode, without a Nats-Msg-Id: the server checks that before the expected
// sequence, and forgets it after two minutes. The trace context is in its headers and in CloudEvents' extension.
func message(subject string, e event.Event, t watcher.Trace, data any) (*nats.Msg, error) {
	m := nats.NewMsg(subject)
	m.Header.Set("Content-Type", event.ApplicationCloudEventsJSON)
	for name, value := range map[string]string{"traceparent": t.Parent, "tracestate": t.State} { // as OpenTelemetry has it
		if value != "" {
			e.SetExtension(name, value)
			m.Header.Set(name, value)
		}
	}
	err := cmp.Or(e.SetData(event.ApplicationJSON, data), e.Validate())
	if err == nil {
		m.Data, err = e.MarshalJSON() // json.Marshal would read it once more
	}
	if err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.ID(), err)
	}
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

// maxRejectedBody is how much of a rejected message the event carries, in bytes.
const maxRejectedBody = 8 << 10

// A Rejection is the data of an orders.rejected event: why a message is no request.
type Rejection struct {
	Reason    string    `json:"reason"`
	Field     string    `json:"field"` // empty where the whole body is meant
	RequestID string    `json:"request_id"`
	Sender    string    `json:"sender,omitempty"` // as [watcher.RequestAttention] has it
	Sequence  uint64    `json:"stream_sequence"`
	Received  time.Time `json:"received_at"`
	Body      string    `json:"body"`
	Encoding  string    `json:"body_encoding"` // text or base64
	Truncated bool      `json:"body_truncated"`
	Team      string    `json:"team,omitempty"` // whose message it was, as the server vouches for; empty: the operator's
	Omitted
}

// Omitted are other messages of the sender's that were rejected, too, and that no event tells of: a sender has so many events
// an hour. The sender is the team, or else the operator.
type Omitted struct {
	Count int       `json:"omitted,omitempty"`
	Since time.Time `json:"omitted_since,omitzero"` // when the first of them was stored
}

// RejectedEvent returns the message that says why another is no request, and which others no event tells of, at the time. For the same message its id
// is the same.
func (n Names) RejectedEvent(m Incoming, why *watcher.FieldError, others Omitted, at time.Time) (*nats.Msg, error) {
	head := m.Body[:min(len(m.Body), maxRejectedBody)]
	r := Rejection{
		Reason: why.Error(), Field: why.Field, RequestID: m.RequestID(), Sender: m.Sender(), Sequence: m.Sequence, Received: m.Stored.UTC(),
		Body: strings.ToValidUTF8(string(head), ""), Encoding: "text", Truncated: len(head) < len(m.Body), Team: m.Team,
	}
	if others.Count > 0 {
		r.Omitted = Omitted{others.Count, others.Since.UTC()}
	}
	if !utf8.Valid(m.Body) {
		r.Body, r.Encoding = base64.StdEncoding.EncodeToString(head), "base64"
	}
	return m.about(n.Rejected(), typeRejected, "", at, r)
}

// RequestAttentionEvent returns the message for people that says why another is no request, at the time, and how many
// others of the sender's were none.
func (n Names) RequestAttentionEvent(m Incoming, why *watcher.FieldError, others int, at time.Time) (*nats.Msg, error) {
	a := watcher.RequestAttention{
		Kind: watcher.Rejected, Reason: why.Error(), Field: why.Field, RequestID: m.RequestID(), Sender: m.Sender(),
		Sequence: m.Sequence, Received: m.Stored.UTC(), Others: others,
	}
	return m.about(n.RejectedBy(a.Sender), typeRequestAttention, "."+string(a.Kind), at, a)
}

// about returns an event about what is no request. The end of its id tells it from the other one.
func (m Incoming) about(subject, kind, end string, at time.Time, data any) (*nats.Msg, error) {
	e := newEvent(kind, fmt.Sprintf("r_%d-%d", m.Sequence, m.Stored.UnixMilli())+end, at)
	if name := m.peek("order_name"); name != "" {
		e.SetSubject(name)
	}
	_, attributes, _ := m.unwrap() // as far as it can be read
	return message(subject, e, m.trace(attributes), data)
}
