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
	"github.com/orderwatch/orderwatch/watcher"
)

// A badRequest is a message on orders.watch that must lead to nothing but an orders.rejected
// event, or be refused by the server.
type badRequest struct {
	name   string
	body   string
	header nats.Header

	field   string              // that the event names
	says    string              // part of the event's reason
	order   string              // the event's subject
	request string              // the event's request_id; empty for the one made of the sequence
	refused jetstream.ErrorCode // by the server; nothing else is looked at then
}

// bad returns a request for order.bad that is right but for the fields added.
func bad(fields string) string {
	return `{"project_id":"` + project + `","order_name":"order.bad",` + fields + `}`
}

// named returns a request that is right but for the order's name, given as JSON.
func named(name string) string {
	return `{"project_id":"` + project + `","order_name":` + name + `}`
}

func padded(body string, size int) string { return body + strings.Repeat(" ", size-len(body)) }

func manyLabels(n int) string {
	pairs := make([]string, n)
	for i := range pairs {
		pairs[i] = fmt.Sprintf(`"k%d":"v"`, i)
	}
	return `"labels":{` + strings.Join(pairs, ",") + `}`
}

func header(key, value string) nats.Header { return nats.Header{key: {value}} }

// good is a request that would be taken, were it not for the message's headers.
var good = named(`"order.bad"`)

var badRequests = slices.Concat(badStatuses, badJSON, badFields, badHeaders)

var badJSON = []badRequest{
	{name: "empty", body: "", says: "is not JSON: it ends too early"},
	{name: "spaces", body: " \n\t", says: "is not JSON"},
	{name: "not JSON", body: "watch order.bad please", says: "is not JSON"},
	{name: "YAML", body: "project_id: x\norder_name: y\n", says: "is not JSON"},
	{name: "cut off", body: `{"project_id":"6f5d","order_na`, says: "ends too early"},
	{name: "value cut off", body: `{"order_name":"order.b`, field: "order_name", says: "ends too early"},
	{name: "never closed", body: strings.TrimSuffix(bad(`"timeout":"2h"`), "}"), says: "ends too early"},
	{name: "closed by another bracket", body: `{"order_name":"order.bad"]`, says: "is not JSON"},
	{name: "single quotes", body: `{'order_name':'order.bad'}`, says: "is not JSON"},
	{name: "comma at the end", body: `{"order_name":"order.bad",}`, says: "is not JSON"},
	{name: "comment", body: `{/* now */"order_name":"order.bad"}`, says: "is not JSON"},
	{name: "NaN", body: bad(`"expected_items":NaN`), field: "expected_items", says: "is not JSON"},
	{name: "byte order mark", body: "\ufeff" + good, says: "is not JSON"},
	{name: "UTF-16", body: "{\x00\"\x00o\x00r\x00d\x00\"\x00:\x001\x00}\x00", says: "is not JSON"},
	{name: "null", body: "null", says: "must be a JSON object"},
	{name: "array of requests", body: "[" + good + "]", says: "must be a JSON object"},
	{name: "text", body: `"order.bad"`, says: "must be a JSON object"},
	{name: "number", body: "17", says: "must be a JSON object"},
	{name: "two requests", body: good + good, says: "goes on after"},
	{name: "text after the request", body: good + " please", says: "goes on after"},
	{name: "bracket after the request", body: good + "}", says: "goes on after"},
	{name: "64 KiB and a byte", body: padded(good, 64<<10+1), says: "65537 bytes; at most 65536"},
	{name: "more than the stream takes", body: padded(good, 80<<10+1), refused: 10054},
	{name: "gzip", body: "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff", says: "not UTF-8"},
	{name: "long and not UTF-8", body: strings.Repeat("\xff", 10000), says: "not UTF-8"},
	{name: "invalid UTF-8 in a text", body: bad("\"requested_by\":\"a\xffb\""), says: "not UTF-8", order: "order.bad"},
	{name: "invalid UTF-8 in a name", body: bad("\"lin\xffk\":\"a\""), says: "not UTF-8", order: "order.bad"},
	{name: "a character cut at 8 KiB", body: "x" + strings.Repeat("é", 5000), says: "is not JSON"},
	{name: "what HTML would escape, over 8 KiB", body: bad(`"note":"` + strings.Repeat("<&>\x00", 3000) + `"`), field: "note", says: "is not JSON"},
	{name: "arrays 30,000 deep", body: bad(`"labels":` + strings.Repeat("[", 30000) + strings.Repeat("]", 30000)), field: "labels", says: "depth"},
	{name: "arrays never closed", body: strings.Repeat("[", 60000), says: "must be a JSON object"},
	{name: "objects 5,000 deep", body: bad(`"labels":` + strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000)), field: "labels.a", says: "must be a string", order: "order.bad"},
	{name: "CloudEvent of another type", body: `{"specversion":"1.0","id":"1","source":"/ci","type":"com.example.push","data":` + good + `}`, field: "specversion", says: "is no field"},
}

