package events_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderwatch/orderwatch/events"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// brokenConfig is quick to move a broken record aside.
func brokenConfig() settings {
	cfg := config()
	cfg.PollTimeout = 50 * time.Millisecond
	cfg.Timing.AckWait = 1200 * time.Millisecond
	cfg.Timing.PatrolSlack = 300 * time.Millisecond
	cfg.Timing.Broken = 500 * time.Millisecond
	return cfg
}

// R1, R2: a record that cannot be read, whatever is wrong with it, is told of, and the order can be watched
// again: by a request with a new id, and not by one that comes again.
func TestBrokenRecord(t *testing.T) {
	t.Parallel()
	key := project + ".order.pool"
	put := func(value string) func(*testing.T, jetstream.KeyValue) {
		return func(t *testing.T, bucket jetstream.KeyValue) {
			if _, err := bucket.Put(t.Context(), key, []byte(value)); err != nil {
				t.Fatal(err)
			}
		}
	}
	edit := func(old, new string) func(*testing.T, jetstream.KeyValue) {
		return func(t *testing.T, bucket jetstream.KeyValue) {
			for {
				entry, err := bucket.Get(t.Context(), key)
				if err != nil {
					t.Fatal(err)
				}
				if _, err = bucket.Update(t.Context(), key, []byte(replaceOnce(t, string(entry.Value()), old, new)), entry.Revision()); err == nil {
					return
				}
			}
		}
	}
	for name, damage := range map[string]func(*testing.T, jetstream.KeyValue){
		"what a batch of requests answers": put(`{"stream":"ORDER_REQUESTS","seq":1}`),
		"a status without data":            put(""),
		"no JSON":                          put("\x00\xff garbage"),
		"null":                             put(`null`),
		"a list":                           put(`[]`),
		"schema 0":                         edit(`"schema":1`, `"schema":0`),
		"a negative schema":                edit(`"schema":1`, `"schema":-1`),
		"another order":                    edit(`order.pool`, `order.other`),
		"no wake-up number":                edit(`"wakeup":`, `"wakeup":0,"was":`),
		"no request":                       edit(`"requests":`, `"requests_were":`),
		"deleted": func(t *testing.T, bucket jetstream.KeyValue) {
			if err := bucket.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		},
		"purged": func(t *testing.T, bucket jetstream.KeyValue) {
			if err := bucket.Purge(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := eventstest.Server(t)
			nc, js := eventstest.Connect(t, s)
			client := newClient(t, nc)
			cloud := &orders{show: endedAfter(1 << 30)}
			registry := prometheus.NewRegistry()
			r := parts{url: s.ClientURL(), config: brokenConfig(), orders: cloud, registry: registry}.ready(t)
			first := request("order.pool")
			first["request_id"] = "build-1"
			publish(t, js, first)
			eventstest.Eventually(t, pollKept(t, js, "order.pool"))
			bucket, err := js.KeyValue(t.Context(), "ORDER_WATCHES")
			if err != nil {
				t.Fatal(err)
			}
			watch := readRecord(t, js, "order.pool")
			damage(t, bucket)

			eventstest.Eventually(t, func() error { return atLeastEvents(t, js, "orders.attention.record."+key, 1) })
			var a watcher.OrderAttention
			decode(t, eventstest.Events(t, js, "ORDER_EVENTS", "orders.attention.record.>")[0].Data, &a)
			if a.Kind != watcher.BrokenRecord || a.WatchID != watch.ID || a.Order() != watch.Order || len(a.Requests) != 1 || a.Requests[0].ID != "build-1" {
				t.Errorf("attention %+v", a)
			}
			broken := func() error {
				_, err := client.Get(t.Context(), watch.Order)
				if answer, ok := err.(*wire.ServiceError); !ok || answer.Code != 410 || !strings.Contains(answer.Reason, "its record cannot be read") {
					return fmt.Errorf("get: %v", err)
				}
				list, err := client.List(t.Context(), wire.ListQuery{})
				if err != nil || len(list.Broken) != 1 || list.Broken[0].Order != watch.Order || list.Broken[0].WatchID != watch.ID {
					return fmt.Errorf("list: %+v, %v", list, err)
				}
				status, err := client.Status(t.Context())
				if err != nil || status.Watches == nil || status.Watches.Unreadable != 1 {
					return fmt.Errorf("status: %+v, %v", status.Watches, err)
				}
				seen, err := inspector(t, s, brokenConfig()).Watches(t.Context())
				if err != nil || seen.Unreadable != 1 || len(seen.Broken) != 1 || seen.Broken[0].Order != watch.Order {
					return fmt.Errorf("doctor: %+v, %v", seen, err)
				}
				return nil
			}
			eventstest.Eventually(t, broken)
			eventstest.Eventually(t, func() error { return r.log.line("broken record moved aside", "order.pool") })
			eventstest.Eventually(t, broken)
			publish(t, js, first) // again: it is not watched twice
			eventstest.Eventually(t, func() error { return idleRequests(t, js) })
			if _, err := client.Get(t.Context(), watch.Order); err == nil {
				t.Error("a request that came twice started a watch")
			}
			second := request("order.pool")
			second["request_id"] = "build-2"
			publish(t, js, second)
			eventstest.Eventually(t, func() error {
				s, err := client.Get(t.Context(), watch.Order)
				if err == nil && (len(s.Requests) != 1 || s.Requests[0].ID != "build-2" || s.Polls == 0) {
					err = fmt.Errorf("watch %+v", s)
				}
				return err
			})
			if w := readRecord(t, js, "order.pool"); w.Wakeup <= watch.Wakeup {
				t.Errorf("wake-up %d follows %d", w.Wakeup, watch.Wakeup)
			}
			eventstest.Eventually(t, func() error {
				list, err := client.List(t.Context(), wire.ListQuery{})
				if err == nil && (len(list.Broken) != 0 || len(list.Watches) != 1) {
					err = fmt.Errorf("list %+v", list)
				}
				if status, failed := client.Status(t.Context()); failed != nil || status.Watches == nil || status.Watches.Unreadable != 0 {
					err = errors.Join(err, fmt.Errorf("status: %+v, %v", status.Watches, failed))
				}
				return err
			})
			if n := len(eventstest.Events(t, js, "ORDER_EVENTS", "orders.attention.record.>")); n != 1 {
				t.Errorf("%d attention events", n)
			}
			if n := counted(t, registry, repairs, "broken_record"); n != 1 {
				t.Errorf("%f broken records are counted that were moved aside", n)
			}
		})
	}
}

