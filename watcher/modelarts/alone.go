package modelarts

import (
	"context"
	"sync"

	"github.com/orderwatch/orderwatch/watcher"
)

// alone is a worker that shares its accounts with nobody.
type alone struct {
	mu    sync.Mutex
	known map[string]known
}

type known struct {
	hold     watcher.Hold
	revision watcher.Revision
}

func (*alone) Workers() int { return 1 }

func (a *alone) Hold(key string) (watcher.Hold, watcher.Revision) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k := a.known[key]
	return k.hold, k.revision
}

func (*alone) Answered(string, watcher.Order) {}

func (*alone) LastAnswered(string) (watcher.Order, bool) { return watcher.Order{}, false }

func (a *alone) SetHold(_ context.Context, key string, h watcher.Hold, revision watcher.Revision) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known[key].revision != revision {
		return watcher.ErrConflict
	}
	a.known[key] = known{h, revision + 1}
	return nil
}
