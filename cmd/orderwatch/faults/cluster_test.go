//go:build long

package faults_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
)

// A natsCluster is three nats-servers, one of which may be away, and a connection to them.
type natsCluster struct {
	servers []*clusterServer
	url     string // of all
	js      jetstream.JetStream
}

type clusterServer struct {
	*rig.Process
	name       string
	config     string // the path of its configuration
	monitoring string // address
}

// startCluster starts three nats-servers that write to disk every two minutes, as by default.
func startCluster(t *testing.T) *natsCluster {
	t.Helper()
	const size = 3
	c := new(natsCluster)
	var clients, routes []string
	for range size {
		clients, routes = append(clients, "nats://"+rig.FreeAddr(t)), append(routes, "nats://"+rig.FreeAddr(t))
	}
	c.url = strings.Join(clients, ",")
	for i := range size {
		dir := t.TempDir()
		s := &clusterServer{name: fmt.Sprintf("n%d", i+1), config: filepath.Join(dir, "nats.conf"), monitoring: rig.FreeAddr(t)}
		text := fmt.Sprintf("server_name: %[1]s\nserver_tags: [%[1]s]\nlisten: %[2]q\nhttp: %[3]q\njetstream { store_dir: %[4]q }\ncluster { name: test, listen: %[5]q, routes: [%[6]q, %[7]q, %[8]q] }\n",
			s.name, strings.TrimPrefix(clients[i], "nats://"), s.monitoring, dir, strings.TrimPrefix(routes[i], "nats://"), routes[0], routes[1], routes[2])
		if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c.servers = append(c.servers, s)
		c.start(t, i)
	}
	c.awaitHealthy(t)
	nc, err := nats.Connect(c.url, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if c.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *natsCluster) start(t *testing.T, i int) {
	t.Helper()
	c.servers[i].Process = rig.Start(t, rig.Build(t, rig.NATSServer), nil, "-c", c.servers[i].config)
}

// awaitHealthy waits until all servers say that they, their streams and consumers are up to date.
func (c *natsCluster) awaitHealthy(t *testing.T) {
	t.Helper()
	for _, s := range c.servers {
		rig.Eventually(t, rig.Patience, s.health)
	}
}

// health returns nil if the server says that it, its streams and consumers are up to date.
func (s *clusterServer) health() error {
	answer, err := http.Get("http://" + s.monitoring + "/healthz")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(answer.Body) // what can be read of it
		return fmt.Errorf("%s: %s: %s", s.name, answer.Status, why)
	}
	return nil
}

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
