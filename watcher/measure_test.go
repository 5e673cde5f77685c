package watcher

import (
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/watcher/history"
)

// TestMeasuredAnewForOthers has people told that an order is late for one request, lets the order show another action, and that
// request end. For the request that is left it is measured beside orders with both actions.
func TestMeasuredAnewForOthers(t *testing.T) {
	begin := time.Date(2025, 4, 10, 11, 49, 50, 0, time.UTC)
	at := func(minutes int) time.Time { return begin.Add(time.Duration(minutes) * time.Minute) }
	var minutes, hour history.Sketch
	for range 60 {
		minutes.Observe(10*time.Minute, true)
		hour.Observe(time.Hour, true)
	}
	p := Policy{
		DefaultRegion: "cn-north-4", MaxPayload: 1 << 20, LateByUsual: true, NotFoundGrace: time.Hour,
		Backoff: Backoff{Initial: time.Second, Multiplier: 1, Max: time.Second},
		Sketches: func(k history.Key) *history.Sketch {
			if k.String() == "cn-north-4.createNode" {
				return &minutes
			}
			return &hour
		},
	}
	w := Watch{
		ID: "01JRFN0000000000000000000A", Order: Order{ProjectID: "p", Name: "order.x"}, Region: "cn-north-4", State: Watching, AcceptedAt: begin, Deadline: at(600),
		Requests: []Request{{ID: "a", ReceivedAt: begin, LateAt: at(4), Deadline: at(6)}, {ID: "b", ReceivedAt: begin, Deadline: at(600)}},
	}
	shown := []Item{{ResourceName: "n1", Action: "createNode", Status: "processing", BeganAt: at(1)}}
	fold := func(minutes int) {
		w, _ = p.Fold(w, Answer{Count: len(shown), Items: shown}, nil, at(minutes))
	}
	if fold(2); w.UsualKind != "cn-north-4.createNode" {
		t.Fatalf("measured beside %q", w.UsualKind)
	}
	for _, a := range p.untold(w, at(4)) {
		w = w.told(a)
	}
	shown = append(shown, Item{ResourceName: "n2", Action: "deleteNode", Status: "processing", BeganAt: at(4)})
	fold(5)
	if fold(6); !w.goesOn() {
		t.Fatalf("the watch is %s", w.State)
	}
	w = p.goOn(w)
	if fold(7); w.UsualKind != "cn-north-4.createNode=deleteNode" || !w.UsualLateAt.After(at(40)) {
		t.Errorf("late from %s on, beside %q", w.UsualLateAt, w.UsualKind)
	}
}