// A record of a newer schema is not broken, and is not touched.
func TestNewerRecordIsNotBroken(t *testing.T) {
	t.Parallel()
	b := newBeat(t, eventstest.Server(t), config())
	p := b.patrol("a")
	bucket, err := b.js.KeyValue(t.Context(), "ORDER_WATCHES")
	if err != nil {
		t.Fatal(err)
	}
	revision, err := bucket.Put(t.Context(), project+".order.newer", []byte(`{"schema":99,"state":"watching"}`))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		b.dial.set(time.Duration(i) * 10 * time.Minute)
		b.round(t, p)
	}
	entry, err := bucket.Get(t.Context(), project+".order.newer")
	if err != nil || entry.Revision() != revision {
		t.Errorf("%v, %v; want revision %d", entry, err, revision)
	}
	if n := eventstest.Messages(t, b.js, "ORDER_EVENTS", ">"); n != 0 {
		t.Errorf("%d events", n)
	}
}

// atLeastEvents returns nil once so many events lie on subjects that begin so.
func atLeastEvents(t *testing.T, js jetstream.JetStream, subject string, n int) error {
	if got := len(eventstest.Events(t, js, "ORDER_EVENTS", subject)); got < n {
		return fmt.Errorf("%d events on %s; want %d", got, subject, n)
	}
	return nil
}

// pollKept returns nil once the order's record says that it was polled, and its wake-up was done with.
func pollKept(t *testing.T, js jetstream.JetStream, name string) func() error {
	return func() error {
		if w := readRecord(t, js, name); w.Polls == 0 {
			return errors.New("the record knows of no poll")
		}
		return eventstest.Settled(t.Context(), js, "ORDER_WAKEUPS", "poller")
	}
}

// idleRequests returns nil once no request is left.
func idleRequests(t *testing.T, js jetstream.JetStream) error {
	if n := eventstest.Messages(t, js, "ORDER_REQUESTS", ">"); n != 0 {
		return fmt.Errorf("ORDER_REQUESTS holds %d messages; want none", n)
	}
	return nil
}

