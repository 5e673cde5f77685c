package watcher_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/watchertest"
)

// TestSnapshotGivesUp holds when people are told that a watch ends, while the API does not show its order.
func TestSnapshotGivesUp(t *testing.T) {
	forbidden := &watcher.PollError{Class: watcher.Forbidden, Code: "ModelArts.0103", Message: "Forbidden."}
	for _, tt := range []struct {
		name    string
		timeout time.Duration
		wakeups []wakeup
		want    time.Duration // after the first poll; 0: not at all
	}{
		{"not found", time.Hour, []wakeup{fails(notFound), fails(notFound)}, 2 * time.Minute},
		{"not found, then an error that passes", time.Hour, []wakeup{fails(notFound), fails(errDown)}, 2 * time.Minute},
		{"the deadline comes first", 30 * time.Second, []wakeup{fails(notFound)}, 30 * time.Second},
		{"forbidden", time.Hour, []wakeup{fails(forbidden), fails(forbidden)}, 10 * time.Minute},
		{"it had looked ended", time.Hour, []wakeup{shows(1, watcher.Succeed), fails(notFound)}, 2*time.Minute + 10*time.Second},
		{"it had looked ended, and lists nothing", time.Hour, []wakeup{shows(1, watcher.Succeed), shows(0)}, 2*time.Minute + 10*time.Second},
		{"it was seen, and lists nothing", time.Hour, []wakeup{shows(1, watcher.Processing), shows(0)}, 0},
		{"found", time.Hour, []wakeup{fails(notFound), shows(1, watcher.Processing)}, 0},
		{"another error", time.Hour, []wakeup{fails(errDown)}, 0},
		{"ended", 2 * time.Hour, []wakeup{fails(notFound), {err: notFound, late: time.Hour}}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, ask := policy(), request("build-1")
			ask.Timeout = tt.timeout
			w := admit(t, p, ask)
			first := w.NextPollAt
			for _, k := range tt.wakeups {
				w = wake(t, p, w, k)
			}
			got := p.Snapshot(w, watcher.Hold{}, w.NextPollAt).GivesUpAt
			if tt.want == 0 && !got.IsZero() || tt.want != 0 && !got.Equal(first.Add(tt.want)) {
				t.Errorf("gives up at %s; want %s after %s", got, tt.want, first)
			}
		})
	}
}

// TestSnapshotFits holds that a snapshot fits into a message with all that can be in a record beside its
// items.
func TestSnapshotFits(t *testing.T) {
	t.Parallel()
	watchertest.Unraced(t)
	p := policy()
	w := admit(t, p, request("build-0"))
	for i := 1; i < 900; i++ {
		w = joined(t, p, w, request(fmt.Sprint("build-", i)))
	}
	var items []watcher.Item
	for i := range 12000 {
		items = append(items, watcher.Item{ResourceName: fmt.Sprintf("os-node-created-%05d", i), Action: "createNode", Status: watcher.Processing})
	}
	w, _ = p.Fold(w, watcher.Answer{Count: len(items), Items: items}, nil, begin)
	w, _ = p.Fold(w, watcher.Answer{}, errors.New(strings.Repeat("<", 5000)), begin)
	w.Wish = &watcher.Wish{By: strings.Repeat("<", 200), Reason: strings.Repeat("&", 500), At: begin}
	encoded, err := json.Marshal(p.Snapshot(w, watcher.Hold{}, w.NextPollAt))
	if err != nil || len(encoded) > p.MaxPayload {
		t.Errorf("%d bytes of %d (%v)", len(encoded), p.MaxPayload, err)
	}
	if s := p.Snapshot(w, watcher.Hold{}, w.NextPollAt); len(s.Requests) != 900 || s.Counts.Processing != 12000 {
		t.Errorf("%d requests, %+v", len(s.Requests), s.Counts)
	}
}

// TestARequestAfterACancelWaits holds that nothing joins a watch that somebody has cancelled.
func TestARequestAfterACancelWaits(t *testing.T) {
	t.Parallel()
	p := policy()
	w := admit(t, p, request("build-0"))
	w.Wish = &watcher.Wish{By: "ada", At: begin}
	if admission, _, err := p.Admit(&w, request("build-1"), begin); admission != watcher.Defer || err != nil {
		t.Errorf("admission %d, %v", admission, err)
	}
	if admission, _, err := p.Admit(&w, request("build-0"), begin); admission != watcher.Repeat || err != nil {
		t.Errorf("the same request: admission %d, %v", admission, err)
	}
}
