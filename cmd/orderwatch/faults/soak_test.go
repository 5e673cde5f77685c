//go:build long

package faults_test

import (
	"flag"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var soak = flag.Duration("soak", 5*time.Minute, "for how long TestSoak publishes requests and lets faults happen")

// What the soak does, and what it may cost. AckWait is the poller's: 2 × MODELARTS_TIMEOUT + 1 s.
const (
	soakEvery   = 4 * time.Second // between two faults
	soakAckWait = 31 * time.Second
	soakLate    = 55 * time.Second
	soakShare   = 3.0 // percent of the completions that may be later than soakLate
	soakWorst   = 2*soakAckWait + 10*time.Second
	soakNoise   = 3 // by how much a busy machine may miss the two targets before the test fails
)

// TestSoak lets something happen to three nats-servers and two workers every four seconds, with the AckWaits of the
// product. Of twelve faults one kills a server, three stop a worker for up to 1.5 times AckWait, and the others kill a
// worker; while one is stopped, the other one is killed. No request may be lost or doubled. The targets for late
// completions are printed with the figures, and the test fails at three times of them, since the machine may be busy.
// The targets are meant from the first poll: where a request is taken late, intake's AckWait, a minute, comes on top.
func TestSoak(t *testing.T) {
	t.Parallel()
	const perSecond = 20 // requests
	l := newLoad(int(soak.Seconds()*perSecond), *soak, 7)
	c := startCluster(t)
	f := startFleet(t, c.url, l, 2, "ORDERWATCH_STREAM_REPLICAS=3", "ORDERWATCH_MODELARTS_TIMEOUT=15s")
	c.awaitHealthy(t)
	poller, err := c.js.Consumer(t.Context(), "ORDER_WAKEUPS", "poller")
	if err != nil {
		t.Fatal(err)
	}
	if got := poller.CachedInfo().Config.AckWait; got != soakAckWait {
		t.Fatalf("the poller's AckWait is %s; the targets are for %s", got, soakAckWait)
	}
	var h history
	f.recorded = func(recorded history) { h = recorded }
	f.run(t, c.js, l, func(random *rand.Rand) { f.suffer(t, c, l, random) })

	for what, fromAccepted := range map[string]bool{"from the first poll": false, "from the request's acceptance": true} {
		late := h.lateness(fromAccepted)
		share, worst := overdue(late, soakLate)
		t.Logf("%s: %.2f %% of %d completions over %s late (target: %g %%), the worst %s (target: %s)",
			what, share, len(late), soakLate, soakShare, worst.Round(time.Millisecond), soakWorst)
		if share > soakNoise*soakShare || worst > soakNoise*soakWorst {
			t.Errorf("%s: far more than the targets", what)
		}
	}
}

// suffer lets one fault begin every soakEvery. One worker at most sleeps and one server at most is away at a time.
func (f *fleet) suffer(t *testing.T, c *natsCluster, l *load, random *rand.Rand) {
	t.Helper()
	const nobody = -1
	var (
		sleeps sync.WaitGroup
		asleep atomic.Int32 // the worker that sleeps
	)
	asleep.Store(nobody)
	ticks := time.NewTicker(soakEvery)
	defer ticks.Stop()
	for end := time.Now().Add(*soak); time.Now().Before(end); <-ticks.C {
		l.aim(random)
		sleeper := int(asleep.Load())
		switch kind, victim := random.IntN(12), random.IntN(2); {
		case kind == 0 && c.whole():
			server := random.IntN(len(c.servers))
			c.servers[server].Kill()
			f.serverKills.Add(1)
			c.start(t, server)
		case sleeper != nobody:
			f.restart(t, 1-sleeper)
		case kind < 4:
			asleep.Store(int32(victim))
			length := time.Second + within(random, soakAckWait*3/2)
			sleeps.Go(func() {
				defer asleep.Store(nobody)
				if err := f.sleep(victim, length); err != nil {
					t.Error(err)
				}
			})
		default:
			f.restart(t, victim)
		}
	}
	sleeps.Wait()
}

// whole reports whether all servers are healthy.
func (c *natsCluster) whole() bool {
	return !slices.ContainsFunc(c.servers, func(s *clusterServer) bool { return s.health() != nil })
}
