package tally_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/tally"
	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestFollow counts completions that were stored before, after a restart of the server, after one that lost the latest of
// them and got others in their places, and after the stream was made anew: each once.
func TestFollow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := eventstest.Server(t, server.Options{StoreDir: dir})
	port := s.Addr().(*net.TCPAddr).Port
	nc, js := eventstest.Connect(t, s)
	config := eventstest.StoreConfig()
	st := eventstest.Provided(t, nc, config)
	complete := func(first, last int) {
		t.Helper()
		for n := first; n <= last; n++ {
			c := ended(n, watcher.AllFailed, time.Now(), time.Minute, "no quota")
			eventstest.Eventually(t, func() error {
				err := st.Complete(t.Context(), c, 0)
				if errors.Is(err, watcher.ErrConflict) { // it is stored, and the answer was lost
					return nil
				}
				return err
			})
		}
	}
	complete(1, 20)

	tl := tally.New(teams.Teams{}, nil)
	pages, _ := eventstest.Connect(t, s)
	reading := eventstest.Store(t, pages, config, store.NewClock(nil))
	ctx, end := context.WithCancel(t.Context())
	var following sync.WaitGroup
	following.Go(func() { tl.Follow(ctx, reading) })
	defer following.Wait()
	defer end()
	counts := func(want int) {
		t.Helper()
		eventstest.Eventually(t, func() error {
			n := 0
			for _, d := range tl.History(teams.View{}, 90, time.Now()).Days {
				n += d.Total()
			}
			read, away := tl.State()
			if n != want || !read || away != nil {
				return fmt.Errorf("%d are counted; want %d; read: %t, away: %w", n, want, read, away)
			}
			return nil
		})
	}
	counts(20)
	complete(21, 30)
	counts(30)

	stop := func() { s.Shutdown(); s.WaitForShutdown() }
	start := func(from string) { s = eventstest.Server(t, server.Options{StoreDir: from, Port: port}) }
	stop()
	older := filepath.Join(t.TempDir(), "older")
	if err := os.CopyFS(older, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	start(dir)
	complete(31, 40)
	counts(40)

	stop()
	start(older)     // which lost ten events
	complete(36, 45) // some of them are published again, as workers do, in the places of others
	counts(45)

	if err := js.DeleteStream(t.Context(), "ORDER_EVENTS"); err != nil {
		t.Fatal(err)
	}
	if err := st.Ensure(t.Context(), store.Listener{Made: func(string) {}, Differs: func(string, store.Difference) {}}, ""); err != nil {
		t.Fatal(err)
	}
	complete(38, 48) // some of them are published again, as workers do
	counts(48)
}

// TestNothingToFollow follows where there is no stream yet, and then an empty one.
func TestNothingToFollow(t *testing.T) {
	t.Parallel()
	nc, _ := eventstest.Connect(t, eventstest.Server(t))
	config := eventstest.StoreConfig()
	reading := eventstest.Store(t, nc, config, store.NewClock(nil))
	tl := tally.New(teams.Teams{}, nil)
	ctx, end := context.WithCancel(t.Context())
	var following sync.WaitGroup
	following.Go(func() { tl.Follow(ctx, reading) })
	defer following.Wait()
	defer end()
	eventstest.Eventually(t, func() error {
		if _, away := tl.State(); away == nil {
			return fmt.Errorf("it does not say that there is no stream")
		}
		return nil
	})
	eventstest.Provided(t, nc, config)
	eventstest.Eventually(t, func() error {
		if read, away := tl.State(); !read || away != nil {
			return fmt.Errorf("read: %t, away: %w", read, away)
		}
		return nil
	})
}
