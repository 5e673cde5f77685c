package show

import (
	"testing"

	"github.com/orderwatch/orderwatch/watcher"
)

func TestErrorText(t *testing.T) {
	for _, tt := range []struct {
		e    watcher.ErrorDetail
		want string
		held bool
	}{
		{watcher.ErrorDetail{Code: "held", Message: "why"}, "the account may not be asked now: why", true}, // of the release before
		{watcher.ErrorDetail{Code: "held", Held: watcher.HeldUnreachable, Message: "why"}, "ModelArts cannot be reached: why", true},
		{watcher.ErrorDetail{Code: "APIG.0308", Held: watcher.HeldThrottled, Message: "why"}, "the account is throttled (APIG.0308): why", true},
		{watcher.ErrorDetail{Code: "APIG.0307", Held: watcher.HeldLogin, Message: "why"}, "the login is refused (APIG.0307): why", true},
		{watcher.ErrorDetail{Code: "ModelArts.0210", Held: watcher.HeldPermission}, "the account lacks a permission (ModelArts.0210)", true},
		{watcher.ErrorDetail{Code: "ModelArts.4116", Held: watcher.HeldArrears}, "the account is frozen or in arrears (ModelArts.4116)", true},
		{watcher.ErrorDetail{Code: "X.1", Held: "\x1b[31m", Message: "why"}, "the account may not be asked now (X.1): why", true}, // of a later release
		{watcher.ErrorDetail{Code: "may_pass", Message: "why"}, "the poll did not work: why", false},
		{watcher.ErrorDetail{Code: "ModelArts.50005000", Message: "why"}, "ModelArts.50005000: why", false},
	} {
		if got := Error(tt.e); got != tt.want {
			t.Errorf("%+v: %q; want %q", tt.e, got, tt.want)
		}
		var w watcher.Snapshot
		w.LastError, w.Polls, w.ErrorsInARow = &tt.e, 3, 2
		lines := Page{}.lastError(w)
		if held := lines[len(lines)-1] == "ModelArts is not asked before that; the deadline still counts."; held != tt.held {
			t.Errorf("%+v: %q", tt.e, lines)
		}
	}
}
