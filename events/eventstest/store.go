package eventstest

import (
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/wire"
)

// StoreConfig returns the settings of a store under test: those of production, on one server, with short
// intervals.
func StoreConfig() store.Config {
	timing := store.DefaultTiming()
	timing.PatrolEvery = 300 * time.Millisecond
	return store.Config{
		Names: wire.Names{Subjects: "orders", Service: "orderwatch", Streams: "ORDER"}, PublicURL: "https://orderwatch.example/x/",
		Replicas: 1, MaxAge: 90 * 24 * time.Hour, Provision: true,
		PollTimeout: time.Second, TimeoutMax: 48 * time.Hour, Timing: timing,
	}
}

// Store opens a store on the connection. A nil clock is one on the machine's.
func Store(t testing.TB, nc *nats.Conn, config store.Config, clock *store.Clock) *store.Store {
	t.Helper()
	if clock == nil {
		clock = store.NewClock(nil)
	}
	s, err := store.Open(slog.New(slog.DiscardHandler), config, nc, clock)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Provided opens a store, and creates the streams and consumers.
func Provided(t testing.TB, nc *nats.Conn, config store.Config) *store.Store {
	t.Helper()
	s := Store(t, nc, config, nil)
	if err := s.Ensure(t.Context(), store.Listener{Made: func(string) {}, Differs: func(string, store.Difference) {}}, ""); err != nil {
		t.Fatal(err)
	}
	return s
}
