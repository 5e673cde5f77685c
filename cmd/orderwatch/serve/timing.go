package serve

import (
	"time"

	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/notify/outbox"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts"
)

// Timing holds the durations that the contract does not name.
type Timing struct {
	store.Timing
	ModelArts modelarts.Timing
	Slack     outbox.Timing
	LastPoll  time.Duration // see watcher.Policy's LastPollGrace
	Forbidden time.Duration // see watcher.Policy's ForbiddenGrace
	Patience  watcher.Patience
}

// DefaultTiming returns the durations of production.
func DefaultTiming() Timing {
	return Timing{store.DefaultTiming(), modelarts.DefaultTiming(), outbox.DefaultTiming(), 30 * time.Second, 10 * time.Minute, watcher.DefaultPatience()}
}
