package events_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/micro"

	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/schema/schematest"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// A wish is what a notifier is told again.
type wish struct {
	completion watcher.Completion
	again      watcher.Again
}

// wishes is a Notifier that hands on what it is told again; its first answer is an error.
type wishes struct {
	told
	all  chan wish
	once *sync.Once
}

func (w wishes) NotifyAgain(_ context.Context, c watcher.Completion, again watcher.Again) (err error) {
	w.once.Do(func() { err = &watcher.RetryError{After: 10 * time.Millisecond, Err: errors.New("not now")} })
	w.all <- wish{c, again}
	return err
}

// next returns what the notifier is told again next.
func (w wishes) next(t *testing.T) wish {
	t.Helper()
	select {
	case told := <-w.all:
		return told
	case <-time.After(eventstest.Patience):
		t.Fatal("nobody was told again within 30 s")
		panic("unreachable")
	}
}

// startWishing starts a worker, and has an order watched twice. It returns the ids of the watches.
func startWishing(t *testing.T) (s *server.Server, c *client.Client, people wishes, first, second string) {
	s = eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	nc, _ := eventstest.Connect(t, s)
	people = wishes{make(told, 100), make(chan wish, 100), new(sync.Once)}
	parts{url: s.ClientURL(), config: config(), orders: &orders{show: ended(watcher.Succeed)}, notifier: people}.ready(t)
	for range 2 {
		publish(t, js, request("order.a"))
		first, second = second, (<-people.told).WatchID
		eventstest.Eventually(t, idle(t, js, "ORDER"))
	}
	return s, newClient(t, nc), people, first, second
}

// A wish to tell people again reaches a notifier with the completion that is meant, and again where
// that failed.
func TestRenotify(t *testing.T) {
	t.Parallel()
	s, c, people, first, second := startWishing(t)
	inChannel := wire.RenotifyRequest{WatchID: second, Channels: []string{"C0ONCALL", "C0ROUTED"}, RequestID: "one"}
	for i, tc := range []struct {
		name string
		ask  wire.RenotifyRequest
		want string
	}{
		{"the last of an order", wire.RenotifyRequest{Order: of("order.a")}, second},
		{"a watch", wire.RenotifyRequest{WatchID: first}, first},
		{"a watch of an order", wire.RenotifyRequest{WatchID: first, Order: of("order.a")}, first},
		{"in a channel, with an id", inChannel, second},
		{"the same, asked again", inChannel, second},
	} {
		tc.ask.By = "ann"
		answer, err := c.Renotify(t.Context(), tc.ask)
		if err != nil || answer.WatchID != tc.want || answer.Order != of("order.a") || answer.Outcome != watcher.Succeeded || answer.CompletedAt.IsZero() {
			t.Fatalf("%s: %+v (%v)", tc.name, answer, err)
		}
		times := 1
		if i == 0 {
			times = 2 // the notifier's first answer is an error
		}
		for range times {
			told := people.next(t)
			if told.completion.WatchID != tc.want || told.again.WatchID != tc.want || told.again.ID != answer.RequestID || told.again.By != "ann" ||
				fmt.Sprint(told.again.Channels) != fmt.Sprint(tc.ask.Channels) || time.Since(told.again.At) > time.Minute {
				t.Errorf("%s: told %+v of %s", tc.name, told.again, told.completion.WatchID)
			}
		}
	}
	_, js := eventstest.Connect(t, s)
	if list := eventstest.Events(t, js, "ORDER_EVENTS", "orders.attention.renotify.>"); len(list) != 5 || list[3].ID != "again_one" || list[4].ID != "again_one" {
		t.Errorf("the events are %+v", list)
	}
	if n := len(people.told) + len(people.all); n != 0 {
		t.Errorf("told %d times too often", n)
	}
}

