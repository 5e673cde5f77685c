package outbox

import (
	"fmt"
	"testing"
	"time"
)

// TestStormTakes holds which failures with one cause have messages of their own.
func TestStormTakes(t *testing.T) {
	t.Parallel()
	now, timing := time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC), DefaultTiming()
	alone := func(ago ...time.Duration) (all []lone) {
		for i, d := range ago {
			all = append(all, lone{fmt.Sprint("w", i+1), now.Add(-d)})
		}
		return all
	}
	const minute = time.Minute
	five := alone(5*minute, 4*minute, 3*minute, 2*minute, minute)
	goesOn := storm{Alone: five, Began: now.Add(-time.Second), Last: now.Add(-time.Second), Reply: 3}
	for name, c := range map[string]struct {
		storm storm
		watch string
		want  place
		alone int
		began time.Time
		page  int
	}{
		"the first":                       {storm{}, "w9", place{first: true}, 1, time.Time{}, 0},
		"the second":                      {storm{Alone: alone(minute)}, "w9", place{}, 2, time.Time{}, 0},
		"the fifth":                       {storm{Alone: five[:4]}, "w9", place{}, 5, time.Time{}, 0},
		"the sixth":                       {storm{Alone: five}, "w9", place{group: true}, 5, now, 0},
		"the first, once more":            {storm{Alone: five}, "w1", place{first: true}, 5, time.Time{}, 0},
		"the fifth, once more":            {goesOn, "w5", place{}, 5, goesOn.Began, 3},
		"the seventh":                     {goesOn, "w9", place{group: true}, 5, goesOn.Began, 3},
		"the sixth after ten minutes":     {storm{Alone: alone(10*minute, 4*minute, 3*minute, 2*minute, minute)}, "w9", place{}, 5, time.Time{}, 0},
		"the sixth of a slow row":         {storm{Alone: alone(40*minute, 30*minute, 20*minute, 15*minute, 12*minute)}, "w9", place{first: true}, 1, time.Time{}, 0},
		"one while a group is quiet":      {storm{Began: now.Add(-50 * minute), Last: now.Add(-40 * minute), Reply: 3}, "w9", place{group: true}, 0, now.Add(-50 * minute), 3},
		"one after an hour that goes on":  {storm{Began: now.Add(-60 * minute), Last: now.Add(-minute), Reply: 3}, "w9", place{group: true}, 0, now, 0},
		"one after an hour that is over":  {storm{Began: now.Add(-60 * minute), Last: now.Add(-20 * minute), Reply: 3}, "w9", place{first: true}, 1, now.Add(-60 * minute), 3},
		"one after a clock was far wrong": {storm{Alone: alone(-time.Hour, -time.Hour), Began: now.Add(time.Hour), Last: now.Add(time.Hour)}, "w9", place{first: true}, 1, now.Add(time.Hour), 0},
	} {
		after, got := c.storm.takes(c.watch, now, timing)
		if got != c.want || len(after.Alone) != c.alone || !after.Began.Equal(c.began) || after.Reply != c.page {
			t.Errorf("%s: got %+v, %+v", name, got, after)
		}
		if again, same := after.takes(c.watch, now, timing); !got.group && (same != got || len(again.Alone) != len(after.Alone)) {
			t.Errorf("%s: once more it is %+v, %+v", name, same, again)
		}
	}
}
