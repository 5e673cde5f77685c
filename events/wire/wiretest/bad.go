package wiretest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/eventstest"
)

// A Bad is a message on orders.watch that must lead to nothing but an orders.rejected
// event, or be refused by the server.
type Bad struct {
	Name   string
	Body   string
	Header nats.Header

	Field   string              // that the event names
	Says    string              // part of the event's reason
	Order   string              // the event's subject
	Request string              // the event's request_id; empty for the one made of the sequence
	Refused jetstream.ErrorCode // by the server; nothing else is looked at then
}

func manyLabels(n int) string {
	pairs := make([]string, n)
	for i := range pairs {
		pairs[i] = fmt.Sprintf(`"k%d":"v"`, i)
	}
	return `"labels":{` + strings.Join(pairs, ",") + `}`
}

var badJSON = []Bad{
	{Name: "empty", Body: "", Says: "is not JSON: it ends too early"},
	{Name: "spaces", Body: " \n\t", Says: "is not JSON"},
	{Name: "not JSON", Body: "watch order.bad please", Says: "is not JSON"},
	{Name: "YAML", Body: "project_id: x\norder_name: y\n", Says: "is not JSON"},
	{Name: "cut off", Body: `{"project_id":"6f5d","order_na`, Says: "ends too early"},
	{Name: "value cut off", Body: `{"order_name":"order.b`, Field: "order_name", Says: "ends too early"},
	{Name: "never closed", Body: strings.TrimSuffix(Ask("order.bad", `"timeout":"2h"`), "}"), Says: "ends too early"},
	{Name: "closed by another bracket", Body: `{"order_name":"order.bad"]`, Says: "is not JSON"},
	{Name: "single quotes", Body: `{'order_name':'order.bad'}`, Says: "is not JSON"},
	{Name: "comma at the end", Body: `{"order_name":"order.bad",}`, Says: "is not JSON"},
	{Name: "comment", Body: `{/* now */"order_name":"order.bad"}`, Says: "is not JSON"},
	{Name: "NaN", Body: Ask("order.bad", `"expected_items":NaN`), Field: "expected_items", Says: "is not JSON"},
	{Name: "byte order mark", Body: "\ufeff" + good, Says: "is not JSON"},
	{Name: "UTF-16", Body: "{\x00\"\x00o\x00r\x00d\x00\"\x00:\x001\x00}\x00", Says: "is not JSON"},
	{Name: "null", Body: "null", Says: "must be a JSON object"},
	{Name: "array of requests", Body: "[" + good + "]", Says: "must be a JSON object"},
	{Name: "text", Body: `"order.bad"`, Says: "must be a JSON object"},
	{Name: "number", Body: "17", Says: "must be a JSON object"},
	{Name: "two requests", Body: good + good, Says: "goes on after"},
	{Name: "text after the request", Body: good + " please", Says: "goes on after"},
	{Name: "bracket after the request", Body: good + "}", Says: "goes on after"},
	{Name: "64 KiB and a byte", Body: Padded(good, 64<<10+1), Says: "65537 bytes; at most 65536"},
	{Name: "more than the stream takes", Body: Padded(good, 80<<10+1), Refused: 10054},
	{Name: "gzip", Body: "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff", Says: "not UTF-8"},
	{Name: "long and not UTF-8", Body: strings.Repeat("\xff", 10000), Says: "not UTF-8"},
	{Name: "invalid UTF-8 in a text", Body: Ask("order.bad", "\"requested_by\":\"a\xffb\""), Says: "not UTF-8", Order: "order.bad"},
	{Name: "invalid UTF-8 in a name", Body: Ask("order.bad", "\"lin\xffk\":\"a\""), Says: "not UTF-8", Order: "order.bad"},
	{Name: "a character cut at 8 KiB", Body: "x" + strings.Repeat("é", 5000), Says: "is not JSON"},
	{Name: "what HTML would escape, over 8 KiB", Body: Ask("order.bad", `"note":"`+strings.Repeat("<&>\x00", 3000)+`"`), Field: "note", Says: "is not JSON"},
	{Name: "arrays 30,000 deep", Body: Ask("order.bad", `"labels":`+strings.Repeat("[", 30000)+strings.Repeat("]", 30000)), Field: "labels", Says: "depth"},
	{Name: "arrays never closed", Body: strings.Repeat("[", 60000), Says: "must be a JSON object"},
	{Name: "objects 5,000 deep", Body: Ask("order.bad", `"labels":`+strings.Repeat(`{"a":`, 5000)+"1"+strings.Repeat("}", 5000)), Field: "labels.a", Says: "must be a string", Order: "order.bad"},
	{Name: "CloudEvent of another type", Body: `{"specversion":"1.0","id":"1","source":"/ci","type":"com.example.push","data":` + good + `}`, Field: "specversion", Says: "is no field"},
}

