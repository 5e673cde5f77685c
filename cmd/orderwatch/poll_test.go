package main

import (
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

func TestPolled(t *testing.T) {
	now := time.Date(2025, 4, 10, 12, 0, 0, 0, time.UTC)
	var held watcher.Snapshot
	held.Polls, held.LastPollAt = 2, now.Add(-16*time.Second)
	held.LastError = &watcher.ErrorDetail{Code: "held", Message: "the login is refused until 12:05:00 UTC"}
	for want, w := range map[string]watcher.Snapshot{
		"is polled now, for the first time": {},
		"is polled when its account may be asked again: the login is refused until 12:05:00 UTC": held,
	} {
		if got := polled(w, now); got != want {
			t.Errorf("got %q; want %q", got, want)
		}
	}
}
