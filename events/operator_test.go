package events_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/wire/wiretest"
	"github.com/orderwatch/orderwatch/watcher"
)

// What somebody with a connection of an administrator does to streams and consumers while watches
// are under way: it shows, and work goes on after the repair. How soon, the log says.

// A site is a worker under test with watches that go on until the gate is open.
type site struct {
	js    jetstream.JetStream
	open  atomic.Bool
	cloud *orders
	w     *running
	names []string // of the orders
}

// operated is the configuration of production, but for what a test cannot wait for.
func operated() settings {
	cfg := config()
	cfg.Timing.PatrolSlack = 300 * time.Millisecond
	cfg.Timing.Denied = 2 * time.Second
	cfg.Policy.Backoff.Max = 200 * time.Millisecond
	cfg.Timing.CheckEvery, cfg.Timing.Rebind.Max = 500*time.Millisecond, time.Second
	return cfg
}

func newSite(t *testing.T, s *server.Server, cfg settings, watches int) *site {
	t.Helper()
	_, js := eventstest.Connect(t, s)
	p := &site{js: js}
	p.cloud = gated(&p.open)
	p.w = startWorker(t, s, cfg, p.cloud)
	p.names = watch(t, js, p.cloud, watches)
	return p
}

// alarm waits until the worker is not ready and its log says why.
func (p *site) alarm(t *testing.T, words ...string) {
	t.Helper()
	took := eventstest.Within(t, eventstest.Patience, func() error {
		err := p.w.Ready()
		if err == nil {
			return fmt.Errorf("ready; want words about %q", words)
		}
		for _, word := range words {
			if !strings.Contains(err.Error(), word) {
				return fmt.Errorf("ready: %v; want %q", err, word)
			}
		}
		return p.w.log.line(append([]string{"level=ERROR"}, words...)...)
	})
	t.Logf("alarm after %s", took)
}

// resumed waits until the worker is ready, and takes a new request.
func (p *site) resumed(t *testing.T) {
	t.Helper()
	repaired := time.Now()
	eventstest.Eventually(t, p.w.Ready)
	ready := time.Since(repaired)
	name := fmt.Sprintf("order.repaired-%d", len(p.names))
	p.ask(t, name)
	eventstest.Eventually(t, p.cloud.polled(name, 1))
	t.Logf("ready %s after the repair", ready)
}

// ask publishes a request, which counts as accepted from here on.
func (p *site) ask(t *testing.T, name string) {
	t.Helper()
	publish(t, p.js, request(name))
	p.names = append(p.names, name)
}

// finish lets all orders end, and checks that each has one completion.
func (p *site) finish(t *testing.T) {
	t.Helper()
	p.complete(t)
	eventstest.Eventually(t, idle(t, p.js, "ORDER"))
	completedOnce(t, p.js, p.names...)
}

// complete lets all orders end.
func (p *site) complete(t *testing.T) {
	t.Helper()
	p.open.Store(true)
	eventstest.Eventually(t, completions(t, p.js, len(p.names)))
}

// polls returns how often the cloud was asked.
func (p *site) polls() (n int) {
	p.cloud.mu.Lock()
	defer p.cloud.mu.Unlock()
	for _, polls := range p.cloud.polls {
		n += polls
	}
	return n
}

// still checks that nothing is polled any more: the worker holds.
func (p *site) still(t *testing.T) {
	t.Helper()
	eventstest.Eventually(t, func() error {
		before := p.polls()
		time.Sleep(time.Second) // longer than the longest interval
		if now := p.polls(); now != before {
			return fmt.Errorf("%d polls within a second", now-before)
		}
		return nil
	})
}

