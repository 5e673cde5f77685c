package usual_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/usual"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/history"
)

func TestMain(m *testing.M) { os.Exit(eventstest.Main(m, 8)) }

// A rig is an installation, and what its workers keep.
type rig struct {
	store *store.Store
	js    jetstream.JetStream
}

const ackWait = 200 * time.Millisecond

func newRig(t *testing.T) rig {
	t.Helper()
	nc, js := eventstest.Connect(t, eventstest.Server(t))
	config := eventstest.StoreConfig()
	config.Timing.AckWait, config.Timing.CheckEvery = ackWait, 50*time.Millisecond
	return rig{eventstest.Provided(t, nc, config), js}
}

// keeper returns what one worker keeps, begun.
func (r rig) keeper(t *testing.T, log *slog.Logger) *usual.Keeper {
	t.Helper()
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	k := usual.New(log, r.store)
	if !k.Begin(t.Context(), 1) {
		t.Fatal("it did not begin")
	}
	return k
}

var accepted = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// complete publishes the completion of an order whose one item took so long.
func (r rig) complete(t *testing.T, n int, outcome watcher.Outcome, action string, took time.Duration) {
	t.Helper()
	began := accepted.Add(10 * time.Second)
	it := watcher.Item{ResourceName: "a", Action: action, Status: watcher.Succeed, BeganAt: began, UpdatedAt: began.Add(took)}
	c := watcher.Completion{Outcome: outcome, CompletedAt: began.Add(took + time.Minute)}
	c.WatchID, c.Region, c.ProjectID, c.OrderName = fmt.Sprintf("w_%d", n), "cn-north-4", eventstest.Project, fmt.Sprintf("order.%d", n)
	c.Items, c.Failures, c.Requests, c.AcceptedAt = []watcher.Item{it}, []watcher.Failure{}, []watcher.Request{{ID: "r"}}, accepted
	c.Counts = watcher.Counts{Total: 1, Succeeded: 1}
	if outcome == watcher.TimedOut || outcome == watcher.Cancelled {
		c.Items[0].Status, c.Items[0].UpdatedAt, c.Counts = watcher.Processing, time.Time{}, watcher.Counts{Total: 1, Processing: 1}
	}
	if err := r.store.Complete(t.Context(), c, 0); err != nil {
		t.Fatal(err)
	}
}

