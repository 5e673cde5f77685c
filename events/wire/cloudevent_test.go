package wire_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	cloudevent "github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/wire/wiretest"
	"github.com/orderwatch/orderwatch/watcher"
)

const (
	someTrace  = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	otherTrace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
)

// binaryHeader returns the headers of a request in binary mode, with others in their place or beside
// them.
func binaryHeader(others ...string) nats.Header {
	h := nats.Header{"ce-specversion": {"1.0"}, "ce-type": {"io.orderwatch.order.watch.v1"}, "ce-source": {"/ci"}, "ce-id": {"771"}}
	for i := 0; i < len(others); i += 2 {
		h[others[i]] = []string{others[i+1]}
	}
	return h
}

// structuredBody returns a request in structured mode, with other attributes in their place or beside them;
// an empty one is left out.
func structuredBody(others ...any) string {
	e := map[string]any{
		"specversion": "1.0", "type": "io.orderwatch.order.watch.v1", "source": "/ci", "id": "771",
		"datacontenttype": "application/json", "data": json.RawMessage(wiretest.Named(`"order.a"`)),
	}
	for i := 0; i < len(others); i += 2 {
		if name := others[i].(string); others[i+1] == "" {
			delete(e, name)
		} else {
			e[name] = others[i+1]
		}
	}
	encoded, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	return string(encoded)
}

var structuredHeader = wiretest.Header("Content-Type", "application/cloudevents+json; charset=UTF-8")

func TestCloudEventRequests(t *testing.T) {
	t.Parallel()
	traced := binaryHeader("ce-traceparent", otherTrace)
	traced["Traceparent"], traced["tracestate"] = []string{someTrace}, []string{"vendor=1"}
	for _, test := range []struct {
		name   string
		body   string
		header nats.Header
		id     string
		trace  watcher.Trace
	}{
		{name: "structured", body: structuredBody(), header: structuredHeader, id: "/ci 771"},
		{name: "structured, in capitals", body: structuredBody(), header: wiretest.Header("CONTENT-TYPE", "APPLICATION/CLOUDEVENTS+JSON"), id: "/ci 771"},
		{name: "structured, base64", body: structuredBody("data", "", "data_base64", base64.StdEncoding.EncodeToString([]byte(wiretest.Named(`"order.a"`)))), header: structuredHeader, id: "/ci 771"},
		{name: "structured, no content type of the data", body: structuredBody("datacontenttype", ""), header: structuredHeader, id: "/ci 771"},
		{name: "structured, another JSON", body: structuredBody("datacontenttype", "application/vnd.example+json; charset=utf-8"), header: structuredHeader, id: "/ci 771"},
		{name: "structured, with all there is", body: structuredBody("subject", "order.a", "time", "2025-04-10T11:49:50Z", "dataschema", "https://schemas.example/1", "partition", 7, "urgent", true), header: structuredHeader, id: "/ci 771"},
		{name: "structured, with a request_id", body: structuredBody("data", json.RawMessage(wiretest.Ask("order.a", `"request_id":"build-1"`))), header: structuredHeader, id: "build-1"},
		{name: "structured, with a trace", body: structuredBody("traceparent", someTrace, "tracestate", "vendor=1"), header: structuredHeader, id: "/ci 771", trace: watcher.Trace{Parent: someTrace, State: "vendor=1"}},
		{name: "binary", body: wiretest.Named(`"order.a"`), header: binaryHeader("Content-Type", "application/json"), id: "/ci 771"},
		{name: "binary, no content type", body: wiretest.Named(`"order.a"`), header: binaryHeader(), id: "/ci 771"},
		{name: "binary, percent-encoded", body: wiretest.Named(`"order.a"`), header: binaryHeader("ce-source", "/ci/%E7%8E%8B", "ce-id", "a%20b%2050%25"), id: "/ci/王 a b 50%"},
		{name: "binary, in capitals", body: wiretest.Named(`"order.a"`), header: nats.Header{"CE-SpecVersion": {"1.0"}, "Ce-Type": {"io.orderwatch.order.watch.v1"}, "CE-SOURCE": {"/ci"}, "cE-iD": {"771"}}, id: "/ci 771"},
		{name: "binary, with Nats-Msg-Id", body: wiretest.Named(`"order.a"`), header: binaryHeader("Nats-Msg-Id", "pipeline-9"), id: "pipeline-9"},
		{name: "binary, with two traces", body: wiretest.Named(`"order.a"`), header: traced, id: "/ci 771", trace: watcher.Trace{Parent: someTrace, State: "vendor=1"}},
		{name: "plain, with a trace", body: wiretest.Named(`"order.a"`), header: wiretest.Header("traceparent", someTrace), id: "seq-7-0", trace: watcher.Trace{Parent: someTrace}},
		{name: "plain, with what is no trace", body: wiretest.Named(`"order.a"`), header: wiretest.Header("traceparent", "00-zz"), id: "seq-7-0"},
		{name: "plain, with an empty trace", body: wiretest.Named(`"order.a"`), header: wiretest.Header("traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"), id: "seq-7-0"},
		{name: "plain, with an odd state", body: wiretest.Named(`"order.a"`), header: nats.Header{"traceparent": {someTrace}, "tracestate": {"\x1b"}}, id: "seq-7-0", trace: watcher.Trace{Parent: someTrace}},
		{name: "plain, with another Content-Type", body: wiretest.Named(`"order.a"`), header: wiretest.Header("Content-Type", "text/plain"), id: "seq-7-0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			asked, err := decodeRequest(rules(), []byte(test.body), test.header, 7, time.UnixMilli(0))
			if err != nil {
				t.Fatal(err)
			}
			if asked.Order != (watcher.Order{ProjectID: eventstest.Project, Name: "order.a"}) || asked.Request.ID != test.id || asked.Request.Trace != test.trace {
				t.Errorf("%+v", asked)
			}
		})
	}
}

