package events_test

import (
	"fmt"
	"maps"
	"reflect"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/wire/wiretest"
	"github.com/orderwatch/orderwatch/watcher"
)

func of(name string) watcher.Order { return watcher.Order{ProjectID: project, Name: name} }

// TestGoodRequests sends every good request to one worker and looks at what the completions and
// the records say of them.
func TestGoodRequests(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	cfg := config()
	cfg.Requests.DefaultProject = wiretest.DefaultProject
	cloud := &orders{show: func(order watcher.Order, _ int) (watcher.Answer, error) {
		if order.Name == "order.items" {
			return manyItems(10000, 0, ""), nil
		}
		return answer(watcher.Succeed), nil
	}}
	w := startWorker(t, s, cfg, cloud)
	begin := time.Now()
	sequences := make(map[string]uint64)
	for _, right := range wiretest.GoodRequests {
		ack, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: "orders.watch", Header: right.Header, Data: []byte(right.Body)})
		if err != nil {
			t.Fatalf("%s: %v", right.Name, err)
		}
		sequences[right.Name] = ack.Sequence
	}
	completions := make(map[watcher.Order]watcher.Completion)
	for range wiretest.GoodRequests {
		c := w.next(t)
		if _, twice := completions[c.Order()]; twice {
			t.Errorf("%s ended twice", c.Order())
		}
		completions[c.Order()] = c
	}
	for _, right := range wiretest.GoodRequests {
		t.Run(right.Name, func(t *testing.T) {
			c, ok := completions[right.Order]
			if !ok {
				t.Fatal("no completion")
			}
			checkTaken(t, js, right, c, sequences[right.Name], begin)
		})
	}
	if n := eventstest.Messages(t, js, "ORDER_EVENTS", "orders.rejected"); n != 0 {
		t.Errorf("%d good requests were rejected: %s", n, eventsOn(t, js, "orders.rejected")[0].Data)
	}
}

func checkTaken(t *testing.T, js jetstream.JetStream, right wiretest.Good, c watcher.Completion, sequence uint64, begin time.Time) {
	if c.Outcome != watcher.Succeeded || len(c.Requests) != 1 {
		t.Fatalf("outcome %s with requests %+v; want succeeded with one", c.Outcome, c.Requests)
	}
	got, want := c.Requests[0], right.Request
	want.ReceivedAt = got.ReceivedAt
	if right.Late > 0 {
		want.LateAt = got.ReceivedAt.Add(right.Late)
	}
	if want.ID == "" {
		want.ID = fmt.Sprintf("seq-%d-%d", sequence, got.ReceivedAt.UnixMilli())
	}
	timeout := right.Timeout
	if timeout == 0 {
		timeout = time.Hour
	}
	want.Deadline, want.ExpectedItems = got.ReceivedAt.Add(timeout), right.Expected
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the request is named as\n%+v; want\n%+v", got, want)
	}
	if got.ReceivedAt.Before(begin.Truncate(time.Millisecond)) || c.CompletedAt.Before(got.ReceivedAt) || !c.AcceptedAt.Equal(got.ReceivedAt) {
		t.Errorf("received_at %v, accepted_at %v, completed_at %v", got.ReceivedAt, c.AcceptedAt, c.CompletedAt)
	}
	region := right.Region
	if region == "" {
		region = "cn-north-4"
	}
	record := recordOf(t, js, right.Order)
	if c.Region != region || record.Region != region {
		t.Errorf("region %s, in the record %s; want %s", c.Region, record.Region, region)
	}
	if deadline := got.ReceivedAt.Add(timeout); !record.Deadline.Equal(deadline) || record.ExpectedItems != right.Expected {
		t.Errorf("deadline %v, expected_items %d; want %v, %d", record.Deadline, record.ExpectedItems, deadline, right.Expected)
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
	t.Parallel()
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
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	w := startWorker(t, s, config(), &orders{show: ended(watcher.Succeed)})
	for _, name := range []string{"order.first", "order.second"} {
		eventstest.Eventually(t, func() error {
			m := &nats.Msg{Subject: "orders.watch", Header: wiretest.Header("Nats-Msg-Id", "one"), Data: []byte(wiretest.Named(`"` + name + `"`))}
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
	t.Parallel()
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
	join := wiretest.Bad{Body: wiretest.Ask("order.bad", `"region":"cn-east-3","request_id":"build-2"`), Field: "region", Says: "watched in cn-north-4", Order: "order.bad", Request: "build-2"}
	if _, err := js.Publish(t.Context(), "orders.watch", []byte(join.Body)); err != nil {
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