// What cannot be meant is refused; the schema refuses what is wrong in itself.
func TestRenotifyRefused(t *testing.T) {
	t.Parallel()
	s, _, people, first, _ := startWishing(t)
	nc, _ := eventstest.Connect(t, s)
	asks, err := schematest.Compile("renotify-request")
	if err != nil {
		t.Fatal(err)
	}
	stranger := "w_" + strings.Repeat("0", 26)
	for _, tc := range []struct {
		body string
		code int
		well bool // formed
	}{
		{`{"watch_id":"` + first + `","by":"ann"}`, 200, true},
		{`{"watch_id":"` + stranger + `","by":"ann"}`, 404, true},
		{orderBody("order.b", `,"by":"ann"`), 404, true},
		{orderBody("order.b", `,"by":"ann","watch_id":"`+first+`"`), 404, true},
		{orderBody("order.a", `,"by":"ann","slack_channels":["C0OTHER"]`), 400, true},
		{`{"by":"ann"}`, 400, true},
		{`{"by":"ann","watch_id":""}`, 400, true},
		{`{"by":"ann","order_name":"order.a"}`, 400, true}, // without a default
		{orderBody("order.a", ""), 400, false},
		{orderBody("order.a", `,"by":""`), 400, false},
		{orderBody("order.a", `,"by":"`+strings.Repeat("é", 201)+`"`), 400, false},
		{orderBody("order.a", `,"by":"ann","request_id":"a.b"`), 400, false},
		{orderBody("order.a", `,"by":"ann","slack_channels":"C0ONCALL"`), 400, false},
		{orderBody("order.a", `,"by":"ann","slack_channels":null`), 400, false},
		{orderBody("order.a", `,"by":"ann","slack_channels":[`+strings.Repeat(`"C0ONCALL",`, 10)+`"C0ONCALL"]`), 400, false},
		{orderBody("order.a", `,"by":"ann","channel":"C0ONCALL"`), 400, false},
		{orderBody("order..a", `,"by":"ann"`), 400, false},
		{`{"watch_id":"w_1","by":"ann"}`, 400, false},
		{`{"watch_id":"` + strings.TrimPrefix(first, "w_") + `","by":"ann"}`, 400, false},
		{`{}`, 400, false},
		{``, 400, false},
	} {
		code, reply := asked(t, nc, "renotify", tc.body)
		if code != tc.code {
			t.Errorf("%s: %d %s; want %d", tc.body, code, reply.Header.Get(micro.ErrorHeader), tc.code)
		}
		if got := schematest.Validate(asks, []byte(tc.body)) == nil; got != tc.well {
			t.Errorf("%s: the schema takes it: %t", tc.body, got)
		}
	}
	people.next(t)
}

// A wish whose completion is not there any more is done with, and the log says so.
func TestRenotifyTooLate(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	people := wishes{make(told, 10), make(chan wish, 10), new(sync.Once)}
	w := parts{url: s.ClientURL(), config: config(), orders: idleCloud(), notifier: people}.ready(t)
	for _, body := range []string{
		`{"specversion":"1.0","id":"again_1","source":"/x","type":"io.orderwatch.slack.renotify.v1","datacontenttype":"application/json","data":{"request_id":"1","watch_id":"w_gone","completion_sequence":4711}}`,
		`{"specversion":"1.0","id":"1","source":"/x","type":"io.orderwatch.account.moved.v1","datacontenttype":"application/json","data":{}}`,
	} {
		if _, err := js.Publish(t.Context(), "orders.attention.renotify.p.o", []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	eventstest.Eventually(t, func() error {
		c, err := js.Consumer(t.Context(), "ORDER_EVENTS", "slack")
		if err != nil {
			return err
		}
		if i := c.CachedInfo(); i.AckFloor.Stream < 2 {
			return fmt.Errorf("acknowledged up to %d", i.AckFloor.Stream)
		}
		return nil
	})
	for _, words := range [][]string{{"no longer kept", "w_gone"}, {"dropped what is no event", "orders.attention.renotify.p.o"}} {
		if err := w.log.line(append(words, "level=ERROR")...); err != nil {
			t.Error(err)
		}
	}
	if len(people.all) > 0 {
		t.Error("told again")
	}
}
