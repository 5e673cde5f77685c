package events_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestStepKeepsItsDelivery lets a poll take far longer than the AckWait that somebody set: another worker is not given
// the same wake-up meanwhile.
func TestStepKeepsItsDelivery(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	a := eventstest.Contract("orders", "ORDER")
	a.Poller.AckWait = time.Second
	a.Create(t, js)
	begun, end := make(chan bool, 100), make(chan bool)
	cloud := slow(func(ctx context.Context, _ watcher.Order) (watcher.Answer, error) {
		begun <- true
		select {
		case <-end:
		case <-ctx.Done():
		}
		return answer(watcher.Succeed), nil
	})
	cfg := config()
	cfg.Policy.Settle = 0
	first := startWorker(t, s, cfg, cloud)
	startWorker(t, s, cfg, cloud)
	publish(t, js, request("order.slow"))
	<-begun
	select {
	case <-begun:
		t.Error("the wake-up came again while its step was under way")
	case <-time.After(5 * time.Second): // five times AckWait
	}
	close(end)
	eventstest.Eventually(t, idle(t, js, "ORDER"))
	completedOnce(t, js, "order.slow")
	eventstest.Eventually(t, first.Ready)
}

// TestStepIsBounded lets a poll never end: after the bound of a step its wake-up comes again.
func TestStepIsBounded(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	begun := make(chan bool, 100)
	cloud := slow(func(ctx context.Context, _ watcher.Order) (watcher.Answer, error) {
		begun <- true
		<-ctx.Done()
		return watcher.Answer{}, ctx.Err()
	})
	cfg := config()
	cfg.PollTimeout = 100 * time.Millisecond // its AckWait is twice that and a second
	cfg.Timing.Step, cfg.Timing.Drain = time.Second, time.Second
	startWorker(t, s, cfg, cloud)
	publish(t, js, request("order.stuck"))
	for range 2 {
		select {
		case <-begun:
		case <-time.After(eventstest.Patience):
			t.Fatal("the wake-up of a step that hangs does not come again")
		}
	}
}

// TestPullLimits lets a consumer, and then the server, take small pulls: the worker takes the number.
func TestPullLimits(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]func(*eventstest.Agreed, *server.Options){
		"consumer": func(a *eventstest.Agreed, _ *server.Options) {
			a.Intake.MaxRequestBatch, a.Poller.MaxRequestBatch = 5, 5
		},
		"expires": func(a *eventstest.Agreed, _ *server.Options) { a.Intake.MaxRequestExpires = 2 * time.Second },
		"server":  func(_ *eventstest.Agreed, o *server.Options) { o.JetStreamLimits.MaxRequestBatch = 3 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, options := eventstest.Contract("orders", "ORDER"), server.Options{}
			limit(a, &options)
			s := eventstest.Server(t, options)
			_, js := eventstest.Connect(t, s)
			if name != "server" {
				a.Create(t, js)
			}
			w := startWorker(t, s, config(), &orders{show: ended(watcher.Succeed)})
			var names []string
			for _, n := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"} {
				names = append(names, "order."+n)
				publish(t, js, request("order."+n))
			}
			for range names {
				w.next(t)
			}
			completedOnce(t, js, names...)
			if err := w.log.line("consumer delivers again"); err == nil {
				t.Error("the log says that it delivers again; it always did")
			}
			eventstest.Eventually(t, w.Ready)
		})
	}
}

// TestPollerAckWait holds that the poller's AckWait follows the time of a call, and others' do not.
func TestPollerAckWait(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	cfg := config()
	cfg.PollTimeout = 15 * time.Second
	startWorker(t, s, cfg, idleCloud())
	for stream, want := range map[string]time.Duration{"ORDER_REQUESTS": time.Minute, "ORDER_WAKEUPS": 31 * time.Second, "ORDER_EVENTS": time.Minute} {
		name := map[string]string{"ORDER_REQUESTS": "intake", "ORDER_WAKEUPS": "poller", "ORDER_EVENTS": "slack"}[stream]
		var consumer jetstream.Consumer
		eventstest.Eventually(t, func() (err error) {
			consumer, err = js.Consumer(t.Context(), stream, name)
			return err
		})
		if got := consumer.CachedInfo().Config.AckWait; got != want {
			t.Errorf("%s: AckWait %s; want %s", name, got, want)
		}
	}
}
