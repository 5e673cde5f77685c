package wire_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

func TestCheckOfRequests(t *testing.T) {
	t.Parallel()
	order := watcher.Order{ProjectID: eventstest.Project, Name: "order.a"}
	for _, test := range []struct {
		name  string
		r     wire.WatchRequest
		field string // that is wrong; empty: none
	}{
		{"least", wire.WatchRequest{Order: order, RequestID: "r"}, ""},
		{"all", wire.WatchRequest{Order: order, RequestID: "r", Region: "anywhere", RequestedBy: "ann", Link: "https://ci.example/1",
			Labels: map[string]string{"k": ""}, ExpectedItems: 10000, Timeout: "100h", LateAfter: "99h", SlackChannel: "C1", Progress: true}, ""},
		{"no id", wire.WatchRequest{Order: order}, "request_id"},
		{"long id", wire.WatchRequest{Order: order, RequestID: strings.Repeat("x", 129)}, "request_id"},
		{"no order", wire.WatchRequest{RequestID: "r"}, "project_id"},
		{"wildcard", wire.WatchRequest{Order: watcher.Order{ProjectID: eventstest.Project, Name: "order.*"}, RequestID: "r"}, "order_name"},
		{"link", wire.WatchRequest{Order: order, RequestID: "r", Link: "ftp://x"}, "link"},
		{"label", wire.WatchRequest{Order: order, RequestID: "r", Labels: map[string]string{strings.Repeat("k", 65): "v"}}, "labels"},
		{"items", wire.WatchRequest{Order: order, RequestID: "r", ExpectedItems: 10001}, "expected_items"},
		{"late after", wire.WatchRequest{Order: order, RequestID: "r", LateAfter: "soon"}, "late_after"},
		{"timeout", wire.WatchRequest{Order: order, RequestID: "r", Timeout: "900ms"}, "timeout"},
		{"invisible", wire.WatchRequest{Order: order, RequestID: "r", RequestedBy: "a\u202eb"}, "requested_by"},
	} {
		err := test.r.Check()
		why, ok := errors.AsType[*watcher.FieldError](err)
		if ok != (test.field != "") || ok && why.Field != test.field || !ok && err != nil {
			t.Errorf("%s: %v; want the field %q", test.name, err, test.field)
		}
	}
}
