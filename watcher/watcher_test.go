package watcher_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// begin is when the requests of these tests were stored.
var begin = time.Date(2025, 4, 10, 11, 49, 50, 0, time.UTC)

var pool = watcher.Order{ProjectID: "6f5da086876d4cd084d36f8bd3346036", Name: "order.pool-5ed5-w4l2n"}

// policy has no jitter: the intervals are 5s, 7.5s, 11.25s, …, 1m.
func policy() watcher.Policy {
	return watcher.Policy{
		Backoff:       watcher.Backoff{Initial: 5 * time.Second, Multiplier: 1.5, Max: time.Minute},
		Settle:        10 * time.Second,
		NotFoundGrace: 2 * time.Minute,
		LastPollGrace: 30 * time.Second, ForbiddenGrace: 10 * time.Minute,
		Timeout:       2 * time.Hour,
		DefaultRegion: "cn-north-4",
		MaxPayload:    1 << 20,
		LateByUsual:   true,
	}
}

func request(id string) watcher.Ask {
	return watcher.Ask{
		Order:   pool,
		Request: watcher.Request{ID: id, RequestedBy: "gpu-pools", ReceivedAt: begin},
		WatchID: "w_1",
	}
}

// admit starts a watch for the request.
func admit(t testing.TB, p watcher.Policy, ask watcher.Ask) watcher.Watch {
	t.Helper()
	admission, w, err := p.Admit(nil, ask, ask.Request.ReceivedAt)
	if admission != watcher.Start || err != nil {
		t.Fatalf("first request: admission %d, %v", admission, err)
	}
	return w
}

// answer has one item for each status: node-0, node-1, …
func answer(count int, statuses ...watcher.Status) watcher.Answer {
	a := watcher.Answer{Count: count}
	for i, s := range statuses {
		a.Items = append(a.Items, watcher.Item{
			ResourceName: fmt.Sprintf("node-%d", i), Action: "createNode", Status: s,
			BeganAt: begin, UpdatedAt: begin.Add(time.Minute),
		})
	}
	return a
}

// stored returns the record as it comes back from the store.
func stored(t testing.TB, w watcher.Watch, maxPayload int) watcher.Watch {
	t.Helper()
	encoded, err := watcher.EncodeWatch(w, maxPayload)
	if err != nil {
		t.Fatal(err)
	}
	w, err = watcher.DecodeWatch(encoded)
	if err != nil {
		t.Fatalf("%v in %.300s", err, encoded)
	}
	return w
}
