package events_test

import (
	"fmt"
	"testing"

	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestOthersGoOn lets three requests share a watch. The deadline of one passes: the others go on in the watch that its
// completion names, which a cancel then ends.
func TestOthersGoOn(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, js := eventstest.Connect(t, s)
	cloud, _ := gate()
	w := startWorker(t, s, config(), cloud)
	for id, timeout := range map[string]string{"long-1": "40m", "short": "1s", "long-2": "50m"} {
		r := request("order.pool")
		r["request_id"], r["timeout"] = id, timeout
		publish(t, js, r)
	}
	first := w.next(t)
	if first.Outcome != watcher.TimedOut || len(first.Requests) != 1 || first.Requests[0].ID != "short" {
		t.Fatalf("%s answers %+v", first.Outcome, first.Requests)
	}
	c, err := client.New(nc, config().Names)
	if err != nil {
		t.Fatal(err)
	}
	left := first.RequestsLeft // the others may not have been there yet
	eventstest.Eventually(t, func() error {
		shown, err := c.Get(t.Context(), of("order.pool"))
		if err != nil || shown.State != watcher.Watching || len(shown.Requests) != 2 || left > 0 && shown.WatchID != first.NextWatchID {
			return fmt.Errorf("the order is %s in %s with %d requests, %v; the completion names %q", shown.State, shown.WatchID, len(shown.Requests), err, first.NextWatchID)
		}
		return nil
	})
	if _, err := c.Cancel(t.Context(), wire.CancelRequest{Order: of("order.pool"), By: "bob"}); err != nil {
		t.Fatal(err)
	}
	second := w.next(t)
	if second.Outcome != watcher.Cancelled || len(second.Requests) != 2 || second.NextWatchID != "" || left > 0 && second.WatchID != first.NextWatchID {
		t.Errorf("%s %s answers %+v", second.WatchID, second.Outcome, second.Requests)
	}
}
