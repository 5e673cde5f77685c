package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// TestForgedHoldKeys writes what no worker writes under many keys of holds: nothing is kept of them, and a hold that a
// worker has to tell under such a key is stored.
func TestForgedHoldKeys(t *testing.T) {
	t.Parallel()
	s, js := newStore(t)
	const forged = 300
	for i := range forged {
		if _, err := js.Publish(t.Context(), s.Names.Account(fmt.Sprint("hold.fake", i)), []byte(`{"stream":"ORDER_REQUESTS","seq":7}`)); err != nil {
			t.Fatal(err)
		}
	}
	accounts := s.Accounts()
	if err := accounts.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := accounts.Keys(); n > 0 {
		t.Errorf("something is known of %d keys of %d forged ones", n, forged)
	}
	hold := watcher.Hold{Kind: watcher.HeldLogin, Region: "cn-north-4", Reason: "401", Since: time.Now(), Until: time.Now().Add(time.Hour)}
	_, revision := accounts.Hold("fake7")
	if err := accounts.SetHold(t.Context(), "fake7", hold, revision); !errors.Is(err, watcher.ErrConflict) {
		t.Errorf("over a forged value: %v", err)
	}
	_, revision = accounts.Hold("fake7")
	if err := accounts.SetHold(t.Context(), "fake7", hold, revision); err != nil {
		t.Errorf("over a forged value that is known: %v", err)
	}
	if n := accounts.Keys(); n != 1 {
		t.Errorf("something is known of %d keys; want 1", n)
	}
}

// TestAskSooner holds that a hold which people can mend is tried soon where somebody wants that, and no other.
func TestAskSooner(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	accounts := s.Accounts()
	if err := accounts.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := s.Clock.Now()
	held := func(key string, kind watcher.HoldKind, region string, since time.Duration) {
		t.Helper()
		hold := watcher.Hold{Kind: kind, Region: region, Reason: "403", Since: now.Add(-since), Until: now.Add(time.Hour)}
		if err := accounts.SetHold(t.Context(), key, hold, 0); err != nil {
			t.Fatal(err)
		}
	}
	held("a", watcher.HeldPermission, "r1", time.Minute)
	held("b", watcher.HeldThrottled, "r1", time.Minute)
	held("c", watcher.HeldLogin, "r1", time.Minute)
	held("d", watcher.HeldPermission, "r2", time.Minute)
	held("e", watcher.HeldArrears, "r1", 0)
	if err := s.AskSooner(t.Context(), &watcher.Watch{State: watcher.Watching, Region: "r1"}); err != nil {
		t.Fatal(err)
	}
	for key, most := range map[string]time.Duration{"a": time.Second, "b": time.Hour, "c": time.Hour, "d": time.Hour, "e": 30 * time.Second} {
		hold, _ := accounts.Hold(key)
		if left := hold.Until.Sub(now); left > most || left < most-time.Second {
			t.Errorf("%s is held for %s; want %s", key, left, most)
		}
	}
}
