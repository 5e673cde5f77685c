package main_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	slackemulator "github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// TestTerminate ends a worker while a poll of it is answered by nobody: it exits with 0 within
// 10 s, and another worker goes on at once.
func TestTerminate(t *testing.T) {
	t.Parallel()
	cloud := emulator.New(emulator.Options{AutoOrders: true})
	stuck := emulator.Order{Items: []emulator.Item{{ResourceName: "node-1"}}, Count: emulator.CountAll, Faults: []emulator.Fault{{ToPoll: 1, Hang: true}}}
	cloud.Add(rig.Project, "order.hangs", stuck)
	modelArts := httptest.NewServer(cloud)
	defer modelArts.Close()
	nats := rig.StartNATS(t, "")
	url, js := nats.URL, nats.JS
	addr := rig.FreeAddr(t)
	first := rig.Start(t, rig.Build(t, rig.Worker), rig.ServeEnv(url, modelArts.URL, addr, "ORDERWATCH_MODELARTS_TIMEOUT=25s"), "serve")
	rig.AwaitReady(t, addr)
	rig.Publish(t, js, fmt.Sprintf(`{"project_id":%q,"order_name":"order.hangs"}`, rig.Project))
	rig.Eventually(t, rig.Patience, func() error {
		if cloud.Polls(rig.Project, "order.hangs") == 0 {
			return fmt.Errorf("not polled")
		}
		return nil
	})

	code, took := first.Terminate(t)
	if code != 0 || took > 10*time.Second {
		t.Errorf("exit code %d after %s; want 0 within 10 s", code, took)
	}
	t.Logf("exit code %d after %s", code, took)
	second := rig.FreeAddr(t)
	rig.Start(t, rig.Build(t, rig.Worker), rig.ServeEnv(url, modelArts.URL, second), "serve")
	if c := rig.AwaitCompletions(t, js, 1); c[0].Outcome != watcher.Succeeded {
		t.Errorf("outcome %s; want %s", c[0].Outcome, watcher.Succeeded)
	}
}

// TestTerminateFrozenNATS ends a worker while its NATS server does not answer any more.
func TestTerminateFrozenNATS(t *testing.T) {
	t.Parallel()
	cloud := emulator.New(emulator.Options{})
	cloud.Add(rig.Project, "order.hangs", emulator.Order{Faults: []emulator.Fault{{Hang: true}}})
	modelArts := httptest.NewServer(cloud)
	defer modelArts.Close()
	nats := rig.StartNATS(t, "")
	addr := rig.FreeAddr(t)
	w := rig.Start(t, rig.Build(t, rig.Worker), rig.ServeEnv(nats.URL, modelArts.URL, addr, "ORDERWATCH_MODELARTS_TIMEOUT=25s"), "serve")
	rig.AwaitReady(t, addr)
	rig.Publish(t, nats.JS, fmt.Sprintf(`{"project_id":%q,"order_name":"order.hangs"}`, rig.Project))
	rig.Eventually(t, rig.Patience, func() error {
		if cloud.Polls(rig.Project, "order.hangs") == 0 {
			return errors.New("not polled")
		}
		return nil
	})
	if err := nats.Command.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	rig.Eventually(t, rig.Patience, func() error { // until the worker has noticed
		answer, err := http.Get("http://" + addr + "/readyz")
		if err != nil {
			return err
		}
		answer.Body.Close()
		if answer.StatusCode == http.StatusOK {
			return errors.New("still ready")
		}
		return nil
	})
	if code, took := w.Terminate(t); code != 0 || took > 10*time.Second {
		t.Errorf("exit code %d after %s; want 0 within 10 s", code, took)
	} else {
		t.Logf("exit code %d after %s", code, took)
	}
}

