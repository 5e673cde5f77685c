package events_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/schema/schematest"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// client returns a client of the worker that runs on the server of nc.
func newClient(t *testing.T, nc *nats.Conn) *client.Client {
	t.Helper()
	c, err := client.New(nc, config().Names)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// asked makes a request to the service and returns the code of the error, 200 for none.
func asked(t *testing.T, nc *nats.Conn, endpoint, body string) (code int, reply *nats.Msg) {
	t.Helper()
	reply, err := nc.Request("orderwatch."+endpoint, []byte(body), eventstest.Patience)
	if err != nil {
		t.Fatalf("%s: %v", endpoint, err)
	}
	if text := reply.Header.Get(micro.ErrorCodeHeader); text != "" {
		code, err = strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return code, reply
	}
	return 200, reply
}

func orderBody(name, more string) string {
	return fmt.Sprintf(`{"project_id":%q,"order_name":%q%s}`, project, name, more)
}

// never answers every poll with one item that goes on.
func never(watcher.Order, int) (watcher.Answer, error) { return answer(watcher.Processing), nil }

// quiet are settings with long intervals: nothing is polled between what a test asks.
func quiet() settings {
	cfg := config()
	cfg.Policy.Backoff.Initial, cfg.Policy.Backoff.Max = time.Hour, time.Hour
	return cfg
}

func TestServiceAnswers(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	cloud := &orders{show: never}
	startWorker(t, s, quiet(), cloud)
	nc, _ := eventstest.Connect(t, s)
	c := newClient(t, nc)
	order := of("order.a")

	code, reply := asked(t, nc, "watch", orderBody("order.a", `,"requested_by":"ann"`))
	var first wire.Accepted
	if err := json.Unmarshal(reply.Data, &first); err != nil || code != 200 {
		t.Fatalf("%d %s (%v)", code, reply.Data, err)
	}
	if first.State != "watching" || first.WatchID == "" || !strings.HasPrefix(first.RequestID, "req-") {
		t.Errorf("watch answered %+v", first)
	}
	code, reply = asked(t, nc, "watch", orderBody("order.a", `,"request_id":"second"`))
	if want := (wire.Accepted{WatchID: first.WatchID, State: "joined", RequestID: "second"}); code != 200 || read[wire.Accepted](t, reply) != want {
		t.Errorf("the second watch answered %d %s", code, reply.Data)
	}
	eventstest.Eventually(t, cloud.polled("order.a", 1))
	var seen watcher.Snapshot
	eventstest.Eventually(t, func() (err error) {
		if seen, err = c.Get(t.Context(), order); err == nil && seen.Polls != 1 {
			err = fmt.Errorf("%d polls", seen.Polls)
		}
		return err
	})
	if seen.State != watcher.Watching || len(seen.Requests) != 2 || len(seen.Items) != 1 || seen.NextPollAt.IsZero() || seen.LastPollAt.IsZero() || seen.Requests[0].RequestedBy != "ann" {
		t.Errorf("get answered %+v", seen)
	}
	if _, err := c.Poll(t.Context(), order); err != nil {
		t.Error(err)
	}
	eventstest.Eventually(t, cloud.polled("order.a", 2))

	begin := time.Now()
	shown, err := c.Cancel(t.Context(), wire.CancelRequest{Order: order, By: "bob", Reason: "not needed"})
	if err != nil || shown.Wish == nil || shown.Wish.By != "bob" {
		t.Errorf("cancel answered %+v (%v)", shown, err)
	}
	eventstest.Eventually(t, func() error {
		w, err := c.Get(t.Context(), order)
		if err == nil && w.State != watcher.Ended {
			err = errors.New("not ended")
		}
		seen = w
		return err
	})
	t.Logf("ended %s after the cancel", time.Since(begin))
	if seen.Outcome != watcher.Cancelled || seen.Reason != "cancelled by bob: not needed" || cloud.count(order) != 2 {
		t.Errorf("ended as %+v after %d polls", seen, cloud.count(order))
	}
	for _, endpoint := range []string{"cancel", "poll"} {
		if code, reply := asked(t, nc, endpoint, orderBody("order.a", byOf(endpoint))); code != 409 {
			t.Errorf("%s of an ended watch: %d %s", endpoint, code, reply.Header.Get(micro.ErrorHeader))
		}
	}
	code, reply = asked(t, nc, "watch", orderBody("order.a", `,"request_id":"second"`))
	if got := read[wire.Accepted](t, reply); code != 200 || got.State != "ended" || got.WatchID != first.WatchID {
		t.Errorf("the second watch asked again: %d %s", code, reply.Data)
	}
}

func byOf(endpoint string) string {
	if endpoint == "cancel" {
		return `,"by":"bob"`
	}
	return ""
}

func read[A any](t *testing.T, reply *nats.Msg) (answer A) {
	t.Helper()
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		t.Errorf("%v: %s", err, reply.Data)
	}
	return answer
}

