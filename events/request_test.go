package events_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/watcher"
)

// A goodRequest is a message on orders.watch that is taken.
type goodRequest struct {
	name   string
	body   string
	header nats.Header

	order    watcher.Order   // as the completion names it
	region   string          // cn-north-4 where empty
	request  watcher.Request // as the completion names it; without an ID the one made of the sequence
	timeout  time.Duration   // of the watch; an hour where 0
	expected int             // items
}

// defaultProject is that of requests that name none.
const defaultProject = "default-project"

func of(name string) watcher.Order { return watcher.Order{ProjectID: project, Name: name} }

// ask returns a request for the order with the fields added.
func ask(name, fields string) string {
	return `{"project_id":"` + project + `","order_name":"` + name + `",` + fields + `}`
}

var goodRequests = []goodRequest{
	{
		name:  "the least",
		body:  `{"project_id":"` + project + `","order_name":"order.least"}`,
		order: of("order.least"),
	},
	{
		name: "every field",
		body: ask("order.every", `"region":"cn-east-3","request_id":"build-771","requested_by":"gpu-pools","link":"https://ci.example/771",
			"labels":{"env":"prod","team":""},"expected_items":1,"timeout":"90m","slack_channel":"C0ONCALL"`),
		order: of("order.every"), region: "cn-east-3", timeout: 90 * time.Minute, expected: 1,
		request: watcher.Request{ID: "build-771", RequestedBy: "gpu-pools", Link: "https://ci.example/771", Labels: map[string]string{"env": "prod", "team": ""}, SlackChannel: "C0ONCALL"},
	},
	{
		name:  "the default project",
		body:  `{"order_name":"order.default"}`,
		order: watcher.Order{ProjectID: defaultProject, Name: "order.default"},
	},
	{
		name:  "64 KiB",
		body:  padded(named(`"order.64k"`), 64<<10),
		order: of("order.64k"),
	},
	{
		name:  "spaces and escapes",
		body:  "\r\n\t{ \"project_id\" : \"" + project + "\" ,\n\"\\u006frder_name\"\t: \"order\\u002espaces\" }\n",
		order: of("order.spaces"),
	},
	{
		name:  "the longest names",
		body:  `{"project_id":"` + strings.Repeat("P", 64) + `","order_name":"` + strings.Repeat("a=._-Z9b", 16) + `","request_id":"` + strings.Repeat("王", 128) + `"}`,
		order: watcher.Order{ProjectID: strings.Repeat("P", 64), Name: strings.Repeat("a=._-Z9b", 16)}, request: watcher.Request{ID: strings.Repeat("王", 128)},
	},
	{
		name: "the shortest names", body: `{"project_id":"-","order_name":"="}`,
		order: watcher.Order{ProjectID: "-", Name: "="},
	},
	{
		name:    "the longest texts",
		body:    ask("order.texts", `"requested_by":"`+strings.Repeat("ß", 200)+`","link":"`+longLink+`","labels":`+labelsJSON(longLabels)),
		order:   of("order.texts"),
		request: watcher.Request{RequestedBy: strings.Repeat("ß", 200), Link: longLink, Labels: longLabels},
	},
	{
		name:    "texts of the world",
		body:    ask("order.world", `"requested_by":"王小明 & Zoë <ci> \ud83d\ude80","labels":{"équipe":"日本語","\"quoted\"":"a\\b"}`),
		order:   of("order.world"),
		request: watcher.Request{RequestedBy: "王小明 & Zoë <ci> 🚀", Labels: map[string]string{"équipe": "日本語", `"quoted"`: `a\b`}},
	},
	{
		name:  "10,000 items",
		body:  ask("order.items", `"expected_items":10000`),
		order: of("order.items"), expected: 10000,
	},
	{name: "the longest timeout", body: ask("order.long", `"timeout":"48h"`), order: of("order.long"), timeout: 48 * time.Hour},
	{name: "the shortest timeout", body: ask("order.short", `"timeout":"1000ms"`), order: of("order.short"), timeout: time.Second},
	{name: "the default channel", body: ask("order.channel", `"slack_channel":""`), order: of("order.channel")},
	{name: "an empty request_id", body: ask("order.noid", `"request_id":""`), order: of("order.noid")},
	{name: "no labels", body: ask("order.nolabels", `"labels":{}`), order: of("order.nolabels")},

	// What a producer may set besides, and what becomes of it.
	{
		name: "Nats-Msg-Id", body: named(`"order.msgid"`), header: header("Nats-Msg-Id", "pipeline-9"),
		order: of("order.msgid"), request: watcher.Request{ID: "pipeline-9"},
	},
	{
		name: "Nats-Msg-Id of 128 characters", body: named(`"order.longmsgid"`), header: header("Nats-Msg-Id", strings.Repeat("é", 128)),
		order: of("order.longmsgid"), request: watcher.Request{ID: strings.Repeat("é", 128)},
	},
	{
		name: "request_id beside Nats-Msg-Id", body: ask("order.both", `"request_id":"build-9"`), header: header("Nats-Msg-Id", "pipeline-10"),
		order: of("order.both"), request: watcher.Request{ID: "build-9"},
	},
	{
		name: "expectations that hold", body: named(`"order.expect"`),
		header: nats.Header{"Nats-Expected-Stream": {"ORDER_REQUESTS"}}, order: of("order.expect"),
	},
	{
		name: "headers without a meaning here", body: named(`"order.headers"`), order: of("order.headers"),
		header: nats.Header{
			"Status": {"409"}, "Description": {"Consumer Deleted"}, "KV-Operation": {"PURGE"}, "Nats-Marker-Reason": {"Purge"},
			"Nats-Sequence": {"1"}, "Nats-Schedule-Target": {"orders.due.a.b"}, "Nats-Schedule-TTL": {"1s"}, "Nats-Required-Api-Level": {"99"},
		},
	},
}

