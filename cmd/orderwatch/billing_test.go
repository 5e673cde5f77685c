package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestBillingIDs warns of names that are ids of the billing, and of no others.
func TestBillingIDs(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"CS2311071234ABCDE": true, "CS2304191748WNW2R": true, "CS2504101234": true,
		"CS25-pool": false, "order.CS2504101234": false, "cs2504101234": false, "CS2504": false, "pool-CS2311071234ABCDE": false,
	} {
		var said bytes.Buffer
		warnOfBilling(&said, []wire.WatchRequest{{Order: watcher.Order{ProjectID: "p", Name: name}}})
		if got := strings.Contains(said.String(), "looks like a billing order id"); got != want {
			t.Errorf("%s: %q", name, said.String())
		}
	}
}
