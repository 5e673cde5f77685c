package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestReadsWithoutAConnection holds that what reads much at a time says so where there is no connection, and does not wait for
// an answer that cannot come.
func TestReadsWithoutAConnection(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, _ := eventstest.Connect(t, s)
	config := eventstest.StoreConfig()
	eventstest.Provided(t, nc, config)
	config.Timing.Request = 100 * time.Millisecond
	kept := eventstest.Store(t, nc, config, nil)
	s.Shutdown()
	s.WaitForShutdown()
	for what, read := range map[string]func() error{
		"records": func() error {
			_, err := kept.Latest(t.Context(), []watcher.Order{{ProjectID: "p1", Name: "order.pool"}})
			return err
		},
		"open orders": func() error { _, err := kept.OpenOrders(t.Context(), "p1"); return err },
		"subjects":    func() error { _, err := kept.Subjects(t.Context(), "ORDER_EVENTS", ">"); return err },
	} {
		eventstest.Eventually(t, func() error { // the connection learns of it a little later
			if err := read(); !errors.Is(err, link.ErrNotConnected) {
				return fmt.Errorf("%s are read without a connection: %w", what, err)
			}
			return nil
		})
	}
}
