package events_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/watcher"
)

// R5: a worker that begins finds out what was lost while none worked, from what is left; and says nothing
// where nothing was lost, or nothing is left to know it by.
func TestStoreLostWhileNobodyWorked(t *testing.T) {
	t.Parallel()
	records, notes := "KV_ORDER_WATCHES", "KV_ORDER_SLACK"
	watches := []string{watcher.LostWatches}
	byHand := func(t *testing.T, s *server.Server, js jetstream.JetStream) *server.Server {
		deleted(records)(t, s, js)
		if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "ORDER_WATCHES", History: 1}); err != nil {
			t.Fatal(err)
		}
		return s
	}
	forget := func(t *testing.T, s *server.Server, js jetstream.JetStream) *server.Server {
		for _, key := range []string{"$KV.ORDER_WATCHES.store", "$KV.ORDER_SLACK.store"} { // as before this release
			stream, err := js.StreamNameBySubject(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			purge, err := js.Stream(t.Context(), stream)
			if err == nil {
				err = purge.Purge(t.Context(), jetstream.WithPurgeSubject(key))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		return s
	}
	then := func(first, second streamsLost) streamsLost {
		return func(t *testing.T, s *server.Server, js jetstream.JetStream) *server.Server {
			return second(t, first(t, s, js), js)
		}
	}
	for name, tc := range map[string]struct {
		lose streamsLost
		lost []string
	}{
		"nothing":                         {purged(), nil},
		"an upgrade":                      {forget, nil},
		"the records deleted":             {deleted(records), watches},
		"the records purged":              {purged(records), watches},
		"the records made by hand":        {byHand, watches},
		"records and notes deleted":       {deleted(records, notes), watches},
		"records and notes purged":        {purged(records, notes), watches},
		"the same, before this release":   {then(forget, deleted(records)), watches},
		"only wake-ups are left":          {deleted(records, notes, "ORDER_EVENTS", "ORDER_REQUESTS"), watches},
		"requests deleted":                {deleted("ORDER_REQUESTS"), []string{watcher.LostRequests}},
		"events deleted":                  {deleted("ORDER_EVENTS"), []string{watcher.LostEvents}},
		"notes deleted":                   {deleted(notes), []string{watcher.LostNotes}},
		"what workers tell each other":    {purged("KV_ORDER_ACCOUNTS"), nil},
		"wake-ups":                        {deleted("ORDER_WAKEUPS"), nil},
		"everything: nothing knows of it": {emptyServer, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := eventstest.Server(t)
			_, js := eventstest.Connect(t, s)
			cfg := config()
			cfg.Timing.CheckEvery = 200 * time.Millisecond
			cloud := &orders{show: func(_ watcher.Order, poll int) (watcher.Answer, error) { // one progress event at least is not too late
				return answer(slices.Repeat([]watcher.Status{watcher.Processing}, min(poll, 20))...), nil
			}}
			looked := func(w *running, times int64) {
				eventstest.Eventually(t, func() error {
					if n := w.LossLooks(); n < times {
						return fmt.Errorf("looked %d times", n)
					}
					return nil
				})
			}
			w := startWorker(t, s, cfg, cloud)
			publish(t, js, request("order.a"))
			eventstest.Eventually(t, func() error { return atLeastEvents(t, js, "orders.progress.>", 1) })
			looked(w, w.LossLooks()+2)
			if err := w.stop(); err != nil {
				t.Fatal(err)
			}
			s = tc.lose(t, s, js)
			_, js = eventstest.Connect(t, s)
			people := &listener{told: make(told, 10)}
			for range 2 {
				w := parts{url: s.ClientURL(), config: cfg, orders: cloud, notifier: people}.ready(t)
				looked(w, 5)
			}
			eventstest.Eventually(t, func() error { return toldOnce(t, js, people, tc.lost) })
			if slices.Equal(tc.lost, watches) {
				polls := cloud.count(watcher.Order{ProjectID: project, Name: "order.a"})
				publish(t, js, request("order.a"))
				eventstest.Eventually(t, cloud.polled("order.a", polls+1))
			}
		})
	}
}
