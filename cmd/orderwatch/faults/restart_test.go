package faults_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// TestRestart kills the only worker under some hundred watches, starts it again 1 s later, and looks
// how late each watch was polled. How late is too late allows for a busy machine here;
// TestRestartLong has the true bounds.
func TestRestart(t *testing.T) {
	t.Parallel()
	restartUnderLoad(t, restart{watches: 300, mean: 2 * time.Second, ackWait: 10 * time.Second, slack: 3 * time.Second})
}

// A restart is what the only worker is killed under, and how late a watch may be after it.
type restart struct {
	watches int
	mean    time.Duration // of the intervals, which are uniform over 0.5 to 1.5 of it
	ackWait time.Duration // of the wake-ups
	slack   time.Duration // what is granted to a busy machine, beside the worst that it was late before the kill; 0: nothing is
}

// TestKilledWorkerTakesItsSlots kills a worker again and again while more wake-ups are due than it has slots. It takes no
// more wake-ups with it than it has slots: another worker can take the others at once.
func TestKilledWorkerTakesItsSlots(t *testing.T) {
	t.Parallel()
	const (
		watches = 300
		slots   = 8
		kills   = 5
	)
	w := newWitness()
	modelArts := httptest.NewServer(unending(watches, emulator.Options{Fault: w.polled, CallsKept: 1}))
	t.Cleanup(modelArts.Close)
	n := rig.StartNATS(t, "")
	addr := rig.FreeAddr(t)
	program := rig.Build(t, rig.Worker)
	env := append(steadyEnv(n.URL, modelArts.URL, addr, time.Second), fmt.Sprintf("ORDERWATCH_CONCURRENCY=%d", slots))
	p := rig.Start(t, program, env, "serve")
	rig.AwaitReady(t, addr)
	rig.ShortAckWait(t, n.JS)
	fill(t, n.JS, 0, watches)
	for range kills {
		w.awaitPolls(t, slots, time.Now(), rig.Patience)
		rig.Eventually(t, rig.Patience, func() error { return moreDue(t, n.JS, slots) })
		p.Kill()
		if caught := inFlight(t, n.JS); len(caught) > slots {
			t.Errorf("the killed worker took %d wake-ups with it; it has %d slots", len(caught), slots)
		} else {
			t.Logf("%d in flight at the kill", len(caught))
		}
		p = rig.Start(t, program, env, "serve")
		rig.AwaitReady(t, addr)
	}
	w.awaitPolls(t, watches, time.Now(), rig.Patience)
}

// moreDue returns nil if more wake-ups are due than a worker has slots, and those have come again that a worker before had
// taken with it.
func moreDue(t *testing.T, js jetstream.JetStream, slots int) error {
	consumer, err := js.Consumer(t.Context(), "ORDER_WAKEUPS", "poller")
	if err != nil {
		return err
	}
	if info := consumer.CachedInfo(); info.NumPending <= uint64(slots) || info.NumAckPending > slots {
		return fmt.Errorf("%d wake-ups are due and not taken, %d are in flight", info.NumPending, info.NumAckPending)
	}
	return nil
}

// grace is how late a watch may be after the restart; one whose wake-up was in flight when the
// worker was killed may be late by AckWait and as much.
const grace = 2 * time.Second

func restartUnderLoad(t *testing.T, r restart) {
	w := newWitness()
	cloud := unending(r.watches, emulator.Options{Fault: w.polled, CallsKept: 1})
	modelArts := httptest.NewServer(cloud)
	t.Cleanup(modelArts.Close)
	n := rig.StartNATS(t, "")
	addr := rig.FreeAddr(t)
	program, env := rig.Build(t, rig.Worker), steadyEnv(n.URL, modelArts.URL, addr, r.mean)
	p := rig.Start(t, program, env, "serve")
	rig.AwaitReady(t, addr)
	w.listen(t, n.JS)
	setAckWait(t, n.JS, r.ackWait)
	fill(t, n.JS, 0, r.watches)
	w.awaitPolls(t, r.watches, time.Now().Add(r.mean), 4*r.mean) // the first polls came in a bunch

	before := w.worst(time.Now().Add(-r.mean))
	p.Kill()
	killed := time.Now()
	caughtOrders := inFlight(t, n.JS)
	time.Sleep(time.Until(killed.Add(time.Second)))
	rig.Start(t, program, env, "serve")
	w.awaitPolls(t, r.watches, killed.Add(r.ackWait+grace), 2*r.ackWait+4*r.mean)

	slack := time.Duration(0)
	if r.slack > 0 {
		slack = r.slack + slices.Max(durations(before))
	}
	if slots := 64; len(caughtOrders) > slots {
		t.Errorf("the killed worker took %d wake-ups with it; it has %d slots", len(caughtOrders), slots)
	}
	var caught, others []time.Duration
	tooLate := 0
	for order, late := range w.worst(killed) {
		group, limit := &others, grace+slack
		if caughtOrders[order] {
			group, limit = &caught, r.ackWait+grace+slack
		}
		*group = append(*group, late)
		if late > limit {
			tooLate++
			if tooLate <= 10 {
				t.Errorf("%s was polled %s late; in flight: %t", order, late, caughtOrders[order])
			}
		}
	}
	if tooLate > 0 {
		t.Errorf("%d watches were polled too late", tooLate)
	}
	if p99 := quantile(slices.Concat(caught, others), .99); p99 > (r.ackWait + grace + slack).Seconds() {
		t.Errorf("of all watches the p99 is %.1f s late; want %s at most", p99, r.ackWait+grace+slack)
	}
	t.Logf("%d watches, mean interval %s, AckWait %s: before the kill a poll was late by %s", r.watches, r.mean, r.ackWait, spread(durations(before)))
	t.Logf("%d in flight at the kill, late by %s", len(caught), spread(caught))
	t.Logf("%d not in flight, late by %s", len(others), spread(others))
}

