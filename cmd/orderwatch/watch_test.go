package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig/guarded"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// A desk is where a person sits: a nats-server, a worker, and a cloud with one order for each fate.
type desk struct {
	nats   rig.NATS
	cloud  *emulator.Emulator
	worker *rig.Process
	env    []string // of the person's commands
	serve  func() *rig.Process
}

func newDesk(t *testing.T, more ...string) *desk {
	t.Helper()
	d := &desk{nats: rig.StartNATS(t, ""), cloud: emulator.New(emulator.Options{})}
	item := func(status string, after time.Duration) emulator.Item {
		return emulator.Item{ResourceName: "node-" + status, EndAfter: after, Status: status, Message: "about " + status + "\x1b[31m"}
	}
	for name, order := range map[string]emulator.Order{
		"succeeds": {Items: []emulator.Item{item("succeed", 0)}},
		"parts":    {Items: []emulator.Item{item("succeed", 0), item("failed", 0)}},
		"fails":    {Items: []emulator.Item{item("failed", 0)}},
		"never":    {Items: []emulator.Item{item("succeed", emulator.Never)}},
		"refused":  {Faults: []emulator.Fault{{Status: http.StatusBadRequest, Code: "ModelArts.50004000", Message: "about refused"}}},
	} {
		order.Count = emulator.CountAll
		d.cloud.Add(rig.Project, "order."+name, order)
	}
	d.unfinish()
	modelArts := httptest.NewServer(d.cloud)
	t.Cleanup(modelArts.Close)
	d.env = []string{"ORDERWATCH_NATS_URL=" + d.nats.URL, "ORDERWATCH_MODELARTS_PROJECT_ID=" + rig.Project}
	var tags []string
	if slices.ContainsFunc(more, func(pair string) bool { return strings.HasPrefix(pair, "FAULT_") }) {
		tags = append(tags, "faults")
	}
	d.serve = func() *rig.Process {
		addr := rig.FreeAddr(t)
		env := rig.ServeEnv(d.nats.URL, modelArts.URL, addr, append(more, "ORDERWATCH_MODELARTS_NOT_FOUND_GRACE=1s", "ORDERWATCH_MODELARTS_PROJECT_ID="+rig.Project)...)
		p := rig.Start(t, rig.Build(t, rig.Worker, tags...), env, "serve")
		rig.AwaitReady(t, addr)
		return p
	}
	d.worker = d.serve()
	return d
}

// finish lets order.later end, and unfinish begin anew.
func (d *desk) finish()   { d.addLater(0) }
func (d *desk) unfinish() { d.addLater(emulator.Never) }

func (d *desk) addLater(after time.Duration) {
	d.cloud.Add(rig.Project, "order.later", emulator.Order{Count: emulator.CountAll, Items: []emulator.Item{
		{ResourceName: "node-succeed"}, {ResourceName: "node-failed", EndAfter: after, Status: "failed", Message: "about failed\x1b[31m"},
	}})
}

// wait starts to wait for an order, and returns once its request is stored.
func (d *desk) wait(t *testing.T, args ...string) *rig.Process {
	t.Helper()
	p := rig.Start(t, rig.Build(t, rig.Worker), d.env, append([]string{"watch", "--wait"}, args...)...)
	p.Says(t, "is stored")
	return p
}

// TestWatchCodes waits for orders of each fate, and looks at the exit code and at what is said.
func TestWatchCodes(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for _, tt := range []struct {
		args string
		code int
		says []string // on stdout
	}{
		{"order.succeeds", 0, []string{"succeeded: 1 of 1 node succeeded · "}},
		{"order.parts", 3, []string{"partially_failed", "1 × createNode: about failed\uFFFD (node-failed)"}},
		{"order.fails", 3, []string{"failed: 1 of 1 node failed · ", "about failed"}},
		{"order.never --timeout 2s", 4, []string{"timed_out", "the order itself may still be running; 1 node may still be created and cost money.", "To watch it again: orderwatch watch --region cn-north-4 --timeout "}},
		{"order.missing", 5, []string{"not_found", "ModelArts.50015001"}},
		{"order.refused", 5, []string{"refused", "ModelArts.50004000: about refused"}},
		{"order.succeeds order.succeeds order.succeeds-2 order.missing-2", 5, nil},
		{"order.fails order.missing order.never order.succeeds --timeout 4s", 3, []string{"failed", "not_found", "timed_out", "succeeded"}},
		{"order.missing-3 order.never-3 --timeout 4s", 5, nil},
	} {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			got := rig.CarryOut(t, d.env, append([]string{"watch", "--wait"}, strings.Fields(tt.args)...)...)
			if got.Code != tt.code {
				t.Errorf("exit code %d, want %d", got.Code, tt.code)
			}
			for _, text := range tt.says {
				if !strings.Contains(got.Out, text) {
					t.Errorf("no %q", text)
				}
			}
			if (got.Code == 0) != (got.Err == "") || strings.Contains(got.Out, "\x1b") {
				t.Errorf("stderr %q", got.Err)
			}
			if t.Failed() {
				t.Logf("%s%s", got.Out, got.Err)
			}
		})
	}
}

