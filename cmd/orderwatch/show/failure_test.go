package show

import (
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/watcher"
)

// TestFailureReportOfNotFound holds that an order that was seen is not one whose name nobody knows.
func TestFailureReportOfNotFound(t *testing.T) {
	seen := watcher.Completion{Outcome: watcher.OrderNotFound, Report: goneWatch().Report}
	never := seen
	never.Counts = watcher.Counts{}
	if text := Failure(seen); !strings.Contains(text, "is gone since 02:59:10Z") || !strings.Contains(text, "The order existed, and is gone.") {
		t.Errorf("an order that was seen:%s", text)
	}
	if text := Failure(never); strings.Contains(text, "existed") {
		t.Errorf("an order that was never seen:%s", text)
	}
	if got, want := Counts(seen.Report), "1 of 2 items ended, 2 no longer listed"; got != want {
		t.Errorf("its items are %q; want %q", got, want)
	}
}
