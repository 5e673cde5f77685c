package faults_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
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
func startCluster(t testing.TB) *natsCluster {
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

func (c *natsCluster) start(t testing.TB, i int) {
	t.Helper()
	c.servers[i].Process = rig.Start(t, rig.Build(t, rig.NATSServer), nil, "-c", c.servers[i].config)
}

// awaitHealthy waits until all servers say that they, their streams and consumers are up to date.
func (c *natsCluster) awaitHealthy(t testing.TB) {
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

// stepDown does what nats stream cluster step-down does.
func (c *natsCluster) stepDown(t testing.TB, stream string) {
	t.Helper()
	rig.Eventually(t, rig.Patience, func() error {
		reply, err := c.js.Conn().Request("$JS.API.STREAM.LEADER.STEPDOWN."+stream, nil, 5*time.Second)
		if err != nil {
			return err
		}
		var answer struct{ Error *jetstream.APIError }
		if err := json.Unmarshal(reply.Data, &answer); err != nil || answer.Error == nil {
			return err
		}
		return answer.Error
	})
}