// TestSettingsChanged changes what is there while the worker runs, so that going on would lose or
// repeat work: it holds until the setting is back.
func TestSettingsChanged(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		alter func(*eventstest.Agreed)
		says  string
	}{
		{"wake-ups limited", func(a *eventstest.Agreed) { a.Wakeups.MaxMsgs = 3 }, "stream ORDER_WAKEUPS: max_msgs is 3"},
		{"records age", func(a *eventstest.Agreed) { a.Records.MaxAge = time.Hour }, "stream KV_ORDER_WATCHES: max_age is 1h0m0s"},
		{"events limited", func(a *eventstest.Agreed) { a.Events.MaxMsgs = 100 }, "stream ORDER_EVENTS: max_msgs is 100"},
		{"events unacknowledged", func(a *eventstest.Agreed) { a.Events.NoAck = true }, "stream ORDER_EVENTS: no_ack is true"},
		{"intake gives up", func(a *eventstest.Agreed) { a.Intake.MaxDeliver = 5 }, "consumer intake of ORDER_REQUESTS: max_deliver is 5"},
		{"poller gives up", func(a *eventstest.Agreed) { a.Poller.MaxDeliver = 5 }, "consumer poller of ORDER_WAKEUPS: max_deliver is 5"},
		{"slack gives up", func(a *eventstest.Agreed) { a.Slack.MaxDeliver = 5 }, "consumer slack of ORDER_EVENTS: max_deliver is 5"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newSite(t, eventstest.Server(t), operated(), 5)
			changed := eventstest.Contract("orders", "ORDER")
			test.alter(changed)
			changed.Update(t, p.js)
			p.alarm(t, test.says)
			p.ask(t, "order.meanwhile") // its PubAck is a promise
			p.still(t)
			eventstest.Contract("orders", "ORDER").Update(t, p.js)
			p.resumed(t)
			p.finish(t)
		})
	}
}

// TestTroublesAtOnce holds that what forbids to take messages is not hidden by another trouble, and
// not lifted by it.
func TestTroublesAtOnce(t *testing.T) {
	t.Parallel()
	limit := func(t *testing.T, p *site, messages int64) {
		t.Helper()
		stream := eventstest.Contract("orders", "ORDER").Events
		stream.MaxMsgs = messages
		if _, err := p.js.UpdateStream(t.Context(), stream); err != nil {
			t.Fatal(err)
		}
	}
	pause := func(t *testing.T, p *site) {
		t.Helper()
		if _, err := p.js.PauseConsumer(t.Context(), "ORDER_REQUESTS", "intake", time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	repair := func(t *testing.T, p *site) {
		t.Helper()
		limit(t, p, -1)
		if _, err := p.js.ResumeConsumer(t.Context(), "ORDER_REQUESTS", "intake"); err != nil {
			t.Fatal(err)
		}
		p.resumed(t)
		p.finish(t)
	}
	t.Run("paused, then unfit", func(t *testing.T) {
		t.Parallel()
		p := newSite(t, eventstest.Server(t), operated(), 5)
		pause(t, p)
		p.alarm(t, "is paused until")
		limit(t, p, 100)
		p.alarm(t, "max_msgs is 100")
		p.still(t)
		repair(t, p)
	})
	t.Run("unfit, then paused", func(t *testing.T) {
		t.Parallel()
		p := newSite(t, eventstest.Server(t), operated(), 5)
		limit(t, p, 100)
		p.alarm(t, "max_msgs is 100")
		p.still(t)
		pause(t, p)
		before := p.polls()
		time.Sleep(3 * time.Second) // several looks
		if polls := p.polls() - before; polls > 0 {
			t.Errorf("%d polls while held", polls)
		}
		repair(t, p)
	})
	t.Run("unfit, then restarted", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		s := eventstest.Server(t, server.Options{StoreDir: dir})
		cfg := operated()
		cfg.Timing.CheckEvery = 3 * time.Second
		p := newSite(t, s, cfg, 5)
		limit(t, p, 100)
		p.alarm(t, "max_msgs is 100")
		p.still(t)
		before := p.polls()
		port := s.Addr().(*net.TCPAddr).Port
		s.Shutdown()
		s.WaitForShutdown()
		eventstest.Eventually(t, func() error {
			if err := p.w.Ready(); err == nil || !strings.Contains(err.Error(), "not connected") {
				return fmt.Errorf("ready: %v", err)
			}
			return nil
		})
		time.Sleep(2 * cfg.Timing.CheckEvery) // a look finds no server
		eventstest.Server(t, server.Options{StoreDir: dir, Port: port})
		p.alarm(t, "max_msgs is 100")
		time.Sleep(time.Second) // longer than the longest interval
		if polls := p.polls() - before; polls > 0 {
			t.Errorf("%d polls while held", polls)
		}
		limit(t, p, -1)
		p.resumed(t)
	})
}

// TestRequestsDropped lets the stream of requests drop some while the worker runs: that shows, but
// the worker goes on, since taking them is what saves them.
func TestRequestsDropped(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		alter func(*jetstream.StreamConfig)
		anew  bool
		says  string
	}{
		{"age", func(c *jetstream.StreamConfig) { c.MaxAge = 2 * time.Second }, false, "max_age is 2s"},
		{"age, made anew", func(c *jetstream.StreamConfig) { c.MaxAge = 2 * time.Second }, true, "max_age is 2s"},
		{"discard", func(c *jetstream.StreamConfig) { c.Discard, c.MaxMsgs = jetstream.DiscardOld, 10 }, false, "discard is DiscardOld"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newSite(t, eventstest.Server(t), operated(), 5)
			changed := eventstest.Contract("orders", "ORDER").Requests
			test.alter(&changed)
			if test.anew {
				replace(t, p.js, changed)
			} else if _, err := p.js.UpdateStream(t.Context(), changed); err != nil {
				t.Fatal(err)
			}
			p.alarm(t, "stream ORDER_REQUESTS: "+test.says)
			p.ask(t, "order.meanwhile")
			eventstest.Eventually(t, p.cloud.polled("order.meanwhile", 1))
			if _, err := p.js.UpdateStream(t.Context(), eventstest.Contract("orders", "ORDER").Requests); err != nil {
				t.Fatal(err)
			}
			p.resumed(t)
			p.finish(t)
		})
	}
}