// TestUnreachableNATS starts a worker where there is no server: it says so, and goes on trying.
func TestUnreachableNATS(t *testing.T) {
	at := rig.FreeAddr(t)
	w := rig.Start(t, rig.Build(t, rig.Worker), rig.ServeEnv("nats://"+at, "http://127.0.0.1:1", rig.FreeAddr(t)), "serve")
	rig.Eventually(t, rig.Patience, func() error {
		if out := w.Text(); !strings.Contains(out, "cannot connect to NATS") || !strings.Contains(out, at) {
			return fmt.Errorf("the log does not say so:\n%s", out)
		}
		return nil
	})
	if code, took := w.Terminate(t); code != 0 || took > 3*time.Second {
		t.Errorf("exit code %d after %s; want 0 at once", code, took)
	}
}

// TestLargeOrder takes an order of 5,000 items, 2,000 of them failed with long messages, all the way
// to an event within max_payload and a message within Slack's limits.
func TestLargeOrder(t *testing.T) {
	t.Parallel()
	const items, failures = 5000, 2000
	script := emulator.Order{Count: emulator.CountAll, Spelling: emulator.Camel}
	for i := range items {
		item := emulator.Item{ResourceName: fmt.Sprintf("os-node-created-%04d", i)}
		if i < failures {
			item.Status, item.Message = "failed", fmt.Sprintf("node %d: ", i)+strings.Repeat("flavor sold out ", 150)
		}
		script.Items = append(script.Items, item)
	}
	cloud := emulator.New(emulator.Options{})
	cloud.Add(rig.Project, "order.large", script)
	modelArts := httptest.NewServer(cloud)
	defer modelArts.Close()
	posts := make(chan slackemulator.Message, 100)
	slack := slackemulator.New(slackemulator.Options{OnPost: func(m slackemulator.Message) { posts <- m }})
	slack.AddToken("xoxb-test", "chat:write")
	slack.AddChannel("C0ONCALL", slackemulator.Open)
	slackServer := httptest.NewServer(slack)
	defer slackServer.Close()
	nats := rig.StartNATS(t, "")
	addr := rig.FreeAddr(t)
	rig.Start(t, rig.Build(t, rig.Worker), rig.ServeEnv(nats.URL, modelArts.URL, addr, "ORDERWATCH_SLACK_TOKEN=xoxb-test",
		"ORDERWATCH_SLACK_CHANNEL=C0ONCALL", "ORDERWATCH_SLACK_API_URL="+slackServer.URL+"/api/",
		"ORDERWATCH_CONSOLE_URL=https://console.example/{order}", "ORDERWATCH_PUBLIC_URL=https://page.example/{watch}"), "serve")
	rig.AwaitReady(t, addr)
	rig.Publish(t, nats.JS, fmt.Sprintf(`{"project_id":%q,"order_name":"order.large"}`, rig.Project))

	c := rig.AwaitCompletions(t, nats.JS, 1)[0]
	failed := 0
	for _, f := range c.Failures {
		failed += f.Count
	}
	if want := (watcher.Counts{Total: items, Succeeded: items - failures, Failed: failures}); c.Outcome != watcher.PartiallyFailed || c.Counts != want || failed != failures || len(c.Items)+c.ItemsOmitted != items {
		t.Errorf("%s, %+v, %d in failures, %d items and %d omitted", c.Outcome, c.Counts, failed, len(c.Items), c.ItemsOmitted)
	}
	checkRecords(t, nats.JS, 1)
	select {
	case m := <-posts: // the emulator refuses what breaks Slack's limits
		if text := slackemulator.Render(m); !strings.Contains(text, "2,000 of 5,000 ") || !strings.Contains(text, "https://console.example/order.large") || !strings.Contains(text, "https://page.example/"+c.WatchID) {
			t.Errorf("Slack shows:\n%s", text)
		}
		if broken := slackemulator.Check(m, slackemulator.OwnLimits); len(broken) > 0 {
			t.Errorf("the message breaks limits: %v", broken)
		}
	case <-time.After(rig.Patience):
		t.Error("no message in Slack")
	}
}

