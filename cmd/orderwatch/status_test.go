package main_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig/clinic"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig/guarded"
	"github.com/orderwatch/orderwatch/events/schema/schematest"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// status runs orderwatch status and returns its exit code and what it printed.
func status(t *testing.T, env []string, args ...string) (code int, out string) {
	t.Helper()
	p := rig.Start(t, rig.Build(t, rig.Worker), env, append([]string{"status"}, args...)...)
	select {
	case <-p.Done:
	case <-time.After(rig.Patience):
		t.Fatal("status still runs")
	}
	return p.Command.ProcessState.ExitCode(), p.Text()
}

// TestStatusPerson shows a person of nats-permissions.conf how an installation is: nobody at work, all well,
// and an account held, a record broken, a message refused.
func TestStatusPerson(t *testing.T) {
	t.Parallel()
	g := guarded.Start(t, permissionRules(t), nats.UserInfo("setup", "planted-setup"))
	c := clinic.New(t)
	as := func(user string, more ...string) []string {
		return c.Env(g.URL, append([]string{"ORDERWATCH_NATS_USER=" + user, "ORDERWATCH_NATS_PASSWORD=planted-" + user}, more...)...)
	}
	person := []string{"ORDERWATCH_NATS_URL=" + g.URL, "ORDERWATCH_NATS_USER=person", "ORDERWATCH_NATS_PASSWORD=planted-person"}
	clinic.Provision(t, as("setup"))
	if code, out := status(t, person); code != 1 || !strings.Contains(out, "no worker answers: nobody answers on orderwatch.status: is orderwatch serve running") {
		t.Errorf("with no worker: exit code %d, %s", code, out)
	}
	for range 2 {
		addr := rig.FreeAddr(t)
		rig.Start(t, rig.Build(t, rig.Worker), append(as("worker"), "ORDERWATCH_PROVISION=false", "ORDERWATCH_HTTP_ADDR="+addr), "serve")
		rig.AwaitReady(t, addr)
	}
	var out string
	shows := func(wanted ...string) {
		t.Helper()
		rig.Eventually(t, rig.Patience, func() error {
			code := 0
			if code, out = status(t, person); code != 0 {
				return fmt.Errorf("exit code %d: %s", code, out)
			}
			for _, want := range wanted {
				if words := strings.Join(strings.Fields(out), " "); !strings.Contains(words, want) {
					return fmt.Errorf("no %q in\n%s", want, out)
				}
			}
			return nil
		})
	}
	shows("workers 2: 2 of version", "accounts none is held", "watches 0 watched", "overdue none", "untold nothing waits to be told")
	if strings.Contains(out, "not seen") || strings.Contains(out, "records") {
		t.Errorf("all is well, but\n%s", out)
	}

	p := patient{js: g.JS, prefix: "ORDER"}
	hold, err := json.Marshal(watcher.Hold{Kind: watcher.HeldPermission, Region: "cn-north-4", Reason: "403 \u202eno\x1b[2J", Since: time.Now(), Until: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	p.store(t, "_ACCOUNTS", "hold.ab12.cn-north-4", hold)
	p.store(t, "_WATCHES", rig.Project+".order.broken", []byte(`{"stream":"ORDER_REQUESTS","seq":1}`))
	if _, err := g.JS.Publish(t.Context(), "orders.undelivered.slack", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	shows("region cn-north-4, since", "ModelArts refuses the account for lack of a permission; no call", "1 message that Slack finally refused", "records 1 record cannot be read")
	if strings.ContainsAny(out, "\x1b\u202e") {
		t.Errorf("unfit for a terminal: %q", out)
	}

	compiled, err := schematest.Compile("status-response")
	if err != nil {
		t.Fatal(err)
	}
	rig.Eventually(t, rig.Patience, func() error { // the other worker may answer, which hears of it a little later
		code, out := status(t, person, "-o", "json")
		if err := schematest.Validate(compiled, []byte(out)); code != 0 || err != nil || strings.ContainsAny(out, "\x1b\u202e") {
			t.Fatalf("exit code %d: %v in %q", code, err, out)
		}
		var s wire.Status
		if err := json.Unmarshal([]byte(out), &s); err != nil || len(s.Held) != 1 || s.Workers == nil || s.Workers.Present != 2 {
			return fmt.Errorf("%v in %q", err, out)
		}
		return nil
	})
	if code, out := status(t, []string{"ORDERWATCH_NATS_URL=" + g.URL, "ORDERWATCH_NATS_USER=producer", "ORDERWATCH_NATS_PASSWORD=planted-producer"}); code != 1 || !strings.Contains(out, `does not let this user publish on "orderwatch.status"`) {
		t.Errorf("as a producer: exit code %d, %s", code, out)
	}
	if code, out := status(t, person, "now"); code != 2 {
		t.Errorf("with an argument: exit code %d, %s", code, out)
	}
	if code, out := status(t, []string{"ORDERWATCH_NATS_URL=nats://" + rig.FreeAddr(t)}); code != 1 || !strings.Contains(out, "no answer from NATS") {
		t.Errorf("without NATS: exit code %d, %s", code, out)
	}
}

// TestHistory lets orders end, and prints how long they took: as a table, as JSON, in what is shown of another order; and
// forgets a key.
func TestHistory(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	wantSaid(t, "nothing known", rig.CarryOut(t, d.env, "history"), 0, []string{"Nothing is known yet of how long orders take"}, nil)
	d.asks(t, "order.never")
	for i := range 10 {
		name := fmt.Sprintf("order.h%d", i)
		d.cloud.Add(rig.Project, name, emulator.Order{FromFirstPoll: true, Items: []emulator.Item{{ResourceName: "node", Action: "createNode", EndAfter: time.Second, Status: "succeed"}}})
		d.asks(t, name)
	}
	const key = "cn-north-4.createNode"
	rig.Eventually(t, rig.Patience, func() error {
		got := rig.CarryOut(t, d.env, "history", "-o", "json")
		for line := range strings.Lines(got.Out) {
			var k wire.KnownOrders
			if err := json.Unmarshal([]byte(line), &k); err != nil {
				return err
			}
			if k.Key == key && k.Ends == 10 && k.P90 != nil {
				return nil
			}
		}
		return fmt.Errorf("%d %s%s", got.Code, got.Out, got.Err)
	})
	wantSaid(t, "the table", rig.CarryOut(t, d.env, "history"), 0, []string{"REGION", "LATE AFTER", "createNode", "first item, whole order", key + "\n", key + ".first"}, nil)
	wantSaid(t, "another order", rig.CarryOut(t, d.env, "get", "order.never"), 0, []string{"ready       likely in "}, nil)
	wantSaid(t, "the list", rig.CarryOut(t, d.env, "list"), 0, []string{"READY"}, nil)
	wantSaid(t, "forget", rig.CarryOut(t, d.env, "history", "--forget", key), 0, []string{"forgotten: " + key}, nil)
	wantSaid(t, "forget again", rig.CarryOut(t, d.env, "history", "--forget", key), 1, nil, []string{key + ": forget: nothing is known under this key", "orderwatch history names the keys"})
	wantSaid(t, "forget nothing", rig.CarryOut(t, d.env, "history", "--forget", ""), 2, nil, []string{"--forget: name a key"})
	if got := rig.CarryOut(t, d.env, "history"); strings.Contains(got.Out, key+"\n") || !strings.Contains(got.Out, key+".first") {
		t.Errorf("forgotten:\n%s", got.Out)
	}
	t.Log(rig.CarryOut(t, d.env, "history").Out, rig.CarryOut(t, d.env, "get", "order.never").Out)
}
