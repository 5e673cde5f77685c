package main_test

import (
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
)

// TestProvision creates what workers need without a login to ModelArts, as the user who may; a worker that may create nothing
// says before that what to do, and serves then.
func TestProvision(t *testing.T) {
	t.Parallel()
	g := startPermitted(t)
	addr := rig.FreeAddr(t)
	env := rig.ServeEnv(g.URL, "http://127.0.0.1:1", addr, "ORDERWATCH_NATS_USER=worker", "ORDERWATCH_NATS_PASSWORD=planted-worker", "ORDERWATCH_PROVISION=false")
	worker := rig.Start(t, rig.Build(t, rig.Worker), env, "serve")
	worker.Says(t, "run orderwatch provision, as a NATS user that may create it")

	for user, denied := range map[string]string{"person": "publish on", "worker": "subscribe to"} { // workers hear answers below a prefix of their own
		got := rig.CarryOut(t, loginOf(g, user), "provision")
		if got.Code != 1 || !strings.Contains(got.Err, "NATS does not let this user "+denied) || !strings.Contains(got.Err, "setup") {
			t.Errorf("as %s, who may not: exit code %d: %s%s", user, got.Code, got.Out, got.Err)
		}
	}
	got := rig.CarryOut(t, loginOf(g, "setup"), "provision")
	wantSaid(t, "provision", got, 0, []string{
		"created: stream ORDER_REQUESTS\n", "created: stream KV_ORDER_HISTORY\n", "created: consumer intake of ORDER_REQUESTS\n",
		"created: consumer history of ORDER_EVENTS\n", "\nall streams, buckets and consumers are there now\n",
	}, nil)
	rig.AwaitReady(t, addr)
	got = rig.CarryOut(t, append(loginOf(g, "setup"), "ORDERWATCH_EVENTS_MAX_AGE=2000h"), "provision")
	wantSaid(t, "provision again", got, 0, []string{"left as it is: stream ORDER_EVENTS: max_age is 2160h0m0s, not 2000h0m0s", "\nnothing to create: all "}, nil)
	if strings.Contains(got.Out, "created: ") {
		t.Errorf("it creates again: %s", got.Out)
	}
}

// TestProvisionWaits starts provision before NATS, whose login is refused at once when it is there and wrong.
func TestProvisionWaits(t *testing.T) {
	t.Parallel()
	nats := rig.StartNATS(t, "planted")
	nats.Kill()
	env := append(rig.Bare(), "ORDERWATCH_NATS_URL="+nats.URL, "ORDERWATCH_NATS_TOKEN=planted")
	early := rig.Start(t, rig.Build(t, rig.Worker), env, "provision")
	early.Says(t, "no answer from NATS at "+nats.URL)
	early.Says(t, "waiting for it, for up to 2m0s")
	nats.Again(t)
	if code := early.Ends(t); code != 0 || !strings.Contains(early.Text(), "all streams, buckets and consumers are there now") {
		t.Errorf("exit code %d: %s", code, early.Text())
	}
	got := rig.CarryOut(t, append(env, "ORDERWATCH_NATS_TOKEN=other"), "provision")
	if got.Code != 1 || !strings.Contains(got.Err, "the login is refused by NATS") || strings.Contains(got.Err, "waiting") {
		t.Errorf("with a wrong token: exit code %d: %s%s", got.Code, got.Out, got.Err)
	}
}

// TestReplicas asks for three copies of a server that stands alone: the worker and provision say what to do.
func TestReplicas(t *testing.T) {
	t.Parallel()
	nats := rig.StartNATS(t, "")
	const does = "ORDERWATCH_STREAM_REPLICAS is 3, and needs a cluster of as many servers with JetStream; on one server it must be 1"
	env := append(rig.Bare(), "ORDERWATCH_NATS_URL="+nats.URL, "ORDERWATCH_STREAM_REPLICAS=3")
	if got := rig.CarryOut(t, env, "provision"); got.Code != 1 || !strings.Contains(got.Err, does) {
		t.Errorf("exit code %d: %s%s", got.Code, got.Out, got.Err)
	}
	worker := rig.Start(t, rig.Build(t, rig.Worker), rig.ServeEnv(nats.URL, "http://127.0.0.1:1", rig.FreeAddr(t), "ORDERWATCH_STREAM_REPLICAS=3"), "serve")
	worker.Says(t, does)
	if got := rig.CarryOut(t, append(rig.Bare(), "ORDERWATCH_NATS_URL="+nats.URL, "ORDERWATCH_EMBEDDED_NATS_DIR="+t.TempDir()), "provision"); got.Code != 1 {
		t.Errorf("with a server inside the process: exit code %d: %s%s", got.Code, got.Out, got.Err)
	}
}