// TestTerminateIdle ends a worker that has nothing to do.
func TestTerminateIdle(t *testing.T) {
	url := rig.StartNATS(t, "").URL
	addr := rig.FreeAddr(t)
	w := rig.Start(t, rig.Build(t, rig.Worker), rig.ServeEnv(url, "http://127.0.0.1:1", addr), "serve")
	rig.AwaitReady(t, addr)
	at := rig.FreeAddr(t)
	page := rig.Start(t, rig.Build(t, rig.Worker), append(rig.Bare(), "ORDERWATCH_NATS_URL="+url, "ORDERWATCH_PAGE_ADDR="+at), "page")
	rig.AwaitReady(t, at)
	checkHealth(t, 0, "ORDERWATCH_HTTP_ADDR="+addr)
	checkHealth(t, 1, "ORDERWATCH_HTTP_ADDR="+rig.FreeAddr(t))
	checkHealth(t, 0, "ORDERWATCH_PAGE_ADDR="+at, "--page")
	checkHealth(t, 1, "ORDERWATCH_PAGE_ADDR="+rig.FreeAddr(t), "--page")
	if code, _ := page.Terminate(t); code != 0 {
		t.Errorf("the page: exit code %d; want 0", code)
	}
	if code, took := w.Terminate(t); code != 0 || took > 3*time.Second {
		t.Errorf("exit code %d after %s; want 0 at once", code, took)
	}
}

// checkHealth holds that the command health, with the variable and the flags, ends with the code.
func checkHealth(t *testing.T, want int, variable string, flags ...string) {
	t.Helper()
	health := exec.Command(rig.Build(t, rig.Worker), append([]string{"health"}, flags...)...)
	health.Env = append(rig.Bare(), variable)
	out, _ := health.CombinedOutput() // the code tells
	if code := health.ProcessState.ExitCode(); code != want {
		t.Errorf("health %v with %s: exit code %d; want %d\n%s", flags, variable, code, want, out)
	}
}

