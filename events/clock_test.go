package events_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// A worker whose clock is an hour off polls on time, and tells the server's times.
func TestClockAnHourOff(t *testing.T) {
	t.Parallel()
	for name, off := range map[string]time.Duration{"ahead": time.Hour, "behind": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := eventstest.Server(t)
			_, js := eventstest.Connect(t, s)
			cfg := config()
			const interval = 600 * time.Millisecond
			const tolerance = time.Minute // a busy machine is late; what goes by the wrong clock is off by an hour
			cfg.Policy.Backoff = watcher.Backoff{Initial: interval, Multiplier: 1, Max: interval}
			var mu sync.Mutex
			var polls []time.Time
			cloud := &orders{show: func(order watcher.Order, poll int) (watcher.Answer, error) {
				mu.Lock()
				defer mu.Unlock()
				polls = append(polls, time.Now())
				return endedAfter(3)(order, poll)
			}}
			clock := store.NewClock(func() time.Time { return time.Now().Add(off) })
			w := startWorkerAt(t, s, cfg, cloud, clock)
			if wrong := (clock.Offset() + off).Abs(); wrong > tolerance {
				t.Errorf("offset %s; want %s", clock.Offset(), -off)
			}
			begin := time.Now()
			publish(t, js, request("order.pool"))
			c := w.next(t)
			mu.Lock()
			defer mu.Unlock()
			if c.Outcome != watcher.Succeeded || len(polls) != 5 { // the last one after Settle
				t.Fatalf("%s after %d polls; want succeeded after 5", c.Outcome, len(polls))
			}
			if late := polls[0].Sub(begin); late > tolerance {
				t.Errorf("the first poll came after %s", late)
			}
			for i := range 3 {
				// The server looks at its schedules every quarter of a second or so.
				if gap := polls[i+1].Sub(polls[i]); gap < interval-50*time.Millisecond || gap > interval+tolerance {
					t.Errorf("poll %d came %s after the one before; want %s", i+2, gap, interval)
				}
			}
			for what, at := range map[string]time.Time{"accepted_at": c.AcceptedAt, "received_at": c.Requests[0].ReceivedAt, "completed_at": c.CompletedAt} {
				if at.Before(begin.Add(-tolerance)) || at.After(time.Now().Add(tolerance)) {
					t.Errorf("%s is %s; it is %s", what, at, time.Now().UTC())
				}
			}
		})
	}
}

// A clock that goes wrong while the worker runs is noticed at the next look at the server's.
func TestClockRefreshes(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	cfg := config()
	cfg.Timing.CheckEvery = 50 * time.Millisecond
	var mu sync.Mutex
	var off time.Duration
	clock := store.NewClock(func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return time.Now().Add(off)
	})
	startWorkerAt(t, s, cfg, idleCloud(), clock)
	mu.Lock()
	off = time.Hour
	mu.Unlock()
	eventstest.Eventually(t, func() error {
		if wrong := time.Until(clock.Now()).Abs(); wrong > time.Second {
			return fmt.Errorf("the clock is %s off", wrong)
		}
		return nil
	})
}
