package faults_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	slackemulator "github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// TestSlackBurst lets watches fail at once, each for a cause of its own, at the product's own speed: the channel takes a
// message a second, and hardly a second is left unused before all are told, however many workers share it. How many are
// allows for a busy machine here; TestBurst of package outbox has the true bound.
func TestSlackBurst(t *testing.T) {
	t.Parallel()
	const (
		orders = 30
		least  = (orders - 1) * time.Second // from the first message to the last
	)
	for _, workers := range []int{1, 2, 4} {
		t.Run(fmt.Sprint(workers, " workers"), func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var posted []time.Time
			told := func(m slackemulator.Message) {
				if mu.Lock(); m.ThreadTS == "" && strings.HasPrefix(tellsOf(m), "watch.") {
					posted = append(posted, time.Now())
				}
				mu.Unlock()
			}
			n := rig.StartNATS(t, "")
			w := newSlackWorld(t, n, "burst", worldSetting{workers: workers, history: true, plain: true, cloud: stormCloud(), slack: slackemulator.Options{OnPost: told}})
			for i := range orders {
				order := fmt.Sprintf("order.pool-%d", i)
				item := emulator.Item{ResourceName: "node-0", Status: "failed", Message: "no quota for " + strings.Repeat("z", i+1)}
				w.cloud.Add(rig.Project, order, emulator.Order{Count: emulator.CountAll, Items: []emulator.Item{item}})
				if err := w.ask(t.Context(), map[string]any{"order_name": order, "request_id": requestID(i)}); err != nil {
					t.Fatal(err)
				}
			}
			rig.Eventually(t, rig.Patience, func() error {
				mu.Lock()
				defer mu.Unlock()
				if len(posted) < orders {
					return fmt.Errorf("%d of %d failures are told", len(posted), orders)
				}
				return nil
			})
			v := &slackVerdict{}
			w.judgePace(v)
			for _, violation := range v.violations {
				t.Error(violation)
			}
			mu.Lock()
			defer mu.Unlock()
			var longest time.Duration
			for i := range posted[1:] {
				longest = max(longest, posted[i+1].Sub(posted[i]))
			}
			span := posted[len(posted)-1].Sub(posted[0])
			t.Logf("%d failures in %.1f s; at most %.1f s between two", len(posted), span.Seconds(), longest.Seconds())
			if span > 2*least {
				t.Errorf("it took %.1f s to tell of %d failures; want %s at most", span.Seconds(), len(posted), 2*least)
			}
		})
	}
}