// deliver hands the events of the consumer to f, until none is left to be delivered or acknowledged.
func (r rig) deliver(t *testing.T, f func(*nats.Msg)) {
	t.Helper()
	next := r.store.Names.API("CONSUMER.MSG.NEXT.ORDER_EVENTS.history")
	puller, err := link.NewPuller(r.store.JS.Conn(), next, func() int { return 1 }, time.Second, 100*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer puller.Stop()
	ctx, cancel := context.WithCancel(t.Context())
	var taking sync.WaitGroup
	taking.Go(func() {
		for {
			m, err := puller.Next(ctx)
			if errors.Is(err, link.ErrSilent) {
				continue
			}
			if err != nil {
				return
			}
			f(m)
		}
	})
	events, err := r.js.Stream(t.Context(), "ORDER_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	last := events.CachedInfo().State.LastSeq
	eventstest.Eventually(t, func() error {
		c, err := events.Consumer(t.Context(), "history")
		if err != nil {
			return err
		}
		// A consumer counts an event as pending a moment after the stream has stored it: only Delivered tells.
		if info := c.CachedInfo(); info.Delivered.Stream < last || info.NumAckPending > 0 {
			return fmt.Errorf("delivered up to event %d of %d, %d in flight", info.Delivered.Stream, last, info.NumAckPending)
		}
		return nil
	})
	cancel()
	taking.Wait()
}

func settle(t *testing.T, m *nats.Msg, v watcher.Verdict) {
	answer := m.Ack
	if v.Action != watcher.Ack {
		answer = m.Nak
	}
	if err := answer(); err != nil {
		t.Error(err)
	}
}

var (
	pools  = history.Key{Region: "cn-north-4", Actions: []string{"createPool"}}
	region = history.Key{Region: "cn-north-4"}
)

func known(k *usual.Keeper, key history.Key) int {
	if s := k.Sketch(key); s != nil {
		return s.Known()
	}
	return 0
}

// TestOnce hands completions to two workers at random. Some deliveries are lost after they were learned from, and some
// workers are stopped while they learn: each completion counts once under each of its keys, for both workers.
func TestOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	workers := []*usual.Keeper{r.keeper(t, nil), r.keeper(t, nil)}
	const ends = 60
	r.complete(t, ends, watcher.TimedOut, "createPool", 2*time.Hour)
	r.complete(t, ends+1, watcher.Cancelled, "createPool", time.Hour)
	r.complete(t, ends+2, watcher.OrderNotFound, "createPool", time.Hour)
	for i := range ends {
		r.complete(t, i, watcher.Succeeded, "createPool", 10*time.Minute)
	}
	random := rand.New(rand.NewPCG(1, 2))
	deliveries := 0
	r.deliver(t, func(m *nats.Msg) {
		deliveries++
		worker := workers[random.IntN(2)]
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		switch random.IntN(4) {
		case 0: // it dies before it acknowledges
			worker.Take(ctx, m)
			return
		case 1: // it dies while it learns, before it waited for others to learn from or after that
			waited := time.Duration(random.IntN(2)) * ackWait / 4
			time.AfterFunc(waited+time.Duration(random.IntN(1500))*time.Microsecond, cancel)
		}
		v := worker.Take(ctx, m)
		if ctx.Err() == nil {
			settle(t, m, v)
		}
	})
	if deliveries <= ends+3 {
		t.Errorf("%d deliveries: none came again", deliveries)
	}
	third := r.keeper(t, nil)
	for _, key := range []history.Key{pools, region, {Region: "cn-north-4", Actions: pools.Actions, Phase: history.First}, {Region: "cn-north-4", Phase: history.Asked}} {
		if n := known(third, key); n != ends {
			t.Errorf("%s: %d ends are known; want %d", key, n, ends)
		}
	}
	now := time.Now()
	order := history.Order{Region: "cn-north-4", Accepted: now, Items: []history.Item{{Action: "createPool", Began: now}}}
	if soon, settled := order.LateAt(third.Sketch, now), order.LateAt(third.Sketch, now.Add(time.Hour)); !soon.IsZero() || settled.IsZero() {
		t.Errorf("late at %s by what was learned just now, at %s by the same an hour on", soon, settled)
	}
	t.Logf("%d deliveries of %d events", deliveries, ends+3)
}

// TestTogether has a worker learn from completions that came together: it writes each key twice.
func TestTogether(t *testing.T) {
	t.Parallel()
	nc, js := eventstest.Connect(t, eventstest.Server(t))
	r := rig{eventstest.Provided(t, nc, eventstest.StoreConfig()), js}
	k := r.keeper(t, nil)
	const ends = 100
	for i := range ends {
		r.complete(t, i, watcher.Succeeded, "createPool", 10*time.Minute)
	}
	r.deliver(t, func(m *nats.Msg) { settle(t, m, k.Take(t.Context(), m)) })
	if n := known(k, region); n != ends {
		t.Errorf("%d ends are known; want %d", n, ends)
	}
	bucket, err := js.Stream(t.Context(), r.store.Names.HistoryStream())
	if err != nil {
		t.Fatal(err)
	}
	if state := bucket.CachedInfo().State; state.LastSeq > 2*state.Msgs {
		t.Errorf("%d keys were written %d times; want twice each", state.Msgs, state.LastSeq)
	}
}

// TestUnreadable puts into the bucket what no worker wrote, or what cannot be read: it costs the knowledge alone.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.keeper(t, nil)
	subject, orders := r.store.Names.History(region.String()), 0
	for name, message := range map[string]*nats.Msg{
		"an acknowledgement":        {Data: []byte(`{"stream":"ORDER_EVENTS","seq":4}`)},
		"nothing":                   {},
		"a value of another key":    {Data: []byte(`{"region":"cn-north-4","sketch":{}}`), Header: nats.Header{store.KeyHeader: {"$KV.ORDER_HISTORY.other"}}},
		"another key's, said here":  {Data: []byte(`{"region":"cn-east-3","sketch":{"ended":[5]},"event_sequence":1}`), Header: nats.Header{store.KeyHeader: {subject}}},
		"no JSON":                   {Data: []byte(`{"region"`), Header: nats.Header{store.KeyHeader: {subject}}},
		"no sketch":                 {Data: []byte(`{"region":"cn-north-4","sketch":{"ended":[-4]},"event_sequence":1}`), Header: nats.Header{store.KeyHeader: {subject}}},
		"a sketch of a later shape": {Data: []byte(`{"region":"cn-north-4","sketch":[1],"event_sequence":99}`), Header: nats.Header{store.KeyHeader: {subject}}},
	} {
		message.Subject = subject
		if _, err := r.js.PublishMsg(t.Context(), message); err != nil {
			t.Fatal(err)
		}
		k := r.keeper(t, nil)
		if n := known(k, region); n != 0 {
			t.Errorf("%s: %d ends are known", name, n)
		}
		orders++
		r.complete(t, orders, watcher.Succeeded, "createPool", time.Minute)
		r.deliver(t, func(m *nats.Msg) { settle(t, m, k.Take(t.Context(), m)) })
		if n := known(k, region); n != 1 {
			t.Errorf("after %s: %d ends are known; want 1", name, n)
		}
	}
}

