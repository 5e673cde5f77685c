package watcher_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/watchertest"
)

// An order whose items end one after the other costs few polls more than one with a single item, and the end of one whose
// items end together is seen as soon. With -v it prints the figures.
func TestBackoffAfterChanges(t *testing.T) {
	t.Parallel()
	watchertest.Unraced(t)
	for _, c := range []struct {
		name     string
		backoff  watcher.Backoff
		from, to time.Duration // that orders take
		orders   int
	}{
		{"seconds", watcher.Backoff{Initial: time.Second, Multiplier: 1.5, Max: 10 * time.Second, Jitter: 0.2}, 20 * time.Second, time.Minute, 400},
		{"minutes", watcher.Backoff{Initial: 5 * time.Second, Multiplier: 1.5, Max: time.Minute, Jitter: 0.2}, 10 * time.Minute, time.Hour, 100},
		{"hours", watcher.Backoff{Initial: 5 * time.Second, Multiplier: 1.5, Max: time.Minute, Jitter: 0.2}, time.Hour, 6 * time.Hour, 40},
	} {
		var single, together float64
		for _, kind := range []struct {
			name  string
			items int
			ends  func(i, items int, takes time.Duration, r *rand.Rand) time.Duration
		}{
			{"one item", 1, evenly},
			{"together", 4, within2s}, {"together", 20, within2s},
			{"one by one", 4, evenly}, {"one by one", 20, evenly}, {"one by one", 100, evenly},
		} {
			polls, lag := 0, []time.Duration{}
			for n := range c.orders {
				r := rand.New(rand.NewPCG(1, uint64(n)))
				takes := c.from + time.Duration(r.Int64N(int64(c.to-c.from)))
				var ends []time.Duration
				for i := range kind.items {
					ends = append(ends, kind.ends(i, kind.items, takes, r))
				}
				made, late := pollUntilEnd(t, c.backoff, fmt.Sprint("order-", n), ends)
				polls, lag = polls+made, append(lag, late)
			}
			slices.Sort(lag)
			mean, half := float64(polls)/float64(c.orders), lag[len(lag)/2].Seconds()
			t.Logf("%s, %3d items, %-10s %5.1f polls, lag p50 %4.1f s, p95 %4.1f s", c.name, kind.items, kind.name, mean, half, lag[len(lag)*95/100].Seconds())
			switch kind.name {
			case "one item":
				single, together = mean, half
			case "together":
				if half > 1.1*together {
					t.Errorf("%s: the end of %d items that end together is seen after %.1f s; of one item after %.1f s", c.name, kind.items, half, together)
				}
			}
			if mean > 1.5*single {
				t.Errorf("%s: %.1f polls of %d items %s; of one item %.1f", c.name, mean, kind.items, kind.name, single)
			}
		}
	}
}

func evenly(i, items int, takes time.Duration, _ *rand.Rand) time.Duration {
	return takes * time.Duration(i+1) / time.Duration(items)
}

// within2s lets all items end in the last two seconds, the first of them last.
func within2s(i, _ int, takes time.Duration, r *rand.Rand) time.Duration {
	if i == 0 {
		return takes
	}
	return takes - time.Duration(r.Int64N(int64(2*time.Second)))
}

// pollUntilEnd polls an order whose items end then, and returns how many polls it took, and how late its end was seen.
func pollUntilEnd(t *testing.T, backoff watcher.Backoff, name string, ends []time.Duration) (polls int, late time.Duration) {
	t.Helper()
	p := policy()
	p.Backoff, p.Settle, p.Timeout = backoff, 0, 24*time.Hour
	ask := watcher.Ask{Order: watcher.Order{ProjectID: pool.ProjectID, Name: name}, WatchID: "w_" + name, Request: watcher.Request{ID: "r", ReceivedAt: begin}}
	_, w, err := p.Admit(nil, ask, begin)
	if err != nil {
		t.Fatal(err)
	}
	for now := begin; ; now = w.NextPollAt {
		a := watcher.Answer{Count: len(ends)}
		for i, end := range ends {
			it := watcher.Item{ResourceName: fmt.Sprint("node-", i), Action: "createNode", Status: watcher.Processing, BeganAt: begin, UpdatedAt: begin}
			if now.Sub(begin) >= end {
				it.Status, it.UpdatedAt = watcher.Succeed, begin.Add(end)
			}
			a.Items = append(a.Items, it)
		}
		if w, _ = p.Fold(w, a, nil, now); w.State != watcher.Watching {
			return w.Polls, now.Sub(begin) - slices.Max(ends)
		}
	}
}
