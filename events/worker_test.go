package events_test

import (
	"testing"

	"github.com/orderwatch/orderwatch/watcher"
)

func TestOneOrder(t *testing.T) {
	s := startServer(t, t.TempDir(), -1)
	_, js := connect(t, s)
	cloud := &orders{show: func(_ watcher.Order, poll int) (watcher.Answer, error) {
		if poll < 4 {
			return answer(watcher.Succeed, watcher.Processing), nil
		}
		return answer(watcher.Succeed, watcher.Failed), nil
	}}
	w := startWorker(t, s, config(), cloud)
	publish(t, js, request("order.pool-1"))
	c := w.next(t)
	if c.Outcome != watcher.PartiallyFailed || c.OrderName != "order.pool-1" || len(c.Requests) != 1 {
		t.Errorf("got %+v", c)
	}
	t.Logf("%+v", c)
	for stream, subject := range map[string]string{"ORDER_REQUESTS": ">", "ORDER_WAKEUPS": ">"} {
		if n := messages(t, js, stream, subject); n != 0 {
			t.Errorf("%s holds %d messages; want none", stream, n)
		}
	}
}
