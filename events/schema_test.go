package events_test

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/schema"
	"github.com/orderwatch/orderwatch/events/schema/schematest"
)

// beyondSchema are the bad requests that the schema lets pass: what a text of JSON is, and what the
// configuration says, it cannot know.
var beyondSchema = []string{
	// the size, in bytes, and the encoding
	"64 KiB and a byte", "more than the stream takes", "invalid UTF-8 in a text", "request_id with half a character",
	// names that come twice
	"order twice", "order twice, once escaped", "label twice",
	// the bounds of durations
	"no timeout", "timeout just under a second", "timeout just over the longest", "timeout beyond any duration",
	// the configured regions and channels
	"unknown region", "channel that is not allowed",
	// numbers that are whole, and not written so
	"4.0 expected items", "1e1 expected items",
	// URLs that Go's parser refuses
	"link with an escape that is none", "link with a port that is none", "link with brackets around nothing",
}

// oddRequests are more that are right or wrong by a little.
var oddRequests = map[string]string{
	"4.0 expected items":                `"expected_items":4.0`,
	"1e1 expected items":                `"expected_items":1e1`,
	"link with an escape that is none":  `"link":"https://ci.example/%zz"`,
	"link with a port that is none":     `"link":"https://ci.example:port/"`,
	"link with brackets around nothing": `"link":"https://[]/"`,
	"link in capitals":                  `"link":"HTTPS://CI.EXAMPLE"`,
	"link with an IPv6 address":         `"link":"http://[::1]:8080/x"`,
	"link with an at sign in its path":  `"link":"https://ci.example/a@b?c=d:e@f#g@h"`,
	"link with a query alone":           `"link":"https://ci.example?a=b"`,
	"link with a user":                  `"link":"https://ann@ci.example/"`,
	"link with an empty user":           `"link":"https://@ci.example/"`,
	"link without a scheme":             `"link":"//ci.example/1"`,
	"link with a space":                 `"link":"https://ci.example/a b"`,
	"link with a bracket":               `"link":"https://ci.example/<b>"`,
	"link with a backslash":             `"link":"https://ci.example\\@evil.example/"`,
	"link with a scheme alone":          `"link":"https:"`,
	"link is empty":                     `"link":""`,
	"requested_by is empty":             `"requested_by":""`,
	"region is empty":                   `"region":""`,
	"timeout is empty":                  `"timeout":""`,
	"timeout with a sign":               `"timeout":"+90m"`,
	"timeout with a point":              `"timeout":"1.5h"`,
	"timeout with a point first":        `"timeout":".5h"`,
	"timeout with a point last":         `"timeout":"1.h30m"`,
	"timeout with a point alone":        `"timeout":".h"`,
	"timeout in microseconds":           `"timeout":"2000000µs"`,
	"timeout in other microseconds":     `"timeout":"2000000μs"`,
	"timeout with a space":              `"timeout":"1h 30m"`,
	"timeout in days":                   `"timeout":"1d"`,
	"timeout is zero":                   `"timeout":"0"`,
	"a joiner in a text":                `"requested_by":"a` + "\u200d" + `b"`,
	"a tag in a text":                   `"requested_by":"a\udb40\udc41b"`,
	"a soft hyphen in a label":          `"labels":{"a":"b` + "\u00ad" + `"}`,
}

// TestRequestSchema holds that the schema judges requests as the worker does.
func TestRequestSchema(t *testing.T) {
	t.Parallel()
	bodies := make(map[string]string)
	for name, fields := range oddRequests {
		bodies[name] = ask("order.odd", fields)
	}
	for _, r := range goodRequests {
		bodies[r.name] = r.body
	}
	for _, r := range badRequests {
		bodies[r.name] = r.body
	}
	request := compiled(t, "request")
	passed := 0
	for name, body := range bodies {
		wrong := whyNot(body)
		bySchema := schematest.Validate(request, []byte(body))
		switch known := slices.Contains(beyondSchema, name); {
		case known && (wrong == nil || bySchema != nil):
			t.Errorf("%s: the schema judges as the worker does (%v): it is no exception", name, wrong)
		case !known && (wrong == nil) != (bySchema == nil):
			t.Errorf("%s: the worker says %v, the schema %v: %.200s", name, wrong, bySchema, body)
		}
		if wrong == nil {
			passed++
		}
	}
	if len(bodies) != len(oddRequests)+len(goodRequests)+len(badRequests) || passed < len(goodRequests) {
		t.Errorf("%d of %d requests are right; two have one name?", passed, len(bodies))
	}
}