// replace deletes a stream and makes it anew before the worker does.
func replace(t *testing.T, js jetstream.JetStream, c jetstream.StreamConfig) {
	t.Helper()
	if err := js.DeleteStream(t.Context(), c.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// TestConsumerReplaced makes consumers anew with settings that would lose or repeat work. The
// repair is to delete them: the worker makes them anew as they must be.
func TestConsumerReplaced(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		stream, consumer string
		alter            func(*jetstream.ConsumerConfig)
		says             string
	}{
		{"ORDER_REQUESTS", "intake", func(c *jetstream.ConsumerConfig) { c.MaxDeliver = 5 }, "max_deliver is 5"},
		{"ORDER_REQUESTS", "intake", func(c *jetstream.ConsumerConfig) { c.HeadersOnly = true }, "headers_only is true"},
		{"ORDER_WAKEUPS", "poller", func(c *jetstream.ConsumerConfig) {
			c.PriorityPolicy, c.PriorityGroups = jetstream.PriorityPolicyOverflow, []string{"a"}
		}, "priority_policy is overflow"},
		{"ORDER_WAKEUPS", "poller", func(c *jetstream.ConsumerConfig) { c.FilterSubject = "orders.due." + project + ".order.pool-1" }, "filter_subjects is orders.due." + project},
		{"ORDER_EVENTS", "slack", func(c *jetstream.ConsumerConfig) { c.AckPolicy = jetstream.AckNonePolicy }, "ack_policy is AckNone"},
		{"ORDER_EVENTS", "slack", func(c *jetstream.ConsumerConfig) { c.DeliverSubject, c.MaxWaiting = "slack.push", 0 }, "consumer slack of ORDER_EVENTS: "},
	} {
		t.Run(test.consumer+" "+test.says, func(t *testing.T) {
			t.Parallel()
			p := newSite(t, eventstest.Server(t), operated(), 5)
			changed := eventstest.Contract("orders", "ORDER").Consumers()[test.stream]
			test.alter(&changed)
			s, err := p.js.Stream(t.Context(), test.stream)
			if err != nil {
				t.Fatal(err)
			}
			eventstest.Eventually(t, func() error { // unless a worker is quicker, and makes it as it was
				if err := s.DeleteConsumer(t.Context(), test.consumer); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
					return err
				}
				if changed.DeliverSubject == "" {
					_, err = s.CreateConsumer(t.Context(), changed)
				} else {
					_, err = s.CreatePushConsumer(t.Context(), changed)
				}
				return err
			})
			p.alarm(t, test.says)
			p.ask(t, "order.meanwhile")
			if err := s.DeleteConsumer(t.Context(), test.consumer); err != nil {
				t.Fatal(err)
			}
			p.resumed(t)
			eventstest.Contract("orders", "ORDER").MadeAnew(t, p.js).Check(t, p.js)
			p.finish(t)
		})
	}
}

