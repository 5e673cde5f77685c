package events_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go/micro"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/schema/schematest"
)

// TestServiceSchemas asks the service with what the schemas in its metadata let pass and with what
// they do not.
func TestServiceSchemas(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	startWorker(t, s, quiet(), &orders{show: never})
	nc, _ := eventstest.Connect(t, s)
	reply, err := nc.Request("$SRV.INFO.orderwatch", nil, eventstest.Patience)
	if err != nil {
		t.Fatal(err)
	}
	info := read[micro.Info](t, reply)
	requests, responses := make(map[string]*jsonschema.Schema), make(map[string]*jsonschema.Schema)
	teams := 0 // endpoints that answer the same to teams
	for _, endpoint := range info.Endpoints {
		if name, ok := strings.CutSuffix(endpoint.Name, "-team"); ok && endpoint.Subject == "orderwatch."+name+".*" {
			teams++
			continue
		}
		requests[endpoint.Name] = parsed(t, endpoint.Metadata["request_schema"])
		responses[endpoint.Name] = parsed(t, endpoint.Metadata["response_schema"])
		if endpoint.QueueGroup != "q" {
			t.Errorf("%s answers in the queue %q; the AsyncAPI document says q", endpoint.Name, endpoint.QueueGroup)
		}
	}
	if len(requests) != 10 || teams != 10 {
		t.Fatalf("the service has %d endpoints, and %d for teams; want 10 of each", len(requests), teams)
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
		{"list", `{"order_name":"order.a","request_id":"build 1","outcomes":["failed","timed_out"],"since":"2025-04-10T12:00:00Z"}`, 200},
		{"list", `{"order_name":"","request_id":"","outcomes":[]}`, 200},
		{"list", `{"order_name":"a/b"}`, 400},
		{"list", `{"outcomes":["lost"]}`, 400},
		{"list", `{"outcomes":"failed"}`, 400},
		{"list", `{"since":"yesterday"}`, 400},
		{"list", `{"limit":1001}`, 400},
		{"list", `{"label":"env"}`, 400},
		{"list", `{"label":"=a"}`, 400},
		{"list", `{"project_id":"a.b"}`, 400},
		{"list", `{"cursor":"` + strings.Repeat("x", 65) + `"}`, 400},
		{"list", `{"watch_id":"w_1"}`, 400},
		{"events", `{}`, 200},
		{"events", `{"subjects":["orders.completed.>"],"after_sequence":0,"since":"2025-04-10T12:00:00Z","new":false,"cursor":"","wait":"0s","limit":1}`, 200},
		{"events", `{"subjects":"orders.completed.>"}`, 400},
		{"events", `{"limit":1001}`, 400},
		{"events", `{"after_sequence":-1}`, 400},
		{"events", `{"wait":"soon"}`, 400},
		{"why", orderBody("order.a", ""), 200},
		{"why", orderBody("order.a", `,"by":"ann"`), 400},
		{"history", `{}`, 200},
		{"history", `{"forget":1}`, 400},
		{"history", `{"key":"cn-north-4"}`, 400},
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

func compiled(t testing.TB, name string) *jsonschema.Schema {
	t.Helper()
	s, err := schematest.Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
