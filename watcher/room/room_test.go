package room_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderwatch/orderwatch/watcher/room"
)

// Polls of large orders are made a few at a time, the largest one by one, and small ones whenever they are due.
func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r room.Room
		const most = 40_000
		var all sync.WaitGroup
		poll := func(polls, known, shown int) {
			for range polls {
				all.Go(func() {
					s := r.Stay()
					defer s.Leave()
					for _, items := range []int{known, shown} {
						if err := s.Enter(t.Context(), items); err != nil {
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

		full := r.Stay()
		if err := full.Enter(t.Context(), most); err != nil {
			t.Fatal(err)
		}
		why := errors.New("the worker stops")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(why) })
		stopped := r.Stay()
		if err := stopped.Enter(ctx, 5000); err != why {
			t.Errorf("got %v, want the cause", err)
		}
		stopped.Leave()
		full.Leave()
		poll(1, most, most)
		all.Wait()
	})
}
