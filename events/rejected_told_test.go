package events_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// A refusedTo hears of rejected requests, and says once that it cannot take one.
type refusedTo struct {
	told
	once *sync.Once
	all  chan watcher.RequestAttention
}

func (n refusedTo) AttendRequest(_ context.Context, a watcher.RequestAttention) (err error) {
	n.once.Do(func() { err = &watcher.RetryError{After: 10 * time.Millisecond, Err: errors.New("not now")} })
	if err == nil {
		n.all <- a
	}
	return err
}

// People are told of the first rejected request of each sender in an hour, by whichever worker, and again in the next
// hour.
func TestRejectionIsTold(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	people := refusedTo{make(told, 10), new(sync.Once), make(chan watcher.RequestAttention, 100)}
	clock := store.NewClock(nil)
	for range 2 {
		parts{url: s.ClientURL(), config: config(), orders: &orders{show: ended(watcher.Succeed)}, notifier: people, clock: clock}.ready(t)
	}
	reject := func(by string, n int) {
		t.Helper()
		for i := range n {
			r := request(fmt.Sprintf("order.%s-%d", by, i))
			r["timout"] = "1h"
			if by != "" {
				r["requested_by"] = by
			}
			publish(t, js, r)
		}
	}
	hears := func(senders ...string) {
		t.Helper()
		want := map[string]bool{}
		for _, sender := range senders {
			want[sender] = true
		}
		for range senders {
			select {
			case a := <-people.all:
				if !want[a.Sender] || a.Kind != watcher.Rejected || a.Field != "timout" || a.Reason == "" || a.Sequence == 0 || a.RequestID == "" {
					t.Errorf("told %+v; want one of each of %q", a, senders)
				}
				delete(want, a.Sender)
			case <-time.After(eventstest.Patience):
				t.Fatalf("not told of %v", want)
			}
		}
	}
	reject("team-a", 5)
	hears("team-a")
	reject("", 3)
	reject("team-b", 3)
	hears("", "team-b")
	eventstest.Eventually(t, func() error {
		if n := eventstest.Messages(t, js, "ORDER_EVENTS", "orders.rejected"); n != 11 {
			return fmt.Errorf("%d rejected events of 11", n)
		}
		if n := eventstest.Messages(t, js, "ORDER_REQUESTS", ">"); n != 0 {
			return fmt.Errorf("ORDER_REQUESTS holds %d messages", n)
		}
		return nil
	})
	if n := eventstest.Messages(t, js, "ORDER_EVENTS", "orders.attention.rejected.>"); n != 3 || len(people.all) != 0 {
		t.Errorf("%d events for people, %d more are told; want one for each of 3 senders", n, len(people.all))
	}
}

// A sender whose messages are all rejected is told of once, and the next time with how many they were.
func TestRejectionsAreCounted(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	const n, atOnce = 900, 100 // with the others they are under rejectedAtOnce; those that are rejected while people are told of the first are perhaps not counted
	tells := func(cfg settings, messages int, want int) {
		t.Helper()
		people := refusedTo{make(told, 10), new(sync.Once), make(chan watcher.RequestAttention, n)}
		w := parts{url: s.ClientURL(), config: cfg, orders: &orders{show: ended(watcher.Succeed)}, notifier: people}.ready(t)
		for range messages {
			publish(t, js, map[string]any{"timout": "1h", "requested_by": "flood"})
		}
		publish(t, js, map[string]any{"timout": "1h", "requested_by": "another"})
		for told := 0; told < 2; told++ {
			select {
			case a := <-people.all:
				if a.Sender == "flood" && (a.Others > want || a.Others < want-atOnce) {
					t.Errorf("told of %d others; want %d", a.Others, want)
				}
			case <-time.After(eventstest.Patience):
				t.Fatalf("told of %d of 2 senders", told)
			}
		}
		eventstest.Eventually(t, func() error {
			if left := eventstest.Messages(t, js, "ORDER_REQUESTS", ">"); left != 0 {
				return fmt.Errorf("ORDER_REQUESTS holds %d messages", left)
			}
			return nil
		})
		if err := w.stop(); err != nil || len(people.all) != 0 {
			t.Errorf("%d more are told (%v)", len(people.all), err)
		}
	}
	tells(config(), n, 0)
	later := config()
	later.Timing.Rejected = time.Nanosecond
	tells(later, 1, n-1)
}

// A message names another sender each time: people are told of few of them.
func TestRejectionsFillNoChannel(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	startWorker(t, s, config(), &orders{show: ended(watcher.Succeed)})
	const n = 60
	for i := range n {
		publish(t, js, map[string]any{"timout": "1h", "requested_by": fmt.Sprint("somebody-", i)})
	}
	eventstest.Eventually(t, func() error {
		if rejected := eventstest.Messages(t, js, "ORDER_EVENTS", "orders.rejected"); rejected != n {
			return fmt.Errorf("%d rejected events of %d", rejected, n)
		}
		if left := eventstest.Messages(t, js, "ORDER_REQUESTS", ">"); left != 0 {
			return fmt.Errorf("ORDER_REQUESTS holds %d messages", left)
		}
		return nil
	})
	if told := eventstest.Messages(t, js, "ORDER_EVENTS", "orders.attention.rejected.>"); told < 30 || told > 31 {
		t.Errorf("people are told of %d senders of %d; want 30", told, n)
	}
}
