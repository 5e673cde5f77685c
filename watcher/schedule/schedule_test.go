package schedule_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher/schedule"
)

// usual has no jitter: the intervals are 5s, 7.5s, 11.25s, …, 1m.
var usual = schedule.Backoff{Initial: 5 * time.Second, Multiplier: 1.5, Max: time.Minute}

func TestIntervalGrowsToItsMax(t *testing.T) {
	b := usual
	want := []time.Duration{5000, 7500, 11250, 16875, 25312, 37968, 56953, 60000, 60000, 60000}
	for step, ms := range want {
		if got := b.Interval("w_1", step).Truncate(time.Millisecond); got != ms*time.Millisecond {
			t.Errorf("step %d: %s, want %s", step, got, ms*time.Millisecond)
		}
	}
}

func TestIntervalNeverStops(t *testing.T) {
	b := usual
	var elapsed time.Duration
	for step := range 5000 { // more than three days of polls; cenkalti/backoff stops after 15 minutes of its own accord
		interval := b.Interval("w_1", step)
		if interval < b.Initial || interval > b.Max {
			t.Fatalf("step %d, after %s: %s", step, elapsed, interval)
		}
		elapsed += interval
	}
	b.Max = time.Hour // longer than the 15 minutes
	if got := b.Interval("w_1", 50); got != time.Hour {
		t.Errorf("step 50 with a maximum of 1h: %s", got)
	}
	if got := b.Interval("w_1", 1<<40); got != b.Max {
		t.Errorf("step 2^40: %s", got)
	}
}

func TestIntervalStaysEven(t *testing.T) {
	for name, b := range map[string]schedule.Backoff{
		"multiplier 1":   {Initial: 7 * time.Second, Multiplier: 1, Max: time.Minute},
		"initial is max": {Initial: 7 * time.Second, Multiplier: 3, Max: 7 * time.Second},
	} {
		for _, step := range []int{0, 1, 2, 100, 1 << 40} {
			if got := b.Interval("w_1", step); got != 7*time.Second {
				t.Errorf("%s, step %d: %s", name, step, got)
			}
		}
	}
}

func TestIntervalJitter(t *testing.T) {
	even, b := usual, usual
	b.Jitter = 0.2
	var below, above int
	for step := range 2000 {
		seed := fmt.Sprint("w_", step%7)
		middle, got := even.Interval(seed, step), b.Interval(seed, step)
		if got < middle*8/10 || got > middle*12/10 {
			t.Fatalf("step %d: %s is not within 20 %% of %s", step, got, middle)
		}
		if got < middle {
			below++
		} else {
			above++
		}
	}
	if below < 800 || above < 800 {
		t.Errorf("%d intervals are shorter and %d longer than without jitter", below, above)
	}
}

func TestIntervalIsDeterministic(t *testing.T) {
	b := usual
	b.Jitter = 0.2
	differ := 0
	for step := range 100 {
		first, again, other := b.Interval("w_1", step), b.Interval("w_1", step), b.Interval("w_2", step)
		if first != again {
			t.Fatalf("step %d: %s, then %s", step, first, again)
		}
		if first != other {
			differ++
		}
	}
	if differ < 95 {
		t.Errorf("two watches share %d of 100 intervals", 100-differ)
	}
	if got := b.Interval("w_1", 3).Round(time.Millisecond); got != 16354*time.Millisecond {
		t.Errorf("the schedule moved between versions: %s, was 16.354s", got)
	}
}
