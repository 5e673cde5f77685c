package events_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	cloudevent "github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/schema/schematest"
	"github.com/orderwatch/orderwatch/events/wire/wiretest"
	"github.com/orderwatch/orderwatch/watcher"
)

// A rejected is an event as the contract describes it.
type rejected struct {
	Reason       *string    `json:"reason"`
	Field        *string    `json:"field"`
	RequestID    *string    `json:"request_id"`
	Sender       string     `json:"sender"`
	Sequence     *uint64    `json:"stream_sequence"`
	ReceivedAt   *time.Time `json:"received_at"`
	Body         *string    `json:"body"`
	BodyEncoding *string    `json:"body_encoding"`
	Truncated    *bool      `json:"body_truncated"`
}

// TestBadRequests sends every bad request to one worker, and then a good one.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	cloud := &orders{show: ended(watcher.Succeed)}
	w := startWorker(t, s, config(), cloud)

	begin := time.Now()
	stored := make(map[uint64]wiretest.Bad)
	for _, bad := range wiretest.BadRequests {
		ack, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: "orders.watch", Header: bad.Header, Data: []byte(bad.Body)})
		api, _ := errors.AsType[*jetstream.APIError](err)
		switch {
		case bad.Refused == 0 && err == nil:
			stored[ack.Sequence] = bad
		case bad.Refused == 0 || api == nil || api.ErrorCode != bad.Refused:
			t.Errorf("%s: published with error %v; want code %d", bad.Name, err, bad.Refused)
		}
	}
	publish(t, js, request("order.good"))
	if c := w.next(t); c.OrderName != "order.good" || c.Outcome != watcher.Succeeded {
		t.Errorf("after the bad requests a good one gave %+v", c)
	}
	eventstest.Eventually(t, func() error {
		if n := eventstest.Messages(t, js, "ORDER_REQUESTS", ">"); n != 0 {
			return fmt.Errorf("ORDER_REQUESTS holds %d messages", n)
		}
		return nil
	})

	told := eventsOn(t, js, "orders.rejected")
	if len(told) != len(stored) {
		t.Errorf("%d events of %d bad requests that were stored", len(told), len(stored))
	}
	for _, m := range told {
		var e struct{ Data rejected }
		if err := json.Unmarshal(m.Data, &e); err != nil || e.Data.Sequence == nil {
			t.Errorf("no stream_sequence in %s (%v)", m.Data, err)
			continue
		}
		bad, ok := stored[*e.Data.Sequence]
		if !ok {
			t.Errorf("a second event, or one for no request: %s", m.Data)
			continue
		}
		delete(stored, *e.Data.Sequence)
		t.Run(bad.Name, func(t *testing.T) { checkRejected(t, m, bad, begin) })
	}
	for _, bad := range stored {
		t.Errorf("%s: no event", bad.Name)
	}

	if err := w.Ready(); err != nil {
		t.Errorf("the worker is not ready any more: %v", err)
	}
	cloud.mu.Lock()
	defer cloud.mu.Unlock()
	if asked := slices.Collect(maps.Keys(cloud.polls)); len(asked) != 1 || asked[0].Name != "order.good" {
		t.Errorf("the API was asked for %v; want order.good alone", asked)
	}
	if n := eventstest.Messages(t, js, "KV_ORDER_WATCHES", "$KV.ORDER_WATCHES.*.>"); n != 1 {
		t.Errorf("%d records; want that of order.good alone", n)
	}
	if n := eventstest.Messages(t, js, "ORDER_EVENTS", "orders.completed.>"); n != 1 {
		t.Errorf("%d completions; want that of order.good alone", n)
	}
}

