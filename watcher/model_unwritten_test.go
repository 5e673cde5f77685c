package watcher_test

import (
	"context"
	"strings"

	"github.com/orderwatch/orderwatch/watcher"
)

// joins reports whether the worker at hand lets a request join.
func (m *model) joins() bool {
	w, _, _ := m.latest()
	return strings.HasPrefix(m.at.name, "take") && len(w.Requests) > 1
}

// unwriting are the guards of polls that leave the record unwritten.
var unwriting = []guard{
	{"a later wake-up that waits stays", func(m *model) { m.hasty = true }},
	{"a wake-up says after which record it was published", func(m *model) {
		wake := m.parts.wake
		m.parts.wake = func(k watcher.Wakeup, attempt int) watcher.Verdict {
			if _, kept, ok := m.Recall(pool); ok && k.Revision > kept {
				k.Revision = kept
			}
			return wake(k, attempt)
		}
	}},
	{"what does not say it is written", func(m *model) {
		wake := m.parts.wake
		m.parts.wake = func(k watcher.Wakeup, attempt int) watcher.Verdict {
			if k.Revision == 0 && k.Hint == nil {
				k.Revision = 1
			}
			return wake(k, attempt)
		}
	}},
	{"a request that joins lets the poller know", func(m *model) {
		m.parts.wakeups = clock{m, func(ctx context.Context, k watcher.Wakeup) error {
			if m.joins() {
				return nil
			}
			return m.Schedule(ctx, k)
		}}
	}},
}
