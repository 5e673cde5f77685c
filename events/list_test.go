package events_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestListOfLargeWatches holds that a page fits into a message.
func TestListOfLargeWatches(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	startWorker(t, s, quiet(), &orders{show: never})
	nc, _ := eventstest.Connect(t, s)
	store := eventstest.Store(t, nc, eventstest.StoreConfig(), nil)
	for i := range 8 {
		w := watcher.Watch{
			Schema: watcher.SchemaVersion, State: watcher.Watching, ID: fmt.Sprintf("w_%026d", i), Order: of(fmt.Sprintf("order.pool-%d", i)), Region: "cn-north-4",
			AcceptedAt: time.Now(), Deadline: time.Now().Add(time.Hour), NextPollAt: time.Now().Add(time.Hour), Wakeup: 1,
		}
		for n := range 200 {
			w.Requests = append(w.Requests, watcher.Request{ID: fmt.Sprint("build-", n), Link: "https://ci.example/" + strings.Repeat("a", 1900)})
		}
		if _, err := store.Write(t.Context(), w, 0); err != nil {
			t.Fatal(err)
		}
	}
	c := newClient(t, nc)
	names, pages := make(map[string]bool), 0
	for q := (wire.ListQuery{}); pages == 0 || q.Cursor != ""; pages++ {
		var answer wire.ListAnswer
		eventstest.Eventually(t, func() (err error) { // a busy worker may take longer than a client waits
			answer, err = c.List(t.Context(), q)
			return err
		})
		for _, w := range answer.Watches {
			names[w.OrderName] = true
		}
		q.Cursor = answer.Cursor
	}
	if len(names) != 8 || pages < 3 {
		t.Errorf("%d watches on %d pages", len(names), pages)
	}
}
