package watcher_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// What a failed call means for an account depends on the hold, and on when the call was under way.
func TestHoldNext(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	known, other := &watcher.Order{ProjectID: "p", Name: "order.known"}, &watcher.Order{ProjectID: "p", Name: "order.other"}
	told := map[string]int{"p": 3}
	cause := watcher.HoldCause{
		Kind: watcher.HeldLogin, Region: "r", Reason: "no", Code: "A.1", Began: at(100), Ended: at(101),
		Schedule: watcher.Backoff{Initial: 10 * time.Second, Multiplier: 2, Max: 30 * time.Second},
	}
	with := func(change func(*watcher.HoldCause)) watcher.HoldCause {
		c := cause
		change(&c)
		return c
	}
	asked := func(d time.Duration) watcher.HoldCause {
		return with(func(c *watcher.HoldCause) { c.RetryAfter = d })
	}
	first := watcher.Hold{Kind: watcher.HeldLogin, Region: "r", Reason: "no", Code: "A.1", Since: at(101), Until: at(111), Tries: 1}
	stands := watcher.Hold{Kind: watcher.HeldLogin, Region: "r", Reason: "old", Since: at(10), Until: at(90), Tries: 1, Asked: at(95), Probing: true, Witness: known}
	over := stands
	over.Over, over.ToldTo, over.ToldAt = at(97), told, at(20)
	hold := func(h watcher.Hold, change func(*watcher.Hold)) watcher.Hold {
		change(&h)
		return h
	}
	again := hold(stands, func(h *watcher.Hold) {
		h.Reason, h.Code, h.Until, h.Tries, h.Probing = "no", "A.1", at(121), 2, false
	})
	for name, tt := range map[string]struct {
		hold  watcher.Hold
		cause watcher.HoldCause
		want  watcher.Hold // the hold as it was: that is no news
	}{
		"the first":                          {watcher.Hold{}, cause, first},
		"it knows of an order":               {watcher.Hold{}, with(func(c *watcher.HoldCause) { c.Witness = known }), hold(first, func(h *watcher.Hold) { h.Witness = known })},
		"of a project":                       {watcher.Hold{}, with(func(c *watcher.HoldCause) { c.Kind, c.ProjectID = watcher.HeldArrears, "p" }), hold(first, func(h *watcher.Hold) { h.Kind, h.ProjectID = watcher.HeldArrears, "p" })},
		"the API names a longer time":        {watcher.Hold{}, asked(time.Minute), hold(first, func(h *watcher.Hold) { h.Until = at(161) })},
		"the API names a shorter time":       {watcher.Hold{}, asked(time.Second), hold(first, func(h *watcher.Hold) { h.Until = at(102) })},
		"more would lock the login":          {watcher.Hold{}, with(func(c *watcher.HoldCause) { c.Least = time.Hour }), hold(first, func(h *watcher.Hold) { h.Until = at(101 + 3600) })},
		"after one that people forgot":       {hold(over, func(h *watcher.Hold) { h.ToldTo, h.ToldAt = nil, time.Time{} }), cause, first},
		"its probe fails":                    {stands, cause, again},
		"its probe names another order":      {stands, with(func(c *watcher.HoldCause) { c.Witness = other }), hold(again, func(h *watcher.Hold) { h.Witness = other })},
		"its probe fails for another":        {stands, with(func(c *watcher.HoldCause) { c.Kind = watcher.HeldThrottled }), hold(again, func(h *watcher.Hold) { h.Kind = watcher.HeldThrottled })},
		"the same, but people were told":     {hold(stands, func(h *watcher.Hold) { h.ToldTo = told }), with(func(c *watcher.HoldCause) { c.Kind = watcher.HeldThrottled }), hold(again, func(h *watcher.Hold) { h.ToldTo = told })},
		"many tries take the most":           {hold(stands, func(h *watcher.Hold) { h.Tries = 60 }), cause, hold(again, func(h *watcher.Hold) { h.Tries, h.Until = 61, at(131) })},
		"what the API names grows, too":      {stands, asked(8 * time.Second), hold(again, func(h *watcher.Hold) { h.Until = at(117) })},
		"and takes the most":                 {hold(stands, func(h *watcher.Hold) { h.Tries = 60 }), asked(8 * time.Second), hold(again, func(h *watcher.Hold) { h.Tries, h.Until = 61, at(131) })},
		"people do not know that it ends":    {over, cause, hold(again, func(h *watcher.Hold) { h.Asked, h.ToldTo, h.ToldAt = time.Time{}, told, at(20) })},
		"the same, and the API names a time": {watcher.Hold{}, with(func(c *watcher.HoldCause) { c.RetryAfter, c.Least = time.Second, time.Hour }), hold(first, func(h *watcher.Hold) { h.Until = at(101 + 3600) })},
		"a call from before one that is over": {hold(over, func(h *watcher.Hold) { h.ToldTo, h.ToldAt = nil, time.Time{} }), with(func(c *watcher.HoldCause) { c.Began = at(5) }),
			first},
		"a call that began with the hold": {first, with(func(c *watcher.HoldCause) { c.Began = at(101) }), first},
		"a call from before the hold":     {stands, with(func(c *watcher.HoldCause) { c.Began = at(10) }), stands},
		"a call from before the probe":    {stands, with(func(c *watcher.HoldCause) { c.Began = at(94) }), stands},
		"it names a longer time": {stands, with(func(c *watcher.HoldCause) { c.Began, c.RetryAfter = at(94), time.Minute }),
			hold(again, func(h *watcher.Hold) { h.Tries, h.Until = 1, at(161) })},
		"it names a time that is not longer": {hold(stands, func(h *watcher.Hold) { h.Until = at(161) }), with(func(c *watcher.HoldCause) { c.Began, c.RetryAfter = at(94), time.Minute }),
			hold(stands, func(h *watcher.Hold) { h.Until = at(161) })},
	} {
		next, news := tt.hold.Next(tt.cause)
		if !reflect.DeepEqual(next, tt.want) || news != !reflect.DeepEqual(tt.want, tt.hold) {
			t.Errorf("%s: news %t\ngot  %+v\nwant %+v", name, news, next, tt.want)
		}
	}
}

