package events_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestSomebodysReplySubject asks the service five times at once with one reply subject. The server permits the worker
// one answer to it: that is no permission that the worker lacks.
func TestSomebodysReplySubject(t *testing.T) {
	t.Parallel()
	worker := &server.User{Username: "worker", Password: "w", Permissions: &server.Permissions{
		Publish: &server.SubjectPermission{Allow: []string{
			"$JS.API.>", "$JS.ACK.>", "$KV.>", "orders.waiting.>", "orders.due.>", "orders.completed.>", "orders.progress.>", "orders.rejected", "orders.attention.>", "orders.undelivered.>",
		}},
		Subscribe: &server.SubjectPermission{Allow: []string{">"}},
		Response:  &server.ResponsePermission{MaxMsgs: 1},
	}}
	person := &server.User{Username: "person", Password: "p"}
	s := eventstest.Server(t, server.Options{Users: []*server.User{worker, person}})
	at := strings.TrimPrefix(s.ClientURL(), "nats://")
	w := parts{url: "nats://worker:w@" + at, config: config(), orders: &orders{show: ended(watcher.Succeed)}}.ready(t)
	nc, err := nats.Connect("nats://person:p@" + at)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for _, reply := range []string{"somebody.inbox", "orders.watch"} {
		for range 5 {
			if err := nc.PublishRequest("orderwatch.list", reply, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventstest.Eventually(t, func() error { return w.log.line("level=WARN", "NATS denies an answer to a requester") })
	if err := w.Ready(); err != nil {
		t.Errorf("not ready: %v", err)
	}
	if err := w.log.line("level=ERROR"); err == nil {
		t.Error("an ERROR although nothing is missing")
	}
}

// TestSubscriptionsExceeded gives a worker an account with too few subscriptions: the limit is named.
func TestSubscriptionsExceeded(t *testing.T) {
	t.Parallel()
	for _, most := range []int{2, 10, 18} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			t.Parallel()
			s := eventstest.Server(t, server.Options{MaxSubs: most})
			w := parts{url: s.ClientURL(), config: config(), orders: &orders{show: ended(watcher.Succeed)}}.start(t)
			eventstest.Eventually(t, func() error { return w.log.line("level=ERROR", "limit of subscriptions") })
			eventstest.Eventually(t, func() error {
				if err := w.Ready(); err == nil || !strings.Contains(err.Error(), "limit of subscriptions") {
					return fmt.Errorf("ready: %v; want the limit", err)
				}
				return nil
			})
		})
	}
}
