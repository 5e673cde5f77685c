package faults_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// TestRollOpenWatches rolls two workers under 500 open watches from workers that write records as the release
// before does. With the tag long, TestRollFromTheReleaseBefore does so from that release itself.
func TestRollOpenWatches(t *testing.T) {
	t.Parallel()
	rollOpenWatches(t, buildWithoutHeader(t))
}

// rollOpenWatches replaces two workers of the release before one by one by this release, rolls both back, and
// replaces them again, under 500 open watches that requests join meanwhile. Then all orders end: each request is
// in exactly one completion, no record was taken for broken, and nothing is left.
func rollOpenWatches(t *testing.T, before string) {
	l := newOpenLoad(500, nil)
	n := rig.StartNATS(t, "")
	f := startFleetOf(t, before, n.URL, l, 2, "ORDERWATCH_POLL_INITIAL=1s", "ORDERWATCH_POLL_MAX=2s")
	var completions []storedMessage
	f.recorded = func(h history) { completions = h.completed() }
	this := rig.Build(t, rig.Worker)
	l.publishAll(t, n.JS)
	l.awaitHeaders(t, n.JS, 0)

	joining, stop := context.WithCancel(t.Context())
	joined := make(chan error, 1)
	go func() { joined <- l.join(joining, n.JS) }()
	for _, program := range []string{this, before, this} {
		for i := range f.workers {
			f.replace(t, i, program)
			l.awaitPolls(t, 2)
		}
		want := 0
		if program == this {
			want = len(l.orders)
		}
		l.awaitHeaders(t, n.JS, want) // every watch was polled and written by this release, or by the one before
	}
	stop()
	if err := <-joined; err != nil {
		t.Fatal(err)
	}
	ended := time.Now()
	l.endAll()
	f.finish(t, n.JS, l, ended)

	for _, m := range completions {
		if m.at.Before(ended) {
			t.Errorf("%s was published before its order ended", m.subject)
		}
	}
	if m, err := lastMessage(t.Context(), n.JS, "KV_ORDER_WATCHES", "$KV.ORDER_WATCHES.broken"); !errors.Is(err, jetstream.ErrMsgNotFound) {
		t.Errorf("broken records: %v, %v", m, err)
	}
	for _, output := range f.outputs() {
		for line := range strings.Lines(output) {
			if strings.Contains(line, "broken record") || strings.Contains(line, "level=ERROR") {
				t.Errorf("a worker says %s", line)
			}
		}
	}
}

// newOpenLoad plans a request for each of so many orders, which go on until they are ended. polled is told of each poll; it may
// be nil.
func newOpenLoad(orders int, polled func(emulator.Call) *emulator.Fault) *load {
	l := &load{
		cloud:  emulator.New(emulator.Options{Tokens: []string{modelArtsToken}, CallsKept: 1 << 20, Fault: polled}),
		orders: make(map[string]scripted), published: make(map[string]string), channels: make(map[string]string),
		acked: make(map[string]bool),
	}
	for i := range orders {
		order := orderName(i)
		l.cloud.Add(rig.Project, order, running())
		l.channels[order] = slackChannel(i % slackChannels)
		l.orders[order] = scripted{script: ended, outcome: watcher.PartiallyFailed, counts: watcher.Counts{Total: 2, Succeeded: 1, Failed: 1}}
		l.requests = append(l.requests, plannedRequest{id: requestID(i), order: order})
		l.published[requestID(i)] = order
	}
	return l
}

// publishAll publishes the planned requests and waits until every one has its watch.
func (l *load) publishAll(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	for _, r := range l.requests {
		if err := l.insist(t.Context(), js, r); err != nil {
			t.Fatal(err)
		}
	}
	l.awaitPolls(t, 1)
}

// join publishes requests for orders that are watched, some of them twice, until ctx is done.
func (l *load) join(ctx context.Context, js jetstream.JetStream) error {
	first := len(l.requests)
	for i := first; pause(ctx, 40*time.Millisecond); i++ {
		r := plannedRequest{id: requestID(i), order: orderName(i * 7 % first)}
		l.published[r.id] = r.order
		for range 1 + i%2 {
			if err := l.insist(context.WithoutCancel(ctx), js, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// endAll ends all orders.
func (l *load) endAll() {
	for order, o := range l.orders {
		l.cloud.Add(rig.Project, order, o.script)
	}
}

// awaitPolls waits until every order was asked for so many times more.
func (l *load) awaitPolls(t *testing.T, more int) {
	t.Helper()
	want := make(map[string]int)
	for order := range l.orders {
		want[order] = l.cloud.Polls(rig.Project, order) + more
	}
	rig.Eventually(t, rig.Patience, func() error {
		for order, n := range want {
			if got := l.cloud.Polls(rig.Project, order); got < n {
				return fmt.Errorf("%s was asked for %d times; want %d", order, got, n)
			}
		}
		return nil
	})
}

// awaitHeaders waits until so many of the orders' records have the header of this release, and all are of open
// watches.
func (l *load) awaitHeaders(t *testing.T, js jetstream.JetStream, want int) {
	t.Helper()
	s, err := js.Stream(t.Context(), "KV_ORDER_WATCHES")
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := s.OrderedConsumer(t.Context(), jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{"$KV.ORDER_WATCHES." + rig.Project + ".>"}, DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy,
	})
	if err != nil {
		t.Fatal(err)
	}
	written, err := consumer.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer written.Stop()
	limit := time.AfterFunc(rig.Patience, written.Stop)
	defer limit.Stop()
	with, without := make(map[string]bool), make(map[string]bool) // orders, as their last records are
	for len(with) != want || len(with)+len(without) != len(l.orders) {
		m, err := written.Next()
		if err != nil {
			t.Fatalf("%d records have the header, and %d have not; want %d with it: %v", len(with), len(without), want, err)
		}
		w, err := watcher.DecodeWatch(m.Data())
		if err != nil {
			t.Fatal(err)
		}
		if w.State != watcher.Watching {
			t.Fatalf("%s is %s", w.Order, w.State)
		}
		delete(with, w.Name)
		delete(without, w.Name)
		if m.Headers().Get(store.RecordHeader) != "" {
			with[w.Name] = true
		} else {
			without[w.Name] = true
		}
	}
}

func lastMessage(ctx context.Context, js jetstream.JetStream, stream, subject string) (*jetstream.RawStreamMsg, error) {
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return nil, err
	}
	return s.GetLastMsgForSubject(ctx, subject)
}
