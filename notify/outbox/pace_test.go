package outbox_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
)

// Two workers keep the channel's pace together, and leave it alone together when Slack says so.
func TestPaceOfTwoWorkers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	workers := []*bench{b, b.another()}
	deliver := func(i int) time.Duration {
		c := order(watcher.Succeeded, 3)
		c.WatchID = fmt.Sprint("w_", i)
		return workers[i%2].notify(c)
	}
	for i := range 20 {
		for deliver(i) > 0 {
			b.clock.Sleep(t.Context(), 100*time.Millisecond)
		}
	}
	b.want("C0ONCALL", 20)
	if n := b.slack.OverRate(); n > 0 {
		t.Errorf("%d posts over the channel's rate", n)
	}
	b.slack.Script(emulator.TooMany("40"))
	b.clock.Sleep(t.Context(), time.Minute)
	if d := deliver(20); d != 40*time.Second {
		t.Errorf("after a 429 one worker waits %s", d)
	}
	b.clock.Sleep(t.Context(), time.Second)
	if d := deliver(21); d < 39*time.Second || d > 39100*time.Millisecond {
		t.Errorf("after a 429 the other worker waits %s", d)
	}
}
