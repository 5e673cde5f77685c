package events_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestStatus asks two workers how an installation is that has one of each: an account that is held, a watch
// that is overdue, records that cannot be read, and messages that people were not told.
func TestStatus(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, js := eventstest.Connect(t, s)
	c := newClient(t, nc)
	if _, err := c.Status(t.Context()); !errors.Is(err, client.ErrNoWorker) {
		t.Errorf("with no worker: %v", err)
	}
	cfg := quiet()
	cfg.Version = "1.2.3"
	cfg.Troubles = func() []string { return []string{"slack takes no messages since 12:00"} }
	id := ""
	for range 2 {
		id = startWorker(t, s, cfg, &orders{show: never}).accounts.ID()
	}
	var status wire.Status
	eventstest.Eventually(t, func() (err error) {
		if status, err = c.Status(t.Context()); err == nil && (status.Workers == nil || status.Workers.Present != 2) {
			err = fmt.Errorf("%+v", status.Workers)
		}
		return err
	})
	want := wire.Status{
		Workers: &wire.WorkerCount{Present: 2, Versions: map[string]int{"1.2.3": 2}}, Held: []wire.HeldAccount{},
		Watches: &wire.WatchCount{All: true}, People: &wire.Untold{Troubles: []string{"slack takes no messages since 12:00"}},
	}
	if !reflect.DeepEqual(status, want) {
		t.Errorf("of one that is well: %+v", status)
	}

	now := time.Now().UTC().Truncate(time.Second)
	put := func(subject string, value []byte) {
		t.Helper()
		if _, err := js.Publish(t.Context(), subject, value); err != nil {
			t.Fatal(err)
		}
	}
	hold := watcher.Hold{Kind: watcher.HeldLogin, Region: "cn-north-4", Reason: "401 APIG.0301", Code: "APIG.0301", Since: now, Until: now.Add(time.Hour)}
	encoded, err := json.Marshal(hold)
	if err != nil {
		t.Fatal(err)
	}
	put("$KV.ORDER_ACCOUNTS.hold.ab12.cn-north-4", encoded)
	put("$KV.ORDER_ACCOUNTS.sweep.cn-north-4.q", fmt.Appendf(nil, `{"worker":%q,"every":"5s","off_until":%q,"why":"403"}`, id, now.Add(time.Hour).Format(time.RFC3339)))
	put("$KV.ORDER_ACCOUNTS.sweep.cn-north-4.p", fmt.Appendf(nil, `{"worker":%q,"pages":1,"every":"5s"}`, id))
	put("$KV.ORDER_ACCOUNTS.sweep.cn-north-4.o", fmt.Appendf(nil, `{"worker":"gone","every":"5s","off_until":%q,"why":"404"}`, now.Add(time.Hour).Format(time.RFC3339)))
	put("$KV.ORDER_WATCHES.p.order.broken", []byte(`{"stream":"ORDER_REQUESTS","seq":1}`))
	put("$KV.ORDER_WATCHES.p.order.text", []byte("no JSON"))
	put("$KV.ORDER_WATCHES.p.order.later", []byte(`{"schema":1000,"state":"watching","watch_id":"w_2","project_id":"p","order_name":"order.later"}`))
	put("orders.undelivered.slack", []byte("{}"))
	eventstest.Eventually(t, func() (err error) {
		status, err = c.Status(t.Context())
		if err == nil && (len(status.Held) != 1 || len(status.Unlisted) != 1 || status.Watches == nil || status.Watches.Newer != 1) {
			err = fmt.Errorf("%+v", status)
		}
		return err
	})
	if got, want := status.Held[0], (wire.HeldAccount{
		Account: "ab12.cn-north-4", Kind: watcher.HeldLogin, Region: "cn-north-4", Why: hold.Why(), Code: "APIG.0301", Since: now, Until: now.Add(time.Hour),
	}); got != want {
		t.Errorf("held is %+v, want %+v", got, want)
	}
	if got, want := status.Unlisted[0], (wire.Unlisted{Region: "cn-north-4", ProjectID: "q", Why: "403", Until: now.Add(time.Hour)}); got != want {
		t.Errorf("not listed is %+v, want %+v", got, want)
	}
	if !strings.HasPrefix(hold.Why(), "ModelArts refuses the account's login; no call before ") || !strings.HasSuffix(hold.Why(), ": 401 APIG.0301") {
		t.Errorf("it is held for %q", hold.Why())
	}
	if status.Watches.Unreadable != 2 || status.People == nil || status.People.Undelivered != 1 {
		t.Errorf("%+v, %+v", status.Watches, status.People)
	}
	if code, reply := asked(t, nc, "status", ""); code != http.StatusOK {
		t.Errorf("an empty message is answered %d %s", code, reply.Data)
	}
}

// TestStatusUntold counts the events that people are still to be told of.
func TestStatusUntold(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	away := notify(func(context.Context, watcher.Completion) error { return errors.New("nobody listens") })
	parts{url: s.ClientURL(), config: quiet(), orders: &orders{show: never}, clock: store.NewClock(nil), notifier: away}.ready(t)
	nc, _ := eventstest.Connect(t, s)
	c := newClient(t, nc)
	if code, reply := asked(t, nc, "watch", orderBody("order.a", "")); code != http.StatusOK {
		t.Fatalf("%d %s", code, reply.Data)
	}
	if _, err := c.Cancel(t.Context(), wire.CancelRequest{Order: of("order.a"), By: "ann"}); err != nil {
		t.Fatal(err)
	}
	eventstest.Eventually(t, func() error {
		status, err := c.Status(t.Context())
		if err == nil && (status.People == nil || status.People.Waiting == 0 || status.People.Since.IsZero()) {
			err = fmt.Errorf("%+v", status.People)
		}
		return err
	})
}
