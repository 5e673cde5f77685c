//go:build long

package faults_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
)

// leader returns which server leads the stream.
func (c *natsCluster) leader(t *testing.T, stream string) int {
	t.Helper()
	leader := -1
	rig.Eventually(t, rig.Patience, func() error {
		s, err := c.js.Stream(t.Context(), stream)
		if err != nil {
			return err
		}
		cluster := s.CachedInfo().Cluster
		if cluster == nil {
			return errors.New("the stream is in no cluster")
		}
		leader = slices.IndexFunc(c.servers, func(s *clusterServer) bool { return s.name == cluster.Leader })
		if leader < 0 {
			return fmt.Errorf("%s has no leader", stream)
		}
		return nil
	})
	return leader
}

// clusterStreams are the streams whose leaders are killed in turn.
var clusterStreams = [...]string{"ORDER_WAKEUPS", "KV_ORDER_WATCHES", "ORDER_EVENTS", "ORDER_REQUESTS"}

// clusterFaults say what happens while so many requests are published over the span.
type clusterFaults struct {
	requests    int
	span        time.Duration
	kills       int // of servers
	leaderEvery int // each so-many-th of them kills the leader of a stream; the others any server
	workerKills int // after each kill of a server
}

// killCluster kills one of three nats-servers at a time, each time when all are healthy again.
func killCluster(t *testing.T, faults clusterFaults) {
	l := newLoad(faults.requests, faults.span, 5)
	c := startCluster(t)
	f := startFleet(t, c.url, l, 2, "ORDERWATCH_STREAM_REPLICAS=3")
	rig.ShortAckWait(t, c.js)
	c.awaitHealthy(t)
	leaders := 0
	f.run(t, c.js, l, func(random *rand.Rand) {
		for i := range faults.kills {
			wait(random, 500, 2500)
			victim := random.IntN(len(c.servers))
			if i%faults.leaderEvery == 0 {
				f.awaitReady(t) // servers are healthy before each stream has a leader, and work goes on later still
				victim = c.leader(t, clusterStreams[leaders%len(clusterStreams)])
				leaders++
			}
			l.aim(random)
			c.servers[victim].Kill()
			f.serverKills.Add(1)
			for range faults.workerKills {
				l.aim(random)
				f.restart(t, random.IntN(len(f.workers)))
			}
			wait(random, 0, 1500)
			c.start(t, victim)
			c.awaitHealthy(t)
		}
	})
	t.Logf("%d of %d kills hit the leader of a stream on purpose", leaders, faults.kills)
}