var badFields = []Bad{
	{Name: "no field", Body: "{}", Field: "project_id", Says: "is required"},
	{Name: "no project", Body: `{"order_name":"order.bad"}`, Field: "project_id", Says: "is required", Order: "order.bad"},
	{Name: "no order", Body: `{"project_id":"` + eventstest.Project + `"}`, Field: "order_name", Says: "is required"},
	{Name: "empty project", Body: `{"project_id":"","order_name":"order.bad"}`, Field: "project_id", Says: "is required", Order: "order.bad"},
	{Name: "empty order", Body: Named(`""`), Field: "order_name", Says: "is required"},
	{Name: "project is a number", Body: `{"project_id":17,"order_name":"order.bad"}`, Field: "project_id", Says: "must be a string", Order: "order.bad"},
	{Name: "order is a list", Body: Named(`["order.bad"]`), Field: "order_name", Says: "must be a string"},
	{Name: "order is null", Body: Named(`null`), Field: "order_name", Says: "must be a string"},
	{Name: "project with a dot", Body: `{"project_id":"a.b","order_name":"order.bad"}`, Field: "project_id", Says: "A-Z a-z 0-9 -", Order: "order.bad"},
	{Name: "project with a wildcard", Body: `{"project_id":"*","order_name":"order.bad"}`, Field: "project_id", Says: "A-Z a-z 0-9 -", Order: "order.bad"},
	{Name: "project of 65 characters", Body: `{"project_id":"` + strings.Repeat("a", 65) + `","order_name":"order.bad"}`, Field: "project_id", Says: "at most 64", Order: "order.bad"},
	{Name: "project climbs the path", Body: `{"project_id":"../v3/tokens","order_name":"order.bad"}`, Field: "project_id", Says: "A-Z a-z 0-9 -", Order: "order.bad"},

	{Name: "order climbs the path", Body: Named(`"../../v3/auth/tokens"`), Field: "order_name", Says: "must be 1 to 128", Order: "../../v3/auth/tokens"},
	{Name: "order climbs the path, escaped", Body: Named(`"..%2f..%2fpools"`), Field: "order_name", Says: "must be 1 to 128", Order: "..%2f..%2fpools"},
	{Name: "order with a query", Body: Named(`"order.bad?limit=1#x"`), Field: "order_name", Says: "must be 1 to 128", Order: "order.bad?limit=1#x"},
	{Name: "order is a wildcard", Body: Named(`">"`), Field: "order_name", Says: "must be 1 to 128", Order: ">"},
	{Name: "order with a wildcard token", Body: Named(`"order.*"`), Field: "order_name", Says: "must be 1 to 128", Order: "order.*"},
	{Name: "order with a space", Body: Named(`"order.bad orders.completed"`), Field: "order_name", Says: "must be 1 to 128", Order: "order.bad orders.completed"},
	{Name: "order with a protocol line", Body: Named(`"order.bad\r\nPUB orders.completed.succeeded.a.b 2\r\nhi"`), Field: "order_name", Says: "control"},
	{Name: "order with NUL", Body: Named(`"order.bad\u0000"`), Field: "order_name", Says: "control"},
	{Name: "order with a line break at its end", Body: Named(`"order.bad\n"`), Field: "order_name", Says: "control"},
	{Name: "order written from right to left", Body: Named(`"order\u202edab"`), Field: "order_name", Says: "invisible"},
	{Name: "order with a dot first", Body: Named(`".order"`), Field: "order_name", Says: "no dot first", Order: ".order"},
	{Name: "order with a dot last", Body: Named(`"order."`), Field: "order_name", Says: "no dot first", Order: "order."},
	{Name: "order with two dots", Body: Named(`"order..bad"`), Field: "order_name", Says: "two dots in a row", Order: "order..bad"},
	{Name: "order is a dot", Body: Named(`"."`), Field: "order_name", Says: "no dot first", Order: "."},
	{Name: "order of 129 characters", Body: Named(`"` + strings.Repeat("a", 129) + `"`), Field: "order_name", Says: "128"},
	{Name: "order of 60,000 characters", Body: Named(`"` + strings.Repeat("a", 60000) + `"`), Field: "order_name", Says: "128"},
	{Name: "order with letters that look alike", Body: Named(`"оrder.bad"`), Field: "order_name", Says: "must be 1 to 128", Order: "оrder.bad"},
	{Name: "order with half a surrogate pair", Body: Named(`"order\ud800"`), Field: "order_name", Says: "half a character"},

	{Name: "unknown field", Body: Ask("order.bad", `"order_nmae":"a"`), Field: "order_nmae", Says: "is no field", Order: "order.bad"},
	{Name: "field in another case", Body: `{"project_id":"` + eventstest.Project + `","Order_Name":"order.bad"}`, Field: "Order_Name", Says: "is no field"},
	{Name: "unknown field without a name", Body: Ask("order.bad", `"":1`), Field: `""`, Says: "is no field", Order: "order.bad"},
	{Name: "unknown field with control characters", Body: Ask("order.bad", `"a\r\n\u001b[31m":1`), Field: `"a\r\n\x1b[31m"`, Says: "is no field", Order: "order.bad"},
	{Name: "unknown field with a long name", Body: Ask("order.bad", `"`+strings.Repeat("é", 20000)+`":1`), Field: strings.Repeat("é", 32) + "…", Says: "is no field", Order: "order.bad"},
	{Name: "order twice", Body: Ask("order.bad", `"order_name":"order.other"`), Field: "order_name", Says: "comes twice", Order: "order.other"},
	{Name: "order twice, once escaped", Body: Ask("order.bad", `"\u006frder_name":"order.other"`), Field: "order_name", Says: "comes twice", Order: "order.other"},
	{Name: "label twice", Body: Ask("order.bad", `"labels":{"a":"1","a":"2"}`), Field: "labels.a", Says: "comes twice", Order: "order.bad"},

	{Name: "unknown region", Body: Ask("order.bad", `"region":"cn-south-1"`), Field: "region", Says: "cn-north-4, cn-east-3", Order: "order.bad"},
	{Name: "region is a host", Body: Ask("order.bad", `"region":"evil.example/#"`), Field: "region", Says: "cn-north-4, cn-east-3", Order: "order.bad"},
	{Name: "request_id is a number", Body: Ask("order.bad", `"request_id":771`), Field: "request_id", Says: "must be a string", Order: "order.bad"},
	{Name: "request_id of 129 characters", Body: Ask("order.bad", `"request_id":"`+strings.Repeat("é", 129)+`"`), Field: "request_id", Says: "at most 128", Order: "order.bad"},
	{Name: "request_id with an escape", Body: Ask("order.bad", `"request_id":"\u001b[2J"`), Field: "request_id", Says: "control", Order: "order.bad"},
	{Name: "requested_by of 201 characters", Body: Ask("order.bad", `"request_id":"build-771","requested_by":"`+strings.Repeat("王", 201)+`"`), Field: "requested_by", Says: "at most 200", Order: "order.bad", Request: "build-771"},
	{Name: "requested_by in two lines", Body: Ask("order.bad", `"requested_by":"ann\nall is well"`), Field: "requested_by", Says: "control", Order: "order.bad"},
	{Name: "link is a script", Body: Ask("order.bad", `"link":"javascript:alert(1)"`), Field: "link", Says: "http or https", Order: "order.bad"},
	{Name: "link is a file", Body: Ask("order.bad", `"link":"file:///etc/passwd"`), Field: "link", Says: "http or https", Order: "order.bad"},
	{Name: "link without a host", Body: Ask("order.bad", `"link":"https:///build/1"`), Field: "link", Says: "http or https", Order: "order.bad"},
	{Name: "link with a port and no host", Body: Ask("order.bad", `"link":"http://:80/"`), Field: "link", Says: "http or https", Order: "order.bad"},
	{Name: "link of 2,001 characters", Body: Ask("order.bad", `"link":"https://ci.example/`+strings.Repeat("a", 2001-len("https://ci.example/"))+`"`), Field: "link", Says: "at most 2000", Order: "order.bad"},
	{Name: "labels are a list", Body: Ask("order.bad", `"labels":["a"]`), Field: "labels", Says: "must be a JSON object", Order: "order.bad"},
	{Name: "labels are null", Body: Ask("order.bad", `"labels":null`), Field: "labels", Says: "must be a JSON object", Order: "order.bad"},
	{Name: "33 labels", Body: Ask("order.bad", manyLabels(33)), Field: "labels", Says: "32", Order: "order.bad"},
	{Name: "label without a key", Body: Ask("order.bad", `"labels":{"":"a"}`), Field: "labels", Says: "empty key", Order: "order.bad"},
	{Name: "label with a key of 65 characters", Body: Ask("order.bad", `"labels":{"`+strings.Repeat("k", 65)+`":"a"}`), Field: "labels", Says: "at most 64", Order: "order.bad"},
	{Name: "label with control characters in its key", Body: Ask("order.bad", `"labels":{"a\u0007":"a"}`), Field: "labels", Says: "control", Order: "order.bad"},
	{Name: "label is a number", Body: Ask("order.bad", `"labels":{"env":1}`), Field: "labels.env", Says: "must be a string", Order: "order.bad"},
	{Name: "label of 257 characters", Body: Ask("order.bad", `"labels":{"env":"`+strings.Repeat("v", 257)+`"}`), Field: "labels.env", Says: "at most 256", Order: "order.bad"},
	{Name: "no expected items", Body: Ask("order.bad", `"expected_items":0`), Field: "expected_items", Says: "1 to 10000", Order: "order.bad"},
	{Name: "negative expected items", Body: Ask("order.bad", `"expected_items":-1`), Field: "expected_items", Says: "1 to 10000", Order: "order.bad"},
	{Name: "10,001 expected items", Body: Ask("order.bad", `"expected_items":10001`), Field: "expected_items", Says: "1 to 10000", Order: "order.bad"},
	{Name: "half an expected item", Body: Ask("order.bad", `"expected_items":0.5`), Field: "expected_items", Says: "whole number", Order: "order.bad"},
	{Name: "expected items beyond any integer", Body: Ask("order.bad", `"expected_items":1e400`), Field: "expected_items", Says: "whole number", Order: "order.bad"},
	{Name: "expected items are a text", Body: Ask("order.bad", `"expected_items":"4"`), Field: "expected_items", Says: "whole number", Order: "order.bad"},
	{Name: "expected items are null", Body: Ask("order.bad", `"expected_items":null`), Field: "expected_items", Says: "whole number", Order: "order.bad"},
	{Name: "progress is a text", Body: Ask("order.bad", `"progress":"true"`), Field: "progress", Says: "true or false", Order: "order.bad"},
	{Name: "progress is null", Body: Ask("order.bad", `"progress":null`), Field: "progress", Says: "true or false", Order: "order.bad"},
	{Name: "progress is a number", Body: Ask("order.bad", `"progress":1`), Field: "progress", Says: "true or false", Order: "order.bad"},
	{Name: "late before it begins", Body: Ask("order.bad", `"late_after":"0s"`), Field: "late_after", Says: "1s to 48h", Order: "order.bad"},
	{Name: "late beyond the longest timeout", Body: Ask("order.bad", `"late_after":"49h"`), Field: "late_after", Says: "1s to 48h", Order: "order.bad"},
	{Name: "negative timeout", Body: Ask("order.bad", `"timeout":"-5m"`), Field: "timeout", Says: "1s to 48h", Order: "order.bad"},
	{Name: "no timeout", Body: Ask("order.bad", `"timeout":"0s"`), Field: "timeout", Says: "1s to 48h", Order: "order.bad"},
	{Name: "timeout just under a second", Body: Ask("order.bad", `"timeout":"999ms"`), Field: "timeout", Says: "1s to 48h", Order: "order.bad"},
	{Name: "timeout just over the longest", Body: Ask("order.bad", `"timeout":"48h1ns"`), Field: "timeout", Says: "1s to 48h", Order: "order.bad"},
	{Name: "timeout beyond any duration", Body: Ask("order.bad", `"timeout":"9999999999999h"`), Field: "timeout", Says: "1s to 48h", Order: "order.bad"},
	{Name: "timeout without a unit", Body: Ask("order.bad", `"timeout":"90"`), Field: "timeout", Says: "such as 90m", Order: "order.bad"},
	{Name: "link with a password", Body: Ask("order.bad", `"link":"https://oauth2:secret@ci.example/1"`), Field: "link", Says: "no user or password", Order: "order.bad"},
	{Name: "request_id with half a character", Body: Ask("order.bad", `"request_id":"a\ud800"`), Field: "request_id", Says: "half a character", Order: "order.bad"},
	{Name: "timeout is a number", Body: Ask("order.bad", `"timeout":7200`), Field: "timeout", Says: "must be a string", Order: "order.bad"},
	{Name: "channel that is not allowed", Body: Ask("order.bad", `"slack_channel":"C0OTHER"`), Field: "slack_channel", Says: "configuration allows", Order: "order.bad"},
	{Name: "channel by its name", Body: Ask("order.bad", `"slack_channel":"#oncall"`), Field: "slack_channel", Says: "configuration allows", Order: "order.bad"},
}