func decode(t *testing.T, encoded []byte, to any) {
	t.Helper()
	if err := json.Unmarshal(encoded, to); err != nil {
		t.Fatal(err)
	}
}

func replaceOnce(t *testing.T, text, old, new string) string {
	t.Helper()
	edited := strings.Replace(text, old, new, 1)
	if edited == text {
		t.Fatalf("no %s in %s", old, text)
	}
	return edited
}

// plantGhost stores a due message that nobody takes: no worker runs.
func plantGhost(t *testing.T, b *beat, order string, number uint64) {
	t.Helper()
	body := fmt.Sprintf(`{"watch_id":"w_%s","wakeup":%d,"at":"2026-01-01T00:00:00Z"}`, order, number)
	if _, err := b.js.Publish(t.Context(), "orders.due."+project+"."+order, []byte(body)); err != nil {
		t.Fatal(err)
	}
}

// R3: a due message of a step that is done does not blind the patrol. The wake-up takes its place.
func TestPatrolSeesThroughGhosts(t *testing.T) {
	t.Parallel()
	b := newBeat(t, eventstest.Server(t), config())
	p := b.patrol("a")
	b.write(t, "order.pool", watcher.Watching, 0, 0)
	plantGhost(t, b, "order.pool", 3)
	plantGhost(t, b, "order.pool", 6)
	b.round(t, p)
	b.dial.set(2 * time.Minute)
	b.round(t, p)
	if got := takeDue(t, b); !strings.Contains(got, `"wakeup":7`) {
		t.Errorf("woken by %s", got)
	}
	if n := eventstest.Messages(t, b.js, "ORDER_WAKEUPS", ">"); n != 0 {
		t.Errorf("%d wake-ups are left", n)
	}
}

// takeDue takes the due message that is delivered next, and acknowledges it, as the poller does.
func takeDue(t *testing.T, b *beat) string {
	t.Helper()
	consumer, err := b.js.Consumer(t.Context(), "ORDER_WAKEUPS", "poller")
	if err != nil {
		t.Fatal(err)
	}
	m, err := consumer.Next(jetstream.FetchMaxWait(eventstest.Patience))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.DoubleAck(t.Context()); err != nil {
		t.Fatal(err)
	}
	return string(m.Data())
}