// TestWatchCancelled cancels what two commands wait for.
func TestWatchCancelled(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	first := d.wait(t, "order.never")
	second := d.wait(t, "order.never", "order.fails")
	if got := rig.CarryOut(t, d.env, "cancel", "order.never", "--reason", "not needed"); got.Code != 0 {
		t.Errorf("cancel: %d %s%s", got.Code, got.Out, got.Err)
	}
	if code := first.Ends(t); code != 6 || !strings.Contains(first.Text(), "cancelled by") || !strings.Contains(first.Text(), "not needed") {
		t.Errorf("exit code %d, %s", code, first.Text())
	}
	if code := second.Ends(t); code != 3 {
		t.Errorf("exit code %d of a failure and a cancel", code)
	}
}

// TestWatchAgain waits for a request that was answered before, and for one that joins.
func TestWatchAgain(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	args := []string{"watch", "--wait", "--request-id", "build-1", "order.fails"}
	if got := rig.CarryOut(t, d.env, args...); got.Code != 3 {
		t.Fatalf("exit code %d: %s%s", got.Code, got.Out, got.Err)
	}
	polls := d.cloud.Polls(rig.Project, "order.fails")
	if got := rig.CarryOut(t, d.env, args...); got.Code != 3 || d.cloud.Polls(rig.Project, "order.fails") != polls {
		t.Errorf("the same again: exit code %d, %d polls after %d\n%s%s", got.Code, d.cloud.Polls(rig.Project, "order.fails"), polls, got.Out, got.Err)
	}
	if got := rig.CarryOut(t, d.env, "watch", "--wait", "order.fails"); got.Code != 3 || d.cloud.Polls(rig.Project, "order.fails") == polls {
		t.Errorf("another request: exit code %d, %d polls after %d\n%s%s", got.Code, d.cloud.Polls(rig.Project, "order.fails"), polls, got.Out, got.Err)
	}
}

