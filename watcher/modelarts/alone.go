package modelarts

import (
	"context"
	"sync"

	"github.com/orderwatch/orderwatch/watcher"
)

// alone is a worker that shares its accounts with nobody.
type alone struct {
	mu        sync.Mutex
	holds     map[string]watcher.Hold
	revisions map[string]watcher.Revision
}

func (*alone) Workers() int { return 1 }

func (*alone) Reserved(string) float64 { return 0 }

func (a *alone) Hold(key string) (watcher.Hold, watcher.Revision) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.holds[key], a.revisions[key]
}

func (*alone) Answered(string, watcher.Order) {}

func (*alone) LastAnswered(string) (watcher.Order, bool) { return watcher.Order{}, false }

func (a *alone) SetHold(_ context.Context, key string, h watcher.Hold, revision watcher.Revision) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.revisions[key] != revision {
		return watcher.ErrConflict
	}
	a.holds[key], a.revisions[key] = h, revision+1
	return nil
}
