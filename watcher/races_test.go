package watcher_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/watchertest"
)

// TestRaces lets a request, a cancel and the poll that finds the order ended happen at the same
// moment, one call of one of them at a time, in an order that the seed draws.
func TestRaces(t *testing.T) {
	t.Parallel()
	rounds := watchertest.Rounds(10000)
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
	m.timeouts, m.expects = make(map[string]time.Duration), nil
	m.coming = []event{
		{"request build-0", begin, func() { m.send("", "build-0") }},
		{"poll now", soon(), func() { m.start("poll now", watcher.Wakeup{}, m.pollNow) }},
		{"cancel", soon(), func() { m.start("cancel", watcher.Wakeup{}, func() { m.cancel("") }) }},
		{"request build-1", soon(), func() { m.send("", "build-1") }},
	}
}

// TestSleeperAfterABrokenRecord lets a worker sleep before any call that it makes for a watch. Meanwhile the
// watch's record is overwritten and moved aside, and the order's next request starts a watch, which gets on by
// some steps. Whatever the sleeper then does, such as to publish the old completion, changes nothing for the
// new watch: it has one completion, which tells what the cloud showed.
func TestSleeperAfterABrokenRecord(t *testing.T) {
	t.Parallel()
	olds := 0
	for asleep, more := 1, true; more; asleep++ {
		for steps := range 12 {
			m := newWorld(t)
			m.order = finishes(time.Minute)
			m.publish("build-1", 0)
			n := 0
			m.fault = func(string) fault {
				if n++; n == asleep {
					m.fault = func(string) fault { return fine }
					m.breakRecord()
					for range steps {
						m.runOne()
					}
				}
				return fine
			}
			m.run()
			if n < asleep { // the watch took no more calls
				more = false
				break
			}
			named, watches := make(map[string]int), make(map[string]int)
			for _, c := range m.completions {
				watches[c.WatchID]++
				for _, r := range c.Requests {
					named[r.ID]++
				}
			}
			olds += named["build-1"]
			if named["build-2"] != 1 || named["build-1"] > 1 {
				t.Fatalf("asleep before call %d, %d steps: requests are named in completions so: %v", asleep, steps, named)
			}
			for id, times := range watches {
				if times != 1 {
					t.Fatalf("asleep before call %d, %d steps: %s has %d completions", asleep, steps, id, times)
				}
			}
			w := m.record()
			if w.State != watcher.Ended || !w.Answers(watcher.Request{ID: "build-2"}) || w.Completion.Outcome != watcher.PartiallyFailed {
				t.Fatalf("asleep before call %d, %d steps: the record is %+v", asleep, steps, w)
			}
		}
	}
	if olds == 0 {
		t.Error("no sleeper ever published the old completion")
	}
}

// breakRecord overwrites the order's record, moves it aside as the patrol does, and lets somebody ask anew.
// What is in the hands of a worker comes again after AckWait.
func (m *world) breakRecord() {
	m.t.Helper()
	for _, d := range m.queue {
		d.at = m.now.Add(ackWait)
	}
	m.put(pool, []byte(`{"stream":"ORDER_REQUESTS","seq":1}`))
	aside := m.policy.Replace(watcher.Broken{
		Order: pool, WatchID: "w_old", Since: m.now, Why: "it is none that a worker wrote",
		Open: []watcher.Request{request("build-1").Request}, Highest: m.highest(pool),
	}, m.now)
	encoded, err := watcher.EncodeWatch(aside, m.policy.MaxPayload)
	if err != nil {
		m.t.Fatal(err)
	}
	m.put(pool, encoded)
	m.publish("build-2", m.now.Sub(begin))
}
