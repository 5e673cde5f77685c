package watcher_test

import (
	"fmt"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// A request starts a watch; each answer of the API leads to the next wake-up, or to the end.
func ExamplePolicy_Fold() {
	policy := watcher.Policy{
		Backoff:       watcher.Backoff{Initial: 5 * time.Second, Multiplier: 1.5, Max: time.Minute},
		Settle:        10 * time.Second,
		NotFoundGrace: 2 * time.Minute,
		LastPollGrace: 30 * time.Second, ForbiddenGrace: 10 * time.Minute,
		Timeout:       2 * time.Hour,
		DefaultRegion: "cn-north-4",
		MaxPayload:    1 << 20,
	}
	now := time.Date(2025, 4, 10, 11, 49, 50, 0, time.UTC)
	_, watch, err := policy.Admit(nil, watcher.Ask{
		Order:   watcher.Order{ProjectID: "6f5da086876d4cd084d36f8bd3346036", Name: "order.pool-5ed5-w4l2n"},
		Request: watcher.Request{ID: "build-771", ReceivedAt: now},
		WatchID: "w_1",
	}, now)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, status := range []watcher.Status{watcher.Processing, watcher.Succeed, watcher.Succeed} {
		answer := watcher.Answer{Count: 1, Items: []watcher.Item{{ResourceName: "node-1", Action: "createNode", Status: status}}}
		now = watch.NextPollAt
		watch, _ = policy.Fold(watch, answer, nil, now)
		fmt.Printf("poll %d: %s", watch.Polls, watch.State)
		if watch.State == watcher.Watching {
			fmt.Printf(", next in %s", watch.NextPollAt.Sub(now))
		}
		fmt.Println()
	}
	fmt.Println(watch.Completion.Outcome+":", watch.Completion.Reason)
	// Output:
	// poll 1: watching, next in 5s
	// poll 2: watching, next in 10s
	// poll 3: ending
	// succeeded: 1 of 1 node succeeded
}