var badFields = []badRequest{
	{name: "no field", body: "{}", field: "project_id", says: "is required"},
	{name: "no project", body: `{"order_name":"order.bad"}`, field: "project_id", says: "is required", order: "order.bad"},
	{name: "no order", body: `{"project_id":"` + project + `"}`, field: "order_name", says: "is required"},
	{name: "empty project", body: `{"project_id":"","order_name":"order.bad"}`, field: "project_id", says: "is required", order: "order.bad"},
	{name: "empty order", body: named(`""`), field: "order_name", says: "is required"},
	{name: "project is a number", body: `{"project_id":17,"order_name":"order.bad"}`, field: "project_id", says: "must be a string", order: "order.bad"},
	{name: "order is a list", body: named(`["order.bad"]`), field: "order_name", says: "must be a string"},
	{name: "order is null", body: named(`null`), field: "order_name", says: "must be a string"},
	{name: "project with a dot", body: `{"project_id":"a.b","order_name":"order.bad"}`, field: "project_id", says: "A-Z a-z 0-9 -", order: "order.bad"},
	{name: "project with a wildcard", body: `{"project_id":"*","order_name":"order.bad"}`, field: "project_id", says: "A-Z a-z 0-9 -", order: "order.bad"},
	{name: "project of 65 characters", body: `{"project_id":"` + strings.Repeat("a", 65) + `","order_name":"order.bad"}`, field: "project_id", says: "at most 64", order: "order.bad"},
	{name: "project climbs the path", body: `{"project_id":"../v3/tokens","order_name":"order.bad"}`, field: "project_id", says: "A-Z a-z 0-9 -", order: "order.bad"},

	{name: "order climbs the path", body: named(`"../../v3/auth/tokens"`), field: "order_name", says: "must be 1 to 128", order: "../../v3/auth/tokens"},
	{name: "order climbs the path, escaped", body: named(`"..%2f..%2fpools"`), field: "order_name", says: "must be 1 to 128", order: "..%2f..%2fpools"},
	{name: "order with a query", body: named(`"order.bad?limit=1#x"`), field: "order_name", says: "must be 1 to 128", order: "order.bad?limit=1#x"},
	{name: "order is a wildcard", body: named(`">"`), field: "order_name", says: "must be 1 to 128", order: ">"},
	{name: "order with a wildcard token", body: named(`"order.*"`), field: "order_name", says: "must be 1 to 128", order: "order.*"},
	{name: "order with a space", body: named(`"order.bad orders.completed"`), field: "order_name", says: "must be 1 to 128", order: "order.bad orders.completed"},
	{name: "order with a protocol line", body: named(`"order.bad\r\nPUB orders.completed.succeeded.a.b 2\r\nhi"`), field: "order_name", says: "control"},
	{name: "order with NUL", body: named(`"order.bad\u0000"`), field: "order_name", says: "control"},
	{name: "order with a line break at its end", body: named(`"order.bad\n"`), field: "order_name", says: "control"},
	{name: "order written from right to left", body: named(`"order\u202edab"`), field: "order_name", says: "invisible"},
	{name: "order with a dot first", body: named(`".order"`), field: "order_name", says: "no dot first", order: ".order"},
	{name: "order with a dot last", body: named(`"order."`), field: "order_name", says: "no dot first", order: "order."},
	{name: "order with two dots", body: named(`"order..bad"`), field: "order_name", says: "doubled", order: "order..bad"},
	{name: "order is a dot", body: named(`"."`), field: "order_name", says: "no dot first", order: "."},
	{name: "order of 129 characters", body: named(`"` + strings.Repeat("a", 129) + `"`), field: "order_name", says: "128"},
	{name: "order of 60,000 characters", body: named(`"` + strings.Repeat("a", 60000) + `"`), field: "order_name", says: "128"},
	{name: "order with letters that look alike", body: named(`"оrder.bad"`), field: "order_name", says: "must be 1 to 128", order: "оrder.bad"},
	{name: "order with half a surrogate pair", body: named(`"order\ud800"`), field: "order_name", says: "half a character"},

	{name: "unknown field", body: bad(`"order_nmae":"a"`), field: "order_nmae", says: "is no field", order: "order.bad"},
	{name: "field in another case", body: `{"project_id":"` + project + `","Order_Name":"order.bad"}`, field: "Order_Name", says: "is no field"},
	{name: "unknown field without a name", body: bad(`"":1`), field: `""`, says: "is no field", order: "order.bad"},
	{name: "unknown field with control characters", body: bad(`"a\r\n\u001b[31m":1`), field: `"a\r\n\x1b[31m"`, says: "is no field", order: "order.bad"},
	{name: "unknown field with a long name", body: bad(`"` + strings.Repeat("é", 20000) + `":1`), field: strings.Repeat("é", 32) + "…", says: "is no field", order: "order.bad"},
	{name: "order twice", body: bad(`"order_name":"order.other"`), field: "order_name", says: "comes twice", order: "order.other"},
	{name: "order twice, once escaped", body: bad(`"\u006frder_name":"order.other"`), field: "order_name", says: "comes twice", order: "order.other"},
	{name: "label twice", body: bad(`"labels":{"a":"1","a":"2"}`), field: "labels.a", says: "comes twice", order: "order.bad"},

	{name: "unknown region", body: bad(`"region":"cn-south-1"`), field: "region", says: "cn-north-4, cn-east-3", order: "order.bad"},
	{name: "region is a host", body: bad(`"region":"evil.example/#"`), field: "region", says: "cn-north-4, cn-east-3", order: "order.bad"},
	{name: "request_id is a number", body: bad(`"request_id":771`), field: "request_id", says: "must be a string", order: "order.bad"},
	{name: "request_id of 129 characters", body: bad(`"request_id":"` + strings.Repeat("é", 129) + `"`), field: "request_id", says: "at most 128", order: "order.bad"},
	{name: "request_id with an escape", body: bad(`"request_id":"\u001b[2J"`), field: "request_id", says: "control", order: "order.bad"},
	{name: "requested_by of 201 characters", body: bad(`"request_id":"build-771","requested_by":"` + strings.Repeat("王", 201) + `"`), field: "requested_by", says: "at most 200", order: "order.bad", request: "build-771"},
	{name: "requested_by in two lines", body: bad(`"requested_by":"ann\nall is well"`), field: "requested_by", says: "control", order: "order.bad"},
	{name: "link is a script", body: bad(`"link":"javascript:alert(1)"`), field: "link", says: "http or https", order: "order.bad"},
	{name: "link is a file", body: bad(`"link":"file:///etc/passwd"`), field: "link", says: "http or https", order: "order.bad"},
	{name: "link without a host", body: bad(`"link":"https:///build/1"`), field: "link", says: "http or https", order: "order.bad"},
	{name: "link with a port and no host", body: bad(`"link":"http://:80/"`), field: "link", says: "http or https", order: "order.bad"},
	{name: "link of 2,001 characters", body: bad(`"link":"https://ci.example/` + strings.Repeat("a", 2001-len("https://ci.example/")) + `"`), field: "link", says: "at most 2000", order: "order.bad"},
	{name: "labels are a list", body: bad(`"labels":["a"]`), field: "labels", says: "must be a JSON object", order: "order.bad"},
	{name: "labels are null", body: bad(`"labels":null`), field: "labels", says: "must be a JSON object", order: "order.bad"},
	{name: "33 labels", body: bad(manyLabels(33)), field: "labels", says: "32", order: "order.bad"},
	{name: "label without a key", body: bad(`"labels":{"":"a"}`), field: "labels", says: "empty key", order: "order.bad"},
	{name: "label with a key of 65 characters", body: bad(`"labels":{"` + strings.Repeat("k", 65) + `":"a"}`), field: "labels", says: "at most 64", order: "order.bad"},
	{name: "label with control characters in its key", body: bad(`"labels":{"a\u0007":"a"}`), field: "labels", says: "control", order: "order.bad"},
	{name: "label is a number", body: bad(`"labels":{"env":1}`), field: "labels.env", says: "must be a string", order: "order.bad"},
	{name: "label of 257 characters", body: bad(`"labels":{"env":"` + strings.Repeat("v", 257) + `"}`), field: "labels.env", says: "at most 256", order: "order.bad"},
	{name: "no expected items", body: bad(`"expected_items":0`), field: "expected_items", says: "1 to 10000", order: "order.bad"},
	{name: "negative expected items", body: bad(`"expected_items":-1`), field: "expected_items", says: "1 to 10000", order: "order.bad"},
	{name: "10,001 expected items", body: bad(`"expected_items":10001`), field: "expected_items", says: "1 to 10000", order: "order.bad"},
	{name: "half an expected item", body: bad(`"expected_items":0.5`), field: "expected_items", says: "whole number", order: "order.bad"},
	{name: "expected items beyond any integer", body: bad(`"expected_items":1e400`), field: "expected_items", says: "whole number", order: "order.bad"},
	{name: "expected items are a text", body: bad(`"expected_items":"4"`), field: "expected_items", says: "whole number", order: "order.bad"},
	{name: "expected items are null", body: bad(`"expected_items":null`), field: "expected_items", says: "whole number", order: "order.bad"},
	{name: "negative timeout", body: bad(`"timeout":"-5m"`), field: "timeout", says: "1s to 48h", order: "order.bad"},
	{name: "no timeout", body: bad(`"timeout":"0s"`), field: "timeout", says: "1s to 48h", order: "order.bad"},
	{name: "timeout just under a second", body: bad(`"timeout":"999ms"`), field: "timeout", says: "1s to 48h", order: "order.bad"},
	{name: "timeout just over the longest", body: bad(`"timeout":"48h1ns"`), field: "timeout", says: "1s to 48h", order: "order.bad"},
	{name: "timeout beyond any duration", body: bad(`"timeout":"9999999999999h"`), field: "timeout", says: "1s to 48h", order: "order.bad"},
	{name: "timeout without a unit", body: bad(`"timeout":"90"`), field: "timeout", says: "such as 90m", order: "order.bad"},
	{name: "link with a password", body: bad(`"link":"https://oauth2:secret@ci.example/1"`), field: "link", says: "no user or password", order: "order.bad"},
	{name: "request_id with half a character", body: bad(`"request_id":"a\ud800"`), field: "request_id", says: "half a character", order: "order.bad"},
	{name: "timeout is a number", body: bad(`"timeout":7200`), field: "timeout", says: "must be a string", order: "order.bad"},
	{name: "channel that is not allowed", body: bad(`"slack_channel":"C0OTHER"`), field: "slack_channel", says: "configuration allows", order: "order.bad"},
	{name: "channel by its name", body: bad(`"slack_channel":"#oncall"`), field: "slack_channel", says: "configuration allows", order: "order.bad"},
}

