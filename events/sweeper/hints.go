package sweeper

import (
	"context"
	"sync"
	"time"

	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/sweep"
)

// A hint that is to be published.
type hint struct {
	sweep.Hint
	tries int // that failed
}

// How long to wait after a hint that failed: it is tried until it is published, as the next list does not hint the same
// order again.
const (
	hintPause    = 200 * time.Millisecond
	mostDoubling = 3 // of the pause
)

// hints are those of one place that are still to be published, the oldest first. It is safe for concurrent use.
type hints struct {
	mu    sync.Mutex
	queue []hint
	more  chan struct{} // there is one
}

func (h *hints) add(one hint) {
	h.mu.Lock()
	h.queue = append(h.queue, one)
	h.mu.Unlock()
	select {
	case h.more <- struct{}{}:
	default: // it is said already
	}
}

// next waits for a hint; false when ctx ended.
func (h *hints) next(ctx context.Context) (first hint, ok bool) {
	for {
		h.mu.Lock()
		if len(h.queue) > 0 {
			first, h.queue = h.queue[0], h.queue[1:]
			h.mu.Unlock()
			return first, true
		}
		h.mu.Unlock()
		select {
		case <-h.more:
		case <-ctx.Done():
			return hint{}, false
		}
	}
}

// publish publishes hints until ctx ends. How many there are in a second is decided in package sweep.
func (s *sweeping) publish(ctx context.Context) {
	for {
		h, ok := s.hints.next(ctx)
		if !ok {
			return
		}
		if err := s.hint(ctx, h); err != nil && ctx.Err() == nil {
			s.log.Debug("hint not published", "order", h.Name, "err", err)
			link.Sleep(ctx, hintPause<<min(h.tries, mostDoubling))
			h.tries++
			s.hints.add(h)
		}
	}
}

// hint lets the wake-up that the order's watch expects be due now, where there is one. A record that is behind leads to
// a wake-up that the poller drops.
func (s *sweeping) hint(ctx context.Context, h hint) error {
	w, _, err := s.store.Read(ctx, watcher.Order{ProjectID: s.place.ProjectID, Name: h.Name})
	switch {
	case unwatched(err):
		return nil
	case err != nil:
		return err
	case w.State != watcher.Watching, w.Region != s.place.Region:
		return nil
	}
	k := w.Expected()
	k.At = s.store.Clock.Now()
	if !h.Plain {
		k.Hint = &watcher.Hint{Ended: h.Ended}
	}
	return s.store.Schedule(ctx, k)
}
