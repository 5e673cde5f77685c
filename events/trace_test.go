package events_test

import (
	"encoding/json"
	"fmt"
	"testing"

	cloudevent "github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/wire/wiretest"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestTraceIsHandedOn holds that the completion, the progress and the rejection of a traced request
// carry its trace, in their headers and as an attribute.
func TestTraceIsHandedOn(t *testing.T) {
	t.Parallel()
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	startWorker(t, s, config(), &orders{show: ended(watcher.Succeed)})
	for _, body := range []string{wiretest.Named(`"order.a"`), "watch!"} {
		m := &nats.Msg{Subject: "orders.watch", Data: []byte(body), Header: nats.Header{"traceparent": {trace}, "tracestate": {"vendor=1"}}}
		if _, err := js.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	for _, subject := range []string{"orders.completed.>", "orders.progress.>", "orders.rejected"} {
		eventstest.Eventually(t, func() error {
			told := eventsOn(t, js, subject)
			if len(told) != 1 {
				return fmt.Errorf("%d events on %s", len(told), subject)
			}
			var e cloudevent.Event
			if err := json.Unmarshal(told[0].Data, &e); err != nil {
				return err
			}
			if h := told[0].Header; h.Get("traceparent") != trace || h.Get("tracestate") != "vendor=1" || e.Extensions()["traceparent"] != trace || e.Extensions()["tracestate"] != "vendor=1" {
				return fmt.Errorf("%s carries %v and %v", subject, h, e.Extensions())
			}
			return nil
		})
	}
}