// badStatuses have no body and pass themselves off as what the server says to whoever pulls.
var badStatuses = []badRequest{
	{name: "Status 409", header: nats.Header{"Status": {"409"}, "Description": {"Consumer Deleted"}}, says: "is not JSON"},
	{name: "Status 400", header: nats.Header{"Status": {"400"}}, says: "is not JSON"},
	{name: "Status 100", header: nats.Header{"Status": {"100"}}, says: "is not JSON"},
	{name: "Status 404", header: nats.Header{"Status": {"404"}}, says: "is not JSON"},
	{name: "Status 408", header: nats.Header{"Status": {"408"}, "Nats-Pending-Messages": {"x"}}, says: "is not JSON"},
	{name: "Status 503", header: nats.Header{"Status": {"503"}}, says: "is not JSON"},
}

// badHeaders hold a good request each: it is the header that would do harm.
var badHeaders = []badRequest{
	{name: "Nats-Rollup of the subject", body: good, header: header("Nats-Rollup", "sub"), refused: 10111},
	{name: "Nats-Rollup of the stream", body: good, header: header("Nats-Rollup", "all"), refused: 10111},
	{name: "Nats-Schedule", body: good, header: nats.Header{"Nats-Schedule": {"@at 2030-01-01T00:00:00Z"}, "Nats-Schedule-Target": {"orders.watch"}}, refused: 10188},
	{name: "Nats-Schedule of every second", body: good, header: nats.Header{"Nats-Schedule": {"@every 1s"}, "Nats-Schedule-Target": {"orders.due.a.b"}}, refused: 10188},
	{name: "Nats-Schedule-Next", body: good, header: nats.Header{"Nats-Schedule-Next": {"purge"}, "Nats-Scheduler": {"orders.waiting.a.b"}}, refused: 10188},
	{name: "Nats-TTL", body: good, header: header("Nats-TTL", "1s"), refused: 10166},
	{name: "Nats-TTL never", body: good, header: header("Nats-TTL", "never"), refused: 10166},
	{name: "Nats-Incr", body: "", header: header("Nats-Incr", "1"), refused: 10168},
	{name: "Nats-Batch-Id", body: good, header: nats.Header{"Nats-Batch-Id": {"b"}, "Nats-Batch-Sequence": {"1"}}, refused: 10174},
	{name: "Nats-Stream-Source", body: good, header: header("Nats-Stream-Source", "ORDER_REQUESTS 1"), refused: 10227},
	{name: "Nats-Expected-Stream of another", body: good, header: header("Nats-Expected-Stream", "ORDER_EVENTS"), refused: 10060},
	{name: "Nats-Expected-Last-Sequence", body: good, header: header("Nats-Expected-Last-Sequence", "1000000"), refused: 10071},
	{name: "Nats-Expected-Last-Subject-Sequence", body: good, header: header("Nats-Expected-Last-Subject-Sequence", "1000000"), refused: 10071},
	{name: "Nats-Expected-Last-Msg-Id", body: good, header: header("Nats-Expected-Last-Msg-Id", "nobody"), refused: 10070},
	{name: "Nats-Msg-Id of 129 characters", body: good, header: header("Nats-Msg-Id", strings.Repeat("m", 129)), field: "Nats-Msg-Id", says: "at most 128", order: "order.bad"},
	{name: "Nats-Msg-Id with a control character", body: good, header: header("Nats-Msg-Id", "a\x1bb"), field: "Nats-Msg-Id", says: "control", order: "order.bad"},
	{name: "Nats-Msg-Id that is not UTF-8", body: good, header: header("Nats-Msg-Id", "a\xffb"), field: "Nats-Msg-Id", says: "UTF-8", order: "order.bad"},
	{name: "Nats-Msg-Id of a bad request", body: "watch!", header: header("Nats-Msg-Id", "build-772"), says: "is not JSON", request: "build-772"},
	{name: "another CloudEvent", body: "watch!", header: nats.Header{"ce-specversion": {"1.0"}, "ce-type": {"com.example.push"}, "ce-source": {"/ci"}, "ce-id": {"1"}}, field: "type", says: "must be io.orderwatch.order.watch.v1"},
	{name: "headers of a rejected event", body: "watch!", header: nats.Header{"Content-Type": {"text/html"}, "KV-Operation": {"PURGE"}, "Nats-Marker-Reason": {"Purge"}}, says: "is not JSON"},
}

