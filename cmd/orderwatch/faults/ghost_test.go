package faults_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// ghosts say which due messages lie below the consumer's ack floor: the server takes them for acknowledged, and
// never delivers them.
type ghosts int

const (
	noGhosts    ghosts = iota
	expected           // the wake-up that the record expects
	alsoEarlier        // and that of an earlier step
)

// ghostOrder is the order whose wake-ups plantGhosts loses.
var ghostOrder = orderName(9000)

// TestGhosts plants ghosts and kills no server. Its patrol is quick.
func TestGhosts(t *testing.T) {
	t.Parallel()
	for name, planted := range map[string]ghosts{"expected": expected, "also an earlier one": alsoEarlier} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			killServer(t, serverDeaths{requests: 20, span: 2 * time.Second, ghosts: planted, seed: 3}, `FAULT_TIMING={"PatrolEvery":"1s","PatrolSlack":"15s"}`)
		})
	}
}

// plantGhosts starts a watch of ghostOrder, and brings about between two of its polls what a killed server may
// leave behind: its timer is lost, and all that lies on its due subject are ghosts. The patrol alone can wake it.
func (f *fleet) plantGhosts(t *testing.T, n *rig.NATS, l *load, which ghosts) {
	t.Helper()
	l.addGhostOrder()
	request := plannedRequest{id: "build-ghost", order: ghostOrder}
	l.published[request.id] = ghostOrder
	if err := l.insist(t.Context(), n.JS, request); err != nil {
		t.Fatal(err)
	}
	rig.Eventually(t, rig.Patience, func() error {
		if polls := l.cloud.Polls(rig.Project, ghostOrder); polls < 3 {
			return fmt.Errorf("%s was polled %d times", ghostOrder, polls)
		}
		return nil
	})
	f.kill()
	awaitDue(t, n.JS)
	w := ghostRecord(t, n.JS)
	if w.State != watcher.Watching || w.Wakeup < 2 {
		t.Fatalf("the watch is %s and expects wake-up %d", w.State, w.Wakeup)
	}
	if which == alsoEarlier {
		earlier := fmt.Appendf(nil, `{"watch_id":%q,"wakeup":%d,"at":"2026-01-01T00:00:00Z"}`, w.ID, w.Wakeup-1)
		if _, err := n.JS.Publish(t.Context(), "orders.due."+rig.Project+"."+ghostOrder, earlier); err != nil {
			t.Fatal(err)
		}
	}
	n.Terminate(t)
	files := filepath.Join(filepath.Dir(n.Config), "jetstream", "$G", "streams", "ORDER_WAKEUPS")
	messages := filepath.Join(files, "msgs")
	before := t.TempDir()
	copyOver(t, before, messages)
	n.Process = rig.Start(t, rig.Build(t, rig.NATSServer), nil, "-c", n.Config)
	planted := takeAllDue(t, n.JS)
	awaitAckFloor(t, n.JS, filepath.Join(files, "obs", "poller", "o.dat"))
	n.Terminate(t)
	copyOver(t, messages, before)
	n.Process = rig.Start(t, rig.Build(t, rig.NATSServer), nil, "-c", n.Config)
	checkGhosts(t, n.JS, planted)
	f.ghosts++
	f.start(t)
}

// addGhostOrder adds an order that goes on while the ghosts are planted, and has ended long before the patrol
// looks.
func (l *load) addGhostOrder() {
	l.addOrder(ghostOrder, rand.New(rand.NewPCG(1, 1)))
	l.orders[ghostOrder] = scripted{
		script:  emulator.Order{FromFirstPoll: true, Count: emulator.CountAll, Items: []emulator.Item{{ResourceName: "node-0", Status: "succeed", EndAfter: 10 * time.Second}}},
		outcome: watcher.Succeeded, counts: watcher.Counts{Total: 1, Succeeded: 1},
	}
	l.channels[ghostOrder] = slackChannel(0)
	l.cloud.Add(rig.Project, ghostOrder, l.orders[ghostOrder].script)
}

// kill kills all workers.
func (f *fleet) kill() {
	for _, w := range f.workers {
		w.Kill()
		f.workerKills.Add(1)
	}
	f.killed = append(f.killed, f.workers...)
}

// start starts all workers again.
func (f *fleet) start(t *testing.T) {
	t.Helper()
	for i := range f.workers {
		f.workers[i] = rig.Start(t, f.program, f.envs[i], "serve")
	}
	f.awaitReady(t)
}

