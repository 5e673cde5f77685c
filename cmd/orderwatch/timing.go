package main

import (
	"time"

	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/notify"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts"
)

// A timing holds the durations that the contract does not name.
type timing struct {
	store.Timing
	ModelArts modelarts.Timing
	Slack     notify.Timing
	LastPoll  time.Duration // see watcher.Policy's LastPollGrace
	Forbidden time.Duration // see watcher.Policy's ForbiddenGrace
	Patience  watcher.Patience
}

func defaultTiming() timing {
	return timing{store.DefaultTiming(), modelarts.DefaultTiming(), notify.DefaultTiming(), 30 * time.Second, 10 * time.Minute, watcher.DefaultPatience()}
}
