package outbox_test

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify/outbox"
	"github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
)

// deliverAll delivers the completions, each when it is due, at once where that does not say, until all are done, and returns how long
// that took on the bench's clock. It calls each before every delivery.
func (b *bench) deliverAll(completions []watcher.Completion, due map[int]time.Time, each ...func()) time.Duration {
	b.Helper()
	start := b.clock.Now()
	for i := range completions {
		due[i] = cmp.Or(due[i], start)
	}
	for len(due) > 0 {
		if b.clock.Now().Sub(start) > 10*time.Hour {
			b.Fatalf("%d are not done after %s", len(due), b.clock.Now().Sub(start))
		}
		next := time.Time{}
		for i, at := range due {
			if !at.After(b.clock.Now()) {
				for _, f := range each {
					f()
				}
				if d := b.notify(completions[i]); d > 0 {
					due[i] = b.clock.Now().Add(d)
				} else {
					delete(due, i)
					continue
				}
			}
			if next.IsZero() || due[i].Before(next) {
				next = due[i]
			}
		}
		if wait := next.Sub(b.clock.Now()); wait > 0 {
			b.clock.Sleep(b.Context(), wait)
		}
	}
	return b.clock.Now().Sub(start)
}

// TestStorm holds what becomes of 1,000 completions at once: five failures have messages of their own, the others
// that failed alike are listed in the thread of one message, and what ended well is told one by one or in a digest.
// Nothing is told twice, and never more than the channel's rate.
func TestStorm(t *testing.T) {
	t.Parallel()
	due := make(map[int]time.Time)
	b := newBench(t, func(c *config) {
		c.Timing = outbox.DefaultTiming()
		c.Timing.Wait = 0 // deliverAll makes one delivery at a time: it must not sleep for others
	})
	var all []watcher.Completion
	for i := range 1000 {
		c := order(watcher.Succeeded, 3)
		if i%10 == 0 {
			c = order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 3))
		}
		c.WatchID, c.OrderName = fmt.Sprint("w_", i), fmt.Sprintf("order.pool-%d-x", i)
		all = append(all, c)
	}
	took := b.deliverAll(all, due)
	messages := b.slack.Messages("C0ONCALL")
	singles, digests, together, pings := 0, 0, 0, 0
	listed := make(map[string]int)
	for _, m := range messages {
		pings += len(emulator.Mentions(m))
		for _, name := range poolName.FindAllString(string(m.Blocks), -1) {
			if m.ThreadTS != "" {
				listed[name]++
			}
		}
		if m.ThreadTS != "" || isLine(m) || strings.Contains(m.Text, " failed alike: ") {
			continue
		}
		if n := 0; strings.Contains(m.Text, "told together") {
			digests++
			if _, err := fmt.Sscanf(strings.ReplaceAll(m.Text, ",", ""), "%d", &n); err != nil {
				t.Errorf("%q: %v", m.Text, err)
			}
			together += n
			continue
		}
		singles++
	}
	t.Logf("%d messages in %s: %d alone, %d digests of %d watches", len(messages), took, singles, digests, together)
	for i := 0; i < 1000; i += 10 {
		n := listed[fmt.Sprintf("order.pool-%d-x", i)]
		for _, m := range messages {
			if !isLine(m) && strings.Contains(m.Text, fmt.Sprintf("- order.pool-%d-x", i)) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("failure %d stands %d times", i, n)
		}
	}
	if singles+together+len(listed) != 1000 || digests < 1 || digests > 3 || singles > 105 || len(listed) != 95 || pings < 2 || pings > 7 {
		t.Errorf("%d are listed, %d pings", len(listed), pings)
		t.Errorf("%d alone and %d in %d digests", singles, together, digests)
	}
	if took > 10*time.Minute {
		t.Errorf("it took %s", took)
	}
	if shown := emulator.Render(messages[len(messages)-1]); len(shown) == 0 {
		t.Error("nothing is shown")
	}
}

// TestProgressBecomesTheSummary holds the life of a quiet message: posted after a minute, edited at most
// every 10 s, turned into the summary; a failure is told in a reply that the channel shows.
func TestProgressBecomesTheSummary(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *config) { c.Progress = true })
	c := order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 3))
	c.AcceptedAt = b.clock.Now().Add(-30 * time.Second)
	g := watcher.Progress{Report: c.Report, Number: 1, Changes: []watcher.Change{{ResourceName: "node-1", Action: "createNode", To: watcher.Processing}}}
	g.Counts = watcher.Counts{Total: 3, Processing: 2, Failed: 1}
	progress := func() time.Duration { return b.delay(b.notifier.Progress(b.Context(), g)) }
	if d := progress(); d != 30*time.Second {
		t.Errorf("the first waits %s; want 30s", d)
	}
	b.clock.Sleep(t.Context(), 30*time.Second)
	b.settleBy(func() error { return b.notifier.Progress(b.Context(), g) })
	m := b.want("C0ONCALL", 1)
	if got := emulator.Mentions(m[0]); len(got) > 0 || !strings.Contains(m[0].Text, "RUNNING: 1 of 3 items ended (1 failed), 2 still processing") {
		t.Errorf("%q mentions %v", m[0].Text, got)
	}
	if d := progress(); d != 0 {
		t.Errorf("the same again waits %s", d)
	}
	g.Number, g.Polls = 2, g.Polls+1
	g.Counts = watcher.Counts{Total: 3, Failed: 2, Processing: 1}
	if d := progress(); d < 5*time.Second || d > 10*time.Second {
		t.Errorf("an edit waits %s", d)
	}
	b.clock.Sleep(t.Context(), 10*time.Second)
	other := b.another() // a restart, or another replica
	other.settleBy(func() error { return other.notifier.Progress(b.Context(), g) })
	if m = b.want("C0ONCALL", 1); !m[0].Edited || !strings.Contains(m[0].Text, "2 of 3 items ended") {
		t.Errorf("%+v", m[0])
	}
	b.settle(c)
	m = b.want("C0ONCALL", 2)
	if !strings.Contains(m[0].Text, "FAILED: all 3 nodes") || m[1].ThreadTS != m[0].TS || !m[1].Broadcast || len(emulator.Mentions(m[1])) != 1 {
		t.Errorf("%+v\n%+v", m[0], m[1])
	}
	g.Number = 3
	if d := progress(); d != 0 {
		t.Errorf("progress after the end waits %s", d)
	}
	b.settle(c)
	b.want("C0ONCALL", 2)
}
