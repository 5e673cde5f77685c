// Package room decides how many polls of large orders are made at a time ([Room]), so that their memory is bounded. It
// promises that nobody in it waits for another, and that polls of small orders never wait in it.
package room

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// A poll takes about 1 kB of memory for each item of its order. So not all polls of large orders, those of over 400
// items, are made at the same time, but those of 40,000 items in all.
const (
	freeItems = 400
	roomItems = 40_000
)

// A Room bounds the memory that the polls of large orders take. It is safe for concurrent use, and the zero value is ready.
type Room struct {
	once  sync.Once
	items *semaphore.Weighted
}

// Stay returns a stay that has not entered yet.
func (r *Room) Stay() *Stay { return &Stay{in: r} }

// A Stay is one poll's in the room. It is not safe for concurrent use. Make it with [Room.Stay].
type Stay struct {
	in    *Room
	items int64
}

// Enter waits until there is room for so many items, or ctx ends; the error is then the cause of that. A stay that has
// entered already stays as it is: so no two wait for each other.
func (s *Stay) Enter(ctx context.Context, items int) error {
	if s.items > 0 || items <= freeItems {
		return nil
	}
	s.in.once.Do(func() { s.in.items = semaphore.NewWeighted(roomItems) })
	items = min(items, roomItems)
	if s.in.items.Acquire(ctx, int64(items)) != nil {
		return context.Cause(ctx)
	}
	s.items = int64(items)
	return nil
}

// EnterWithin is Enter, but that it waits no longer than patience; the error is then the context's.
func (s *Stay) EnterWithin(ctx context.Context, patience time.Duration, items int) error {
	if s.items > 0 || items <= freeItems { // most polls: they need no timer
		return nil
	}
	ctx, end := context.WithTimeout(ctx, patience)
	defer end()
	return s.Enter(ctx, items)
}

// Leave ends the stay, also one that has not entered.
func (s *Stay) Leave() {
	if s.items > 0 {
		s.in.items.Release(s.items)
		s.items = 0
	}
}
