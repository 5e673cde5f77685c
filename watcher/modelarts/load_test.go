package modelarts_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts"
)

// A polling is an account of 10 calls a second, and watches that poll every so often.
type polling struct {
	*testing.T
	clock  *clock
	client *modelarts.Client
	log    bytes.Buffer
}

func newPolling(t *testing.T) *polling {
	p := &polling{T: t, clock: newClock()}
	c := config(t, serve(t, one()))
	c.Rate, c.Now = 10, p.clock.Now
	var err error
	if p.client, err = modelarts.New(slog.New(slog.NewTextHandler(&p.log, nil)), c); err != nil {
		t.Fatal(err)
	}
	if _, err := p.client.Show(t.Context(), region, order("order.x")); err != nil {
		t.Fatal(err)
	}
	return p
}

// poll lets so many watches poll for a time. They are due within the first interval. Where they were due a while ago, their
// wake-ups come within a third of it.
func (p *polling) poll(watches int, interval, ago, span time.Duration) {
	all := make([]polled, watches)
	for i := range all {
		all[i].due = p.clock.now.Add(time.Duration(i) * interval / time.Duration(watches))
		if ago > 0 {
			all[i].due, all[i].wanted = p.clock.now.Add(all[i].due.Sub(p.clock.now)/3), p.clock.now.Add(-ago)
		}
	}
	for end := p.clock.now.Add(span); p.clock.now.Before(end); p.clock.now = p.clock.now.Add(100 * time.Millisecond) {
		for i := range all {
			w, now := &all[i], p.clock.now
			if w.due.After(now) {
				continue
			}
			if leave := p.client.Wait(p.Context(), region, order("order.x"), now, watcher.Turn{At: w.turn, Wanted: w.wanted}); leave.After > 0 {
				w.due, w.turn = now.Add(leave.After), now.Add(leave.After)
				continue
			}
			w.wanted = now.Add(interval)
			w.turn = p.client.Book(region, order("order.x"), now, watcher.Turn{At: w.wanted})
			w.due = w.turn
		}
	}
}

// That more polls are wanted than the rate allows is said once, with how many; and once that it is over.
func TestTheEndOfTheRateIsSaid(t *testing.T) {
	p := newPolling(t)
	p.poll(540, time.Minute, 0, 10*time.Minute) // 9 a second
	if l := p.client.Loads()[0]; l.Wanted < 8 || l.Wanted > 10 || l.Allowed != 10 || !l.UsedUpSince.IsZero() || strings.Contains(p.log.String(), "late") {
		t.Errorf("%+v, log:\n%s", l, &p.log)
	}
	p.poll(1800, time.Minute, 0, 20*time.Minute) // 30 a second
	if l := p.client.Loads()[0]; l.Wanted < 27 || l.Wanted > 33 || l.UsedUpSince.IsZero() || l.Late < 100*time.Second || strings.Count(p.log.String(), "polls are late") != 1 {
		t.Errorf("%+v, log:\n%s", l, &p.log)
	}
	p.clock.now = p.clock.now.Add(5 * time.Minute)
	p.poll(60, time.Minute, 0, 5*time.Minute)
	if l := p.client.Loads()[0]; l.Wanted > 2 || !l.UsedUpSince.IsZero() || strings.Count(p.log.String(), "no longer late") != 1 || strings.Count(p.log.String(), "polls are late") != 1 {
		t.Errorf("%+v, log:\n%s", l, &p.log)
	}
}

// After an outage all watches are due. That they are polled one after the other takes minutes, and nobody is to raise the rate
// for it.
func TestAfterAnOutageItCatchesUp(t *testing.T) {
	p := newPolling(t)
	p.poll(1500, 5*time.Minute, time.Hour, 20*time.Minute) // 5 a second
	if l := p.client.Loads()[0]; !l.UsedUpSince.IsZero() || strings.Count(p.log.String(), "as after an outage") != 1 || strings.Contains(p.log.String(), "more are wanted") {
		t.Errorf("%+v, log:\n%s", l, &p.log)
	}
}
