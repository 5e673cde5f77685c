//go:build long

package faults_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// TestRollFromTheReleaseBefore rolls two workers under 500 open watches from the release before, built from the
// repository's history.
func TestRollFromTheReleaseBefore(t *testing.T) {
	t.Parallel()
	rollOpenWatches(t, buildOf(t, releaseBefore))
}

// TestReleaseBeforeBesideThisOne publishes 300 requests that a worker of the release before and one of this release take
// together, and 300 more when the latter was rolled back.
func TestReleaseBeforeBesideThisOne(t *testing.T) {
	t.Parallel()
	besideReleaseBefore(t, buildOf(t, releaseBefore), 300, 20*time.Second)
}

// TestRollThreeWorkersLong rolls three workers under 2,000 watches, by itself: within 10 s of SIGTERM each has ended, and of
// all watches the p99 is late by 2 s at most.
func TestRollThreeWorkersLong(t *testing.T) {
	exits, late := rollThreeWorkers(t, 2000, 6*time.Second)
	for i, took := range exits {
		if took > 10*time.Second {
			t.Errorf("worker %d took %s to end", i, took)
		}
	}
	if p99 := quantile(late, .99); p99 > 2 {
		t.Errorf("of all watches the p99 was polled %.2f s late in the roll; want 2 s at most", p99)
	}
}

// TestTheReleaseBeforeMeetsThisOne rolls the only worker from the release before to this one, and back after it told of a
// broken record and moved it aside. The release before drops that event with a log line, and tells nobody. It leaves alone what
// was moved aside, and the order can be watched again. Of what this release added it keeps in a record what went wrong (troubles),
// and goes on with the watch.
func TestTheReleaseBeforeMeetsThisOne(t *testing.T) {
	t.Parallel()
	before := buildOf(t, releaseBefore)
	cloud := emulator.New(emulator.Options{})
	for _, order := range []string{"order.broken", "order.good", "order.troubled"} {
		cloud.Add(rig.Project, order, running())
	}
	modelArts := httptest.NewServer(cloud)
	t.Cleanup(modelArts.Close)
	n := rig.StartNATS(t, "")
	addr := rig.FreeAddr(t)
	roll := func(from *rig.Process, to string) *rig.Process {
		if from != nil {
			if code, _ := from.Terminate(t); code != 0 {
				t.Errorf("a worker ended with %d", code)
			}
		}
		p := rig.Start(t, to, rig.ServeEnv(n.URL, modelArts.URL, addr), "serve")
		rig.AwaitReady(t, addr)
		return p
	}
	old := roll(nil, before)
	ask := func(id, order string) {
		rig.Publish(t, n.JS, fmt.Sprintf(`{"project_id":%q,"order_name":%q,"request_id":%q}`, rig.Project, order, id))
	}
	ask("broken-1", "order.broken")
	ask("good-1", "order.good")
	ask("troubled-1", "order.troubled")
	bucket, err := n.JS.KeyValue(t.Context(), "ORDER_WATCHES")
	if err != nil {
		t.Fatal(err)
	}
	for _, order := range []string{"order.broken", "order.good", "order.troubled"} {
		rig.ReadRecord(t, bucket, order) // it was taken by the release before
	}
	this := roll(old, rig.Build(t, rig.Worker))
	refusing := running()
	refusing.Faults = []emulator.Fault{{Status: http.StatusInternalServerError}}
	cloud.Add(rig.Project, "order.troubled", refusing)
	type addition struct {
		Polls    int
		Troubles json.RawMessage
	}
	added := func() (a addition) {
		if err := json.Unmarshal(rig.ReadRecord(t, bucket, "order.troubled").Value(), &a); err != nil {
			t.Fatal(err)
		}
		return a
	}
	rig.Eventually(t, rig.Patience, func() error {
		if len(added().Troubles) == 0 {
			return errors.New("the record has no troubles")
		}
		return nil
	})
	cloud.Add(rig.Project, "order.troubled", running())
	changeRecord(t, bucket, "order.broken", "schema", 0)
	var told, aside *jetstream.RawStreamMsg
	rig.Eventually(t, 8*time.Minute, func() (err error) {
		if told, err = lastMessage(t.Context(), n.JS, "ORDER_EVENTS", "orders.attention.record."+rig.Project+".order.broken"); err != nil {
			return fmt.Errorf("event: %w", err)
		}
		if aside, err = lastMessage(t.Context(), n.JS, "KV_ORDER_WATCHES", "$KV.ORDER_WATCHES.=broken."+rig.Project+".order.broken"); err != nil {
			return fmt.Errorf("what is moved aside: %w", err)
		}
		return nil
	})
	old = roll(this, before)
	left := added()
	if _, err := n.JS.PublishMsg(t.Context(), &nats.Msg{Subject: told.Subject, Data: told.Data}); err != nil {
		t.Fatal(err)
	}
	ask("broken-2", "order.broken")
	ask("good-2", "order.good")
	rig.Eventually(t, rig.Patience, func() error {
		for id, order := range map[string]string{"broken-2": "order.broken", "good-2": "order.good"} {
			if record := rig.ReadRecord(t, bucket, order); !bytes.Contains(record.Value(), []byte(id)) {
				return fmt.Errorf("%s did not join", id)
			}
		}
		return nil
	})
	// What is moved aside can be a record that the release before reads: its patrol takes it for overdue after a
	// minute, and the wake-up that it publishes does no harm.
	rig.Eventually(t, 4*time.Minute, func() error {
		if !strings.Contains(old.Text(), "wake-up was overdue") {
			return errors.New("the release before has not patrolled yet")
		}
		return nil
	})
	rig.Eventually(t, rig.Patience, func() error {
		now := added()
		if !bytes.Equal(now.Troubles, left.Troubles) {
			t.Fatalf("the release before makes %s of %s", now.Troubles, left.Troubles)
		}
		if now.Polls <= left.Polls {
			return fmt.Errorf("the release before has not written the record: %d polls", now.Polls)
		}
		return nil
	})
	wanted := map[string][]string{"order.broken": {"broken-2"}, "order.good": {"good-1", "good-2"}, "order.troubled": {"troubled-1"}}
	for order := range wanted {
		cloud.Add(rig.Project, order, ended)
	}
	for _, c := range rig.AwaitCompletions(t, n.JS, len(wanted)) {
		want := wanted[c.OrderName]
		var ids []string
		for _, r := range c.Requests {
			ids = append(ids, r.ID)
		}
		if !slices.Equal(ids, want) {
			t.Errorf("the completion of %s names %v; want %v", c.OrderName, ids, want)
		}
	}
	rig.AwaitDrained(t, n.JS)
	if m, err := lastMessage(t.Context(), n.JS, "KV_ORDER_WATCHES", aside.Subject); err != nil || m.Sequence != aside.Sequence || !bytes.Equal(m.Data, aside.Data) {
		t.Errorf("what was moved aside has changed: %v", err)
	}
	for line := range strings.Lines(old.Text()) {
		if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") {
			t.Logf("the release before says: %s", line)
		}
	}
	if !strings.Contains(old.Text(), "dropped what is no event of its subject") {
		t.Error("the release before does not say that it dropped an event")
	}
}
