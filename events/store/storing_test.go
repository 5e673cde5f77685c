package store_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestTroubleKnowsOfEveryWrite lets each kind of write fail, where there is no stream to write to. Each shows in what
// readiness asks: notes, holds and what could not be delivered, too.
func TestTroubleKnowsOfEveryWrite(t *testing.T) {
	t.Parallel()
	options := server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true}
	natsServer, err := server.NewServer(&options)
	if err != nil {
		t.Fatal(err)
	}
	natsServer.Start()
	t.Cleanup(func() { natsServer.Shutdown(); natsServer.WaitForShutdown() })
	nc, err := nats.Connect(natsServer.ClientURL(), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if err := nc.FlushTimeout(time.Minute); err != nil {
		t.Fatal(err)
	}
	config := store.Config{Names: wire.Names{Subjects: "orders", Service: "orderwatch", Streams: "ORDER"}, Timing: store.DefaultTiming()}
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
		s, err := store.Open(slog.New(slog.DiscardHandler), config, nc, store.NewClock(nil))
		if err != nil {
			t.Fatal(err)
		}
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