// TestWatchJSON looks at what programs read.
func TestWatchJSON(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	got := rig.CarryOut(t, d.env, "watch", "--wait", "-o", "json", "--label", "env=prod", "--label", "empty=", "--requested-by", "ann",
		"--link", "https://ci.example/1", "--expected-items", "2", "--timeout", "1h", "--late-after", "31m", "--region", "cn-north-4", "order.parts", "order.succeeds-not")
	lines := strings.Split(strings.TrimSpace(got.Out), "\n")
	if got.Code != 3 || len(lines) != 4 {
		t.Fatalf("exit code %d, %d lines:\n%s%s", got.Code, len(lines), got.Out, got.Err)
	}
	type stored struct {
		ProjectID string `json:"project_id"`
		OrderName string `json:"order_name"`
		RequestID string `json:"request_id"`
		Sequence  uint64 `json:"stream_sequence"`
	}
	var asked []stored
	var outcomes []string
	for _, text := range lines {
		var event struct {
			stored
			SpecVersion string             `json:"specversion"`
			Data        watcher.Completion `json:"data"`
		}
		if err := json.Unmarshal([]byte(text), &event); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if event.SpecVersion == "" {
			asked = append(asked, event.stored)
			continue
		}
		outcomes = append(outcomes, event.Data.OrderName+" "+string(event.Data.Outcome))
		if len(event.Data.Requests) != 1 || !slices.ContainsFunc(asked, func(s stored) bool { return s.RequestID == event.Data.Requests[0].ID }) {
			t.Errorf("requests %+v; asked %+v", event.Data.Requests, asked)
		}
		if r := event.Data.Requests[0]; r.RequestedBy != "ann" || r.Link != "https://ci.example/1" || r.Labels["env"] != "prod" || len(r.Labels) != 2 || r.LateAt.Sub(r.ReceivedAt) != 31*time.Minute || !r.Progress {
			t.Errorf("the request is %+v", r)
		}
	}
	if len(asked) != 2 || asked[0].ProjectID != rig.Project || asked[0].OrderName != "order.parts" || asked[1].Sequence != asked[0].Sequence+1 {
		t.Errorf("asked %+v", asked)
	}
	slices.Sort(outcomes)
	if want := []string{"order.parts partially_failed", "order.succeeds-not not_found"}; !slices.Equal(outcomes, want) {
		t.Errorf("outcomes %q, want %q", outcomes, want)
	}

	got = rig.CarryOut(t, d.env, "watch", "-o", "json", "order.never", "order.later")
	if lines := strings.Split(strings.TrimSpace(got.Out), "\n"); got.Code != 0 || len(lines) != 2 || !json.Valid([]byte(lines[0])) {
		t.Errorf("without --wait: %d\n%s%s", got.Code, got.Out, got.Err)
	}
	got = rig.CarryOut(t, d.env, "watch", "order.never")
	if got.Code != 0 || !strings.HasSuffix(got.Out, " is stored\nHow it is, once a worker has taken it:\n  orderwatch get "+rig.Project+"/order.never\n") {
		t.Errorf("as text: %d\n%s%s", got.Code, got.Out, got.Err)
	}
	got = rig.CarryOut(t, d.env, "watch", "order.never", "order.later")
	if got.Code != 0 || strings.Count(got.Out, " is stored\n") != 2 || !strings.HasSuffix(got.Out, " is stored\nHow each is, once a worker has taken it:\n  orderwatch get "+rig.Project+"/order.later\n") || strings.Count(got.Out, "\n") != 4 {
		t.Errorf("two as text: %d\n%s%s", got.Code, got.Out, got.Err)
	}
}

// TestWatchThroughRestarts waits while the nats-server is restarted and the worker is killed.
func TestWatchThroughRestarts(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	p := d.wait(t, "order.later")
	p.Says(t, "1 of 2 nodes ended")

	d.nats.Kill()
	p.Says(t, "the connection to NATS is lost")
	d.nats.Again(t)
	p.Says(t, "connected to NATS again")
	d.worker.Kill()
	p.Says(t, "no worker is there")
	d.worker = d.serve()
	p.Says(t, "a worker is there again")
	d.finish()
	if code := p.Ends(t); code != 3 {
		t.Errorf("exit code %d", code)
	}
	rig.AwaitDrained(t, d.nats.JS)
	for _, once := range []string{"the connection to NATS is lost", "connected to NATS again", "no worker is there", "a worker is there again", "cannot be followed"} {
		if n := strings.Count(p.Text(), once); n > 1 {
			t.Errorf("%q is said %d times", once, n)
		}
	}
}

