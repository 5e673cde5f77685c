package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/watcher"
)

// What Slack finally refuses is an event, with the same id each time.
func TestUndelivered(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	nc, js := eventstest.Connect(t, s)
	u := eventstest.Provided(t, nc, eventstest.StoreConfig())
	now := time.Now().UTC()
	ofWatch := watcher.UndeliveredMessage{
		ID: "watch.w_1.C0ONCALL", WatchID: "w_01JRFQ7M9C0D8E6T3V5XKB2NHA", ProjectID: eventstest.Project, OrderName: "order.a", Outcome: watcher.AllFailed,
		Channel: "C0ONCALL", Text: "order.a failed\n<b>", Code: "is_archived", Reason: "is archived", ToldAt: now.Add(-time.Hour), RefusedAt: now,
	}
	ofOutage := watcher.UndeliveredMessage{ID: "outage.o.C0ONCALL.overdue", Outage: "o", Kind: watcher.Overdue, Channel: "C0ONCALL", Text: "late", Code: "is_archived", ToldAt: now, RefusedAt: now}
	for _, m := range []watcher.UndeliveredMessage{ofWatch, ofWatch, ofOutage} {
		if err := u.Keep(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	list := eventstest.Events(t, js, "ORDER_EVENTS", "orders.undelivered.slack")
	if len(list) != 3 || list[0].ID != ofWatch.ID || list[1].ID != ofWatch.ID || list[2].ID != ofOutage.ID {
		t.Fatalf("the events are %+v", list)
	}
	var got []watcher.UndeliveredMessage
	c, err := client.New(nc, u.Names)
	if err != nil {
		t.Fatal(err)
	}
	err = c.Follow(t.Context(), client.Filter{Subjects: []string{"orders.undelivered.>"}, Stop: true}, nil, nil, func(e client.Event) error {
		m, ok := e.Undelivered()
		if !ok {
			return fmt.Errorf("event %s is of another type", e.ID())
		}
		got = append(got, m)
		return nil
	})
	ofWatch.ID = "" // it is the event's
	if err != nil || len(got) != 3 || got[0] != ofWatch {
		t.Errorf("followed %+v (%v)", got, err)
	}
	s.Shutdown()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := u.Keep(ctx, ofWatch); err == nil {
		t.Error("kept without a server")
	}
}
