package watcher

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Polls of large orders are made a few at a time, the largest one by one, and small ones whenever they are due.
func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r room
		var all sync.WaitGroup
		poll := func(polls, known, shown int) {
			for range polls {
				all.Go(func() {
					s := stay{in: &r}
					defer s.leave()
					for _, items := range []int{known, shown} {
						if err := s.enter(t.Context(), items); err != nil {
							t.Error(err)
						}
					}
					time.Sleep(time.Second)
				})
			}
		}
		for _, tt := range []struct {
			polls, known, shown int
			want                time.Duration
		}{
			{1000, 0, 400, time.Second},
			{64, 5000, 5000, 8 * time.Second},
			{64, 0, 5000, 8 * time.Second}, // the first poll
			{8, 5000, 20_000, time.Second}, // an order that grew
			{3, 50_000, 50_000, 3 * time.Second},
		} {
			began := time.Now()
			poll(tt.polls, tt.known, tt.shown)
			all.Wait()
			if took := time.Since(began); took != tt.want {
				t.Errorf("%d polls of %d items, known to have %d, of 1s each took %v, want %v", tt.polls, tt.shown, tt.known, took, tt.want)
			}
		}

		full := stay{in: &r}
		if err := full.enter(t.Context(), roomItems); err != nil {
			t.Fatal(err)
		}
		why := errors.New("the worker stops")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(why) })
		stopped := stay{in: &r}
		if err := stopped.enter(ctx, 5000); err != why {
			t.Errorf("got %v, want the cause", err)
		}
		stopped.leave()
		full.leave()
		poll(1, roomItems, roomItems)
		all.Wait()
	})
}
