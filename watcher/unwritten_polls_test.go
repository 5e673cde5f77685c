package watcher_test

import (
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// A wake-up as sweeper.hint publishes it for an order of which the list says nothing: w.Expected(), at once, without a hint.
func TestPlainHintKeepsPolls(t *testing.T) {
	m := newWorld(t)
	ends, done := finishes(8*time.Minute), false
	m.order = func(since time.Duration) (watcher.Answer, error) {
		if since > 4*time.Minute && !done {
			done = true
			versions := m.records[pool.Key()]
			w := versions[len(versions)-1].watch
			k := w.Expected()
			k.At = m.now.Add(time.Second)
			m.due(k, k.At)
		}
		return ends(since)
	}
	m.publish("build-1", 0)
	m.run()
	c := m.completions[0]
	if c.Polls != m.shown {
		t.Errorf("%d polls are told of, %d were made", c.Polls, m.shown)
	}
}

// A worker dies after an unchanged poll's next wake-up was stored, before its own was acknowledged: the order is not asked once
// more, and its next poll is not put off.
func TestRedeliveredUnchangedPoll(t *testing.T) {
	m := newWorld(t)
	ends, again := finishes(20*time.Minute), watcher.Wakeup{}
	m.order = func(since time.Duration) (watcher.Answer, error) {
		if since > 4*time.Minute && again.Number == 0 {
			again = m.scheduled[len(m.scheduled)-1] // the wake-up at hand
			m.due(again, m.now.Add(31*time.Second)).attempt = 1
		}
		return ends(since)
	}
	m.publish("build-1", 0)
	m.run()
	if again.Polls == 0 {
		t.Fatalf("the wake-up that came again follows a poll that was written: %+v", again)
	}
	if c := m.completions[0]; c.Polls != m.shown {
		t.Errorf("%d polls are told of, %d were made", c.Polls, m.shown)
	}
}

// The items of a deletion vanish while the interval grows: it is looked at often from then on.
func TestVanishedWhileIntervalGrows(t *testing.T) {
	for _, longest := range []time.Duration{time.Minute, 10 * time.Minute} {
		m := newWorld(t)
		m.policy.Backoff.Max = longest
		gone := 5 * time.Minute
		m.order = func(since time.Duration) (watcher.Answer, error) {
			a := watcher.Answer{Count: 2, Items: []watcher.Item{{ResourceName: "a", Action: "deleteNode", Status: processing}, {ResourceName: "b", Action: "deleteNode", Status: processing}}}
			switch {
			case since > gone:
				a.Items = []watcher.Item{{ResourceName: "c", Action: "deleteNode", Status: succeed}}
				a.Count = 1
			}
			return a, nil
		}
		m.publish("build-1", 0)
		m.run()
		c := m.completions[0]
		if after := c.CompletedAt.Sub(begin) - gone; c.Outcome != watcher.Succeeded || after > 10*time.Minute {
			t.Errorf("POLL_MAX %v: %s %v after the items vanished, %d polls", longest, c.Outcome, after, c.Polls)
		}
	}
}
