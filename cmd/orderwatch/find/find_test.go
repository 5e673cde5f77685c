package find_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/find"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// older answers lists as a worker of the release before, two watches a page: it refuses what it does not know.
type older []watcher.Snapshot

func (all older) List(_ context.Context, q wire.ListQuery) (wire.ListAnswer, error) {
	for field, set := range map[string]bool{"order_name": q.Name != "", "request_id": q.RequestID != ""} {
		if set {
			return wire.ListAnswer{}, &wire.ServiceError{Code: 400, Field: field, Reason: field + ": is no field of a list request; the fields are state, limit"}
		}
	}
	var answer wire.ListAnswer
	for _, w := range all {
		if q.Cursor != "" && w.WatchID >= q.Cursor {
			continue
		}
		if len(answer.Watches) == min(q.Limit, 2) {
			answer.Cursor = answer.Watches[len(answer.Watches)-1].WatchID
			break
		}
		answer.Watches = append(answer.Watches, w)
	}
	return answer, nil
}

// TestOrderOfOlder finds orders with a worker that cannot choose by name or request.
func TestOrderOfOlder(t *testing.T) {
	var all older
	for i := 9; i > 0; i-- {
		w := watcher.Snapshot{}
		w.WatchID, w.ProjectID, w.OrderName = fmt.Sprintf("w_%026d", i), "p-1", fmt.Sprintf("order.%d", i%8)
		if i > 8 {
			w.ProjectID = "p-2"
		}
		w.Requests = []watcher.Request{{ID: fmt.Sprintf("build-%d", i)}}
		all = append(all, w)
	}
	for text, want := range map[string]string{
		"order.2": "p-1/order.2", "build-4": "p-1/order.4", "build-9": "p-2/order.1", fmt.Sprintf("w_%026d", 3): "p-1/order.3",
		"order.1": "several", "order.9": "unknown", "build 10": "unknown", fmt.Sprintf("w_%026d", 10): "unknown", fmt.Sprintf("w_%026d", 0): "unknown",
	} {
		found, err := find.Order(t.Context(), all, text)
		got := found.Order.String()
		switch {
		case errors.Is(err, find.ErrUnknown):
			got = "unknown"
		case errors.Is(err, find.ErrSeveral) && strings.Contains(err.Error(), "\n  p-2/order.1\n  p-1/order.1"):
			got = "several"
		case err != nil:
			got = err.Error()
		}
		if got != want || found.Request != strings.HasPrefix(text, "build-") {
			t.Errorf("%s: %s (by a request: %t); want %s", text, got, found.Request, want)
		}
	}
}
