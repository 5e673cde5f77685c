//go:build long

package faults_test

import (
	"fmt"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// An operation is one that deploy/NATS.md documents, under open watches.
type operation struct {
	name string
	do   func()
}

// A ledger is an installation of two workers and some watches that go on.
type ledger struct {
	*natsCluster
	cloud *emulator.Emulator
}

// openWatches is how many watches of a ledger go on.
const openWatches = 18

func newLedger(t *testing.T, replicas int) *ledger {
	t.Helper()
	l := &ledger{startCluster(t), emulator.New(emulator.Options{})}
	modelArts := httptest.NewServer(l.cloud)
	t.Cleanup(modelArts.Close)
	for range 2 {
		addr := rig.FreeAddr(t)
		rig.Start(t, rig.Build(t, rig.Worker), rig.ServeEnv(l.url, modelArts.URL, addr, fmt.Sprintf("ORDERWATCH_STREAM_REPLICAS=%d", replicas)), "serve")
		rig.AwaitReady(t, addr)
	}
	for i := range openWatches {
		l.cloud.Add(rig.Project, orderName(i), emulator.Order{Count: emulator.CountAll, Items: []emulator.Item{{ResourceName: "node", EndAfter: emulator.Never}}})
		request := fmt.Sprintf(`{"project_id":%q,"order_name":%q,"request_id":%q}`, rig.Project, orderName(i), requestID(i))
		if _, err := l.js.Publish(t.Context(), "orders.watch", []byte(request)); err != nil {
			t.Fatal(err)
		}
	}
	l.goOn(t, "at first")
	return l
}

// goOn waits until each watch was polled three times more: the first poll may have begun before, and the wake-up
// of the second have come.
func (l *ledger) goOn(t *testing.T, after string) {
	t.Helper()
	begin := time.Now()
	var before [openWatches]int
	for i := range before {
		before[i] = l.cloud.Polls(rig.Project, orderName(i))
	}
	rig.Eventually(t, rig.Patience, func() error {
		for i, n := range before {
			if more := l.cloud.Polls(rig.Project, orderName(i)) - n; more < 3 {
				return fmt.Errorf("after %s, %s was polled %d times", after, orderName(i), more)
			}
		}
		return nil
	})
	took := time.Since(begin)
	t.Logf("%s: all watches were polled three times within %s", after, took)
	if most := 90 * time.Second; took > most { // one that stood still until the patrol would take over 2 min
		t.Errorf("%s: %s; want %s at the most", after, took, most)
	}
}

// edit changes a stream's configuration. NATS refuses it while it moves what was changed before.
func (l *ledger) edit(t *testing.T, stream string, change func(*jetstream.StreamConfig)) {
	t.Helper()
	rig.Eventually(t, rig.Patience, func() error {
		s, err := l.js.Stream(t.Context(), stream)
		if err != nil {
			return err
		}
		config := s.CachedInfo().Config
		change(&config)
		_, err = l.js.UpdateStream(t.Context(), config)
		return err
	})
}

// lameDuck tells the server that leads the stream to go, as nats-server --signal ldm does, and starts it again
// when it has gone.
func (l *ledger) lameDuck(t *testing.T, stream string) {
	t.Helper()
	n := l.leader(t, stream)
	s := l.servers[n]
	if out, err := exec.Command(rig.Build(t, rig.NATSServer), "--signal", fmt.Sprintf("ldm=%d", s.Command.Process.Pid)).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.Says(t, "Entering lame duck mode")
	l.goOn(t, "lame duck mode of "+s.name)
	<-s.Done
	l.goOn(t, "the end of "+s.name)
	l.natsCluster.start(t, n)
	l.awaitHealthy(t)
}

// elsewhere returns a server that does not lead the stream.
func (l *ledger) elsewhere(t *testing.T, stream string) string {
	t.Helper()
	return l.servers[(l.leader(t, stream)+1)%len(l.servers)].name
}

// moved waits until the server leads the stream.
func (l *ledger) moved(t *testing.T, stream, server string) {
	t.Helper()
	rig.Eventually(t, rig.Patience, func() error {
		if led := l.servers[l.leader(t, stream)].name; led != server {
			return fmt.Errorf("%s leads %s, not %s", led, stream, server)
		}
		return nil
	})
}

// TestOperations does to three servers what deploy/NATS.md says that people do, under open watches: no watch
// stands still until the patrol.
func TestOperations(t *testing.T) {
	l := newLedger(t, 1)
	const stream = "ORDER_WAKEUPS"
	replicas := func(n int) func() {
		return func() {
			for _, name := range []string{"ORDER_REQUESTS", stream, "ORDER_EVENTS", "KV_ORDER_WATCHES", "KV_ORDER_ACCOUNTS", "KV_ORDER_SLACK"} {
				l.edit(t, name, func(c *jetstream.StreamConfig) { c.Replicas = n })
			}
			l.awaitHealthy(t)
		}
	}
	for _, step := range []operation{
		{"another placement", func() {
			to := l.elsewhere(t, stream)
			l.edit(t, stream, func(c *jetstream.StreamConfig) { c.Placement = &jetstream.Placement{Tags: []string{to}} })
			l.moved(t, stream, to)
			l.edit(t, stream, func(c *jetstream.StreamConfig) { c.Placement = nil })
		}},
		{"more replicas", replicas(3)},
		{"a leader's step-down", func() { l.stepDown(t, stream) }},
		{"lame duck mode", func() { l.lameDuck(t, stream) }},
		{"a step-down of the leader of records", func() { l.stepDown(t, "KV_ORDER_WATCHES") }},
		{"one replica", replicas(1)},
	} {
		step.do()
		l.goOn(t, step.name)
	}
	if overdue, err := l.js.Stream(t.Context(), "ORDER_EVENTS"); err == nil {
		info, err := overdue.Info(t.Context(), jetstream.WithSubjectFilter("orders.attention.>"))
		if err != nil {
			t.Fatal(err)
		}
		for subject := range info.State.Subjects {
			if strings.HasPrefix(subject, "orders.attention.overdue") {
				t.Errorf("watches were overdue: %s", subject)
			}
		}
	}
}
