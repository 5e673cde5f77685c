package main_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/watcher"
)

// TestKill kills the only worker again and again.
func TestKill(t *testing.T) {
	t.Parallel()
	l := newLoad(300, 15*time.Second, 1)
	n := startNATS(t, "")
	f := startFleet(t, n.url, l, 1)
	shortAckWait(t, n.js)
	f.run(t, n.js, l, func(random *rand.Rand) {
		for range 12 {
			wait(random, 200, 1400)
			l.aim(random)
			f.restart(t, 0)
		}
	})
}

// TestKillAndSleep kills one of two workers again and again, and lets the other one sleep for
// longer than AckWait while its polls are under way.
func TestKillAndSleep(t *testing.T) {
	t.Parallel()
	killAndSleep(t, workerFaults{requests: 400, span: 20 * time.Second, kills: 12, sleeps: 2, ackWait: 3 * time.Second})
}

// workerFaults say what happens while so many requests are published over the span.
type workerFaults struct {
	requests int
	span     time.Duration
	kills    int           // of one worker
	sleeps   int           // of the other one, each for 1.5 times ackWait
	ackWait  time.Duration // 3 s, or the 60 s of the product
}

func killAndSleep(t *testing.T, faults workerFaults) {
	l := newLoad(faults.requests, faults.span, 2)
	n := startNATS(t, "")
	f := startFleet(t, n.url, l, 2)
	if faults.ackWait == 3*time.Second {
		shortAckWait(t, n.js)
	}
	f.run(t, n.js, l, func(random *rand.Rand) {
		slept := make(chan error, 1)
		sleeper := rand.New(rand.NewPCG(random.Uint64(), 0))
		go func() {
			for range faults.sleeps {
				wait(sleeper, 500, 3000)
				l.aim(sleeper)
				if err := f.sleep(1, faults.ackWait*3/2); err != nil {
					slept <- err
					return
				}
			}
			slept <- nil
		}()
		for range faults.kills {
			wait(random, 200, 1400)
			l.aim(random)
			f.restart(t, 0)
		}
		if err := <-slept; err != nil {
			t.Error(err)
		}
	})
}

// TestKillServer kills the nats-server three times while two workers work. It acknowledges what is
// on disk alone.
func TestKillServer(t *testing.T) {
	t.Parallel()
	killServer(t, 200, 18*time.Second, 3)
}

func killServer(t *testing.T, requests int, span time.Duration, kills int) {
	l := newLoad(requests, span, 3)
	n := startNATSWith(t, "", "always")
	f := startFleet(t, n.url, l, 2)
	shortAckWait(t, n.js)
	f.run(t, n.js, l, func(random *rand.Rand) {
		for range kills {
			wait(random, 1500, 4500)
			l.aim(random)
			n.kill()
			f.serverKills.Add(1)
			wait(random, 0, 1000)
			n.process = start(t, build(t, natsServer), nil, "-c", n.config)
		}
	})
}

// wait waits for a random number of milliseconds: when a fault comes is left to chance.
func wait(random *rand.Rand, least, most int) {
	time.Sleep(time.Duration(least+random.IntN(most-least)) * time.Millisecond)
}

// A fleet is the workers under test.
type fleet struct {
	program string
	envs    [][]string
	addrs   []string
	workers []*process

	workerKills, serverKills, sleeps atomic.Int64
}

// startFleet starts so many workers on the cloud of the load, and waits until they are ready.
func startFleet(t *testing.T, natsURL string, l *load, workers int, more ...string) *fleet {
	t.Helper()
	modelArts := httptest.NewServer(l.cloud)
	t.Cleanup(modelArts.Close)
	f := &fleet{program: build(t, worker)}
	for range workers {
		addr := freeAddr(t)
		env := serveEnv(natsURL, modelArts.URL, addr, more...)
		f.addrs, f.envs = append(f.addrs, addr), append(f.envs, env)
		f.workers = append(f.workers, start(t, f.program, env, "serve"))
	}
	f.awaitReady(t)
	return f
}