// badStatuses have no body and pass themselves off as what the server says to whoever pulls.
var badStatuses = []Bad{
	{Name: "Status 409", Header: nats.Header{"Status": {"409"}, "Description": {"Consumer Deleted"}}, Says: "is not JSON"},
	{Name: "Status 400", Header: nats.Header{"Status": {"400"}}, Says: "is not JSON"},
	{Name: "Status 100", Header: nats.Header{"Status": {"100"}}, Says: "is not JSON"},
	{Name: "Status 404", Header: nats.Header{"Status": {"404"}}, Says: "is not JSON"},
	{Name: "Status 408", Header: nats.Header{"Status": {"408"}, "Nats-Pending-Messages": {"x"}}, Says: "is not JSON"},
	{Name: "Status 503", Header: nats.Header{"Status": {"503"}}, Says: "is not JSON"},
}

// badHeaders hold a good request each: it is the header that would do harm.
var badHeaders = []Bad{
	{Name: "Nats-Rollup of the subject", Body: good, Header: Header("Nats-Rollup", "sub"), Refused: 10111},
	{Name: "Nats-Rollup of the stream", Body: good, Header: Header("Nats-Rollup", "all"), Refused: 10111},
	{Name: "Nats-Schedule", Body: good, Header: nats.Header{"Nats-Schedule": {"@at 2030-01-01T00:00:00Z"}, "Nats-Schedule-Target": {"orders.watch"}}, Refused: 10188},
	{Name: "Nats-Schedule of every second", Body: good, Header: nats.Header{"Nats-Schedule": {"@every 1s"}, "Nats-Schedule-Target": {"orders.due.a.b"}}, Refused: 10188},
	{Name: "Nats-Schedule-Next", Body: good, Header: nats.Header{"Nats-Schedule-Next": {"purge"}, "Nats-Scheduler": {"orders.waiting.a.b"}}, Refused: 10188},
	{Name: "Nats-TTL", Body: good, Header: Header("Nats-TTL", "1s"), Refused: 10166},
	{Name: "Nats-TTL never", Body: good, Header: Header("Nats-TTL", "never"), Refused: 10166},
	{Name: "Nats-Incr", Body: "", Header: Header("Nats-Incr", "1"), Refused: 10168},
	{Name: "Nats-Batch-Id", Body: good, Header: nats.Header{"Nats-Batch-Id": {"b"}, "Nats-Batch-Sequence": {"1"}}, Refused: 10174},
	{Name: "Nats-Stream-Source", Body: good, Header: Header("Nats-Stream-Source", "ORDER_REQUESTS 1"), Refused: 10227},
	{Name: "Nats-Expected-Stream of another", Body: good, Header: Header("Nats-Expected-Stream", "ORDER_EVENTS"), Refused: 10060},
	{Name: "Nats-Expected-Last-Sequence", Body: good, Header: Header("Nats-Expected-Last-Sequence", "1000000"), Refused: 10071},
	{Name: "Nats-Expected-Last-Subject-Sequence", Body: good, Header: Header("Nats-Expected-Last-Subject-Sequence", "1000000"), Refused: 10071},
	{Name: "Nats-Expected-Last-Msg-Id", Body: good, Header: Header("Nats-Expected-Last-Msg-Id", "nobody"), Refused: 10070},
	{Name: "Nats-Msg-Id of 129 characters", Body: good, Header: Header("Nats-Msg-Id", strings.Repeat("m", 129)), Field: "Nats-Msg-Id", Says: "at most 128", Order: "order.bad"},
	{Name: "Nats-Msg-Id with a control character", Body: good, Header: Header("Nats-Msg-Id", "a\x1bb"), Field: "Nats-Msg-Id", Says: "control", Order: "order.bad"},
	{Name: "Nats-Msg-Id that is not UTF-8", Body: good, Header: Header("Nats-Msg-Id", "a\xffb"), Field: "Nats-Msg-Id", Says: "UTF-8", Order: "order.bad"},
	{Name: "Nats-Msg-Id of a bad request", Body: "watch!", Header: Header("Nats-Msg-Id", "build-772"), Says: "is not JSON", Request: "build-772"},
	{Name: "another CloudEvent", Body: "watch!", Header: nats.Header{"ce-specversion": {"1.0"}, "ce-type": {"com.example.push"}, "ce-source": {"/ci"}, "ce-id": {"1"}}, Field: "type", Says: "must be io.orderwatch.order.watch.v1"},
	{Name: "headers of a rejected event", Body: "watch!", Header: nats.Header{"Content-Type": {"text/html"}, "KV-Operation": {"PURGE"}, "Nats-Marker-Reason": {"Purge"}}, Says: "is not JSON"},
}

// good is a request that would be taken, were it not for the message's headers.
var good = Named(`"order.bad"`)

// BadRequests are bad messages of every kind.
var BadRequests = slices.Concat(badStatuses, badJSON, badFields, badHeaders)