// TestHarmlessChange makes the poller anew so that it is slower: a warning, and work goes on.
func TestHarmlessChange(t *testing.T) {
	t.Parallel()
	p := newSite(t, eventstest.Server(t), operated(), 5)
	slower := eventstest.Contract("orders", "ORDER").Poller
	slower.MaxAckPending = 1
	s, err := p.js.Stream(t.Context(), "ORDER_WAKEUPS")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteConsumer(t.Context(), "poller"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateConsumer(t.Context(), slower); err != nil {
		t.Fatal(err)
	}
	eventstest.Eventually(t, func() error { return p.w.log.line("level=WARN", "consumer poller", "max_ack_pending", "found=1") })
	p.resumed(t)
	p.finish(t)
}

// TestStreamDeleted deletes each stream. What lay in it is gone; the worker makes it anew, and what
// is accepted from then on is not lost.
func TestStreamDeleted(t *testing.T) {
	t.Parallel()
	for _, stream := range []string{"ORDER_REQUESTS", "ORDER_WAKEUPS", "ORDER_EVENTS", "KV_ORDER_WATCHES", "KV_ORDER_ACCOUNTS", "KV_ORDER_SLACK"} {
		t.Run(stream, func(t *testing.T) {
			t.Parallel()
			p := newSite(t, eventstest.Server(t), operated(), 5)
			if err := p.js.DeleteStream(t.Context(), stream); err != nil {
				t.Fatal(err)
			}
			took := eventstest.Within(t, eventstest.Patience, func() error {
				return p.w.log.line("level=ERROR", "made anew", "asset=\"stream "+stream+"\"")
			})
			t.Logf("alarm, and made anew, after %s", took)
			bucket := stream == "KV_ORDER_WATCHES"
			if bucket { // the watches under way are gone with it
				p.names = nil
			}
			p.resumed(t)
			eventstest.Contract("orders", "ORDER").MadeAnew(t, p.js).Check(t, p.js)
			p.complete(t)
			if !bucket { // what wakes a watch that is gone is given up after 60 deliveries, which is a minute
				eventstest.Eventually(t, idle(t, p.js, "ORDER"))
			}
			completedOnce(t, p.js, p.names...)
		})
	}
}

// TestPaused pauses each consumer: what is accepted meanwhile waits.
func TestPaused(t *testing.T) {
	t.Parallel()
	for stream, consumer := range eventstest.Contract("orders", "ORDER").Consumers() {
		t.Run(consumer.Durable, func(t *testing.T) {
			t.Parallel()
			p := newSite(t, eventstest.Server(t), operated(), 5)
			if _, err := p.js.PauseConsumer(t.Context(), stream, consumer.Durable, time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			p.alarm(t, "consumer "+consumer.Durable+" of "+stream+" is paused")
			p.ask(t, "order.meanwhile")
			if _, err := p.js.ResumeConsumer(t.Context(), stream, consumer.Durable); err != nil {
				t.Fatal(err)
			}
			p.resumed(t)
			p.finish(t)
			eventstest.Eventually(t, func() error {
				if len(p.w.told) != len(p.names) {
					return fmt.Errorf("people were told %d times; want %d", len(p.w.told), len(p.names))
				}
				return nil
			})
		})
	}
}

// TestGivenUp lets the server give up what is put back again and again. Changing the consumer does
// not bring it back; to make it anew does, and the worker says so.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	_, js := eventstest.Connect(t, s)
	var mended atomic.Bool
	cloud := &orders{show: func(watcher.Order, int) (watcher.Answer, error) {
		if !mended.Load() {
			panic("defect")
		}
		return answer(watcher.Succeed), nil
	}}
	cfg := operated()
	cfg.Timing.CheckEvery = 1500 * time.Millisecond // it goes on for so long
	w := startWorker(t, s, cfg, cloud)
	publish(t, js, request("order.pool"))
	eventstest.Eventually(t, cloud.polled("order.pool", 1))
	changed := eventstest.Contract("orders", "ORDER").Poller
	changed.MaxDeliver = 2
	if _, err := js.UpdateConsumer(t.Context(), "ORDER_WAKEUPS", changed); err != nil {
		t.Fatal(err)
	}
	eventstest.Eventually(t, func() error { return w.log.line("level=ERROR", "max_deliver is 2", "delete the consumer") })
	eventstest.Eventually(t, func() error {
		if n := held(t, js); n > 0 {
			return fmt.Errorf("%d deliveries are not given up", n)
		}
		return nil
	})
	mended.Store(true)
	if err := js.DeleteConsumer(t.Context(), "ORDER_WAKEUPS", "poller"); err != nil {
		t.Fatal(err)
	}
	eventstest.Eventually(t, completions(t, js, 1))
	eventstest.Eventually(t, w.Ready)
	eventstest.Eventually(t, idle(t, js, "ORDER"))
	completedOnce(t, js, "order.pool")
}

// TestSealed seals streams, which nobody can undo: the repair is to delete them.
func TestSealed(t *testing.T) {
	t.Parallel()
	for _, stream := range []jetstream.StreamConfig{eventstest.Contract("orders", "ORDER").Wakeups, eventstest.Contract("orders", "ORDER").Events} {
		t.Run(stream.Name, func(t *testing.T) {
			t.Parallel()
			p := newSite(t, eventstest.Server(t), operated(), 5)
			stream.Sealed = true
			if _, err := p.js.UpdateStream(t.Context(), stream); err != nil {
				t.Fatal(err)
			}
			p.alarm(t, stream.Name+": sealed is true")
			p.ask(t, "order.meanwhile")
			if err := p.js.DeleteStream(t.Context(), stream.Name); err != nil {
				t.Fatal(err)
			}
			p.resumed(t)
			p.finish(t)
		})
	}
}

// TestRequestsFull lets the stream of requests be full, which producers see: no request is lost
// that has its PubAck.
func TestRequestsFull(t *testing.T) {
	t.Parallel()
	p := newSite(t, eventstest.Server(t), operated(), 5)
	small := eventstest.Contract("orders", "ORDER").Requests
	small.MaxMsgs = 3
	if _, err := p.js.UpdateStream(t.Context(), small); err != nil {
		t.Fatal(err)
	}
	eventstest.Eventually(t, func() error { return p.w.log.line("level=WARN", "stream ORDER_REQUESTS", "max_msgs", "found=3") })
	if _, err := p.js.PauseConsumer(t.Context(), "ORDER_REQUESTS", "intake", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	p.alarm(t, "consumer intake of ORDER_REQUESTS is paused")
	refused := 0
	for i := range 6 {
		name := fmt.Sprintf("order.more-%d", i)
		if _, err := p.js.Publish(t.Context(), "orders.watch", fmt.Appendf(nil, `{"project_id":%q,"order_name":%q}`, project, name)); err != nil {
			refused++
			continue
		}
		p.names = append(p.names, name)
	}
	if refused != 3 {
		t.Errorf("%d of 6 requests were refused; want 3", refused)
	}
	if _, err := p.js.ResumeConsumer(t.Context(), "ORDER_REQUESTS", "intake"); err != nil {
		t.Fatal(err)
	}
	for _, name := range p.names {
		eventstest.Eventually(t, p.cloud.polled(name, 1))
	}
	p.resumed(t)
	p.finish(t)
}

// TestAccountFull lets the account's storage be full: that shows, and when there is room again all
// goes on.
func TestAccountFull(t *testing.T) {
	t.Parallel()
	s := eventstest.Server(t)
	p := newSite(t, s, operated(), 10)
	f := fill(t, s, p.js)
	p.alarm(t, "does not store")
	if _, err := p.js.Publish(t.Context(), "orders.watch", []byte(wiretest.Padded(wiretest.Named(`"order.refused"`), 60<<10))); err == nil {
		t.Error("a request was accepted although there is no room")
	}
	f.purge(t)
	p.resumed(t)
	p.finish(t)
}

// A filler is a stream that takes all the room that the account has.
type filler struct{ jetstream.Stream }

// fill limits the account's storage to little more than what is used, and takes the rest.
func fill(t *testing.T, s *server.Server, js jetstream.JetStream) filler {
	t.Helper()
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "FILLER", Subjects: []string{"filler"}})
	if err != nil {
		t.Fatal(err)
	}
	account, err := js.AccountInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	limits := server.JetStreamAccountLimits{
		MaxMemory: -1, MaxStore: int64(account.Store) + 1<<20, MaxStreams: -1, MaxConsumers: -1,
		MemoryMaxStreamBytes: -1, StoreMaxStreamBytes: -1,
	}
	if err := s.GlobalAccount().UpdateJetStreamLimits(map[string]server.JetStreamAccountLimits{"": limits}); err != nil {
		t.Fatal(err)
	}
	for size := 64 << 10; size > 0; size /= 2 {
		for {
			if _, err := js.Publish(t.Context(), "filler", make([]byte, size)); err != nil {
				break
			}
		}
	}
	return filler{stream}
}

// purge makes room again.
func (f filler) purge(t *testing.T) {
	t.Helper()
	if err := f.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
}
