package events_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

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
	for range 5 {
		if err := nc.PublishRequest("orderwatch.list", "_INBOX_person.one", nil); err != nil {
			t.Fatal(err)
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

// TestNobodysDeputy asks the service to answer where the worker may write and the requester may not. It answers to
// inboxes alone, carries nothing else out, and says so once.
func TestNobodysDeputy(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	registry, cfg := prometheus.NewRegistry(), quiet()
	cfg.Inboxes = []string{"inbox.ann"}
	w := parts{url: s.ClientURL(), config: cfg, orders: &orders{show: never}, registry: registry}.ready(t)
	nc, js := eventstest.Connect(t, s)
	if code, reply := asked(t, nc, "watch", orderBody("order.victim", "")); code != 200 {
		t.Fatalf("%d %s", code, reply.Data)
	}
	eventstest.Eventually(t, pollKept(t, js, "order.victim"))
	before := readRecord(t, js, "order.victim")
	held := func() (counts []uint64) {
		for _, stream := range []string{"KV_ORDER_SLACK", "ORDER_EVENTS", "ORDER_REQUESTS"} {
			counts = append(counts, eventstest.Messages(t, js, stream, ">"))
		}
		settled, err := w.store.Value(t.Context(), w.store.Names.NoteStream(), w.store.Names.Note("settled"))
		if err != nil {
			t.Fatal(err)
		}
		if settled.Sequence > 0 && !settled.Refused { // the worker notes of itself how far it has told people
			counts[0]--
		}
		return counts
	}
	stored := held()
	foreign := []string{
		"$KV.ORDER_WATCHES." + project + ".order.victim", "$KV.ORDER_WATCHES.patrol", "$KV.ORDER_ACCOUNTS.hold.a", "$KV.ORDER_SLACK.settled",
		"$JS.API.STREAM.PURGE.ORDER_EVENTS", "$JS.API.STREAM.DELETE.KV_ORDER_WATCHES", "$JS.ACK.ORDER_WAKEUPS.poller.1.1.1.1.1", "$SYS.REQ.SERVER.PING",
		"orders.completed.succeeded." + project + ".order.victim", "orders.watch", "orders.rejected", "orders.due." + project + ".order.victim",
		"orderwatch.cancel", "_INBOX", "_INBOX.", "_INBOXES.a", "inbox.annabel.a", "inbox", "_R_", "somebody", "_GR_.a.b.$KV.ORDER_SLACK.settled", "_GR_.a._INBOX",
	}
	endpoints := []string{"get", "why", "cancel", "events", "get.gpu", "events.gpu"}
	for _, reply := range foreign {
		for _, endpoint := range endpoints {
			err := nc.PublishRequest("orderwatch."+endpoint, reply, []byte(orderBody("order.victim", byOf(endpoint))))
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	refused := func() (n float64) {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "orderwatch_service_foreign_replies_total" {
				n = f.GetMetric()[0].GetCounter().GetValue()
			}
		}
		return n
	}
	eventstest.Eventually(t, func() error {
		// nats-server itself drops what has a reply subject of its own.
		if n, most := refused(), float64(len(endpoints)*len(foreign)); n < most-float64(3*len(endpoints)) || n > most {
			return fmt.Errorf("refused %v of %v", n, most)
		}
		return nil
	})
	for _, reply := range []string{"_INBOX.a", "_INBOX_person.a", "inbox.ann.a"} {
		s, err := nc.SubscribeSync(reply)
		if err != nil {
			t.Fatal(err)
		}
		for endpoint, body := range map[string]string{"get": orderBody("order.victim", ""), "events": ""} {
			if err := nc.PublishRequest("orderwatch."+endpoint, reply, []byte(body)); err != nil {
				t.Fatal(err)
			}
			if _, err := s.NextMsg(eventstest.Patience); err != nil {
				t.Errorf("%s was not answered on %s: %v", endpoint, reply, err)
			}
		}
	}
	if after := readRecord(t, js, "order.victim"); after.Wish != nil || after.ID != before.ID {
		t.Errorf("the record became %+v", after)
	}
	if now := held(); !slices.Equal(now, stored) {
		t.Errorf("the streams held %v messages, and now %v", stored, now)
	}
	w.log.mu.Lock()
	lines := strings.Count(w.log.text.String(), "its reply subject is no inbox")
	w.log.mu.Unlock()
	if lines != 1 {
		t.Errorf("%d lines of the log", lines)
	}
	if err := w.Ready(); err != nil {
		t.Errorf("not ready: %v", err)
	}
}

// TestAnswersAreBounded sends what is wrong at great length: the answer is short.
func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	startWorker(t, s, quiet(), &orders{show: never})
	nc, _ := eventstest.Connect(t, s)
	long := strings.Repeat("x", 500<<10)
	for _, body := range []string{long, `"` + long + `"`, fmt.Sprintf(`{%q:1}`, long), fmt.Sprintf(`{"project_id":%q,"order_name":%q}`, long, long), strings.Repeat("[", 500<<10)} {
		for _, endpoint := range []string{"watch", "get", "list", "cancel", "poll", "renotify", "status", "events"} {
			if _, reply := asked(t, nc, endpoint, body); len(reply.Data)+len(fmt.Sprint(reply.Header)) > 20<<10 {
				t.Errorf("%s answers %.60q… with %d bytes", endpoint, body, len(reply.Data))
			}
		}
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

// TestAnswersOverAnImport asks from another account, and names a record as the reply subject: the server puts an inbox of
// its own in its place, which the service answers to.
func TestAnswersOverAnImport(t *testing.T) {
	t.Parallel()
	conf := filepath.Join(t.TempDir(), "nats.conf")
	err := os.WriteFile(conf, []byte(`
		accounts {
			OW: { jetstream: enabled, users: [{user: worker, password: w}], exports: [{service: "orderwatch.*"}] }
			TEAM: { users: [{user: team, password: t}], imports: [{service: {account: OW, subject: "orderwatch.*"}}] }
		}`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	options, err := server.ProcessConfigFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	s := eventstest.Server(t, *options)
	at := strings.TrimPrefix(s.ClientURL(), "nats://")
	w := parts{url: "nats://worker:w@" + at, config: quiet(), orders: &orders{show: never}}.ready(t)
	nc, err := nats.Connect("nats://team:t@" + at)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	record := w.store.Names.Record(project + ".order.a")
	if err := nc.PublishRequest("orderwatch.get", record, []byte(orderBody("order.a", ""))); err != nil {
		t.Fatal(err)
	}
	if code, reply := asked(t, nc, "watch", orderBody("order.a", "")); code != 200 {
		t.Errorf("%d %s", code, reply.Data)
	}
	if code, reply := asked(t, nc, "get", orderBody("order.a", "")); code != 200 {
		t.Errorf("%d %s", code, reply.Data)
	}
	if err := w.log.line("its reply subject is no inbox"); err == nil {
		t.Error("a reply subject that came through an import was refused")
	}
}