func TestBadCloudEvents(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		body   string
		header nats.Header
		field  string
		says   string
	}{
		{"no JSON", "{", structuredHeader, "", "not JSON"},
		{"a batch", "[" + structuredBody() + "]", wiretest.Header("Content-Type", "application/cloudevents-batch+json"), "Content-Type", "must be application/cloudevents+json"},
		{"another format", structuredBody(), wiretest.Header("Content-Type", "application/cloudevents+avro"), "Content-Type", "must be application/cloudevents+json"},
		{"a plain request in structured mode", wiretest.Named(`"order.a"`), structuredHeader, "project_id", "no attribute"},
		{"no specversion", structuredBody("specversion", ""), structuredHeader, "specversion", "required"},
		{"another specversion", structuredBody("specversion", "0.3"), structuredHeader, "specversion", "must be 1.0"},
		{"no type", structuredBody("type", ""), structuredHeader, "type", "required"},
		{"another type", structuredBody("type", "com.example.push"), structuredHeader, "type", "must be io.orderwatch.order.watch.v1"},
		{"no id", structuredBody("id", ""), structuredHeader, "id", "required"},
		{"an id that is no text", structuredBody("id", 771), structuredHeader, "id", "must be a string"},
		{"a long id", structuredBody("id", strings.Repeat("i", 125)), structuredHeader, "id", "at most 127"},
		{"no source", structuredBody("source", ""), structuredHeader, "source", "required"},
		{"a source with a blank", structuredBody("source", "/ci a"), structuredHeader, "source", "no blank"},
		{"no data", structuredBody("data", ""), structuredHeader, "data", "required"},
		{"data twice", structuredBody("data_base64", "e30="), structuredHeader, "data", "twice"},
		{"data that is no base64", structuredBody("data", "", "data_base64", "%"), structuredHeader, "data_base64", "base64"},
		{"data of another kind", structuredBody("datacontenttype", "text/xml"), structuredHeader, "datacontenttype", "application/json"},
		{"bad data", structuredBody("data", json.RawMessage(wiretest.Ask("order.a", `"timeout":"1ms"`))), structuredHeader, "timeout", "must be a duration"},
		{"an attribute twice", `{"id":"1",` + structuredBody()[1:], structuredHeader, "id", "comes twice"},
		{"a header twice", wiretest.Named(`"order.a"`), nats.Header{"ce-specversion": {"1.0", "1.0"}}, "ce-specversion", "comes twice"},
		{"a header in two cases", wiretest.Named(`"order.a"`), binaryHeader("CE-ID", "772"), "", "comes twice"},
		{"no percent-encoding", wiretest.Named(`"order.a"`), binaryHeader("ce-id", "50%"), "ce-id", "percent-encoded"},
		{"binary of another type", wiretest.Named(`"order.a"`), binaryHeader("ce-type", "com.example.push"), "type", "must be io.orderwatch.order.watch.v1"},
		{"binary without a source", wiretest.Named(`"order.a"`), nats.Header{"ce-specversion": {"1.0"}, "ce-type": {"io.orderwatch.order.watch.v1"}, "ce-id": {"1"}}, "source", "required"},
		{"binary of another kind", wiretest.Named(`"order.a"`), binaryHeader("Content-Type", "text/plain"), "datacontenttype", "application/json"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := decodeRequest(rules(), []byte(test.body), test.header, 7, time.UnixMilli(0))
			why, ok := errors.AsType[*watcher.FieldError](err)
			if !ok || test.field != "" && why.Field != test.field || !strings.Contains(why.Reason, test.says) {
				t.Fatalf("%v; want %s: %s", err, test.field, test.says)
			}
			wiretest.CheckShown(t, why.Error())
		})
	}
}

// FuzzCloudEvent holds whatever is read as a request in structured mode against what CloudEvents' own
// library reads in it.
func FuzzCloudEvent(f *testing.F) {
	f.Add([]byte(structuredBody()))
	f.Add([]byte(structuredBody("traceparent", someTrace, "partition", 7)))
	f.Add([]byte(structuredBody("data", "", "data_base64", base64.StdEncoding.EncodeToString([]byte(wiretest.Named(`"order.a"`))))))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := decodeRequest(rules(), body, structuredHeader, 7, time.UnixMilli(0))
		if err != nil {
			why, ok := errors.AsType[*watcher.FieldError](err)
			if !ok {
				t.Fatalf("the error is no FieldError: %#v", err)
			}
			wiretest.CheckShown(t, why.Error())
			return
		}
		var e cloudevent.Event
		if err := json.Unmarshal(body, &e); err != nil {
			t.Skip("stricter than this program: ", err)
		}
		plain, err := decodeRequest(rules(), e.Data(), nil, 7, time.UnixMilli(0))
		if err != nil {
			t.Fatalf("%s: taken as an event, and not by itself: %v", body, err)
		}
		if got.Order != plain.Order || got.Timeout != plain.Timeout || got.Region != plain.Region {
			t.Errorf("%+v; by itself %+v", got, plain)
		}
	})
}
