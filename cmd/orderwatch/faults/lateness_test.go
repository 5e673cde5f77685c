package faults_test

import (
	"slices"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// lateness returns how long after its order's end each completion was stored; where the watch began later, how long
// after that. The cloud counts an order's end from its first poll, and a watch begins with its own first poll. With
// fromAccepted both are counted from the request's acceptance, so that a request that is taken late counts, too. What an
// undisturbed watch needs, about two seconds, is a part of it.
func (h history) lateness(fromAccepted bool) (late []time.Duration) {
	polls := make(map[string][]time.Time)
	for _, c := range h.calls {
		polls[c.Order] = append(polls[c.Order], c.Time)
	}
	ends := make(map[string]time.Time)
	for _, c := range h.completions(new(verdict)) {
		order := c.Data.OrderName
		begun := c.Data.AcceptedAt
		if !fromAccepted {
			begun = firstAfter(polls[order], begun)
		}
		if _, known := ends[order]; !known {
			ends[order] = begun.Add(h.orders[order].end())
		}
		due := ends[order]
		if begun.After(due) {
			due = begun
		}
		late = append(late, c.at.Sub(due))
	}
	return late
}

// firstAfter returns the earliest of the times that is after the one given; that one where there is none.
func firstAfter(times []time.Time, at time.Time) time.Time {
	first := at
	for _, candidate := range times {
		if candidate.After(at) && (first.Equal(at) || candidate.Before(first)) {
			first = candidate
		}
	}
	return first
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
		events: []storedMessage{ended("w_1", 5, 92), ended("w_2", 93, 96)},
	}
	for fromAccepted, want := range map[bool][]time.Duration{
		false: {62 * time.Second, time.Second}, // the first polls were at 20 s and 95 s, the requests came at 5 s and 93 s
		true:  {77 * time.Second, 3 * time.Second},
	} {
		if got := h.lateness(fromAccepted); !slices.Equal(got, want) {
			t.Errorf("from accepted %t: %v; want %v", fromAccepted, got, want)
		}
	}
	if percent, worst := overdue(h.lateness(false), 55*time.Second); percent != 50 || worst != 62*time.Second {
		t.Errorf("%g %% over 55 s, the worst %s; want 50 %%, 62 s", percent, worst)
	}
}
