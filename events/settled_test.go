package events_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestSlackConsumerMadeAnew holds that a deleted consumer begins where it stopped: an event that was
// settled is not told again, and one that was not is.
func TestSlackConsumerMadeAnew(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	var mu sync.Mutex
	var names []string
	refuse, refused := true, false
	notifier := notify(func(_ context.Context, c watcher.Completion) error {
		mu.Lock()
		defer mu.Unlock()
		if refuse && c.OrderName == "order.second" {
			refused = true
			return &watcher.RetryError{After: time.Hour, Err: errors.New("not now")}
		}
		names = append(names, c.OrderName)
		return nil
	})
	told := func(want ...string) func() error {
		return func() error {
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(names, want) {
				return fmt.Errorf("told %v; want %v", names, want)
			}
			return nil
		}
	}
	cfg := config()
	cfg.Timing.CheckEvery = 50 * time.Millisecond
	parts{url: s.ClientURL(), config: cfg, orders: &orders{show: ended(watcher.Succeed)}, notifier: notifier}.ready(t)
	publish(t, js, request("order.first"))
	eventstest.Eventually(t, told("order.first"))
	events, err := js.Stream(t.Context(), "ORDER_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	first, err := events.GetLastMsgForSubject(t.Context(), "orders.completed.>")
	if err != nil {
		t.Fatal(err)
	}
	publish(t, js, request("order.second"))
	eventstest.Eventually(t, func() error { // the first is noted as settled, the second was refused and waits
		mu.Lock()
		waits := refused
		mu.Unlock()
		if !waits {
			return errors.New("order.second was not delivered")
		}
		consumer, err := js.Consumer(t.Context(), "ORDER_EVENTS", "slack")
		if err != nil {
			return err
		}
		info := consumer.CachedInfo()
		m, err := noted(t, js)
		if err != nil {
			return err
		}
		if want := fmt.Sprintf(`{"sequence":%d}`, info.AckFloor.Stream); info.NumAckPending != 1 || info.AckFloor.Stream < first.Sequence || m != want {
			return fmt.Errorf("%d pending, settled up to %d, noted %s", info.NumAckPending, info.AckFloor.Stream, m)
		}
		return nil
	})
	mu.Lock()
	refuse = false
	mu.Unlock()
	if err := js.DeleteConsumer(t.Context(), "ORDER_EVENTS", "slack"); err != nil {
		t.Fatal(err)
	}
	eventstest.Eventually(t, told("order.first", "order.second"))
	publish(t, js, request("order.third"))
	eventstest.Eventually(t, told("order.first", "order.second", "order.third"))
}

// noted returns the note that says how far the consumer has come.
func noted(t *testing.T, js jetstream.JetStream) (string, error) {
	bucket, err := js.KeyValue(t.Context(), "ORDER_SLACK")
	if err != nil {
		return "", err
	}
	entry, err := bucket.Get(t.Context(), "settled")
	if err != nil {
		return "", err
	}
	return string(entry.Value()), nil
}
