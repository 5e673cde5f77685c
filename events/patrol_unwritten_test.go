package events_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestPatrolOfUnwrittenPolls holds that a watch is not late whose record is, as long as its wake-up says that it was polled
// since; and that what is published again, once the wake-up is overdue, too, is that wake-up.
func TestPatrolOfUnwrittenPolls(t *testing.T) {
	t.Parallel()
	b := newBeat(t, eventstest.Server(t), config())
	b.clock = store.NewClock(func() time.Time { return b.dial.now().Add(-time.Hour) }) // as of the server
	b.store = eventstest.Store(t, b.js.Conn(), config().storeConfig, b.clock)
	p := b.patrol("a")
	revision := b.write(t, "order.pool", watcher.Watching, 10*time.Second, 0)
	begin := time.Now()
	wake := func(polls int, at time.Duration) {
		t.Helper()
		k := watcher.Wakeup{
			Order: of("order.pool"), WatchID: "w_order.pool", Number: 7, Revision: revision,
			Polls: polls, PolledAt: begin.Add(at - 10*time.Second), Step: polls, At: begin.Add(at),
		}
		if err := b.store.SetTimer(t.Context(), k, time.Now().Add(time.Hour)); err != nil { // it does not fire meanwhile
			t.Fatal(err)
		}
	}
	polls := 0
	for at := 20 * time.Second; at <= 5*time.Minute; at += 10 * time.Second {
		b.dial.set(at - 5*time.Second)
		polls++
		wake(polls, at)
		b.round(t, p)
	}
	if due := eventstest.Messages(t, b.js, "ORDER_WAKEUPS", "orders.due.>"); due != 0 {
		t.Fatalf("%d wake-ups are due of a watch that is polled", due)
	}
	if told := eventstest.Messages(t, b.js, "ORDER_EVENTS", "orders.attention.overdue.>"); told != 0 {
		t.Fatalf("people are told %d times of a watch that is polled", told)
	}
	woken := time.Duration(0)
	for at := 5 * time.Minute; at < 10*time.Minute && woken == 0; at += 15 * time.Second { // it is polled no more
		b.dial.set(at)
		b.round(t, p)
		if b.log.line("wake-up was overdue") == nil {
			woken = at
		}
	}
	if late := woken - 5*time.Minute; woken == 0 || late > 2*time.Minute+45*time.Second {
		t.Errorf("a wake-up that was lost was published again %s after its time", late)
	}
	stream, err := b.js.Stream(t.Context(), "ORDER_WAKEUPS")
	if err != nil {
		t.Fatal(err)
	}
	eventstest.Eventually(t, func() error {
		m, err := stream.GetLastMsgForSubject(t.Context(), "orders.due."+of("order.pool").Key())
		if err != nil {
			return err
		}
		if k, err := store.DecodeWakeup(m.Subject, "orders.due.", m.Data); err != nil || k.Polls != polls || k.Revision != revision {
			return fmt.Errorf("%s is due, %w; want poll %d", m.Data, err, polls)
		}
		return nil
	})
}

// TestPatrolForgetsWhatIsGone holds that no wake-up is published for a watch whose record was deleted without a trace, and
// that it counts as none.
func TestPatrolForgetsWhatIsGone(t *testing.T) {
	t.Parallel()
	b := newBeat(t, eventstest.Server(t), config())
	p := b.patrol("a")
	b.write(t, "order.gone", watcher.Watching, 0, 0)
	b.write(t, "order.pool", watcher.Watching, 0, 0)
	b.round(t, p)
	bucket, err := b.js.Stream(t.Context(), "KV_ORDER_WATCHES")
	if err == nil {
		err = bucket.Purge(t.Context(), jetstream.WithPurgeSubject("$KV.ORDER_WATCHES."+of("order.gone").Key()))
	}
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		b.dial.set(time.Duration(i+2) * time.Minute)
		b.round(t, p)
	}
	b.due(t, 1)
	if got := b.woken(t, "order.gone"); got != 0 {
		t.Errorf("a watch without a record was woken %d times", got)
	}
	if rows := p.Rows(); rows != 1 {
		t.Errorf("%d watches are known; want 1", rows)
	}
}

