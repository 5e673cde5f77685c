package index

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestOlderAreLookedForWithoutDecodingAll holds which records are decoded while a page is looked for among ended watches that
// are not kept, and what is said where there was no time.
func TestOlderAreLookedForWithoutDecodingAll(t *testing.T) {
	t.Parallel()
	nc, _ := eventstest.Connect(t, eventstest.Server(t))
	kept := eventstest.Provided(t, nc, eventstest.StoreConfig())
	x := New(kept)
	for i, label := range []string{"prod", "test", `"quoted"`, "test"} {
		w := watcher.Watch{
			Schema: watcher.SchemaVersion, State: watcher.Ended, ID: fmt.Sprint("w_", i), Order: watcher.Order{ProjectID: "p1", Name: fmt.Sprint("order.", i)},
			Region: "cn-north-4", Completion: &watcher.Completion{Outcome: watcher.Succeeded, Report: watcher.Report{
				Requests: []watcher.Request{{ID: "build", Team: "ml", Labels: map[string]string{"env": label}}},
			}},
		}
		if i == 3 {
			w.State, w.Requests, w.Completion = watcher.Watching, w.Completion.Requests, nil
		}
		if _, err := kept.Write(t.Context(), w, 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		query wire.ListQuery
		want  string
	}{
		{wire.ListQuery{}, "[0 1 2]"}, {wire.ListQuery{Cursor: "w_2"}, "[0 1]"}, {wire.ListQuery{Label: "env=test"}, "[1]"},
		{wire.ListQuery{Label: `env="quoted"`}, "[0 1 2]"}, {wire.ListQuery{Label: "env=none"}, "[]"},
		{wire.ListQuery{Team: "ml"}, "[0 1 2]"}, {wire.ListQuery{Team: "other"}, "[]"},
	} {
		p := &older{wish: wishOf(test.query, teams.View{}), x: x, floor: "w_9"}
		decoded, read := []string{}, 0
		for r, err := range kept.RecordsBetween(t.Context(), 1, 100, p.may) {
			if err != nil {
				t.Fatal(err)
			}
			if read++; r.Order.Name != "" {
				decoded = append(decoded, strings.TrimPrefix(r.Order.Name, "order."))
			}
		}
		if got := fmt.Sprint(decoded); got != test.want || read < 4 {
			t.Errorf("%+v: of %d records %s are decoded; want %s", test.query, read, got, test.want)
		}
	}
	ctx, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	if _, err := x.withOlder(ctx, wishOf(wire.ListQuery{Label: "env=none"}, teams.View{}), nil, "w_9"); !errors.Is(err, ErrOlder) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without time: %v; want that older ones were looked for", err)
	}
}
