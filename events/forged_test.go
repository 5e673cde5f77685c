package events_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// forgers are the ways in which somebody lets the server write to a subject on which only workers may: each names it as
// the reply subject of a request that is permitted.
func forgers(t *testing.T, nc *nats.Conn, js jetstream.JetStream) map[string]func(subject string) {
	t.Helper()
	_, err := js.CreateConsumer(t.Context(), "ORDER_EVENTS", jetstream.ConsumerConfig{Durable: "mine", FilterSubject: "orders.completed.succeeded.none.>", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	event := `{"specversion":"1.0","id":"1","source":"/orderwatch","type":"io.orderwatch.rejected.v1","data":{}}`
	if _, err := js.Publish(t.Context(), "orders.rejected", []byte(event)); err != nil {
		t.Fatal(err)
	}
	ask := func(call, body string) func(string) {
		return func(subject string) {
			if err := nc.PublishRequest(call, subject, []byte(body)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return map[string]func(string){
		"acknowledgement of a request": ask("orders.watch", `{}`),
		"answer of the API":            ask("$JS.API.CONSUMER.INFO.ORDER_EVENTS.mine", ""),
		"error of the API":             ask("$JS.API.CONSUMER.INFO.ORDER_EVENTS.nobody", ""),
		"status without data":          ask("$JS.API.CONSUMER.MSG.NEXT.ORDER_EVENTS.mine", `{"batch":1,"no_wait":true}`),
		"event":                        ask("$JS.API.DIRECT.GET.ORDER_EVENTS.orders.rejected", ""),
	}
}

// stored returns nil once the server wrote to the subject after the sequence.
func stored(t *testing.T, s *store.Store, stream, subject string, after uint64) func() error {
	return func() error {
		m, err := s.Last(t.Context(), stream, subject)
		if err == nil && m.Sequence <= after {
			err = errors.New("not stored")
		}
		return err
	}
}

// TestForgedValues lets the server write to each kind of key. Nobody takes that for what a worker wrote: a note is not
// there, and the next write replaces it.
func TestForgedValues(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, js := eventstest.Connect(t, s)
	kept := eventstest.Provided(t, nc, eventstest.StoreConfig())
	n := kept.Names
	at := 0
	for name, forge := range forgers(t, nc, js) {
		at++
		key := fmt.Sprint("watch.w_", at)
		written, err := kept.SetNote(t.Context(), key, []byte(`{"ts":"1.2"}`), 0)
		if err != nil {
			t.Fatal(err)
		}
		if text, _, err := kept.Note(t.Context(), key); err != nil || string(text) != `{"ts":"1.2"}` {
			t.Fatalf("%s: %q, %v", name, text, err)
		}
		forge(n.Note(key))
		eventstest.Eventually(t, stored(t, kept, n.NoteStream(), n.Note(key), uint64(written)))
		text, revision, err := kept.Note(t.Context(), key)
		if err != nil || text != nil || revision <= written {
			t.Errorf("%s: taken for the note %q at %d, %v", name, text, revision, err)
		}
		if notes, err := kept.Under(t.Context(), "watch"); err != nil || notes[key] != nil {
			t.Errorf("%s: taken for one of %q, %v", name, notes, err)
		}
		if _, err := kept.SetNote(t.Context(), key, []byte(`{"ts":"3.4"}`), revision); err != nil {
			t.Errorf("%s: not replaced: %v", name, err)
		}
		if text, _, _ := kept.Note(t.Context(), key); string(text) != `{"ts":"3.4"}` {
			t.Errorf("%s: the note is %q afterwards", name, text)
		}

		order := watcher.Order{ProjectID: "p", Name: fmt.Sprint("order.", at)}
		forge(n.Record(order.Key()))
		eventstest.Eventually(t, stored(t, kept, n.RecordStream(), n.Record(order.Key()), 0))
		for which, read := range map[string]func() error{
			"any":    func() error { _, _, err := kept.Read(t.Context(), order); return err },
			"leader": func() error { _, _, err := kept.ReadLatest(t.Context(), order); return err },
		} {
			if err := read(); !errors.Is(err, watcher.ErrBroken) {
				t.Errorf("%s as a record, read from %s: %v", name, which, err)
			}
		}
		seen := 0
		for r, err := range kept.Records(t.Context(), 1) {
			if err != nil {
				t.Fatal(err)
			}
			if r.Order == order && errors.Is(r.Err, watcher.ErrBroken) {
				seen++
			}
		}
		if seen != 1 {
			t.Errorf("%s as a record: %d broken ones in the bucket", name, seen)
		}
	}
	// A worker's own value under another key.
	m := nats.NewMsg(n.Note("watch.copy"))
	m.Header.Set(store.KeyHeader, n.Note("watch.w_1"))
	m.Data = []byte(`{"ts":"1.2"}`)
	if _, err := js.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if text, _, err := kept.Note(t.Context(), "watch.copy"); text != nil || err != nil {
		t.Errorf("the note of another key is %q, %v", text, err)
	}
}

// TestForgedAgainstWorkers lets the server write 200 signs of workers, holds, the patrol's lease, the ledger and how
// far the consumer slack has come, under two workers. They share the rate as before, know of the hold, patrol, and
// tell of no loss.
func TestForgedAgainstWorkers(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, js := eventstest.Connect(t, s)
	start := func() *running {
		return parts{url: s.ClientURL(), config: sharing(), orders: &orders{show: ended(watcher.Succeed)}}.ready(t)
	}
	first, second := start(), start()
	eventstest.Eventually(t, workers(2, first, second))
	hold := watcher.Hold{Kind: watcher.HeldLogin, Region: "cn-north-4", Reason: "401", Since: time.Now(), Until: time.Now().Add(time.Hour)}
	if err := first.accounts.SetHold(t.Context(), "ab12", hold, 0); err != nil {
		t.Fatal(err)
	}
	knows := func(w *running) func() error {
		return func() error {
			if h, _ := w.accounts.Hold("ab12"); h.Kind != watcher.HeldLogin {
				return fmt.Errorf("the hold is %+v", h)
			}
			return nil
		}
	}
	eventstest.Eventually(t, knows(second))
	n, fake := first.store.Names, 0
	for name, forge := range forgers(t, nc, js) {
		for range 40 {
			fake++
			forge(n.Account(fmt.Sprint("worker.fake", fake)))
		}
		eventstest.Eventually(t, stored(t, first.store, n.AccountStream(), n.Account(fmt.Sprint("worker.fake", fake)), 0))
		before, err := first.store.Last(t.Context(), n.AccountStream(), n.Account("hold.ab12"))
		if err != nil {
			t.Fatal(err)
		}
		forge(n.Account("hold.ab12"))
		forge(n.Account("worker." + second.accounts.ID()))
		forge(n.Account("hold.none"))
		for _, key := range []string{"patrol", "store", "broken"} {
			forge(n.Record(key))
		}
		for _, key := range []string{"settled", "store"} {
			forge(n.Note(key))
		}
		// The hold is written again by a worker that knows it: a worker that comes later finds it.
		eventstest.Eventually(t, func() error {
			m, err := first.store.Value(t.Context(), n.AccountStream(), n.Account("hold.ab12"))
			if err == nil && (m.Sequence <= before.Sequence || !strings.Contains(string(m.Data), string(watcher.HeldLogin))) {
				err = fmt.Errorf("%s: %d %s", name, m.Sequence, m.Data)
			}
			return err
		})
		for _, w := range []*running{first, second} {
			if err := errors.Join(knows(w)(), workers(2, w)()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if h, _ := w.accounts.Hold("none"); h.Kind != "" {
				t.Errorf("%s is the hold %+v", name, h)
			}
		}
		eventstest.Eventually(t, func() error { // somebody patrols, and has mended the ledger
			for _, at := range []struct{ stream, subject, has string }{
				{n.RecordStream(), n.Record("patrol"), "worker"}, {n.RecordStream(), n.Record("store"), "streams"}, {n.NoteStream(), n.Note("store"), "streams"},
			} {
				m, err := first.store.Value(t.Context(), at.stream, at.subject)
				if err != nil || !strings.Contains(string(m.Data), `"`+at.has+`"`) {
					return fmt.Errorf("%s: %s holds %q (%v)", name, at.subject, m.Data, err)
				}
			}
			return nil
		})
	}
	third := start()
	eventstest.Eventually(t, workers(3, first, second, third))
	eventstest.Eventually(t, knows(third))
	if lost := eventstest.Events(t, js, "ORDER_EVENTS", "orders.attention.lost.>"); len(lost) > 0 {
		t.Errorf("told of the loss %s", lost[0].Data)
	}
	if err := first.log.line("level=ERROR", "refused what no worker wrote", n.Account("hold.ab12")); err != nil {
		t.Error(err)
	}
}

// TestValuesOfTheReleaseBefore writes what workers of the release before did, without a header: it is taken.
func TestValuesOfTheReleaseBefore(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, js := eventstest.Connect(t, s)
	kept := eventstest.Provided(t, nc, eventstest.StoreConfig())
	n := kept.Names
	hold, err := json.Marshal(watcher.Hold{Kind: watcher.HeldThrottled, Region: "cn-north-4", Reason: "429", Code: "APIG.0308", Since: time.Now(), Until: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	for subject, value := range map[string]string{
		n.Account("hold.ab12"):    string(hold),
		n.Account("worker.old"):   `{}`,
		n.Account("worker.older"): `{"version":"1.4.0","answered":{"ab12":{"project_id":"p","order_name":"order.a"}}}`,
		n.Note("settled"):         `{"sequence":7}`,
		n.Note("watch.w_1.C0"):    `{"ts":"1.2","code":"is_archived","kind":"x"}`,
	} {
		if _, err := js.Publish(t.Context(), subject, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	present, holds, _, err := kept.LookAtWorkers(t.Context())
	if err != nil || present != 2 || holds["ab12"].Kind != watcher.HeldThrottled {
		t.Errorf("%d workers, holds %+v, %v", present, holds, err)
	}
	for key, want := range map[string]string{"settled": `{"sequence":7}`, "watch.w_1.C0": `{"ts":"1.2","code":"is_archived","kind":"x"}`} {
		if text, _, err := kept.Note(t.Context(), key); err != nil || string(text) != want {
			t.Errorf("%s is %q, %v", key, text, err)
		}
	}
	bucket, err := js.KeyValue(t.Context(), "ORDER_SLACK")
	if err != nil {
		t.Fatal(err)
	}
	if err := bucket.Delete(t.Context(), "settled"); err != nil {
		t.Fatal(err)
	}
	if text, revision, err := kept.Note(t.Context(), "settled"); err != nil || text != nil || revision == 0 {
		t.Errorf("deleted: %q at %d, %v", text, revision, err)
	}
}

// TestRecordHeader holds that a record's header says the schema that is written: a team's request makes it the latest.
func TestRecordHeader(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, js := eventstest.Connect(t, s)
	kept := eventstest.Provided(t, nc, eventstest.StoreConfig())
	for i, team := range []string{"", "gpu"} {
		order := watcher.Order{ProjectID: "p", Name: "order.of" + team}
		w := watcher.Watch{Schema: 1, State: watcher.Watching, ID: "w_1", Order: order, Requests: []watcher.Request{{ID: "1", Team: team}}}
		if _, err := kept.Write(t.Context(), w, 0); err != nil {
			t.Fatal(err)
		}
		stream, err := js.Stream(t.Context(), kept.Names.RecordStream())
		if err != nil {
			t.Fatal(err)
		}
		m, err := stream.GetLastMsgForSubject(t.Context(), kept.Names.Record(order.Key()))
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprint(i + 1)
		if got := m.Header.Get(store.RecordHeader); got != want || !strings.HasPrefix(string(m.Data), `{"schema":`+want+`,`) {
			t.Errorf("the header of a record of team %q is %q; want %s: %.40s", team, got, want, m.Data)
		}
	}
}
