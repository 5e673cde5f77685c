package outbox

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/watcher"
)

// Progress shows how far a watch is, in the channels that want that: a message that wakes nobody, posted
// after a minute, edited at most every 10 s, and turned into the summary by [Outbox.Notify]. Its errors
// are those of Notify. What this worker knows a later state of is done with: that one is on its way, too.
func (s *Outbox) Progress(ctx context.Context, g watcher.Progress) error {
	if !s.newest.take(g.WatchID, g.Number) {
		return nil
	}
	stop := s.config.Now().Add(s.config.Timing.Pass)
	return soonest(s.followers(g), func(t target) *watcher.RetryError {
		if left := s.config.Timing.Quiet - s.config.Now().Sub(g.AcceptedAt); left > 0 {
			return &watcher.RetryError{After: min(left, s.config.Timing.Quiet), Err: errors.New("post to slack: the watch has just begun")}
		}
		return s.tell(ctx, delivery{
			render: func() message.Message { return message.Running(g, s.options(t)) }, place: place{g.WatchID, t.Channel}, told: s.config.Now(),
			entry: &entry{key: noteKey("watch", g.WatchID, t.Channel), state: numbered(running, g.Number), changes: true, quiet: true},
			log:   s.log.With("watch", g.WatchID, "channel", t.Channel), watching: g.WatchID,
			whole: func(context.Context, message.Message) {}, // the summary follows
		}, stop)
	})
}

// running begins the states of a watch that goes on.
const running = "running"

// followers returns where people want to know while the watch goes on.
func (s *Outbox) followers(g watcher.Progress) []target {
	return slices.DeleteFunc(s.targets(g.Report), func(t target) bool { return !t.Progress })
}

// A newest is the latest state of each watch that this process has seen: while a message may not change,
// older ones queue up, and telling them one by one would show the past. It is safe for concurrent use.
type newest struct {
	mu sync.Mutex
	of map[string]int // by watch
}

// take reports whether the state is not older than the latest.
func (n *newest) take(watch string, state int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.of) >= maxReceipts {
		clear(n.of) // an older one may be told
	}
	n.of[watch] = max(n.of[watch], state)
	return state == n.of[watch]
}
