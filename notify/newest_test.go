package notify_test

import (
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestProgressTellsTheLatest holds that a message about a watch that goes on shows its latest state, not
// one after the other of those that queued up while it might not change, and none when the end is known.
func TestProgressTellsTheLatest(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *notify.Config) { c.Progress = true })
	c := order(watcher.Succeeded, 100)
	c.AcceptedAt = b.clock.Now()
	progress := func(number int) time.Duration {
		g := watcher.Progress{Report: c.Report, Number: number}
		g.Counts = watcher.Counts{Total: 100, Succeeded: number, Processing: 100 - number}
		return b.delay(b.notifier.Progress(b.Context(), g))
	}
	for number := range 50 {
		if d := progress(number); d != time.Minute {
			t.Errorf("state %d is put back for %s", number, d)
		}
	}
	b.clock.Sleep(t.Context(), time.Minute)
	for number := range 49 {
		if d := progress(number); d != 0 {
			t.Errorf("state %d is put back for %s, and a later one is on its way", number, d)
		}
	}
	b.want("C0ONCALL", 0)
	if d := progress(49); d != 0 {
		t.Errorf("the latest state is put back for %s", d)
	}
	if text := b.want("C0ONCALL", 1)[0].Text; !strings.Contains(text, "49 of 100 ended") {
		t.Errorf("it says %q", text)
	}
	if d := progress(50); d != 10*time.Second {
		t.Errorf("the next state is put back for %s", d)
	}
	b.settle(c)
	b.clock.Sleep(t.Context(), time.Minute)
	calls := b.slack.Calls()
	if d := progress(51); d != 0 || b.slack.Calls() != calls {
		t.Errorf("after the end: put back for %s, %d calls", d, b.slack.Calls()-calls)
	}
	b.want("C0ONCALL", 1)
}