// TestPatrolAsksInTurn holds that a lost wake-up is published again although more watches are polled, and leave their records
// unwritten, than a round reads wake-ups of; and that it counts as overdue in each round from then on.
func TestPatrolAsksInTurn(t *testing.T) {
	t.Parallel()
	b := newBeat(t, eventstest.Server(t), config())
	b.clock = store.NewClock(func() time.Time { return b.dial.now().Add(-time.Hour) }) // as of the server
	b.store = eventstest.Store(t, b.js.Conn(), config().storeConfig, b.clock)
	p := b.patrol("a")
	const watches, asked = 12, 2
	begin := time.Now()
	revisions := make([]watcher.Revision, watches)
	name := func(i int) string { return fmt.Sprint("order.", i) }
	for i := range revisions {
		revisions[i] = b.write(t, name(i), watcher.Watching, 10*time.Second, 0)
	}
	p.AskAtMost(asked)
	overdue := 0
	for step := range 16 {
		at := 20 * time.Second * time.Duration(step+1)
		b.dial.set(at)
		for i := range watches - 1 { // the last one's is lost
			k := watcher.Wakeup{
				Order: of(name(i)), WatchID: "w_" + name(i), Number: 7, Revision: revisions[i],
				Polls: step + 1, PolledAt: begin.Add(at - 5*time.Second), Step: step + 1, At: begin.Add(at + 5*time.Second),
			}
			if err := b.store.SetTimer(t.Context(), k, time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		b.round(t, p)
		switch n := p.Overdue(); {
		case n > 1:
			t.Errorf("after %s %d watches count as overdue; want 1 at the most", at, n)
		case n < overdue:
			t.Errorf("after %s the watch whose wake-up was lost does not count as overdue any more", at)
		default:
			overdue = n
		}
	}
	if err := b.log.line("wake-up was overdue", name(watches-1)); err != nil || overdue != 1 {
		t.Errorf("%d watches count as overdue; want 1: %v", overdue, err)
	}
}

// TestPatrolOfAnEarlierDueMessage holds that a due message of an earlier poll does not keep the patrol from publishing the
// wake-up of the latest poll, whose timer was lost.
func TestPatrolOfAnEarlierDueMessage(t *testing.T) {
	t.Parallel()
	b := newBeat(t, eventstest.Server(t), config())
	b.clock = store.NewClock(func() time.Time { return b.dial.now().Add(-time.Hour) }) // as of the server
	b.store = eventstest.Store(t, b.js.Conn(), config().storeConfig, b.clock)
	p := b.patrol("a")
	revision := b.write(t, "order.pool", watcher.Watching, 10*time.Second, 0)
	begin := time.Now()
	k := watcher.Wakeup{Order: of("order.pool"), WatchID: "w_order.pool", Number: 7, Revision: revision, Polls: 1, PolledAt: begin, Step: 1, At: begin.Add(10 * time.Second)}
	if err := b.store.ReplaceDue(t.Context(), k); err != nil { // above the ack floor
		t.Fatal(err)
	}
	k.Polls, k.PolledAt, k.Step, k.At = 2, begin.Add(10*time.Second), 2, begin.Add(20*time.Second)
	if err := b.store.SetTimer(t.Context(), k, time.Now().Add(time.Hour)); err != nil { // it does not fire
		t.Fatal(err)
	}
	for at := time.Duration(0); at < 5*time.Minute; at += 15 * time.Second {
		b.dial.set(at)
		b.round(t, p)
	}
	stream, err := b.js.Stream(t.Context(), "ORDER_WAKEUPS")
	if err != nil {
		t.Fatal(err)
	}
	eventstest.Eventually(t, func() error {
		m, err := stream.GetLastMsgForSubject(t.Context(), "orders.due."+of("order.pool").Key())
		if err != nil {
			return err
		}
		if k, err := store.DecodeWakeup(m.Subject, "orders.due.", m.Data); err != nil || k.Polls != 2 {
			return fmt.Errorf("%s is due, %w; want poll 2", m.Data, err)
		}
		return nil
	})
}

// TestPatrolAfterLostRecords lets the server lose its latest record while the connection stays: the index has a revision that is
// not there any more. The patrol reads all anew, and publishes the wake-up of the record that is there.
func TestPatrolAfterLostRecords(t *testing.T) {
	t.Parallel()
	b := newBeat(t, eventstest.Server(t), config())
	p := b.patrol("a")
	revision := b.write(t, "order.pool", watcher.Watching, 0, 0)
	b.round(t, p)
	w, _, err := b.store.ReadLatest(t.Context(), of("order.pool"))
	if err != nil {
		t.Fatal(err)
	}
	p.See(store.Record{Watch: w, Order: w.Order, Sequence: uint64(revision) + 10, Stored: time.Now()})
	for i := range 4 {
		b.dial.set(time.Duration(i+1) * 2 * time.Minute)
		b.round(t, p)
	}
	b.due(t, 1)
}