var longLink = "https://ci.example/" + strings.Repeat("a", 2000-len("https://ci.example/"))

var longLabels = func() map[string]string {
	labels := make(map[string]string)
	for i := range 32 {
		labels[strings.Repeat("é", 62)+fmt.Sprintf("%02d", i)] = strings.Repeat("好", 256)
	}
	return labels
}()

func labelsJSON(labels map[string]string) string {
	encoded, err := json.Marshal(labels)
	if err != nil {
		panic(err)
	}
	return string(encoded)
}

// TestGoodRequests sends every good request to one worker and looks at what the completions and
// the records say of them.
func TestGoodRequests(t *testing.T) {
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	cfg := config()
	cfg.Requests.DefaultProject = defaultProject
	cloud := &orders{show: func(order watcher.Order, _ int) (watcher.Answer, error) {
		if order.Name == "order.items" {
			return manyItems(10000, 0, ""), nil
		}
		return answer(watcher.Succeed), nil
	}}
	w := startWorker(t, s, cfg, cloud)
	begin := time.Now()
	sequences := make(map[string]uint64)
	for _, right := range goodRequests {
		ack, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: "orders.watch", Header: right.header, Data: []byte(right.body)})
		if err != nil {
			t.Fatalf("%s: %v", right.name, err)
		}
		sequences[right.name] = ack.Sequence
	}
	completions := make(map[watcher.Order]watcher.Completion)
	for range goodRequests {
		c := w.next(t)
		if _, twice := completions[c.Order()]; twice {
			t.Errorf("%s ended twice", c.Order())
		}
		completions[c.Order()] = c
	}
	for _, right := range goodRequests {
		t.Run(right.name, func(t *testing.T) {
			c, ok := completions[right.order]
			if !ok {
				t.Fatal("no completion")
			}
			checkTaken(t, js, right, c, sequences[right.name], begin)
		})
	}
	if n := eventstest.Messages(t, js, "ORDER_EVENTS", "orders.rejected"); n != 0 {
		t.Errorf("%d good requests were rejected: %s", n, eventsOn(t, js, "orders.rejected")[0].Data)
	}
}

func checkTaken(t *testing.T, js jetstream.JetStream, right goodRequest, c watcher.Completion, sequence uint64, begin time.Time) {
	if c.Outcome != watcher.Succeeded || len(c.Requests) != 1 {
		t.Fatalf("outcome %s with requests %+v; want succeeded with one", c.Outcome, c.Requests)
	}
	got, want := c.Requests[0], right.request
	want.ReceivedAt = got.ReceivedAt
	if want.ID == "" {
		want.ID = fmt.Sprintf("seq-%d-%d", sequence, got.ReceivedAt.UnixMilli())
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the request is named as\n%+v; want\n%+v", got, want)
	}
	if got.ReceivedAt.Before(begin.Truncate(time.Millisecond)) || c.CompletedAt.Before(got.ReceivedAt) || !c.AcceptedAt.Equal(got.ReceivedAt) {
		t.Errorf("received_at %v, accepted_at %v, completed_at %v", got.ReceivedAt, c.AcceptedAt, c.CompletedAt)
	}
	region, timeout := right.region, right.timeout
	if region == "" {
		region = "cn-north-4"
	}
	if timeout == 0 {
		timeout = time.Hour
	}
	record := recordOf(t, js, right.order)
	if c.Region != region || record.Region != region {
		t.Errorf("region %s, in the record %s; want %s", c.Region, record.Region, region)
	}
	if deadline := got.ReceivedAt.Add(timeout); !record.Deadline.Equal(deadline) || record.ExpectedItems != right.expected {
		t.Errorf("deadline %v, expected_items %d; want %v, %d", record.Deadline, record.ExpectedItems, deadline, right.expected)
	}
}