// A rejected is an event as the contract describes it.
type rejected struct {
	Reason       *string    `json:"reason"`
	Field        *string    `json:"field"`
	RequestID    *string    `json:"request_id"`
	Sequence     *uint64    `json:"stream_sequence"`
	ReceivedAt   *time.Time `json:"received_at"`
	Body         *string    `json:"body"`
	BodyEncoding *string    `json:"body_encoding"`
	Truncated    *bool      `json:"body_truncated"`
}

// TestBadRequests sends every bad request to one worker, and then a good one.
func TestBadRequests(t *testing.T) {
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	cloud := &orders{show: ended(watcher.Succeed)}
	w := startWorker(t, s, config(), cloud)

	begin := time.Now()
	stored := make(map[uint64]badRequest)
	for _, bad := range badRequests {
		ack, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: "orders.watch", Header: bad.header, Data: []byte(bad.body)})
		api, _ := errors.AsType[*jetstream.APIError](err)
		switch {
		case bad.refused == 0 && err == nil:
			stored[ack.Sequence] = bad
		case bad.refused == 0 || api == nil || api.ErrorCode != bad.refused:
			t.Errorf("%s: published with error %v; want code %d", bad.name, err, bad.refused)
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
		t.Run(bad.name, func(t *testing.T) { checkRejected(t, m, bad, begin) })
	}
	for _, bad := range stored {
		t.Errorf("%s: no event", bad.name)
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
func checkRejected(t *testing.T, m *jetstream.RawStreamMsg, bad badRequest, begin time.Time) {
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
	if e.Source() != "/orderwatch" || e.Type() != "io.orderwatch.request.rejected.v1" || e.Subject() != bad.order {
		t.Errorf("source %q, type %q, subject %q; want subject %q", e.Source(), e.Type(), e.Subject(), bad.order)
	}
	const apart = 50 * time.Millisecond // the server's clock and what the worker knows of it
	if got.ReceivedAt.Before(begin.Truncate(time.Millisecond)) || e.Time().Before(got.ReceivedAt.Add(-apart)) || time.Now().Add(apart).Before(e.Time()) || got.ReceivedAt.Location() != time.UTC {
		t.Errorf("time %v, received_at %v; the test began at %v", e.Time(), got.ReceivedAt, begin)
	}

	if *got.Field != bad.field || !strings.Contains(*got.Reason, bad.says) || !strings.HasPrefix(*got.Reason, bad.field) {
		t.Errorf("field %q, reason %q; want field %q and %q", *got.Field, *got.Reason, bad.field, bad.says)
	}
	checkShown(t, *got.Reason)
	request := bad.request
	if request == "" {
		request = "seq-" + suffix
	}
	if *got.RequestID != request {
		t.Errorf("request_id is %q; want %q", *got.RequestID, request)
	}
	checkRejectedBody(t, got, bad.body)
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
