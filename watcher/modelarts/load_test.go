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

// That more polls are wanted than the rate allows is said once, with how many; and once that it is over.
func TestTheEndOfTheRateIsSaid(t *testing.T) {
	k, log := newClock(), new(bytes.Buffer)
	c := config(t, serve(t, one()))
	c.Rate, c.Now = 10, k.Now
	client, err := modelarts.New(slog.New(slog.NewTextHandler(log, nil)), c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Show(t.Context(), region, order("order.x")); err != nil {
		t.Fatal(err)
	}
	poll := func(watches int, span time.Duration) {
		all := make([]polled, watches)
		for i := range all {
			all[i].due = k.now.Add(time.Duration(i) * time.Minute / time.Duration(watches))
		}
		for end := k.now.Add(span); k.now.Before(end); k.now = k.now.Add(100 * time.Millisecond) {
			for i := range all {
				w := &all[i]
				if w.due.After(k.now) {
					continue
				}
				if leave := client.Wait(t.Context(), region, order("order.x"), k.now, watcher.Turn{At: w.turn, Wanted: w.wanted}); leave.After > 0 {
					w.due, w.turn = k.now.Add(leave.After), k.now.Add(leave.After)
					continue
				}
				w.wanted = k.now.Add(time.Minute)
				w.turn = client.Book(region, order("order.x"), k.now, watcher.Turn{At: w.wanted})
				w.due = w.turn
			}
		}
	}
	poll(540, 10*time.Minute) // 9 a second
	if l := client.Loads()[0]; l.Wanted < 8 || l.Wanted > 10 || l.Allowed != 10 || !l.UsedUpSince.IsZero() || strings.Contains(log.String(), "late") {
		t.Errorf("%+v, log:\n%s", l, log)
	}
	poll(1800, 20*time.Minute) // 30 a second
	if l := client.Loads()[0]; l.Wanted < 27 || l.Wanted > 33 || l.UsedUpSince.IsZero() || l.Late < 100*time.Second || strings.Count(log.String(), "polls are late") != 1 {
		t.Errorf("%+v, log:\n%s", l, log)
	}
	k.now = k.now.Add(5 * time.Minute)
	poll(60, 5*time.Minute)
	if l := client.Loads()[0]; l.Wanted > 2 || !l.UsedUpSince.IsZero() || strings.Count(log.String(), "no longer late") != 1 || strings.Count(log.String(), "polls are late") != 1 {
		t.Errorf("%+v, log:\n%s", l, log)
	}
}