func (f *fleet) awaitReady(t *testing.T) {
	t.Helper()
	for _, addr := range f.addrs {
		awaitReady(t, addr)
	}
}

// restart kills a worker and starts it again.
func (f *fleet) restart(t *testing.T, i int) {
	t.Helper()
	f.workers[i].kill()
	f.workerKills.Add(1)
	f.workers[i] = start(t, f.program, f.envs[i], "serve")
}

// sleep pauses a worker and wakes it.
func (f *fleet) sleep(i int, d time.Duration) error {
	p := f.workers[i].command.Process
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("pause worker %d: %w", i, err)
	}
	time.Sleep(d)
	f.sleeps.Add(1)
	return p.Signal(syscall.SIGCONT)
}

// drainLimit is how long all may take to finish after the last fault and the last request.
const drainLimit = 2 * time.Minute

// run publishes the load while faults happen, waits until all is finished, and checks the history.
func (f *fleet) run(t *testing.T, js jetstream.JetStream, l *load, faults func(*rand.Rand)) {
	t.Helper()
	const seed = 4
	published := make(chan error, 1)
	go func() { published <- l.publish(t.Context(), js) }()
	faults(rand.New(rand.NewPCG(seed, seed)))
	faultless := time.Now()
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	f.awaitReady(t)
	awaitDrained(t, js)
	drained := time.Now()

	h := recordHistory(t, js, l)
	v := check(h)
	for i, violation := range v.violations {
		if i == 20 {
			t.Errorf("and %d more", len(v.violations)-i)
			break
		}
		t.Error(violation)
	}
	t.Logf("%d requests for %d orders; %d worker kills, %d sleeps, %d server kills; %d completions: %d requests joined, %d watches were not their order's first; %d polls; missing %d, doubled %d; drained %.1f s after the last fault, %.1f s after the last PubAck",
		len(h.accepted), len(h.orders), f.workerKills.Load(), f.sleeps.Load(), f.serverKills.Load(), v.completions, v.joined, v.later, v.polls,
		v.missing, v.doubled, drained.Sub(faultless).Seconds(), drained.Sub(l.lastAck).Seconds())
	if drained.Sub(faultless) > drainLimit && drained.Sub(l.lastAck) > drainLimit {
		t.Errorf("not drained within %s", drainLimit)
	}
}

func orderName(i int) string { return fmt.Sprintf("order.pool-%03d", i) }
func requestID(i int) string { return fmt.Sprintf("build-%03d", i) }

// awaitDrained waits until nothing is left to do.
func awaitDrained(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	eventually(t, drainLimit, func() error {
		for _, name := range []string{"ORDER_REQUESTS", "ORDER_WAKEUPS"} {
			s, err := js.Stream(t.Context(), name)
			if err != nil {
				return err
			}
			if n := s.CachedInfo().State.Msgs; n > 0 {
				return fmt.Errorf("%s holds %d messages", name, n)
			}
		}
		return nil
	})
}

// completion reads the data of a completion event.
func completion(t *testing.T, m jetstream.Msg) watcher.Completion {
	t.Helper()
	var event struct{ Data watcher.Completion }
	if err := json.Unmarshal(m.Data(), &event); err != nil {
		t.Fatal(err)
	}
	return event.Data
}

// checkRecords holds that there are so many records and that all are ended.
func checkRecords(t *testing.T, js jetstream.JetStream, want int) {
	t.Helper()
	got := 0
	stored(t, js, "KV_ORDER_WATCHES", "$KV.ORDER_WATCHES.*.>", func(m jetstream.Msg) {
		got++
		w, err := watcher.DecodeWatch(m.Data())
		if err != nil {
			t.Error(err)
		}
		if w.State != watcher.Ended {
			t.Errorf("record of %s is %s", w.Order, w.State)
		}
	})
	if got != want {
		t.Errorf("%d records; want %d", got, want)
	}
}
