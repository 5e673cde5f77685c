package events_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/inspect"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// inspector returns an inspector of what the server has.
func inspector(t *testing.T, s *server.Server, cfg settings) *inspect.Inspector {
	t.Helper()
	nc, _ := eventstest.Connect(t, s)
	i, err := inspect.New(cfg.storeConfig, nc, store.NewClock(nil))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// TestInspectWorkers looks at two workers and what they tell each other, without becoming one.
func TestInspectWorkers(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	cfg := config()
	cfg.Version = "v1.2.3"
	first := startWorker(t, s, cfg, idleCloud())
	startWorker(t, s, cfg, idleCloud())
	eventstest.Eventually(t, func() error {
		if n := first.accounts.Workers(); n != 2 {
			return fmt.Errorf("%d workers", n)
		}
		return nil
	})
	now := time.Now().UTC().Truncate(time.Second)
	for key, hold := range map[string]watcher.Hold{
		"ab12.cn-north-4": {Kind: watcher.HeldLogin, Reason: "401", Since: now, Until: now.Add(time.Hour)},
		"ab12.cn-east-3":  {Kind: watcher.HeldLogin, Since: now, Until: now.Add(time.Hour), Over: now},
	} {
		if err := first.accounts.SetHold(t.Context(), key, hold, 0); err != nil {
			t.Fatal(err)
		}
	}
	i := inspector(t, s, cfg)
	if _, _, err := i.Clock(t.Context()); err != nil {
		t.Fatal(err)
	}
	var w inspect.Workers
	eventstest.Eventually(t, func() (err error) {
		if w, err = i.Workers(t.Context()); err == nil && w.Present != 2 {
			err = fmt.Errorf("%d workers", w.Present) // one gave no sign for long
		}
		return err
	})
	if w.Present != 2 || len(w.Holds) != 1 || w.Holds["ab12.cn-north-4"].Reason != "401" {
		t.Errorf("got %+v", w)
	}
	eventstest.Eventually(t, func() error { // busy workers may answer later than an inspector waits
		versions, _, err := i.Instances(t.Context(), w.Present)
		if err == nil && !slices.Equal(versions, []string{"1.2.3", "1.2.3"}) {
			err = fmt.Errorf("versions %v", versions)
		}
		return err
	})
	if n := first.accounts.Workers(); n != 2 {
		t.Errorf("the workers now count %d", n)
	}
}
