package outbox_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// TestProgressTellsTheLatest holds that a message about a watch that goes on shows its latest state, not
// one after the other of those that queued up while it might not change, and none when the end is known.
func TestProgressTellsTheLatest(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *config) { c.Progress = true })
	c := order(watcher.Succeeded, 100)
	c.AcceptedAt = b.clock.Now()
	progress := func(number int) time.Duration {
		g := watcher.Progress{Report: c.Report, Number: number}
		g.Polls = number
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
	if text := b.want("C0ONCALL", 1)[0].Text; !strings.Contains(text, "49 of 100 items ended") {
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

// TestProgressLeavesRoomForTheEnd holds that an end is told soon though far more watches change than Slack
// lets messages be edited, and each of them is ahead of it.
func TestProgressLeavesRoomForTheEnd(t *testing.T) {
	b := newBench(t, func(c *config) { c.Progress = true })
	watches := make([]watcher.Progress, 200)
	due := make([]time.Time, len(watches))
	change := func(i int) error {
		watches[i].Number++
		return b.notifier.Progress(t.Context(), watches[i])
	}
	for i := range watches {
		c := order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 3))
		c.WatchID, c.OrderName = fmt.Sprint("w_", i), fmt.Sprintf("order.pool-%d-x", i)
		watches[i].Report = c.Report
		b.settleBy(func() error { return change(i) })
	}
	ended := order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 3))
	ended.WatchID, ended.OrderName = "w_0", "order.pool-0-x"
	begin, told := b.clock.Now().Add(time.Minute), false
	for b.clock.Now().Before(begin.Add(10*time.Second)) && !told {
		now := b.clock.Now()
		for i := range due {
			if i > 0 && !due[i].After(now) {
				due[i] = now.Add(max(b.delay(change(i)), time.Second))
			}
		}
		if now.After(begin) && !due[0].After(now) {
			wait := b.notify(ended)
			due[0], told = now.Add(wait), wait == 0
		}
		b.clock.Sleep(t.Context(), 100*time.Millisecond)
	}
	if !told {
		t.Error("the end is not told within 10 s")
	}
}
