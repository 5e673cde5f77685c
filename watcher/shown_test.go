package watcher_test

import (
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// Times that cannot be true are not known (C19: seconds where milliseconds are documented).
func TestTimesOfAnItem(t *testing.T) {
	t.Parallel()
	accepted := time.Date(2025, 4, 10, 11, 49, 50, 0, time.UTC)
	until := accepted.Add(2 * time.Hour)
	at, unknown := accepted.Add, time.Time{}
	inSeconds := time.UnixMilli(1744285793).UTC()
	for name, tt := range map[string]struct{ began, updated, wantBegan, wantUpdated time.Time }{
		"both are true":                    {at(time.Minute), at(time.Hour), at(time.Minute), at(time.Hour)},
		"none is given":                    {},
		"C19, in seconds":                  {inSeconds, inSeconds.Add(time.Second), unknown, unknown},
		"began in seconds":                 {inSeconds, at(time.Hour), unknown, at(time.Hour)},
		"in microseconds":                  {time.UnixMilli(1744285793000000).UTC(), time.UnixMilli(1744285794000000).UTC(), unknown, unknown},
		"before the request":               {at(-24 * time.Hour), at(time.Hour), at(-24 * time.Hour), at(time.Hour)},
		"366 days before":                  {at(-366 * 24 * time.Hour), unknown, at(-366 * 24 * time.Hour), unknown},
		"more than 366 days before":        {at(-366*24*time.Hour - 1), at(time.Hour), unknown, at(time.Hour)},
		"a clock that is an hour ahead":    {at(3 * time.Hour), at(3 * time.Hour), at(3 * time.Hour), at(3 * time.Hour)},
		"more than an hour ahead":          {at(time.Minute), until.Add(time.Hour + 1), at(time.Minute), unknown},
		"began in the future":              {until.Add(2 * time.Hour), at(time.Hour), unknown, at(time.Hour)},
		"changed before it began":          {at(time.Hour), at(time.Minute), at(time.Hour), unknown},
		"changed, the beginning not known": {unknown, at(time.Minute), unknown, at(time.Minute)},
	} {
		it := watcher.Item{BeganAt: tt.began, UpdatedAt: tt.updated}
		if began, updated := it.Times(accepted, until); !began.Equal(tt.wantBegan) || !updated.Equal(tt.wantUpdated) {
			t.Errorf("%s: began %s, changed %s; want %s, %s", name, began, updated, tt.wantBegan, tt.wantUpdated)
		}
	}
	it := watcher.Item{BeganAt: inSeconds, UpdatedAt: until}
	if began, updated := it.Times(time.Time{}, time.Time{}); !began.Equal(inSeconds) || !updated.Equal(until) {
		t.Errorf("without bounds: %s, %s", began, updated)
	}
}

func TestWhatAnItemCountsAs(t *testing.T) {
	t.Parallel()
	since := time.Date(2025, 4, 10, 12, 3, 5, 0, time.UTC)
	for name, tt := range map[string]struct {
		item    watcher.Item
		want    watcher.Status
		missing bool
	}{
		"listed":                    {watcher.Item{Status: watcher.Processing}, watcher.Processing, false},
		"of an unknown status":      {watcher.Item{Status: "canceled"}, "canceled", false},
		"missing, as seen last":     {watcher.Item{Status: watcher.Processing, MissingSince: since}, watcher.Processing, true},
		"missing, failed":           {watcher.Item{Status: watcher.Failed, MissingSince: since}, watcher.Failed, true},
		"missing, taken as deleted": {watcher.Item{Status: watcher.Processing, MissingSince: since, TakenFor: watcher.TakenForDeleted}, watcher.Succeed, true},
	} {
		if got := tt.item.CountsAs(); got != tt.want || tt.item.Missing() != tt.missing {
			t.Errorf("%s: counts as %s, missing %t", name, got, tt.item.Missing())
		}
	}
}
