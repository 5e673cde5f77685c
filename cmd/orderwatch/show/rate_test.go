package show

import (
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/events/wire"
)

// Where the rate is used up, the page of a watch says why its next poll is late, and the status how many polls are wanted.
func TestRateIsShown(t *testing.T) {
	page := Page{Now: night, Width: 300}
	w := shownWatch()
	w.NextPollAt, w.NextWanted = minutes(-2), minutes(1)
	if text := page.polls(w); !strings.Contains(text, "the next in 2m00s: it was due 03:01:10 UTC, and ORDERWATCH_MODELARTS_RATE is used up") {
		t.Error(text)
	}
	used := wire.Rate{Region: "cn-north-4\x1b[2J", Wanted: 50, Allowed: 20, UsedUpSince: night.Add(-time.Hour), Late: "1m30s"}
	text := page.Status(wire.Status{Rates: []wire.Rate{used}})
	if !strings.Contains(text, "50 polls a second are wanted, 20 are allowed; polls are late by 1m30s") || strings.Contains(text, "\x1b") {
		t.Error(text)
	}
	if text := page.Status(wire.Status{Rates: []wire.Rate{{Region: "r", Wanted: 3, Allowed: 20}}}); strings.Contains(text, "late by") {
		t.Error(text)
	}
}