// Only a call that began after its end was looked for ends a hold, or lets it stand longer.
func TestHoldEnds(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	schedule := watcher.Backoff{Initial: 10 * time.Second, Multiplier: 2, Max: 30 * time.Second}
	stands := watcher.Hold{Kind: watcher.HeldLogin, Since: at(10), Until: at(20), Tries: 1}
	asked, probing, over := stands, stands, stands
	asked.Asked = at(20)
	probing.Asked, probing.Probing = at(20), true
	over.Asked, over.Probing, over.Over = at(20), true, at(21)
	for name, tt := range map[string]struct {
		hold         watcher.Hold
		began        int
		over, longer bool
	}{
		"none":                           {watcher.Hold{}, 20, false, false},
		"its end was not looked for":     {stands, 20, false, false},
		"the probe":                      {probing, 20, true, true},
		"a later call":                   {probing, 25, true, true},
		"a call from before":             {probing, 19, false, false},
		"the probe has failed":           {asked, 25, true, false},
		"it is over":                     {over, 25, false, false},
		"the probe has failed, earlier":  {asked, 19, false, false},
		"over, and the call from before": {over, 19, false, false},
	} {
		if got := tt.hold.Probes(at(tt.began)); got != tt.longer {
			t.Errorf("%s: probes %t", name, got)
		}
		want := tt.hold
		if tt.over {
			want.Over, want.Probing = at(30), false
		}
		if next, over := tt.hold.Answered(at(tt.began), at(30)); over != tt.over || !reflect.DeepEqual(next, want) {
			t.Errorf("%s, answered: %t, %+v", name, over, next)
		}
		want = tt.hold
		if tt.longer {
			want.Until, want.Probing, want.Tries = at(50), false, 2
		}
		if next, longer := tt.hold.Unclear(at(tt.began), at(30), schedule, "seed"); longer != tt.longer || !reflect.DeepEqual(next, want) {
			t.Errorf("%s, unclear: %t, %+v", name, longer, next)
		}
	}
}
