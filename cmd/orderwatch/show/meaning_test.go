package show

import (
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// TestFailureByAction holds what is said at the end of a wait.
func TestFailureByAction(t *testing.T) {
	shown := shownWatches()
	for name, want := range map[string]struct{ says, hides []string }{
		"deleted-part":       {[]string{"1 of 2 nodes not deleted\n  os-node-2 still exists and costs money. 1 node is deleted.", "1 × deleteNode: node is locked (os-node-2)"}, []string{"anew", "is there", "To watch it again"}},
		"renewed-none":       {[]string{"os-node-1 and os-node-2 expire as before unless they are renewed."}, []string{"anew"}},
		"mixed-part":         {[]string{"os-node-old still exists and costs money. 1 node is there and costs money."}, nil},
		"failed":             {[]string{"1 pool and 1 node are there and cost money."}, nil},
		"unlisted-timed-out": {[]string{"3 nodes may still be created and cost money.", "To watch it again: orderwatch watch --region cn-north-4 6f5da086876d4cd084d36f8bd3346036/order.pool-5ed5-w4l2n"}, nil},
		"periodic-cancelled": {[]string{"1 item may still be paid by use. pool-1 is still paid by use, and has no term that expires.", "To watch it again: orderwatch watch --region cn-north-4 6f5d"}, []string{"--timeout"}},
		"unknown-action":     {[]string{"1 of 2 items failed\n  1 × rebootNode: node is locked"}, []string{"cost"}},
	} {
		w := shown[name]
		text := Failure(watcher.Completion{Outcome: w.Outcome, Report: w.Report, CompletedAt: w.CompletedAt})
		for _, says := range want.says {
			if !strings.Contains(text, says) {
				t.Errorf("%s: no %q in%s", name, says, text)
			}
		}
		for _, hides := range want.hides {
			if strings.Contains(text, hides) {
				t.Errorf("%s: %q in%s", name, hides, text)
			}
		}
	}
}

func TestLasted(t *testing.T) {
	shown := shownWatches()
	for name, want := range map[string]string{"failed": "took 7m30s", "created-none-untimed": "watched for 9m00s", "deleted-timed-out": "watched for 9m00s"} {
		w := shown[name]
		if got := Lasted(watcher.Completion{Report: w.Report, CompletedAt: w.CompletedAt}); got != want {
			t.Errorf("%s: %s; want %s", name, got, want)
		}
	}
}

// TestAgain holds that the command works when it is pasted, and watches for as long as was asked.
func TestAgain(t *testing.T) {
	began := time.Date(2025, 4, 10, 12, 0, 0, 0, time.UTC)
	asked := func(timeouts ...time.Duration) (all []watcher.Request) {
		for _, d := range timeouts {
			r := watcher.Request{ReceivedAt: began}
			if d > 0 {
				r.Deadline = began.Add(d)
			}
			all = append(all, r)
		}
		return all
	}
	for _, tt := range []struct {
		region   string
		requests []watcher.Request
		want     string
	}{
		{"cn-east-3", asked(4 * time.Hour), "orderwatch watch --region cn-east-3 --timeout 4h p/order.x"},
		{"cn-east-3", asked(90*time.Minute, time.Hour), "orderwatch watch --region cn-east-3 --timeout 1h30m p/order.x"},
		{"cn-east-3", asked(0), "orderwatch watch --region cn-east-3 p/order.x"}, // of the release before
		{"", nil, "orderwatch watch p/order.x"},
		{"x; rm -r .", nil, "orderwatch watch p/order.x"},
	} {
		r := watcher.Report{ProjectID: "p", OrderName: "order.x", Region: tt.region, Requests: tt.requests}
		if got := again(r); got != tt.want {
			t.Errorf("%+v: %s; want %s", tt, got, tt.want)
		}
	}
	if got := again(watcher.Report{ProjectID: "p", OrderName: "order.x", ExpectedItems: 5}); got != "orderwatch watch --expected-items 5 p/order.x" {
		t.Error(got)
	}
}

func TestEnumerated(t *testing.T) {
	for want, names := range map[string][]string{"": nil, "a": {"a"}, "a and b": {"a", "b"}, "a, b and c": {"a", "b", "c"}} {
		if got := enumerated(names); got != want {
			t.Errorf("%q: %q; want %q", names, got, want)
		}
	}
}
