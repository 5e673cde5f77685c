package watcher_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/watchertest"
)

// TestOneLaggingAnswer lets one server that is behind answer once, anywhere in the life of an order,
// also at the look that settles: the outcome, and what is known of each item, stay the same.
func TestOneLaggingAnswer(t *testing.T) {
	t.Parallel()
	for seed := range uint64(watchertest.Rounds(3000)) {
		random := rand.New(rand.NewPCG(seed, 7))
		history := historyOf(random)
		want := livesThrough(t, history)
		at := 1 + random.IntN(len(history)-1)
		behind := history[random.IntN(at)]
		got := livesThrough(t, slices.Insert(slices.Clone(history), at, behind))
		if got.Outcome != want.Outcome || got.Counts != want.Counts {
			t.Fatalf("seed %d: %s (%s) with answer %d once more after %d, of %+v; want %s (%s)", seed, got.Outcome, got.Reason, random.IntN(at), at, history, want.Outcome, want.Reason)
		}
	}
}

// historyOf draws how an order goes: its items appear one after another, and each runs and ends.
func historyOf(random *rand.Rand) (history []watcher.Answer) {
	n, dated := 1+random.IntN(4), random.IntN(2) == 0
	var items []watcher.Item
	for now := begin; ; now = now.Add(time.Minute) {
		a := watcher.Answer{Count: n, Items: slices.Clone(items)}
		history = append(history, a)
		open := slices.IndexFunc(items, func(it watcher.Item) bool { return !it.Status.Ended() })
		switch {
		case len(items) < n && (open < 0 || random.IntN(2) == 0):
			items = append(items, watcher.Item{ResourceName: string(rune('a' + len(items))), Action: "createNode", Status: processing})
			open = len(items) - 1
		case open < 0:
			return append(history, a, a) // looks that settle
		case len(items) == n && len(items[open].ResourceName) == 1 && random.IntN(5) == 0: // it is renamed
			items[open].ResourceName += "'"
		default:
			items[open].Status = []watcher.Status{succeed, failed}[random.IntN(2)]
		}
		if dated {
			items[open].UpdatedAt = now
		}
	}
}

func livesThrough(t *testing.T, history []watcher.Answer) *watcher.Completion {
	t.Helper()
	w := admit(t, policy(), request("build-1"))
	for i := 0; w.State == watcher.Watching; i++ {
		w = wake(t, policy(), w, wakeup{answer: history[min(i, len(history)-1)]})
	}
	return w.Completion
}
