package events_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/events"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/proxy"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestASleeperTakesFew lets nothing reach a worker any more: of a hundred requests and a hundred wake-ups that come then
// no more lie with it than its open pulls ask for.
func TestASleeperTakesFew(t *testing.T) {
	t.Parallel()
	for name, slots := range map[string]int{"as shipped": 64, "fewer slots": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := eventstest.Server(t)
			p, err := proxy.Listen("127.0.0.1:0", s.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.Close)
			cfg := config()
			cfg.Concurrency = slots
			cfg.Timing.PullExpiry = 10 * time.Minute // nothing ends the pulls
			parts{url: p.URL(), config: cfg, orders: &orders{show: ended(watcher.Succeed)}}.ready(t)
			_, js := eventstest.Connect(t, s)
			consumers := map[string]string{"ORDER_REQUESTS": "intake", "ORDER_WAKEUPS": "poller"}
			lies := make(map[string]int) // how many messages lie with the worker, by consumer
			pullsOpen := func(want int) func() error {
				return func() error {
					for stream, name := range consumers {
						c, err := js.Consumer(t.Context(), stream, name)
						if err != nil {
							return err
						}
						info := c.CachedInfo()
						if info.NumWaiting != want {
							return fmt.Errorf("%s has %d open pulls; want %d", name, info.NumWaiting, want)
						}
						lies[name] = info.NumAckPending
					}
					return nil
				}
			}
			eventstest.Eventually(t, pullsOpen(1))
			p.SetBoth(proxy.Line{Hold: true})
			for i := range 100 {
				publish(t, js, request(fmt.Sprintf("order.r%d", i)))
				wakeup := fmt.Appendf(nil, `{"watch_id":"w_%d","wakeup":1,"at":"2026-01-01T00:00:00Z"}`, i)
				if _, err := js.Publish(t.Context(), fmt.Sprintf("orders.due.%s.order.w%d", project, i), wakeup); err != nil {
					t.Fatal(err)
				}
			}
			eventstest.Eventually(t, pullsOpen(0))
			for name, got := range lies {
				if want := min(8, slots); got != want {
					t.Errorf("%s: %d messages lie with the worker; want %d", name, got, want)
				}
			}
			p.SetBoth(proxy.Line{})
		})
	}
}

// TestPullsFollowTheRate holds how many wake-ups lie in open pulls.
func TestPullsFollowTheRate(t *testing.T) {
	usedUp := watcher.Leave{After: time.Second, Why: "the configured rate is used up"}
	held := watcher.Leave{After: time.Second, Why: "429", Held: watcher.HeldThrottled}
	for _, test := range []struct {
		name   string
		slots  int
		leaves []watcher.Leave
		want   int
	}{
		{"begun", 64, nil, 8},
		{"few slots", 4, nil, 4},
		{"asked", 64, []watcher.Leave{{}}, 8},
		{"rate used up", 64, []watcher.Leave{usedUp}, 64},
		{"waits for its call", 64, []watcher.Leave{{Soon: time.Millisecond}}, 64},
		{"asked again", 64, []watcher.Leave{usedUp, {}}, 64}, // not at once: half of the watches may be asked about
		{"many slots", 500, []watcher.Leave{usedUp}, 64},
		{"few slots, rate used up", 4, []watcher.Leave{usedUp}, 4},
		{"held", 64, []watcher.Leave{held}, 8},
	} {
		if got := events.PulledAfter(test.slots, test.leaves...); got != test.want {
			t.Errorf("%s: %d wake-ups lie in open pulls; want %d", test.name, got, test.want)
		}
	}
}
