package store

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/watcher"
)

// TestAskedPassesOverWhatIsNoRecord lets the server write to a team's open record by a reply subject: the team's watch still
// counts, until its record says that it has ended, or is deleted.
func TestAskedPassesOverWhatIsNoRecord(t *testing.T) {
	t.Parallel()
	now := time.Now()
	const key = "p.order.a"
	open := []byte(`{"schema":2,"state":"watching","watch_id":"w_1","requests":[{"request_id":"1","team":"gpu"}]}`)
	for name, c := range map[string]struct {
		header nats.Header
		data   string
		open   int
	}{
		"acknowledgement": {data: `{"stream":"ORDER_REQUESTS","seq":5}`, open: 1},
		"answer":          {data: `{"type":"io.nats.jetstream.api.v1.consumer_info_response","name":"pools"}`, open: 1},
		"status":          {header: nats.Header{"Status": {"404"}}, open: 1},
		"event":           {data: `{"specversion":"1.0","id":"1","data":{"watch_id":"w_2","requests":[]}}`, open: 1},
		"no JSON":         {data: "x", open: 1},
		"deletion":        {header: nats.Header{kvOperation: {"DEL"}}},
		"end":             {data: `{"schema":2,"state":"` + string(watcher.Ended) + `","watch_id":"w_1"}`},
	} {
		a := newAsked()
		a.forget(now)
		a.see(key, nil, open, true, now.Add(-askedKept))
		a.see(key, c.header, []byte(c.data), true, now.Add(-askedKept))
		if n := len(a.open["gpu"]); n != c.open {
			t.Errorf("%s: %d open watches; want %d", name, n, c.open)
		}
	}
}
