package store_test

import (
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestTroubleKnowsOfEveryWrite lets each kind of write fail, where there is no stream to write to. Each shows in what
// readiness asks: notes, holds and what could not be delivered, too.
func TestTroubleKnowsOfEveryWrite(t *testing.T) {
	t.Parallel()
	nc, _ := eventstest.Connect(t, eventstest.Server(t))
	order := watcher.Order{ProjectID: "p", Name: "order.a"}
	for name, write := range map[string]func(*store.Store) error{
		"record": func(s *store.Store) error {
			_, err := s.Write(t.Context(), watcher.Watch{Schema: watcher.SchemaVersion, State: watcher.Watching, ID: "w_1", Order: order, Requests: []watcher.Request{{ID: "r"}}}, 0)
			return err
		},
		"wake-up": func(s *store.Store) error {
			return s.Schedule(t.Context(), watcher.Wakeup{Order: order, WatchID: "w_1", Number: 1})
		},
		"undelivered": func(s *store.Store) error {
			return s.Keep(t.Context(), watcher.UndeliveredMessage{ID: "m", RefusedAt: time.Now()})
		},
		"note": func(s *store.Store) error {
			_, err := s.SetNote(t.Context(), "key", []byte("text"), 0)
			return err
		},
		"hold": func(s *store.Store) error {
			return s.Accounts().SetHold(t.Context(), "account", watcher.Hold{Kind: watcher.HeldLogin}, 0)
		},
	} {
		s := eventstest.Store(t, nc, eventstest.StoreConfig(), nil)
		begin := time.Now()
		if err := s.Trouble(begin); err != nil {
			t.Errorf("%s: trouble before the first write: %v", name, err)
		}
		if err := write(s); err == nil {
			t.Errorf("%s: stored without a stream", name)
		}
		if s.Trouble(begin) == nil {
			t.Errorf("%s: was not stored, and that is no trouble", name)
		}
	}
}