func TestServiceRefuses(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	startWorker(t, s, quiet(), &orders{show: never})
	nc, _ := eventstest.Connect(t, s)
	for _, test := range []struct {
		endpoint, body string
		code           int
		field          string
	}{
		{"watch", "{", 400, ""},
		{"watch", orderBody("order.a", `,"timeout":"1ms"`), 400, "timeout"},
		{"watch", orderBody("order.a", `,"tiemout":"1m"`), 400, "tiemout"},
		{"get", orderBody("order.none", ""), 404, ""},
		{"get", orderBody("order.*", ""), 400, "order_name"},
		{"get", orderBody("order.a", `,"by":"x"`), 400, "by"},
		{"get", "", 400, ""},
		{"get", `{"order_name":"order.a"}`, 400, "project_id"},
		{"cancel", orderBody("order.none", `,"by":"x"`), 404, ""},
		{"cancel", orderBody("order.none", ""), 400, "by"},
		{"cancel", orderBody("order.none", `,"by":"x","reason":"`+strings.Repeat("x", 501)+`"`), 400, "reason"},
		{"poll", orderBody("order.none", ""), 404, ""},
		{"list", `{"state":"ending"}`, 400, "state"},
		{"list", `{"limit":1001}`, 400, "limit"},
		{"list", `{"limit":0}`, 400, "limit"},
		{"list", `{"label":"env"}`, 400, "label"},
		{"list", `{"project_id":"a.b"}`, 400, "project_id"},
		{"list", `{"outcomes":["lost"]}`, 400, "outcomes"},
		{"list", `{"outcomes":[` + strings.Repeat(`"failed",`, 7) + `"failed"]}`, 400, "outcomes"}, // each is looked for in each watch
	} {
		code, reply := asked(t, nc, test.endpoint, test.body)
		why := read[wire.ServiceError](t, reply)
		if code != test.code || why.Code != code || why.Field != test.field || why.Reason == "" || reply.Header.Get(micro.ErrorHeader) != why.Reason {
			t.Errorf("%s %s: %d %+v; want %d, field %q", test.endpoint, test.body, code, why, test.code, test.field)
		}
	}
}

// TestWatchCheckOnly holds that a request which is to be checked alone is answered, and not carried out.
func TestWatchCheckOnly(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	startWorker(t, s, quiet(), &orders{show: never})
	nc, _ := eventstest.Connect(t, s)
	for body, want := range map[string]int{orderBody("order.a", `,"request_id":"build-1"`): 200, orderBody("order.a", `,"region":"mars"`): 400} {
		m := nats.NewMsg("orderwatch.watch")
		m.Data = []byte(body)
		m.Header.Set(wire.CheckOnly, "true")
		reply, err := nc.RequestMsg(m, eventstest.Patience)
		if err != nil {
			t.Fatal(err)
		}
		code, schema := 200, "watch-response"
		if text := reply.Header.Get(micro.ErrorCodeHeader); text != "" {
			code, _ = strconv.Atoi(text)
			schema = "service-error"
		}
		if code != want || code == 200 && string(reply.Data) != `{"watch_id":"","state":"checked","request_id":"build-1"}` {
			t.Errorf("%s: %d %s", body, code, reply.Data)
		}
		if err := schematest.Validate(compiled(t, schema), reply.Data); err != nil {
			t.Error(err)
		}
	}
	if code, reply := asked(t, nc, "list", `{}`); code != 200 || string(reply.Data) != `{"watches":[]}` {
		t.Errorf("it is watched: %d %s", code, reply.Data)
	}
}