// checkRejected holds an event against the contract.
func checkRejected(t *testing.T, m *jetstream.RawStreamMsg, bad wiretest.Bad, begin time.Time) {
	checkEnvelope(t, m)
	var e cloudevent.Event
	if err := json.Unmarshal(m.Data, &e); err != nil {
		t.Fatal(err)
	}
	var got rejected
	strict := json.NewDecoder(bytes.NewReader(e.Data()))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Reason == nil || got.Field == nil || got.RequestID == nil || got.ReceivedAt == nil || got.Body == nil || got.BodyEncoding == nil || got.Truncated == nil {
		t.Fatalf("a field is missing in %s", e.Data())
	}

	suffix := fmt.Sprintf("%d-%d", *got.Sequence, got.ReceivedAt.UnixMilli())
	if e.ID() != "r_"+suffix {
		t.Errorf("id is %q; want r_%s", e.ID(), suffix)
	}
	if e.Source() != "/orderwatch" || e.Type() != "io.orderwatch.request.rejected.v1" || e.Subject() != bad.Order {
		t.Errorf("source %q, type %q, subject %q; want subject %q", e.Source(), e.Type(), e.Subject(), bad.Order)
	}
	const apart = 50 * time.Millisecond // the server's clock and what the worker knows of it
	if got.ReceivedAt.Before(begin.Truncate(time.Millisecond)) || e.Time().Before(got.ReceivedAt.Add(-apart)) || time.Now().Add(apart).Before(e.Time()) || got.ReceivedAt.Location() != time.UTC {
		t.Errorf("time %v, received_at %v; the test began at %v", e.Time(), got.ReceivedAt, begin)
	}

	if *got.Field != bad.Field || !strings.Contains(*got.Reason, bad.Says) || !strings.HasPrefix(*got.Reason, bad.Field) {
		t.Errorf("field %q, reason %q; want field %q and %q", *got.Field, *got.Reason, bad.Field, bad.Says)
	}
	wiretest.CheckShown(t, *got.Reason)
	request := bad.Request
	if request == "" {
		request = "seq-" + suffix
	}
	if *got.RequestID != request {
		t.Errorf("request_id is %q; want %q", *got.RequestID, request)
	}
	checkRejectedBody(t, got, bad.Body)
}

// checkRejectedBody holds the body that an event carries against the one that was sent.
func checkRejectedBody(t *testing.T, got rejected, sent string) {
	head, encoding := sent[:min(len(sent), 8<<10)], "text"
	body := *got.Body
	if utf8.ValidString(sent) {
		for !utf8.ValidString(head) {
			head = head[:len(head)-1]
		}
	} else {
		encoding = "base64"
		decoded, err := base64.StdEncoding.DecodeString(body)
		if err != nil {
			t.Fatal(err)
		}
		body = string(decoded)
	}
	if body != head || *got.BodyEncoding != encoding || *got.Truncated != (len(sent) > 8<<10) {
		t.Errorf("the event carries %d bytes as %s, truncated %t: %.100q; want %d bytes as %s of %d: %.100q",
			len(body), *got.BodyEncoding, *got.Truncated, body, len(head), encoding, len(sent), head)
	}
}

// checkEnvelope checks what all events have in common.
func checkEnvelope(t *testing.T, m *jetstream.RawStreamMsg) {
	t.Helper()
	if got := m.Header.Values("Content-Type"); len(got) != 1 || got[0] != "application/cloudevents+json" {
		t.Errorf("Content-Type is %q", got)
	}
	if got, ok := m.Header["Nats-Msg-Id"]; ok {
		t.Errorf("the event has the Nats-Msg-Id %q", got)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(m.Data, &fields); err != nil {
		t.Fatal(err)
	}
	for name := range fields {
		if !slices.Contains([]string{"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"}, name) {
			t.Errorf("the event has an attribute %q", name)
		}
	}
	var e cloudevent.Event
	if err := json.Unmarshal(m.Data, &e); err != nil {
		t.Fatal(err)
	}
	if err := e.Validate(); err != nil {
		t.Error(err)
	}
	if e.SpecVersion() != "1.0" || e.DataContentType() != "application/json" {
		t.Errorf("specversion %q, datacontenttype %q", e.SpecVersion(), e.DataContentType())
	}
}

// eventsOn returns the events on the subject, oldest first.
func eventsOn(t *testing.T, js jetstream.JetStream, subject string) (list []*jetstream.RawStreamMsg) {
	t.Helper()
	s, err := js.Stream(t.Context(), "ORDER_EVENTS")
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
		list, next = append(list, m), m.Sequence
	}
}