// awaitDue waits until the server knows that no worker is there, and all that is in the stream is due.
func awaitDue(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	rig.Eventually(t, rig.Patience, func() error {
		consumer, err := js.Consumer(t.Context(), "ORDER_WAKEUPS", "poller")
		if err != nil {
			return err
		}
		if n := consumer.CachedInfo().NumWaiting; n > 0 {
			return fmt.Errorf("%d pulls of killed workers are open", n)
		}
		stream, err := js.Stream(t.Context(), "ORDER_WAKEUPS")
		if err != nil {
			return err
		}
		info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter("orders.>"))
		if err != nil {
			return err
		}
		if info.State.Subjects["orders.due."+rig.Project+"."+ghostOrder] == 0 || len(info.State.Subjects) > 1 {
			return fmt.Errorf("wake-ups: %v", info.State.Subjects)
		}
		return nil
	})
}

// takeAllDue takes and acknowledges all that is due, and returns how many messages those are.
func takeAllDue(t *testing.T, js jetstream.JetStream) (taken int) {
	t.Helper()
	rig.Eventually(t, rig.Patience, func() error {
		consumer, err := js.Consumer(t.Context(), "ORDER_WAKEUPS", "poller")
		if err != nil {
			return err
		}
		due, err := consumer.Fetch(10, jetstream.FetchMaxWait(time.Second))
		if err != nil {
			return err
		}
		for m := range due.Messages() {
			if err := m.DoubleAck(t.Context()); err != nil {
				return err
			}
			taken++
		}
		return eventstest.Settled(t.Context(), js, "ORDER_WAKEUPS", "poller")
	})
	return taken
}

// awaitAckFloor waits until the server has written to the file what the consumer's ack floor is: one that is
// stopped while it writes may forget the last acknowledgement. In the file the floor follows two bytes and the
// same by the consumer's count.
func awaitAckFloor(t *testing.T, js jetstream.JetStream, path string) {
	t.Helper()
	rig.Eventually(t, rig.Patience, func() error {
		consumer, err := js.Consumer(t.Context(), "ORDER_WAKEUPS", "poller")
		if err != nil {
			return err
		}
		state, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		floors := bytes.NewReader(state[min(len(state), 2):])
		_, err = binary.ReadUvarint(floors)
		if err != nil {
			return err
		}
		if floor, err := binary.ReadUvarint(floors); err != nil || floor != consumer.CachedInfo().AckFloor.Stream {
			return fmt.Errorf("ack floor %d on disk (%v); want %d", floor, err, consumer.CachedInfo().AckFloor.Stream)
		}
		return nil
	})
}

// checkGhosts holds that so many messages lie in the stream, all of them below the ack floor.
func checkGhosts(t *testing.T, js jetstream.JetStream, want int) {
	t.Helper()
	rig.Eventually(t, rig.Patience, func() error {
		stream, err := js.Stream(t.Context(), "ORDER_WAKEUPS")
		if err != nil {
			return err
		}
		consumer, err := js.Consumer(t.Context(), "ORDER_WAKEUPS", "poller")
		if err != nil {
			return err
		}
		state, info := stream.CachedInfo().State, consumer.CachedInfo()
		if want == 0 || state.Msgs != uint64(want) || info.AckFloor.Stream < state.LastSeq || info.NumPending > 0 {
			return fmt.Errorf("%d messages up to %d, ack floor %d, %d to be delivered; want %d ghosts", state.Msgs, state.LastSeq, info.AckFloor.Stream, info.NumPending, want)
		}
		return nil
	})
}

// copyOver puts a copy of the folder from in the place of the folder to.
func copyOver(t *testing.T, to, from string) {
	t.Helper()
	err := os.RemoveAll(to)
	if err == nil {
		err = os.CopyFS(to, os.DirFS(from))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func ghostRecord(t *testing.T, js jetstream.JetStream) watcher.Watch {
	t.Helper()
	bucket, err := js.KeyValue(t.Context(), "ORDER_WATCHES")
	if err != nil {
		t.Fatal(err)
	}
	entry, err := bucket.Get(t.Context(), rig.Project+"."+ghostOrder)
	if err != nil {
		t.Fatal(err)
	}
	w, err := watcher.DecodeWatch(entry.Value())
	if err != nil {
		t.Fatal(err)
	}
	return w
}