// TestEmbedded runs the whole product as one process, and ends it between request and completion.
func TestEmbedded(t *testing.T) {
	t.Parallel()
	cloud := emulator.New(emulator.Options{})
	cloud.Add(rig.Project, "order.pool-1", emulator.Order{FromFirstPoll: true, Items: []emulator.Item{
		{ResourceName: "node-1", EndAfter: 3 * time.Second, Status: "failed", Message: "flavor sold out"},
	}})
	modelArts := httptest.NewServer(cloud)
	defer modelArts.Close()
	addr, natsAddr, dir := rig.FreeAddr(t), rig.FreeAddr(t), t.TempDir()
	env := append(rig.ServeEnv("", modelArts.URL, addr), "ORDERWATCH_EMBEDDED_NATS_DIR="+dir, "ORDERWATCH_EMBEDDED_NATS_ADDR="+natsAddr)
	w := rig.Start(t, rig.Build(t, rig.Worker), env, "serve")
	rig.AwaitReady(t, addr)
	nc, err := nats.Connect("nats://"+natsAddr, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	rig.Publish(t, js, fmt.Sprintf(`{"project_id":%q,"order_name":"order.pool-1"}`, rig.Project))
	if code, _ := w.Terminate(t); code != 0 {
		t.Errorf("exit code %d; want 0", code)
	}
	rig.Start(t, rig.Build(t, rig.Worker), env, "serve")
	rig.AwaitReady(t, addr)
	if c := rig.AwaitCompletions(t, js, 1); c[0].Outcome != watcher.AllFailed {
		t.Errorf("outcome %s; want %s", c[0].Outcome, watcher.AllFailed)
	}
}

// TestEmbeddedClosed runs the whole product as one process that wants a login. Requesters ask, wait, look and cancel with
// theirs; nobody without one does anything.
func TestEmbeddedClosed(t *testing.T) {
	t.Parallel()
	cloud := emulator.New(emulator.Options{})
	cloud.Add(rig.Project, "order.pool-1", emulator.Order{FromFirstPoll: true, Items: []emulator.Item{{ResourceName: "node-1", Status: "succeed"}}})
	cloud.Add(rig.Project, "order.long", emulator.Order{FromFirstPoll: true, Items: []emulator.Item{{ResourceName: "node-1", EndAfter: time.Hour, Status: "succeed"}}})
	modelArts := httptest.NewServer(cloud)
	defer modelArts.Close()
	for name, logins := range map[string][2][]string{
		"users": {
			{"ORDERWATCH_NATS_USER=worker", "ORDERWATCH_NATS_PASSWORD=planted-w", "ORDERWATCH_EMBEDDED_NATS_REQUESTER_USER=people", "ORDERWATCH_EMBEDDED_NATS_REQUESTER_PASSWORD=planted-p"},
			{"ORDERWATCH_NATS_USER=people", "ORDERWATCH_NATS_PASSWORD=planted-p"},
		},
		"tokens": {
			{"ORDERWATCH_NATS_TOKEN=planted-w", "ORDERWATCH_EMBEDDED_NATS_REQUESTER_TOKEN=planted-p"},
			{"ORDERWATCH_NATS_TOKEN=planted-p"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			addr, natsAddr := rig.FreeAddr(t), rig.FreeAddr(t)
			env := append(rig.ServeEnv("", modelArts.URL, addr), "ORDERWATCH_EMBEDDED_NATS_DIR="+t.TempDir(), "ORDERWATCH_EMBEDDED_NATS_ADDR="+natsAddr)
			env = append(env, logins[0]...)
			w := rig.Start(t, rig.Build(t, rig.Worker), env, "serve")
			rig.AwaitReady(t, addr)
			nobody := []string{"ORDERWATCH_NATS_URL=nats://" + natsAddr}
			requester := append(nobody, logins[1]...)
			for _, args := range [][]string{
				{"watch", rig.Project + "/order.pool-1", "--wait", "--timeout", "5m"}, {"watch", rig.Project + "/order.long"}, {"list"},
				{"cancel", rig.Project + "/order.long", "--by", "ann"}, {"get", rig.Project + "/order.pool-1"}, {"status"},
			} {
				if got := rig.CarryOut(t, requester, args...); got.Code != 0 {
					t.Errorf("%s: exit code %d\n%s%s", args, got.Code, got.Out, got.Err)
				}
			}
			if got := rig.CarryOut(t, nobody, "list"); got.Code == 0 {
				t.Errorf("without a login:\n%s", got.Out)
			}
			if got := rig.CarryOut(t, env, "doctor"); got.Code != 0 {
				t.Errorf("doctor: exit code %d\n%s%s", got.Code, got.Out, got.Err)
			}
			if code, _ := w.Terminate(t); code != 0 || strings.Contains(w.Text(), "planted") {
				t.Errorf("exit code %d\n%s", code, w.Text())
			}
		})
	}
}

// TestUnfit starts a worker on a stream that would lose requests.
func TestUnfit(t *testing.T) {
	t.Parallel()
	nats := rig.StartNATS(t, "")
	url, js := nats.URL, nats.JS
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "ORDER_REQUESTS", Subjects: []string{"orders.watch"}, Retention: jetstream.WorkQueuePolicy, MaxAge: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	w := rig.Start(t, rig.Build(t, rig.Worker), rig.ServeEnv(url, "http://127.0.0.1:1", rig.FreeAddr(t)), "serve")
	select {
	case <-w.Done:
	case <-time.After(rig.Patience):
		t.Fatal("still running")
	}
	out := w.Text()
	if code := w.Command.ProcessState.ExitCode(); code != 1 || !strings.Contains(out, "stream ORDER_REQUESTS: max_age is 1h0m0s; wanted is 0s") {
		t.Errorf("exit code %d; want 1 and the setting named in:\n%s", code, out)
	}
}

// TestSecrets plants secrets, lets everything go wrong that shows texts, and looks for them in
// whatever came out.
func TestSecrets(t *testing.T) {
	t.Parallel()
	const modelArtsToken, slackToken, natsToken = "planted-modelarts-secret", "xoxb-planted-slack-secret", "planted-nats-secret"
	cloud := emulator.New(emulator.Options{AutoOrders: true})
	cloud.Add(rig.Project, "order.echo", emulator.Order{Items: []emulator.Item{{
		ResourceName: "node", Status: "failed", Message: "the call with token " + modelArtsToken + " and Slack's " + slackToken + " failed; AKFAKE0123456789",
	}}})
	cloud.Add(rig.Project, "order.refused", emulator.Order{Faults: []emulator.Fault{{
		Status: http.StatusBadRequest, Code: "ModelArts.50004000", Message: "bad token " + modelArtsToken,
	}}})
	modelArts := httptest.NewServer(cloud)
	defer modelArts.Close()

	var mu sync.Mutex
	var shown bytes.Buffer
	slack := slackemulator.New(slackemulator.Options{OnPost: func(m slackemulator.Message) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(&shown, "%s %s\n%s\n", m.Text, m.Blocks, slackemulator.Render(m))
	}})
	slack.AddToken(slackToken, "chat:write")
	slack.AddChannel("C0ONCALL", slackemulator.Open)
	slack.Script(slackemulator.HTMLPage)
	slackServer := httptest.NewServer(slack)
	defer slackServer.Close()

	nats := rig.StartNATS(t, natsToken)
	url, js := nats.URL, nats.JS
	addr := rig.FreeAddr(t)
	w := rig.Start(t, rig.Build(t, rig.Worker), rig.ServeEnv(url, modelArts.URL, addr,
		"ORDERWATCH_NATS_TOKEN="+natsToken, "ORDERWATCH_MODELARTS_TOKEN="+modelArtsToken,
		"ORDERWATCH_SLACK_TOKEN="+slackToken, "ORDERWATCH_SLACK_CHANNEL=C0ONCALL",
		"ORDERWATCH_SLACK_API_URL="+slackServer.URL+"/api/", "ORDERWATCH_LOG_LEVEL=debug"), "serve")
	rig.AwaitReady(t, addr)
	rig.Publish(t, js, fmt.Sprintf(`{"project_id":%q,"order_name":"order.echo"}`, rig.Project))
	rig.Publish(t, js, fmt.Sprintf(`{"project_id":%q,"order_name":"order.refused"}`, rig.Project))
	rig.AwaitCompletions(t, js, 2)
	rig.Eventually(t, rig.Patience, func() error {
		mu.Lock()
		defer mu.Unlock()
		if !strings.Contains(shown.String(), "AKFAKE0123456789") || !strings.Contains(shown.String(), "order.refused") {
			return fmt.Errorf("not both orders are in Slack: %s", shown.String())
		}
		return nil
	})
	w.Terminate(t)

	rig.Stored(t, js, "ORDER_EVENTS", ">", func(m jetstream.Msg) { fmt.Fprintf(&shown, "%s %s\n", m.Subject(), m.Data()) })
	rig.Stored(t, js, "KV_ORDER_WATCHES", ">", func(m jetstream.Msg) { fmt.Fprintf(&shown, "%s\n", m.Data()) })
	shown.WriteString(w.Text())
	for _, secret := range []string{modelArtsToken, slackToken, natsToken} {
		if at := strings.Index(shown.String(), secret); at >= 0 {
			t.Errorf("a secret came out: …%s…", shown.String()[max(0, at-200):at+len(secret)])
		}
	}
}

// checkRecords holds that there are so many records and that all are ended.
func checkRecords(t *testing.T, js jetstream.JetStream, want int) {
	t.Helper()
	got := 0
	rig.Stored(t, js, "KV_ORDER_WATCHES", "$KV.ORDER_WATCHES.*.>", func(m jetstream.Msg) {
		got++
		w, err := watcher.DecodeWatch(m.Data())
		if err != nil {
			t.Error(err)
		}
		if w.State != watcher.Ended {
			t.Errorf("record of %s is %s", w.Order, w.State)
		}
	})
	if got != want {
		t.Errorf("%d records; want %d", got, want)
	}
}