func setAckWait(t *testing.T, js jetstream.JetStream, ackWait time.Duration) {
	t.Helper()
	consumer, err := js.Consumer(t.Context(), "ORDER_WAKEUPS", "poller")
	if err != nil {
		t.Fatal(err)
	}
	config := consumer.CachedInfo().Config
	config.AckWait = ackWait
	if _, err := js.UpdateConsumer(t.Context(), "ORDER_WAKEUPS", config); err != nil {
		t.Fatal(err)
	}
}

// inFlight returns the orders whose wake-ups the server has delivered and knows no acknowledgement
// of, while no worker is there. A due message leaves the stream when it is acknowledged, and the
// consumer delivers in the stream's order: they are all that is due up to the last one delivered. It
// makes no difference what the killed worker had done for them: nothing, the poll, or all but the
// acknowledgement.
func inFlight(t *testing.T, js jetstream.JetStream) map[string]bool {
	t.Helper()
	orders := make(map[string]bool)
	rig.Eventually(t, rig.Patience, func() error { // the server may not have noticed the kill yet
		consumer, err := js.Consumer(t.Context(), "ORDER_WAKEUPS", "poller")
		if err != nil {
			return err
		}
		stream, err := js.Stream(t.Context(), "ORDER_WAKEUPS")
		if err != nil {
			return err
		}
		info := consumer.CachedInfo()
		if info.NumWaiting > 0 {
			return fmt.Errorf("%d pulls of the killed worker are open", info.NumWaiting)
		}
		clear(orders)
		for sequence := uint64(1); ; sequence++ {
			m, err := stream.GetMsg(t.Context(), sequence, jetstream.WithGetMsgSubject("orders.due.>"))
			if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && m.Sequence > info.Delivered.Stream {
				break
			}
			if err != nil {
				return err
			}
			orders[strings.TrimPrefix(m.Subject, "orders.due."+rig.Project+".")] = true
			sequence = m.Sequence
		}
		if len(orders) != info.NumAckPending {
			return fmt.Errorf("%d orders are in flight, %d deliveries", len(orders), info.NumAckPending)
		}
		return nil
	})
	return orders
}

// A witness sees for itself when polls are due and when they come: the wake-ups as workers publish
// them, and the calls as the cloud gets them. The clock of all is this machine's.
type witness struct {
	mu    sync.Mutex
	due   map[string][]time.Time // by order
	polls map[string][]time.Time // by order
}

func newWitness() *witness {
	return &witness{due: make(map[string][]time.Time), polls: make(map[string][]time.Time)}
}

// listen notes every wake-up that is published, scheduled or due at once.
func (w *witness) listen(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	for _, prefix := range []string{"orders.waiting.", "orders.due."} {
		sub, err := js.Conn().Subscribe(prefix+">", func(m *nats.Msg) {
			var wakeup struct{ At time.Time }
			if err := json.Unmarshal(m.Data, &wakeup); err != nil {
				t.Error(err)
				return
			}
			w.note(w.due, strings.TrimPrefix(m.Subject, prefix+rig.Project+"."), wakeup.At)
		})
		if err == nil {
			err = sub.SetPendingLimits(-1, -1)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := js.Conn().Flush(); err != nil {
		t.Fatal(err)
	}
}

// answerTime is how long the cloud takes to answer.
const answerTime = 50 * time.Millisecond

// polled notes a call, and lets it take its time, so that polls are in flight at any moment.
func (w *witness) polled(c emulator.Call) *emulator.Fault {
	w.note(w.polls, c.Order, c.Time)
	return &emulator.Fault{Delay: answerTime}
}

func (w *witness) note(where map[string][]time.Time, order string, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	where[order] = append(where[order], at)
}

// awaitPolls waits until so many orders have been polled since a time.
func (w *witness) awaitPolls(t *testing.T, orders int, since time.Time, limit time.Duration) {
	t.Helper()
	rig.Eventually(t, time.Until(since)+limit, func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		polled := 0
		for _, polls := range w.polls {
			if last := polls[len(polls)-1]; !last.Before(since) {
				polled++
			}
		}
		if polled < orders {
			return fmt.Errorf("%d of %d orders were polled", polled, orders)
		}
		return nil
	})
}

// worst returns, by order, how late its polls since a time were at the worst.
func (w *witness) worst(since time.Time) map[string]time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	worst := make(map[string]time.Duration)
	for order, polls := range w.polls {
		for _, poll := range polls {
			if !poll.Before(since) {
				worst[order] = max(worst[order], late(poll, w.due[order]))
			}
		}
	}
	return worst
}

// late returns how long before the poll the last of these times was. One that follows within the
// error of the worker's idea of the server's time is the poll's, too.
func late(poll time.Time, due []time.Time) time.Duration {
	const clockError = 100 * time.Millisecond
	var last time.Time
	for _, at := range due {
		if at.After(last) && at.Before(poll.Add(clockError)) {
			last = at
		}
	}
	return max(0, poll.Sub(last))
}

func durations(byOrder map[string]time.Duration) []time.Duration {
	all := make([]time.Duration, 0, len(byOrder))
	for _, d := range byOrder {
		all = append(all, d)
	}
	return all
}

// spread says how durations are spread.
func spread(all []time.Duration) string {
	if len(all) == 0 {
		return "nothing"
	}
	slices.Sort(all)
	at := func(q float64) time.Duration { return all[int(q*float64(len(all)-1))].Round(time.Millisecond) }
	return fmt.Sprintf("p50 %s, p99 %s, at most %s", at(.5), at(.99), at(1))
}
