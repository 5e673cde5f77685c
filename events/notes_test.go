package events_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/watcher"
)

// notesOn returns the notes on the connection.
func notesOn(t *testing.T, nc *nats.Conn, cfg settings) watcher.Notes {
	t.Helper()
	return eventstest.Store(t, nc, cfg.storeConfig, nil)
}

func TestNotes(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	startWorker(t, s, config(), idleCloud())
	nc, js := eventstest.Connect(t, s)
	n := notesOn(t, nc, config())
	const key = "outage.ab12_cn-north-4.C0ONCALL"
	want := func(what, text string, revision watcher.Revision) {
		t.Helper()
		got, at, err := n.Note(t.Context(), key)
		if string(got) != text || at != revision || err != nil {
			t.Errorf("%s: %q at %d (%v); want %q at %d", what, got, at, err, text, revision)
		}
	}
	want("nothing yet", "", 0)
	first, err := n.SetNote(t.Context(), key, []byte("one"), 0)
	if err != nil {
		t.Fatal(err)
	}
	want("written", "one", first)
	if _, err := n.SetNote(t.Context(), key, []byte("late"), 0); !errors.Is(err, watcher.ErrConflict) {
		t.Errorf("a slower worker: %v", err)
	}
	second, err := n.SetNote(t.Context(), key, []byte("two"), first)
	if err != nil || second <= first {
		t.Errorf("revision %d after %d (%v)", second, first, err)
	}
	want("written again", "two", second)

	bucket, err := js.KeyValue(t.Context(), "ORDER_SLACK")
	if err != nil {
		t.Fatal(err)
	}
	if entry, err := bucket.Get(t.Context(), key); err != nil || string(entry.Value()) != "two" {
		t.Errorf("as a bucket: %v", err)
	}
	if err := bucket.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	want("deleted", "", second+1)
	if _, err := n.SetNote(t.Context(), key, []byte("three"), second+1); err != nil {
		t.Errorf("after the deletion: %v", err)
	}
	for _, bad := range []string{"", "*", "a.>", "a..b", ".a", "a b", "a.", "ä"} {
		if _, _, err := n.Note(t.Context(), bad); err == nil {
			t.Errorf("key %q was read", bad)
		}
		if _, err := n.SetNote(t.Context(), bad, []byte("x"), 0); err == nil {
			t.Errorf("key %q was written", bad)
		}
	}
}

func TestNotesUnder(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	startWorker(t, s, config(), idleCloud())
	nc, js := eventstest.Connect(t, s)
	n := notesOn(t, nc, config())
	for _, key := range []string{"watch.w_1.C0A", "watch.w_2.C0A", "watch.w_1.C0B", "watch.w_10.C0A", "watch.w_1", "watch.w_1.C0C"} {
		if _, err := n.SetNote(t.Context(), key, []byte(key), 0); err != nil {
			t.Fatal(err)
		}
	}
	bucket, err := js.KeyValue(t.Context(), "ORDER_SLACK")
	if err != nil {
		t.Fatal(err)
	}
	if err := bucket.Delete(t.Context(), "watch.w_1.C0C"); err != nil {
		t.Fatal(err)
	}
	for prefix, want := range map[string][]string{"watch.w_1": {"watch.w_1.C0A", "watch.w_1.C0B"}, "watch.w_2": {"watch.w_2.C0A"}, "watch.w_3": nil} {
		got, err := n.Under(t.Context(), prefix)
		if !slices.Equal(slices.Sorted(maps.Keys(got)), want) || err != nil {
			t.Errorf("%s: %s (%v); want %v", prefix, got, err, want)
		}
		for key, text := range got {
			if string(text) != key {
				t.Errorf("under %s is noted %q", key, text)
			}
		}
	}
	if _, err := n.Under(t.Context(), "watch.*"); err == nil {
		t.Error("notes were read for a wildcard")
	}
}