// TestBucketLost deletes the bucket under a worker, and the stream of events.
func TestBucketLost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	k := r.keeper(t, nil)
	take := func(m *nats.Msg) { settle(t, m, k.Take(t.Context(), m)) }
	r.complete(t, 0, watcher.Succeeded, "createPool", time.Minute)
	r.deliver(t, take)
	if err := r.js.DeleteStream(t.Context(), "KV_ORDER_HISTORY"); err != nil {
		t.Fatal(err)
	}
	r.complete(t, 1, watcher.Succeeded, "createPool", time.Minute)
	r.deliver(t, take)
	if n := known(k, region); n < 1 {
		t.Errorf("%d ends are known after the bucket was lost", n)
	}
	if err := r.js.DeleteStream(t.Context(), "ORDER_EVENTS"); err != nil {
		t.Fatal(err)
	}
	if err := r.store.Ensure(t.Context(), store.Listener{Made: func(string) {}, Differs: func(string, store.Difference) {}}, ""); err != nil {
		t.Fatal(err)
	}
	before := known(k, region)
	if err := k.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.complete(t, 2, watcher.Succeeded, "createPool", time.Minute)
	r.deliver(t, take)
	if n := known(k, region); n != before+1 {
		t.Errorf("%d ends are known after events began anew; want %d", n, before+1)
	}
}

// TestForgetAndWatch lets one worker forget, and another see it, and what is learned.
func TestForgetAndWatch(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	one, other := r.keeper(t, nil), r.keeper(t, nil)
	ctx, end := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { other.Watch(ctx) })
	defer watching.Wait()
	defer end()
	sees := func(want int) {
		t.Helper()
		eventstest.Eventually(t, func() error {
			if n := known(other, pools); n != want {
				return fmt.Errorf("the other worker knows %d ends; want %d", n, want)
			}
			return nil
		})
	}
	r.complete(t, 0, watcher.Succeeded, "createPool", time.Minute)
	r.deliver(t, func(m *nats.Msg) { settle(t, m, one.Take(t.Context(), m)) })
	sees(1)
	if ok, err := one.Forget(t.Context(), pools.String()); !ok || err != nil {
		t.Errorf("%t %v", ok, err)
	}
	if ok, err := one.Forget(t.Context(), pools.String()); ok || err != nil {
		t.Errorf("forgotten twice: %t %v", ok, err)
	}
	sees(0)
	if known(one, region) != 1 || known(one, pools) != 0 {
		t.Error("another key was forgotten, or none")
	}
	r.complete(t, 1, watcher.Succeeded, "createPool", time.Minute)
	r.deliver(t, func(m *nats.Msg) { settle(t, m, one.Take(t.Context(), m)) })
	sees(1)
	var keys []string
	one.Each(func(key history.Key, _ *history.Sketch) { keys = append(keys, key.String()) })
	if got := strings.Join(keys, " "); got != "cn-north-4 cn-north-4.-.asked cn-north-4.createPool cn-north-4.createPool.first" {
		t.Errorf("the keys are %s", got)
	}
}

// TestMostKeys holds that beyond the most keys the coarser ones alone are learned.
func TestMostKeys(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	k := r.keeper(t, nil)
	const actions = history.MostKeys
	for i := range actions {
		r.complete(t, i, watcher.Succeeded, fmt.Sprintf("action-%d", i), time.Minute)
	}
	r.deliver(t, func(m *nats.Msg) { settle(t, m, k.Take(t.Context(), m)) })
	keys := 0
	k.Each(func(history.Key, *history.Sketch) { keys++ })
	if keys > history.MostKeys || keys < history.MostKeys*8/10 {
		t.Errorf("%d keys", keys)
	}
	if s := k.Sketch(region); s == nil || s.Known() < 200 {
		t.Error("the region's orders are not known")
	}
}

// TestMissing begins where bucket and consumer may not be made: it says so once.
func TestMissing(t *testing.T) {
	t.Parallel()
	nc, _ := eventstest.Connect(t, eventstest.Server(t))
	config := eventstest.StoreConfig()
	provided := eventstest.Provided(t, nc, config)
	config.Provision = false
	var said bytes.Buffer
	k := usual.New(slog.New(slog.NewTextHandler(&said, nil)), eventstest.Store(t, nc, config, nil))
	if k.Begin(t.Context(), 3) {
		t.Error("it began without a bucket")
	}
	if n := strings.Count(said.String(), "level="); n != 1 || !strings.Contains(said.String(), "level=WARN") {
		t.Errorf("it says %d times:\n%s", n, &said)
	}
	if !usual.New(slog.New(slog.DiscardHandler), provided).Begin(t.Context(), 1) || !k.Begin(t.Context(), 1) {
		t.Error("it does not begin although all is there")
	}
}