// whyNot returns why a worker with a default project does not take the body.
func whyNot(body string) error {
	rules := config().Requests
	rules.DefaultProject = defaultProject
	_, err := decodeRequest(rules, []byte(body), nil, 1, time.Unix(1, 0))
	return err
}

func compiled(t testing.TB, name string) *jsonschema.Schema {
	t.Helper()
	s, err := schematest.Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRequestFields holds that the schema has the fields that the worker knows.
func TestRequestFields(t *testing.T) {
	t.Parallel()
	_, known, ok := strings.Cut(whyNot(`{"?":1}`).Error(), "the fields are ")
	if !ok {
		t.Fatalf("the worker does not name the fields: %v", whyNot(`{"?":1}`))
	}
	document, err := schema.Document("request")
	if err != nil {
		t.Fatal(err)
	}
	var s struct{ Properties map[string]any }
	if err := json.Unmarshal(document, &s); err != nil {
		t.Fatal(err)
	}
	fields := strings.Split(known, ", ")
	for _, name := range fields {
		if s.Properties[name] == nil {
			t.Errorf("the schema lacks %s", name)
		}
	}
	if len(fields) != len(s.Properties) {
		t.Errorf("the schema has %d fields; the worker knows %d", len(s.Properties), len(fields))
	}
}

// FuzzRequestSchema holds that the schema lets every request pass that the worker takes.
func FuzzRequestSchema(f *testing.F) {
	for _, r := range goodRequests {
		f.Add([]byte(r.body))
	}
	for _, fields := range oddRequests {
		f.Add([]byte(ask("order.odd", fields)))
	}
	request := compiled(f, "request")
	f.Fuzz(func(t *testing.T, body []byte) {
		if whyNot(string(body)) != nil {
			return
		}
		if err := schematest.Validate(request, body); err != nil {
			t.Errorf("the worker takes %q; the schema does not: %v", body, err)
		}
	})
}

// TestRequestMessages holds that the AsyncAPI document judges CloudEvents as the worker does.
func TestRequestMessages(t *testing.T) {
	t.Parallel()
	messages, err := schematest.Messages()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		body   string
		header nats.Header
	}{
		{structuredBody(), structuredHeader},
		{structuredBody("subject", "order.a", "time", "2025-04-10T11:49:50Z", "traceparent", someTrace, "tracestate", "a=1", "urgent", true), structuredHeader},
		{structuredBody("data", "", "data_base64", base64.StdEncoding.EncodeToString([]byte(good))), structuredHeader},
		{structuredBody("data_base64", "e30="), structuredHeader},
		{structuredBody("data", ""), structuredHeader},
		{structuredBody("data", json.RawMessage(bad(`"expected_items":0`))), structuredHeader},
		{structuredBody("specversion", "0.3"), structuredHeader},
		{structuredBody("type", "com.example.push"), structuredHeader},
		{structuredBody("source", ""), structuredHeader},
		{structuredBody("id", 771), structuredHeader},
		{good, structuredHeader},
		{good, binaryHeader()},
		{good, binaryHeader("Content-Type", "application/json", "traceparent", someTrace, "Nats-Msg-Id", "build-1")},
		{good, binaryHeader("ce-type", "com.example.push")},
		{good, binaryHeader("ce-specversion", "0.3")},
		{good, nats.Header{"ce-specversion": {"1.0"}, "ce-type": {"io.orderwatch.order.watch.v1"}, "ce-id": {"1"}}},
		{good, binaryHeader("Nats-Msg-Id", strings.Repeat("é", 129))},
	} {
		bySchema := schematest.Validate(messages["requestEvent"].Payload, []byte(test.body))
		if test.header.Get("ce-specversion") != "" {
			set := make(map[string]any)
			for name := range test.header {
				set[name] = test.header.Get(name)
			}
			bySchema = messages["requestBinaryEvent"].Headers.Validate(set)
		}
		_, err := decodeRequest(config().Requests, []byte(test.body), test.header, 1, time.Unix(1, 0))
		if (err == nil) != (bySchema == nil) {
			t.Errorf("%s with %v: the worker says %v, the document %v", test.body, test.header, err, bySchema)
		}
	}
}