// TestWatchSaysWhatToLookAt waits for an order that people should look at meanwhile.
func TestWatchSaysWhatToLookAt(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	p := d.wait(t, "order.later", "--request-id", "build-1")
	p.Says(t, "1 of 2 nodes ended")
	for _, request := range []string{"build-2", "build-1"} { // of another request, then of this one
		body := fmt.Sprintf(`{"specversion":"1.0","id":"1","source":"/orderwatch","type":"io.orderwatch.order.attention.v1","datacontenttype":"application/json","data":
			{"kind":"vanished","since":"2025-04-10T12:03:05Z","reason":"createNode node-%s\u001b[31m, last seen processing","project_id":%q,"order_name":"order.later","watch_id":"w_1","requests":[{"request_id":%q}],
			"items":[{"resource_name":"node-%s\u001b[31m","action":"createNode","status":"processing","missing_since":"2025-04-10T12:03:05Z"}]}}`, request, rig.Project, request, request)
		if _, err := d.nats.JS.Publish(t.Context(), "orders.attention.vanished."+rig.Project+".order.later", []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	p.Says(t, "order.later: createNode node-build-1\uFFFD, last seen processing")
	d.finish()
	if code := p.Ends(t); code != 3 || strings.Contains(p.Text(), "build-2") {
		t.Errorf("exit code %d: %s", code, p.Text())
	}
}

// TestWatchInterrupted ends the waiting. The watch goes on.
func TestWatchInterrupted(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	p := d.wait(t, "order.later")
	p.Says(t, "1 of 2 nodes ended")
	if err := p.Command.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := p.Ends(t); code != 130 || !strings.Contains(p.Text(), "what is being watched goes on. How it is:\n  orderwatch get "+rig.Project+"/order.later") {
		t.Errorf("exit code %d", code)
	}
	d.finish()
	if c := rig.AwaitCompletions(t, d.nats.JS, 1)[0]; c.Outcome != watcher.PartiallyFailed {
		t.Errorf("the watch ended as %s", c.Outcome)
	}
}

// TestWatchWithoutWorker asks where none is.
func TestWatchWithoutWorker(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.worker.Terminate(t)
	got := rig.CarryOut(t, d.env, "watch", "order.parts")
	wantSaid(t, "watch", got, 0, []string{" is stored", "\n  orderwatch get " + rig.Project + "/order.parts\n", "Nobody has checked it.", "\n  orderwatch events --kind rejected\n"}, []string{"no worker is there at the moment: a request is stored"})
	waits := d.wait(t, "order.succeeds")
	waits.Says(t, "no worker is there at the moment: a request is stored")
	got = rig.CarryOut(t, nil, "watch", rig.Project+"/CS2504101234ABCDE", rig.Project+"/CS2504101234", rig.Project+"/CS25-pool")
	if n := strings.Count(got.Err, "looks like a billing order id"); n != 2 {
		t.Errorf("%d warnings of a billing order id: %s", n, got.Err)
	}
	d.serve()
	if code := waits.Ends(t); code != 0 {
		t.Errorf("exit code %d: %s", code, waits.Text())
	}
	rig.AwaitCompletions(t, d.nats.JS, 2)
}

// TestWatchAsksFirst holds that a request that is wrong is refused before anything is stored.
func TestWatchAsksFirst(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for flags, says := range map[string]string{
		"--region mars": "region: must be one of the configured regions: cn-north-4", "--timeout 100h": "timeout: must be", "--slack-channel C0ELSEWHERE": "slack_channel: must be the ID of a channel",
	} {
		for _, wait := range []string{"", "--wait", "--wait -o json"} {
			got := rig.CarryOut(t, d.env, append([]string{"watch", "order.a", "order.b"}, strings.Fields(flags+" "+wait)...)...)
			wantSaid(t, "watch "+flags, got, 2, nil, []string{rig.Project + "/order.a: nothing is stored: " + says})
			if got.Out != "" {
				t.Errorf("watch %s %s: %s", flags, wait, got.Out)
			}
		}
	}
	requests, err := d.nats.JS.Stream(t.Context(), "ORDER_REQUESTS")
	if err != nil {
		t.Fatal(err)
	}
	if last := requests.CachedInfo().State.LastSeq; last != 0 {
		t.Errorf("%d requests are stored", last)
	}
	got := rig.CarryOut(t, d.env, "list")
	wantSaid(t, "list", got, 0, []string{"No watch is known"}, nil)
}

// startPermitted starts a nats-server with the users of deploy/nats-permissions.conf.
func startPermitted(t *testing.T) *guarded.Server {
	t.Helper()
	return guarded.Start(t, guarded.Shipped(t, "../../deploy/nats-permissions.conf"), nats.UserInfo("setup", "planted-setup"))
}

// loginOf is the environment of one of these users.
func loginOf(g *guarded.Server, user string) []string {
	return []string{"ORDERWATCH_NATS_URL=" + g.URL, "ORDERWATCH_NATS_USER=" + user, "ORDERWATCH_NATS_PASSWORD=planted-" + user}
}

// TestCommandsSayWhatIsWrong lets every command that needs NATS fail.
func TestCommandsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	g := startPermitted(t)
	empty := rig.StartNATS(t, "")
	gone := rig.FreeAddr(t)

	order := rig.Project + "/order.pool-1"
	commands := map[string][]string{
		"watch": {order}, "watch --wait": {order}, "get": {order}, "list": nil, "cancel": {order}, "poll": {order}, "events": nil, "events --follow": nil,
	}
	type situation struct {
		name string
		env  []string
		args []string // instead of the command's own
		code int
		says string
		not  string // the command that may do it
	}
	for name, args := range commands {
		situations := []situation{
			{name: "nowhere", code: 1, says: "Set ORDERWATCH_NATS_URL, or name a context"},
			{name: "no NATS", env: []string{"ORDERWATCH_NATS_URL=nats://" + gone}, code: 1, says: "no answer from NATS at nats://" + gone + ", which ORDERWATCH_NATS_URL names"},
			{name: "no worker", env: []string{"ORDERWATCH_NATS_URL=" + empty.URL}, code: 1, says: "is orderwatch serve running"},
			{name: "wrong password", env: []string{"ORDERWATCH_NATS_URL=" + g.URL, "ORDERWATCH_NATS_USER=person", "ORDERWATCH_NATS_PASSWORD=wrong"}, code: 1, says: "the login is refused"},
			{name: "no permission", env: loginOf(g, "producer"), code: 1, says: "NATS does not let this user publish on", not: "watch"},
			{name: "no context", env: []string{"ORDERWATCH_NATS_URL=" + g.URL}, args: append([]string{"--context", "none"}, args...), code: 1, says: `there is no context "none"`},
			{name: "misspelt variable", env: []string{"ORDERWATCH_NATS_URLS=x"}, code: 1, says: "ORDERWATCH_NATS_URLS"},
			{name: "unknown flag", env: loginOf(g, "person"), args: []string{"--unknown"}, code: 2, says: "unknown flag: --unknown"},
			{name: "unknown format", env: loginOf(g, "person"), args: append([]string{"-o", "yaml"}, args...), code: 2, says: "must be text or json"},
		}
		if len(args) > 0 {
			situations = append(situations,
				situation{name: "no order", env: loginOf(g, "person"), args: []string{"-o", "text"}, code: 2, says: "order"},
				situation{name: "no project", env: loginOf(g, "person"), args: []string{"order.pool-1"}, code: 2, says: "names no project"},
				situation{name: "bad order", env: loginOf(g, "person"), args: []string{rig.Project + "/order.*"}, code: 2, says: "the order's name must be"},
			)
		}
		for _, tt := range situations {
			if tt.not == name {
				continue
			}
			t.Run(name+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				all := strings.Fields(name)
				if tt.args != nil {
					all = append(all, tt.args...)
				} else {
					all = append(all, args...)
				}
				begin := time.Now()
				got := rig.CarryOut(t, tt.env, all...)
				if got.Code != tt.code || !strings.Contains(got.Err, tt.says) || strings.Count(got.Err, "\n") > 3 || len(got.Err) > 500 {
					t.Errorf("%q: exit code %d, want %d and %q in\n%s%s", all, got.Code, tt.code, tt.says, got.Out, got.Err)
				}
				if strings.Contains(got.Out+got.Err, "planted") {
					t.Errorf("a password came out: %s%s", got.Out, got.Err)
				}
				if took := time.Since(begin); took > time.Minute {
					t.Errorf("it took %s", took)
				}
			})
		}
	}
}

