package main_test

import (
	"slices"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// lateness returns how long after its order's end each completion was stored; for a watch that began later, how
// long after its request was accepted. The cloud counts an order's end from its first poll. With fromAccepted the
// end of an order's first watch is counted from its request, so that a first poll that comes late counts, too.
// What an undisturbed watch needs, about two seconds, is a part of it.
func (h history) lateness(fromAccepted bool) (late []time.Duration) {
	first := make(map[string]time.Time)
	for _, c := range h.calls {
		if at, ok := first[c.Order]; !ok || c.Time.Before(at) {
			first[c.Order] = c.Time
		}
	}
	begun := make(map[string]bool)
	for _, c := range h.completions(new(verdict)) {
		order := c.Data.OrderName
		polled := first[order]
		if fromAccepted && !begun[order] {
			polled = c.Data.AcceptedAt
		}
		begun[order] = true
		end := polled.Add(h.orders[order].end())
		if c.Data.AcceptedAt.After(end) {
			end = c.Data.AcceptedAt
		}
		late = append(late, c.at.Sub(end))
	}
	return late
}

// overdue returns how many percent are over the limit, and the longest.
func overdue(late []time.Duration, limit time.Duration) (percent float64, worst time.Duration) {
	over := 0
	for _, d := range late {
		worst = max(worst, d)
		if d > limit {
			over++
		}
	}
	return 100 * float64(over) / float64(max(1, len(late))), worst
}

func TestLateness(t *testing.T) {
	at := func(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }
	ended := func(watch string, accepted, stored int) storedMessage {
		c := rightCompletion(watch, "request-"+watch)
		c.AcceptedAt = at(accepted)
		m := completed(c)
		m.at = at(stored)
		return m
	}
	c := rightCompletion("w_1")
	h := history{
		orders: map[string]scripted{c.OrderName: {outcome: watcher.Succeeded, script: emulator.Order{Items: []emulator.Item{{EndAfter: 10 * time.Second}}}}},
		calls:  []emulator.Call{{Order: c.OrderName, Time: at(30)}, {Order: c.OrderName, Time: at(20)}, {Order: c.OrderName, Time: at(95)}},
		events: []storedMessage{ended("w_1", 5, 92), ended("w_2", 94, 96)},
	}
	for fromAccepted, want := range map[bool][]time.Duration{
		false: {62 * time.Second, 2 * time.Second}, // the first poll was at 20 s, the second watch's request came at 94 s
		true:  {77 * time.Second, 2 * time.Second},
	} {
		if got := h.lateness(fromAccepted); !slices.Equal(got, want) {
			t.Errorf("from accepted %t: %v; want %v", fromAccepted, got, want)
		}
	}
	if percent, worst := overdue(h.lateness(false), 55*time.Second); percent != 50 || worst != 62*time.Second {
		t.Errorf("%g %% over 55 s, the worst %s; want 50 %%, 62 s", percent, worst)
	}
}