// TestServiceSchemas asks the service with what the schemas in its metadata let pass and with what
// they do not.
func TestServiceSchemas(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	startWorker(t, s, quiet(), &orders{show: never})
	nc, _ := eventstest.Connect(t, s)
	reply, err := nc.Request("$SRV.INFO.orderwatch", nil, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	info := read[micro.Info](t, reply)
	requests, responses := make(map[string]*jsonschema.Schema), make(map[string]*jsonschema.Schema)
	for _, endpoint := range info.Endpoints {
		requests[endpoint.Name] = parsed(t, endpoint.Metadata["request_schema"])
		responses[endpoint.Name] = parsed(t, endpoint.Metadata["response_schema"])
		if endpoint.QueueGroup != "q" {
			t.Errorf("%s answers in the queue %q; the AsyncAPI document says q", endpoint.Name, endpoint.QueueGroup)
		}
	}
	if len(requests) != 7 {
		t.Fatalf("the service has %d endpoints; want 7", len(requests))
	}
	refused := compiled(t, "service-error")
	for _, test := range []struct {
		endpoint, body string
		code           int
	}{
		{"watch", orderBody("order.a", `,"labels":{"env":"prod"}`), 200},
		{"watch", orderBody("order.a", `,"region":"cn-north-4","request_id":"second"`), 200},
		{"watch", orderBody("order.a", `,"tiemout":"1m"`), 400},
		{"watch", `[]`, 400},
		{"get", orderBody("order.a", ""), 200},
		{"get", orderBody("order.a", `,"by":"x"`), 400},
		{"get", orderBody("order.*", ""), 400},
		{"get", `{"project_id":"p"}`, 400},
		{"poll", orderBody("order.a", ""), 200},
		{"poll", orderBody("", ""), 400},
		{"list", `{}`, 200},
		{"list", `{"state":"","project_id":"","label":"","cursor":"","limit":1}`, 200},
		{"list", `{"state":"watching","project_id":"p","label":"env=a=b","cursor":"w_1","limit":1000}`, 200},
		{"list", `{"label":"` + strings.Repeat("é", 64) + "=" + strings.Repeat("é", 256) + `"}`, 200},
		{"list", `{"label":"` + strings.Repeat("é", 64) + "=" + strings.Repeat("é", 257) + `"}`, 400},
		{"list", `{"state":"ending"}`, 400},
		{"list", `{"limit":0}`, 400},
		{"list", `{"limit":1001}`, 400},
		{"list", `{"label":"env"}`, 400},
		{"list", `{"label":"=a"}`, 400},
		{"list", `{"project_id":"a.b"}`, 400},
		{"list", `{"cursor":"` + strings.Repeat("x", 65) + `"}`, 400},
		{"list", `{"order_name":"order.a"}`, 400},
		{"status", `{}`, 200},
		{"status", `{"by":"ann"}`, 400},
		{"status", `[]`, 400},
		{"cancel", orderBody("order.a", ""), 400},
		{"cancel", orderBody("order.a", `,"by":""`), 400},
		{"cancel", orderBody("order.a", `,"by":"`+strings.Repeat("é", 201)+`"`), 400},
		{"cancel", orderBody("order.a", `,"by":"ann","reason":"`+strings.Repeat("é", 501)+`"`), 400},
		{"cancel", orderBody("order.a", `,"by":"`+strings.Repeat("é", 200)+`","reason":"`+strings.Repeat("é", 500)+`"`), 200},
	} {
		code, reply := asked(t, nc, test.endpoint, test.body)
		asks := schematest.Validate(requests[test.endpoint], []byte(test.body))
		if code != test.code || (asks == nil) != (code == 200) {
			t.Errorf("%s %.200s: %d %s; want %d; the schema says %v", test.endpoint, test.body, code, reply.Data, test.code, asks)
		}
		answer := responses[test.endpoint]
		if code != 200 {
			answer = refused
		}
		if err := schematest.Validate(answer, reply.Data); err != nil {
			t.Errorf("%s %.200s: %d %s: %v", test.endpoint, test.body, code, reply.Data, err)
		}
	}
}

func parsed(t *testing.T, document string) *jsonschema.Schema {
	t.Helper()
	s, err := schematest.Parse([]byte(document))
	if err != nil {
		t.Fatalf("%v: %.200s", err, document)
	}
	return s
}
