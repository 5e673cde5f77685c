package main

import (
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

func TestPolled(t *testing.T) {
	now := time.Date(2025, 4, 10, 12, 0, 0, 0, time.UTC)
	var held watcher.Snapshot
	held.Polls, held.LastPollAt = 2, now.Add(-16*time.Second)
	held.LastError = &watcher.ErrorDetail{Code: "held", Message: "the login is refused until 12:05:00 UTC"}
	for want, w := range map[string]watcher.Snapshot{
		"is polled now, for the first time": {},
		"is polled when its account may be asked again: the login is refused until 12:05:00 UTC": held,
	} {
		if got := polled(w, now); got != want {
			t.Errorf("got %q; want %q", got, want)
		}
	}
}

// TestPolledHeld holds that a poll of a held account comes when the account may be asked, whatever holds it, and soon where people
// can mend that.
func TestPolledHeld(t *testing.T) {
	const held, soon = "is polled when its account may be asked again: ", "is polled within half a minute, to find out whether that is mended: "
	for e, want := range map[watcher.ErrorDetail]string{
		{Code: "held", Message: "why"}:                                   held, // of the release before
		{Code: "held", Held: watcher.HeldUnreachable, Message: "why"}:    held,
		{Code: "APIG.0308", Held: watcher.HeldThrottled, Message: "why"}: held,
		{Code: "APIG.0307", Held: watcher.HeldLogin, Message: "why"}:     held,
		{Code: "ModelArts.0210", Held: watcher.HeldPermission}:           soon,
		{Code: "ModelArts.4116", Held: watcher.HeldArrears}:              soon,
		{Code: "X.1", Held: "\x1b[31m", Message: "why"}:                  held, // of a later release
		{Code: "may_pass", Message: "why"}:                               "",
		{Code: "ModelArts.50005000", Message: "why"}:                     "",
	} {
		var w watcher.Snapshot
		w.LastError, w.Polls, w.ErrorsInARow = &e, 3, 2
		got := polled(w, time.Now())
		if want != "" && got != want+e.Message || want == "" && (strings.HasPrefix(got, held) || strings.HasPrefix(got, soon)) {
			t.Errorf("%+v: %q", e, got)
		}
	}
}