func recordOf(t *testing.T, js jetstream.JetStream, order watcher.Order) watcher.Watch {
	t.Helper()
	bucket, err := js.KeyValue(t.Context(), "ORDER_WATCHES")
	if err != nil {
		t.Fatal(err)
	}
	entry, err := bucket.Get(t.Context(), order.Key())
	if err != nil {
		t.Fatal(err)
	}
	w, err := watcher.DecodeWatch(entry.Value())
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// TestRequestRepeated stores one request many times, also after its watch has ended.
func TestRequestRepeated(t *testing.T) {
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	proceed := make(chan struct{})
	cloud := &orders{show: func(watcher.Order, int) (watcher.Answer, error) {
		select {
		case <-proceed:
			return answer(watcher.Succeed), nil
		default:
			return answer(watcher.Processing), nil
		}
	}}
	w := startWorker(t, s, config(), cloud)
	same := request("order.repeated")
	same["request_id"] = "build-1"
	for range 5 {
		publish(t, js, same)
	}
	taken := func() error {
		if n := eventstest.Messages(t, js, "ORDER_REQUESTS", ">"); n != 0 {
			return fmt.Errorf("%d requests not taken", n)
		}
		return nil
	}
	eventstest.Eventually(t, taken)
	close(proceed)
	if c := w.next(t); len(c.Requests) != 1 || c.Requests[0].ID != "build-1" {
		t.Errorf("the completion names %+v; want build-1 once", c.Requests)
	}
	publish(t, js, same)
	publish(t, js, request("order.other"))
	if c := w.next(t); c.OrderName != "order.other" {
		t.Errorf("a repeated request started another watch: %+v", c)
	}
	eventstest.Eventually(t, taken)
	if n := eventstest.Messages(t, js, "ORDER_EVENTS", "orders.completed.>"); n != 2 {
		t.Errorf("%d completions; want 2", n)
	}
}

// TestMessageIDOfTwoOrders gives one Nats-Msg-Id to the requests for two orders. Within 100 ms the
// server takes the second for a duplicate and says so in its PubAck; afterwards both are watched.
func TestMessageIDOfTwoOrders(t *testing.T) {
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	w := startWorker(t, s, config(), &orders{show: ended(watcher.Succeed)})
	for _, name := range []string{"order.first", "order.second"} {
		eventstest.Eventually(t, func() error {
			m := &nats.Msg{Subject: "orders.watch", Header: header("Nats-Msg-Id", "one"), Data: []byte(named(`"` + name + `"`))}
			ack, err := js.PublishMsg(t.Context(), m)
			if err == nil && ack.Duplicate {
				err = fmt.Errorf("%s was taken for a duplicate", name)
			}
			return err
		})
	}
	names := make(map[string]string)
	for range 2 {
		c := w.next(t)
		names[c.OrderName] = c.Requests[0].ID
	}
	if want := map[string]string{"order.first": "one", "order.second": "one"}; !maps.Equal(names, want) {
		t.Errorf("orders and their requests: %v; want %v", names, want)
	}
}

// TestJoinOfAnotherRegion rejects a request that names another region than the order's watch.
func TestJoinOfAnotherRegion(t *testing.T) {
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	startWorker(t, s, config(), &orders{show: ended(watcher.Processing)})
	begin := time.Now()
	publish(t, js, request("order.bad"))
	eventstest.Eventually(t, func() error {
		if n := eventstest.Messages(t, js, "KV_ORDER_WATCHES", "$KV.ORDER_WATCHES.*.order.bad"); n != 1 {
			return fmt.Errorf("%d records", n)
		}
		return nil
	})
	join := badRequest{body: bad(`"region":"cn-east-3","request_id":"build-2"`), field: "region", says: "watched in cn-north-4", order: "order.bad", request: "build-2"}
	if _, err := js.Publish(t.Context(), "orders.watch", []byte(join.body)); err != nil {
		t.Fatal(err)
	}
	var told []*jetstream.RawStreamMsg
	eventstest.Eventually(t, func() error {
		if told = eventsOn(t, js, "orders.rejected"); len(told) != 1 {
			return fmt.Errorf("%d rejected events", len(told))
		}
		return nil
	})
	checkRejected(t, told[0], join, begin)
}