// R3, R4: due messages and timers of watches that have ended, or moved on, are removed, and so is what is no
// wake-up; those of watches that go on are left alone.
func TestDeadWakeups(t *testing.T) {
	t.Parallel()
	b := newBeat(t, eventstest.Server(t), brokenConfig())
	p := b.patrol("a")
	b.write(t, "order.ended", watcher.Ended, 0, 0)
	b.write(t, "order.timer", watcher.Ended, 0, 0)
	b.write(t, "order.open", watcher.Watching, time.Hour, 0)
	plantGhost(t, b, "order.ended", 7)
	plantGhost(t, b, "order.ended", 5)
	for _, subject := range []string{
		"orders.waiting." + project + ".order.ended", "orders.waiting." + project + ".order.never", "orders.waiting.nobody",
		"orders.due." + project + ".order.ended", "orders.due." + project + ".order.never", "orders.due.nobody",
	} {
		if _, err := b.js.Publish(t.Context(), subject, []byte("no wake-up")); err != nil {
			t.Fatal(err)
		}
	}
	for _, order := range []string{"order.timer", "order.open"} {
		k := watcher.Wakeup{Order: watcher.Order{ProjectID: project, Name: order}, WatchID: "w_" + order, Number: 7, At: time.Now().Add(3 * time.Hour)} // an hour by the beat's clock
		if err := b.store.Schedule(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	b.round(t, p)
	consumer, err := b.js.Consumer(t.Context(), "ORDER_WAKEUPS", "poller")
	if err != nil {
		t.Fatal(err)
	}
	eventstest.Eventually(t, func() error { // a poller acknowledges what is published in the place of dead ones
		due, err := consumer.FetchNoWait(10)
		if err != nil {
			return err
		}
		for m := range due.Messages() {
			if err := m.DoubleAck(t.Context()); err != nil {
				return err
			}
		}
		if n := eventstest.Messages(t, b.js, "ORDER_WAKEUPS", ">"); n != 1 {
			return fmt.Errorf("%d wake-ups; want that of the open watch alone", n)
		}
		return nil
	})
	if n := eventstest.Messages(t, b.js, "ORDER_WAKEUPS", "orders.waiting."+project+".order.open"); n != 1 {
		t.Error("the timer of an open watch was removed")
	}
	if n := counted(t, p.Registry, repairs, "dead_wakeup"); n < 6 { // again where a round, for which it is later than for the server, sees what it published
		t.Errorf("%f dead wake-ups are counted; want 6 or more", n)
	}
}

// Two workers tell of one broken record once, and of one that breaks again anew.
func TestBrokenRecordIsToldOnce(t *testing.T) {
	t.Parallel()
	b := newBeat(t, eventstest.Server(t), config())
	bucket, err := b.js.KeyValue(t.Context(), "ORDER_WATCHES")
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 2; n++ {
		if _, err := bucket.Put(t.Context(), project+".order.pool", fmt.Appendf(nil, "garbage %d", n)); err != nil {
			t.Fatal(err)
		}
		for _, p := range []events.Patrol{b.patrol("a"), b.patrol("b")} {
			b.round(t, p)
			b.round(t, p)
		}
		if got := len(eventstest.Events(t, b.js, "ORDER_EVENTS", "orders.attention.record.>")); got != n {
			t.Errorf("%d attention events; want %d", got, n)
		}
	}
}

// R3: a due message of the very step that is expected, which a killed server left below the consumer's ack
// floor, is never delivered: the patrol publishes the wake-up in its place. The stream's files of before the
// acknowledgement are put in the place of those after it.
func TestPatrolSeesThroughAGhostBelowTheAckFloor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := filepath.Join(dir, "jetstream", "$G", "streams", "ORDER_WAKEUPS")
	messages := filepath.Join(files, "msgs")
	s := eventstest.Server(t, server.Options{StoreDir: dir})
	b := newBeat(t, s, config())
	b.write(t, "order.pool", watcher.Watching, 0, 0)
	plantGhost(t, b, "order.pool", 7)
	stop := func(s *server.Server) {
		s.Shutdown()
		s.WaitForShutdown()
	}
	stop(s)
	kept := t.TempDir()
	if err := os.CopyFS(kept, os.DirFS(messages)); err != nil {
		t.Fatal(err)
	}
	s = eventstest.Server(t, server.Options{StoreDir: dir})
	takeDue(t, newBeat(t, s, config()))
	eventstest.Eventually(t, func() error { // a server that is stopped while it writes may forget the last acknowledgement
		floor, err := ackFloor(filepath.Join(files, "obs", "poller", "o.dat"))
		if err == nil && floor != 1 {
			err = fmt.Errorf("ack floor %d on disk; want 1", floor)
		}
		return err
	})
	stop(s)
	if err := os.RemoveAll(messages); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(messages, os.DirFS(kept)); err != nil {
		t.Fatal(err)
	}
	s = eventstest.Server(t, server.Options{StoreDir: dir})
	b = newBeat(t, s, config())
	consumer, err := b.js.Consumer(t.Context(), "ORDER_WAKEUPS", "poller")
	if err != nil {
		t.Fatal(err)
	}
	stream, err := b.js.Stream(t.Context(), "ORDER_WAKEUPS")
	if err != nil {
		t.Fatal(err)
	}
	if left, floor, pending := stream.CachedInfo().State.Msgs, consumer.CachedInfo().AckFloor.Stream, consumer.CachedInfo().NumPending; left != 1 || floor != 1 || pending != 0 {
		t.Fatalf("%d messages, ack floor %d, %d to be delivered; want a ghost: one message, below the ack floor", left, floor, pending)
	}
	p := b.patrol("a")
	b.round(t, p)
	b.dial.set(2 * time.Minute)
	b.round(t, p)
	if got := takeDue(t, b); !strings.Contains(got, `"wakeup":7`) {
		t.Errorf("woken by %s", got)
	}
}

// ackFloor reads the ack floor from the file in which nats-server keeps the state of a consumer: after two
// bytes, the floor by the consumer's count and by the stream's.
func ackFloor(path string) (uint64, error) {
	state, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	floors := bytes.NewReader(state[min(len(state), 2):])
	if _, err := binary.ReadUvarint(floors); err != nil {
		return 0, err
	}
	return binary.ReadUvarint(floors)
}
