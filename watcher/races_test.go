package watcher_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// TestRaces lets a request, a cancel and the poll that finds the order ended happen at the same
// moment, one call of one of them at a time, in an order that the seed draws.
func TestRaces(t *testing.T) {
	t.Parallel()
	rounds := 10000
	if testing.Short() {
		rounds = 1000
	}
	came := make(map[string]int) // how often each end came
	eachSeed(rounds, func(seed uint64) bool {
		m := newModel(t, seed, guard{})
		m.race()
		m.live()
		for _, wrong := range m.wrong {
			t.Errorf("seed %d: %s", seed, wrong)
		}
		for i, c := range m.completions {
			came[fmt.Sprintf("%d of %d: %s, %d requests", i+1, len(m.completions), c.Outcome, len(c.Requests))]++
		}
		return len(m.wrong) == 0
	})
	for end, n := range came {
		t.Logf("%5d × %s", n, end)
	}
	for _, end := range []string{
		"1 of 1: cancelled, 2 requests", "1 of 1: partially_failed, 2 requests",
		"1 of 2: cancelled, 1 requests", "1 of 2: partially_failed, 1 requests", "2 of 2: cancelled, 1 requests",
	} {
		if came[end] == 0 {
			t.Errorf("never came: %s", end)
		}
	}
}

// race puts a race in place of what was planned.
func (m *model) race() {
	const ends = time.Minute
	m.wild = false
	m.policy.Settle, m.policy.Timeout, m.heldTill = 0, 2*time.Hour, begin
	m.coming = nil
	at := begin.Add(ends + m.within(10*time.Second))
	m.order = func(since time.Duration) (watcher.Answer, error) {
		a, err := finishes(ends)(since)
		m.given = append(m.given, given{m.now, a, err})
		return a, err
	}
	soon := func() time.Time { return at.Add(pick(m, 0, 0, m.within(20*time.Millisecond), m.within(time.Second))) }
	m.timeouts = make(map[string]time.Duration)
	m.coming = []event{
		{"request build-0", begin, func() { m.send("build-0") }},
		{"poll now", soon(), func() { m.start("poll now", watcher.Wakeup{}, m.pollNow) }},
		{"cancel", soon(), func() { m.start("cancel", watcher.Wakeup{}, m.cancel) }},
		{"request build-1", soon(), func() { m.send("build-1") }},
	}
}