// TestPersonWaits follows an order with no more permissions than a person has.
func TestPersonWaits(t *testing.T) {
	t.Parallel()
	g := startPermitted(t)
	cloud := emulator.New(emulator.Options{})
	cloud.Add(rig.Project, "order.fails", emulator.Order{Items: []emulator.Item{{ResourceName: "node-1", Status: "failed"}}})
	modelArts := httptest.NewServer(cloud)
	defer modelArts.Close()
	addr := rig.FreeAddr(t)
	rig.Start(t, rig.Build(t, rig.Worker), rig.ServeEnv(g.URL, modelArts.URL, addr, "ORDERWATCH_NATS_USER=setup", "ORDERWATCH_NATS_PASSWORD=planted-setup"), "serve")
	rig.AwaitReady(t, addr)
	env := loginOf(g, "person")
	if got := rig.CarryOut(t, env, "watch", "--wait", rig.Project+"/order.fails"); got.Code != 3 {
		t.Errorf("exit code %d: %s%s", got.Code, got.Out, got.Err)
	}
	for _, args := range []string{"get " + rig.Project + "/order.fails", "list", "events", "events " + rig.Project + "/order.fails"} {
		if got := rig.CarryOut(t, env, strings.Fields(args)...); got.Code != 0 || !strings.Contains(got.Out, "order.fails") {
			t.Errorf("%s: exit code %d: %s%s", args, got.Code, got.Out, got.Err)
		}
	}
	if got := rig.CarryOut(t, loginOf(g, "producer"), "watch", rig.Project+"/order.fails"); got.Code != 0 {
		t.Errorf("the producer: exit code %d: %s%s", got.Code, got.Out, got.Err)
	}
}