func TestNotesOfManyAtOnce(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	startWorker(t, s, config(), idleCloud())
	var won atomic.Int64
	var all sync.WaitGroup
	for i := range 8 {
		nc, _ := eventstest.Connect(t, s)
		n := notesOn(t, nc, config())
		all.Go(func() {
			if _, err := n.SetNote(t.Context(), "outage.x", fmt.Append(nil, i), 0); err == nil {
				won.Add(1)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of 8 noted it", won.Load())
	}
}

// attended is a Notifier that hands attentions on; its first answer is an error.
type attended struct {
	told
	all  chan watcher.Attention
	once *sync.Once
}

func (a attended) Attend(_ context.Context, attention watcher.Attention) (err error) {
	a.once.Do(func() { err = &watcher.RetryError{After: 10 * time.Millisecond, Err: errors.New("not now")} })
	a.all <- attention
	return err
}

// People are told of each event about an account once, and again where that failed.
func TestAttentionReachesTheNotifier(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	people := attended{make(told, 10), make(chan watcher.Attention, 100), new(sync.Once)}
	first := parts{url: s.ClientURL(), config: sharing(), orders: idleCloud(), notifier: people}.ready(t)
	parts{url: s.ClientURL(), config: sharing(), orders: idleCloud(), notifier: people}.ready(t)
	publish(t, js, request("order.one"))
	for _, other := range []string{"b", "c"} {
		r := request("order.two")
		r["project_id"] = other
		publish(t, js, r)
	}
	eventstest.Eventually(t, func() error {
		if n := eventstest.Messages(t, js, "KV_ORDER_WATCHES", "$KV.ORDER_WATCHES.*.>"); n != 3 {
			return fmt.Errorf("%d records", n)
		}
		return nil
	})
	const key = "ab12.cn-north-4"
	began := time.Now().UTC().Add(-2 * time.Minute).Truncate(time.Millisecond)
	hold := watcher.Hold{Kind: watcher.HeldLogin, Region: "cn-north-4", Reason: "401", Since: began, Until: time.Now().Add(time.Hour)}
	if err := first.accounts.SetHold(t.Context(), key, hold, 0); err != nil {
		t.Fatal(err)
	}
	outage := ""
	check := func(kind watcher.AttentionKind, deliveries int) {
		t.Helper()
		got := make(map[string]int)
		for range deliveries {
			select {
			case a := <-people.all:
				if a.Kind != kind || a.Cause != watcher.HeldLogin || a.Reason != "401" || !a.Since.Equal(began) || a.Waiting != 1 || a.WaitingAll != 3 {
					t.Errorf("told %+v", a)
				}
				if outage == "" {
					outage = a.Outage()
				}
				if a.Outage() != outage {
					t.Errorf("outages %q and %q", a.Outage(), outage)
				}
				got[a.ProjectID]++
			case <-time.After(eventstest.Patience):
				t.Fatalf("%s: after 30 s only %v", kind, got)
			}
		}
		if len(got) != 3 {
			t.Errorf("%s: told of %v; want 3 projects", kind, got)
		}
	}
	check(watcher.CredentialsRefused, 4) // one of them a second time
	eventstest.Eventually(t, func() error {
		hold, revision := first.accounts.Hold(key)
		if hold.ToldAt.IsZero() {
			return errors.New("not noted that people know")
		}
		hold.Over = time.Now().UTC()
		return first.accounts.SetHold(t.Context(), key, hold, revision)
	})
	check(watcher.Released, 3)
	eventstest.Eventually(t, func() error {
		c, err := js.Consumer(t.Context(), "ORDER_EVENTS", "slack")
		if err != nil {
			return err
		}
		if i := c.CachedInfo(); i.NumAckPending > 0 || i.NumPending > 0 {
			return fmt.Errorf("%d events not acknowledged, %d not delivered", i.NumAckPending, i.NumPending)
		}
		return nil
	})
	if n := len(people.all); n != 0 {
		t.Errorf("told %d times too often", n)
	}
}

// What is no event of its subject is dropped.
func TestAttentionThatIsNone(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	people := attended{make(told, 10), make(chan watcher.Attention, 100), new(sync.Once)}
	w := parts{url: s.ClientURL(), config: config(), orders: idleCloud(), notifier: people}.ready(t)
	for _, body := range []string{
		"x", "{}",
		`{"specversion":"1.0","id":"1","source":"/x","type":"io.orderwatch.account.moved.v1","datacontenttype":"application/json","data":{"outage":"o"}}`,
	} {
		if _, err := js.Publish(t.Context(), "orders.attention.moved.p", []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	eventstest.Eventually(t, func() error {
		c, err := js.Consumer(t.Context(), "ORDER_EVENTS", "slack")
		if err != nil {
			return err
		}
		if i := c.CachedInfo(); i.AckFloor.Stream < 3 {
			return fmt.Errorf("acknowledged up to %d", i.AckFloor.Stream)
		}
		return nil
	})
	if err := w.log.line("level=ERROR", "dropped what is no event", "orders.attention.moved.p"); err != nil {
		t.Error(err)
	}
	if n := len(people.all); n != 0 {
		t.Errorf("told of %+v", <-people.all)
	}
}
