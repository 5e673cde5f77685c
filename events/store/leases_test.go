package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// sharing opens the store of one more worker, which has just looked at what the workers share.
func sharing(t *testing.T, s *server.Server) *store.Accounts {
	t.Helper()
	nc, _ := eventstest.Connect(t, s)
	a := eventstest.Provided(t, nc, eventstest.StoreConfig()).Accounts()
	look(t, a)
	return a
}

func look(t *testing.T, all ...*store.Accounts) {
	t.Helper()
	for _, a := range all {
		if err := a.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// leave lets the worker take its leave.
func leave(a *store.Accounts) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	a.Run(ctx)
}

func TestLeases(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	first, second := sharing(t, s), sharing(t, s)
	look(t, first)
	place := store.Place{Region: "cn-north-4", ProjectID: eventstest.Project}
	wanted := store.Lease{Place: place, Pages: 3, Every: 6 * time.Second}
	if err := first.SetLease(t.Context(), wanted); err != nil {
		t.Fatal(err)
	}
	look(t, second)
	for _, a := range []*store.Accounts{first, second} {
		got := a.Lease(place)
		if wanted.Worker = first.ID(); !got.Valid || !got.Same(wanted) || a.Reserved("cn-north-4") != 0.5 || a.Reserved("cn-east-3") != 0 {
			t.Errorf("%+v, %v calls a second are reserved", got, a.Reserved("cn-north-4"))
		}
	}
	if err := second.SetLease(t.Context(), store.Lease{Place: place}); !errors.Is(err, watcher.ErrConflict) {
		t.Errorf("a lease that another worker took: %v", err)
	}

	// Of no use: nothing is reserved, and a worker that takes over knows it.
	off := first.Lease(place)
	off.OffUntil, off.Why = first.Now().Add(time.Hour).UTC(), "403: not permitted"
	if err := first.SetLease(t.Context(), off); err != nil {
		t.Fatal(err)
	}
	leave(first)
	look(t, second)
	got := second.Lease(place)
	if got.Valid || !got.Same(off) || !got.Off(second.Now()) || second.Reserved("cn-north-4") != 0 {
		t.Errorf("the worker has left: %+v", got)
	}
	if err := second.SetLease(t.Context(), got); err != nil {
		t.Fatal(err)
	}
	if got = second.Lease(place); !got.Valid || got.Worker != second.ID() || got.Why != off.Why {
		t.Errorf("taken over: %+v", got)
	}

	// What is given back can be taken by anybody.
	if err := second.GiveBack(t.Context(), got); err != nil {
		t.Fatal(err)
	}
	third := sharing(t, s)
	if got := third.Lease(place); got.Worker != "" || len(third.Leases()) != 0 {
		t.Errorf("given back: %+v", got)
	}
	if err := third.SetLease(t.Context(), third.Lease(place)); err != nil {
		t.Errorf("after it was given back: %v", err)
	}
}

// A lease whose key the bucket has dropped is taken at the second try.
func TestLeaseExpired(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	a := sharing(t, s)
	place := store.Place{Region: "cn-north-4", ProjectID: "p"}
	if err := a.SetLease(t.Context(), store.Lease{Place: place}); err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "KV_ORDER_ACCOUNTS")
	if err == nil {
		err = stream.Purge(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := a.SetLease(t.Context(), a.Lease(place)); !errors.Is(err, watcher.ErrConflict) {
		t.Errorf("with the revision of what is gone: %v", err)
	}
	if err := a.SetLease(t.Context(), a.Lease(place)); err != nil {
		t.Error(err)
	}
}

// What no worker wrote is no lease, and does not keep one from being taken.
func TestLeaseForged(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	a := sharing(t, s)
	for i, value := range []string{`{"stream":"ORDER_EVENTS","seq":1}`, `{"worker":"x","every":"soon"}`, `{"worker":"x","pages":-1,"every":"1s"}`, `[]`, `{}`} {
		place := store.Place{Region: "cn-north-4", ProjectID: fmt.Sprintf("p%d", i)}
		m := nats.NewMsg("$KV.ORDER_ACCOUNTS.sweep." + place.Key())
		m.Data = []byte(value)
		if i > 0 {
			m.Header.Set(store.KeyHeader, m.Subject)
		}
		if _, err := js.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		look(t, a)
		if got := a.Lease(place); got.Worker != "" || len(a.Leases()) != i {
			t.Errorf("%s is %+v", value, got)
		}
		err := a.SetLease(t.Context(), a.Lease(place))
		if errors.Is(err, watcher.ErrConflict) {
			err = a.SetLease(t.Context(), a.Lease(place))
		}
		if err != nil {
			t.Errorf("over %s: %v", value, err)
		}
	}
}

func TestLeasesAreBounded(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	a := sharing(t, s)
	var err error
	taken := 0
	for ; err == nil && taken < 1000; taken++ {
		err = a.SetLease(t.Context(), store.Lease{Place: store.Place{Region: "cn-north-4", ProjectID: fmt.Sprintf("p%d", taken)}})
	}
	if !errors.Is(err, store.ErrTooManyLeases) || taken != 257 {
		t.Fatalf("%d leases: %v", taken-1, err)
	}
	if err := a.SetLease(t.Context(), a.Lease(store.Place{Region: "cn-north-4", ProjectID: "p0"})); err != nil {
		t.Errorf("one of them again: %v", err)
	}
}
