package notify

import (
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// took returns how long the order's items took, from the first that began to the last that
// changed. Where the items do not say, it is how long the order was watched.
func took(c watcher.Completion) time.Duration {
	var first, last time.Time
	for _, it := range c.Items {
		began, changed := worked(c, it)
		if began.IsZero() || changed.IsZero() || c.ItemsOmitted > 0 {
			return c.CompletedAt.Sub(c.AcceptedAt)
		}
		if first.IsZero() || began.Before(first) {
			first = began
		}
		if changed.After(last) {
			last = changed
		}
	}
	if d := last.Sub(first); !first.IsZero() && d >= 0 {
		return d
	}
	return c.CompletedAt.Sub(c.AcceptedAt)
}

// worked returns when work on the item began and ended, or the item changed last; each zero where it is
// not known. What is taken for deleted was so when it was no longer listed.
func worked(c watcher.Completion, it watcher.Item) (began, changed time.Time) {
	if it.TakenFor != "" {
		it.UpdatedAt = it.MissingSince
	}
	return it.Times(c.AcceptedAt, c.CompletedAt)
}

// slowest returns the item that took longest, and how long; an empty name where none says.
func slowest(c watcher.Completion) (name string, longest time.Duration) {
	for _, it := range c.Items {
		began, changed := worked(c, it)
		if began.IsZero() || changed.IsZero() {
			continue
		}
		if d := changed.Sub(began); d > longest {
			name, longest = it.ResourceName, d
		}
	}
	return name, longest
}
