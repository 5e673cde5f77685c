package events_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestPatrolFull lets the timers of some hundred watches fall due while the account is full: the
// server cannot store what they were to become, and does not try again when there is room. The
// patrol brings the watches back, no more than 200 a second.
func TestPatrolFull(t *testing.T) {
	t.Parallel()
	for interval := 15 * time.Second; !patrolFull(t, interval); interval *= 4 {
		t.Logf("within %s not all timers were set, and the account full", interval)
	}
}

// patrolFull reports whether most timers fell due while the account was full: on a busy machine the interval may be too short
// for that, and nothing is held.
func patrolFull(t *testing.T, interval time.Duration) bool {
	t.Helper()
	const watches = 300
	cfg := config()
	cfg.Timing.PatrolSlack = 3 * time.Second
	cfg.Timing.Denied = 2 * time.Second
	cfg.Policy.Backoff = watcher.Backoff{Initial: interval, Multiplier: 1, Max: interval}
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	cloud := &orders{show: endedAfter(1)}
	w := startWorker(t, s, cfg, cloud)
	names := poolNames(watches)
	for _, name := range names {
		r := request(name)
		r["expected_items"] = 1
		publish(t, js, r)
	}
	eventstest.Eventually(t, func() error {
		if n := eventstest.Messages(t, js, "ORDER_WAKEUPS", "orders.waiting.>"); n < watches && again(cloud, names) == 0 {
			return fmt.Errorf("%d timers; want %d", n, watches)
		}
		return nil
	})
	early := again(cloud, names) > 0
	f := fill(t, s, js)
	set := time.Now()
	before := again(cloud, names)
	if early || before > watches/4 {
		if err := w.stop(); err != nil {
			t.Fatal(err)
		}
		s.Shutdown()
		return false
	}
	time.Sleep(time.Until(set.Add(interval + time.Second))) // all timers have fallen due
	during := again(cloud, names) - before
	f.purge(t)
	freed := time.Now()
	eventstest.Eventually(t, completions(t, js, watches))
	took := time.Since(freed)
	eventstest.Eventually(t, idle(t, js, "ORDER"))
	completedOnce(t, js, names...)

	woken := w.log.times(t, "wake-up was overdue")
	t.Logf("%d watches: %d were polled again before the account was full, %d while it was; after it was freed %d were polled by themselves, the patrol woke %d; all completed %s after", watches, before, during, watches-before-during-len(woken), len(woken), took.Round(time.Second))
	if len(woken) < watches/2 {
		t.Errorf("the patrol woke %d; want most of %d", len(woken), watches)
	}
	checkPace(t, woken)
	if err := w.log.line("level=ERROR", "NATS does not store"); err != nil {
		t.Error(err)
	}
	return true
}

// again returns how many of the orders were polled more than once.
func again(cloud *orders, names []string) (n int) {
	for _, name := range names {
		if cloud.polled(name, 2)() == nil {
			n++
		}
	}
	return n
}

// times returns when lines with the words were logged, oldest first.
func (b *logbook) times(t *testing.T, words string) (list []time.Time) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for line := range strings.Lines(b.text.String()) {
		if !strings.Contains(line, words) {
			continue
		}
		word, _, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
		at, err := time.Parse(time.RFC3339Nano, word)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, at)
	}
	slices.SortFunc(list, time.Time.Compare)
	return list
}

// checkPace checks that no second has more than 200 of them, and some for what a line may be late.
func checkPace(t *testing.T, list []time.Time) {
	t.Helper()
	most, first := 0, 0
	for i, at := range list {
		for at.Sub(list[first]) >= time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	t.Logf("at most %d within a second", most)
	if most > 220 {
		t.Errorf("the patrol published %d wake-ups within a second; want 200 at the most", most)
	}
}

// A patrol that cannot renew its lease goes on where it was as soon as it can.
func TestPatrolLeaseFull(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	b := newBeat(t, s, config())
	p := b.patrol("a")
	if holds, err := p.Take(t.Context()); !holds || err != nil {
		t.Fatalf("holds the lease: %t, %v; want that it does", holds, err)
	}
	f := fill(t, s, b.js)
	for range 5 {
		if _, err := p.Take(t.Context()); err == nil {
			t.Error("the lease was renewed although there is no room")
		}
	}
	f.purge(t)
	if holds, err := p.Take(t.Context()); !holds || err != nil {
		t.Errorf("holds the lease: %t, %v; want that it does", holds, err)
	}
}
