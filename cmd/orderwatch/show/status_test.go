package show_test

import (
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/show"
	"github.com/orderwatch/orderwatch/events/wire"
)

// What the cloud says of a list does nothing to a terminal.
func TestStatusUnlisted(t *testing.T) {
	now := time.Date(2025, 4, 10, 12, 0, 0, 0, time.UTC)
	page := show.Page{Now: now, Width: 200}
	text := page.Status(wire.Status{Unlisted: []wire.Unlisted{{Region: "cn-north-4", ProjectID: "p", Why: "403 \x1b[2Jno", Until: now.Add(time.Hour)}}})
	for _, want := range []string{"region cn-north-4, project p: ", "not tried again before 13:00:00 UTC: 403 ", "polled as without it"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %q", want, text)
		}
	}
	if strings.Contains(text, "\x1b") || strings.Contains(page.Status(wire.Status{}), "lists") {
		t.Errorf("%q", text)
	}
}
