package wire_test

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/orderwatch/orderwatch/events/schema"
	"github.com/orderwatch/orderwatch/events/schema/schematest"
	"github.com/orderwatch/orderwatch/events/wire/wiretest"
)

// beyondSchema are the bad requests that the schema lets pass: what a text of JSON is, and what the
// configuration says, it cannot know.
var beyondSchema = []string{
	// the size, in bytes, and the encoding
	"64 KiB and a byte", "more than the stream takes", "invalid UTF-8 in a text", "request_id with half a character",
	// names that come twice
	"order twice", "order twice, once escaped", "label twice",
	// the bounds of durations
	"late before it begins", "late beyond the longest timeout", "no timeout", "timeout just under a second", "timeout just over the longest", "timeout beyond any duration",
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
	"late after nothing":                `"late_after":""`,
	"late after a number":               `"late_after":60`,
	"late after weeks":                  `"late_after":"1w"`,
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
		bodies[name] = wiretest.Ask("order.odd", fields)
	}
	for _, r := range wiretest.GoodRequests {
		bodies[r.Name] = r.Body
	}
	for _, r := range wiretest.BadRequests {
		bodies[r.Name] = r.Body
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
	if len(bodies) != len(oddRequests)+len(wiretest.GoodRequests)+len(wiretest.BadRequests) || passed < len(wiretest.GoodRequests) {
		t.Errorf("%d of %d requests are right; two have one name?", passed, len(bodies))
	}
}

// whyNot returns why a worker with a default project does not take the body.
func whyNot(body string) error {
	rules := rules()
	rules.DefaultProject = wiretest.DefaultProject
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
	for _, r := range wiretest.GoodRequests {
		f.Add([]byte(r.Body))
	}
	for _, fields := range oddRequests {
		f.Add([]byte(wiretest.Ask("order.odd", fields)))
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
		{structuredBody("data", "", "data_base64", base64.StdEncoding.EncodeToString([]byte(wiretest.Named(`"order.bad"`)))), structuredHeader},
		{structuredBody("data_base64", "e30="), structuredHeader},
		{structuredBody("data", ""), structuredHeader},
		{structuredBody("data", json.RawMessage(wiretest.Ask("order.bad", `"expected_items":0`))), structuredHeader},
		{structuredBody("specversion", "0.3"), structuredHeader},
		{structuredBody("type", "com.example.push"), structuredHeader},
		{structuredBody("source", ""), structuredHeader},
		{structuredBody("id", 771), structuredHeader},
		{wiretest.Named(`"order.bad"`), structuredHeader},
		{wiretest.Named(`"order.bad"`), binaryHeader()},
		{wiretest.Named(`"order.bad"`), binaryHeader("Content-Type", "application/json", "traceparent", someTrace, "Nats-Msg-Id", "build-1")},
		{wiretest.Named(`"order.bad"`), binaryHeader("ce-type", "com.example.push")},
		{wiretest.Named(`"order.bad"`), binaryHeader("ce-specversion", "0.3")},
		{wiretest.Named(`"order.bad"`), nats.Header{"ce-specversion": {"1.0"}, "ce-type": {"io.orderwatch.order.watch.v1"}, "ce-id": {"1"}}},
		{wiretest.Named(`"order.bad"`), binaryHeader("Nats-Msg-Id", strings.Repeat("é", 129))},
	} {
		bySchema := schematest.Validate(messages["requestEvent"].Payload, []byte(test.body))
		if test.header.Get("ce-specversion") != "" {
			set := make(map[string]any)
			for name := range test.header {
				set[name] = test.header.Get(name)
			}
			bySchema = messages["requestBinaryEvent"].Headers.Validate(set)
		}
		_, err := decodeRequest(rules(), []byte(test.body), test.header, 1, time.Unix(1, 0))
		if (err == nil) != (bySchema == nil) {
			t.Errorf("%s with %v: the worker says %v, the document %v", test.body, test.header, err, bySchema)
		}
	}
}
