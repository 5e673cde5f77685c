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

	slackemulator "github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// awaitCompletions waits until there are so many completions and returns them, oldest first.
func awaitCompletions(t *testing.T, js jetstream.JetStream, n int) []watcher.Completion {
	t.Helper()
	var completions []watcher.Completion
	eventually(t, patience, func() error {
		completions = nil
		stored(t, js, "ORDER_EVENTS", "orders.completed.>", func(m jetstream.Msg) {
			completions = append(completions, completion(t, m))
		})
		if len(completions) < n {
			return fmt.Errorf("%d completions; want %d", len(completions), n)
		}
		return nil
	})
	return completions
}

func publish(t *testing.T, js jetstream.JetStream, body string) {
	t.Helper()
	if _, err := js.Publish(t.Context(), "orders.watch", []byte(body)); err != nil {
		t.Fatal(err)
	}
}

// TestTerminate ends a worker while a poll of it is answered by nobody: it exits with 0 within
// 10 s, and another worker goes on at once.
func TestTerminate(t *testing.T) {
	cloud := emulator.New(emulator.Options{AutoOrders: true})
	stuck := emulator.Order{Items: []emulator.Item{{ResourceName: "node-1"}}, Count: emulator.CountAll, Faults: []emulator.Fault{{ToPoll: 1, Hang: true}}}
	cloud.Add(project, "order.hangs", stuck)
	modelArts := httptest.NewServer(cloud)
	defer modelArts.Close()
	nats := startNATS(t, "")
	url, js := nats.url, nats.js
	addr := freeAddr(t)
	first := start(t, build(t, worker), serveEnv(url, modelArts.URL, addr, "ORDERWATCH_MODELARTS_TIMEOUT=25s"), "serve")
	awaitReady(t, addr)
	publish(t, js, fmt.Sprintf(`{"project_id":%q,"order_name":"order.hangs"}`, project))
	eventually(t, patience, func() error {
		if cloud.Polls(project, "order.hangs") == 0 {
			return fmt.Errorf("not polled")
		}
		return nil
	})

	code, took := first.terminate(t)
	if code != 0 || took > 10*time.Second {
		t.Errorf("exit code %d after %s; want 0 within 10 s", code, took)
	}
	t.Logf("exit code %d after %s", code, took)
	second := freeAddr(t)
	start(t, build(t, worker), serveEnv(url, modelArts.URL, second), "serve")
	if c := awaitCompletions(t, js, 1); c[0].Outcome != watcher.Succeeded {
		t.Errorf("outcome %s; want %s", c[0].Outcome, watcher.Succeeded)
	}
}

// TestTerminateFrozenNATS ends a worker while its NATS server does not answer any more.
func TestTerminateFrozenNATS(t *testing.T) {
	cloud := emulator.New(emulator.Options{})
	cloud.Add(project, "order.hangs", emulator.Order{Faults: []emulator.Fault{{Hang: true}}})
	modelArts := httptest.NewServer(cloud)
	defer modelArts.Close()
	nats := startNATS(t, "")
	addr := freeAddr(t)
	w := start(t, build(t, worker), serveEnv(nats.url, modelArts.URL, addr, "ORDERWATCH_MODELARTS_TIMEOUT=25s"), "serve")
	awaitReady(t, addr)
	publish(t, nats.js, fmt.Sprintf(`{"project_id":%q,"order_name":"order.hangs"}`, project))
	eventually(t, patience, func() error {
		if cloud.Polls(project, "order.hangs") == 0 {
			return errors.New("not polled")
		}
		return nil
	})
	if err := nats.command.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, func() error { // until the worker has noticed
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
	if code, took := w.terminate(t); code != 0 || took > 10*time.Second {
		t.Errorf("exit code %d after %s; want 0 within 10 s", code, took)
	} else {
		t.Logf("exit code %d after %s", code, took)
	}
}

// TestUnreachableNATS starts a worker where there is no server: it says so, and goes on trying.
func TestUnreachableNATS(t *testing.T) {
	at := freeAddr(t)
	w := start(t, build(t, worker), serveEnv("nats://"+at, "http://127.0.0.1:1", freeAddr(t)), "serve")
	eventually(t, patience, func() error {
		if out := w.text(); !strings.Contains(out, "cannot connect to NATS") || !strings.Contains(out, at) {
			return fmt.Errorf("the log does not say so:\n%s", out)
		}
		return nil
	})
	if code, took := w.terminate(t); code != 0 || took > 3*time.Second {
		t.Errorf("exit code %d after %s; want 0 at once", code, took)
	}
}

// TestLargeOrder takes an order of 5,000 items, 2,000 of them failed with long messages, all the way
// to an event within max_payload and a message within Slack's limits.
func TestLargeOrder(t *testing.T) {
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
	cloud.Add(project, "order.large", script)
	modelArts := httptest.NewServer(cloud)
	defer modelArts.Close()
	posts := make(chan slackemulator.Message, 100)
	slack := slackemulator.New(slackemulator.Options{OnPost: func(m slackemulator.Message) { posts <- m }})
	slack.AddToken("xoxb-test", "chat:write")
	slack.AddChannel("C0ONCALL", slackemulator.Open)
	slackServer := httptest.NewServer(slack)
	defer slackServer.Close()
	nats := startNATS(t, "")
	addr := freeAddr(t)
	start(t, build(t, worker), serveEnv(nats.url, modelArts.URL, addr, "ORDERWATCH_SLACK_TOKEN=xoxb-test",
		"ORDERWATCH_SLACK_CHANNEL=C0ONCALL", "ORDERWATCH_SLACK_API_URL="+slackServer.URL+"/api/"), "serve")
	awaitReady(t, addr)
	publish(t, nats.js, fmt.Sprintf(`{"project_id":%q,"order_name":"order.large"}`, project))

	c := awaitCompletions(t, nats.js, 1)[0]
	failed := 0
	for _, f := range c.Failures {
		failed += f.Count
	}
	if want := (watcher.Counts{Total: items, Succeeded: items - failures, Failed: failures}); c.Outcome != watcher.PartiallyFailed || c.Counts != want || failed != failures || len(c.Items)+c.ItemsOmitted != items {
		t.Errorf("%s, %+v, %d in failures, %d items and %d omitted", c.Outcome, c.Counts, failed, len(c.Items), c.ItemsOmitted)
	}
	checkRecords(t, nats.js, 1)
	select {
	case m := <-posts: // the emulator refuses what breaks Slack's limits
		if text := slackemulator.Render(m); !strings.Contains(text, "2,000 of 5,000 items failed") {
			t.Errorf("Slack shows:\n%s", text)
		}
		if broken := slackemulator.Check(m, slackemulator.OwnLimits); len(broken) > 0 {
			t.Errorf("the message breaks limits: %v", broken)
		}
	case <-time.After(patience):
		t.Error("no message in Slack")
	}
}

// TestTerminateIdle ends a worker that has nothing to do.
func TestTerminateIdle(t *testing.T) {
	url := startNATS(t, "").url
	addr := freeAddr(t)
	w := start(t, build(t, worker), serveEnv(url, "http://127.0.0.1:1", addr), "serve")
	awaitReady(t, addr)
	for at, want := range map[string]int{addr: 0, freeAddr(t): 1} {
		health := exec.Command(build(t, worker), "health")
		health.Env = append(bare(), "ORDERWATCH_HTTP_ADDR="+at)
		out, _ := health.CombinedOutput() // the code tells
		if code := health.ProcessState.ExitCode(); code != want {
			t.Errorf("health: exit code %d; want %d\n%s", code, want, out)
		}
	}
	if code, took := w.terminate(t); code != 0 || took > 3*time.Second {
		t.Errorf("exit code %d after %s; want 0 at once", code, took)
	}
}

// TestEmbedded runs the whole product as one process, and ends it between request and completion.
func TestEmbedded(t *testing.T) {
	cloud := emulator.New(emulator.Options{})
	cloud.Add(project, "order.pool-1", emulator.Order{FromFirstPoll: true, Items: []emulator.Item{
		{ResourceName: "node-1", EndAfter: 3 * time.Second, Status: "failed", Message: "flavor sold out"},
	}})
	modelArts := httptest.NewServer(cloud)
	defer modelArts.Close()
	addr, natsAddr, dir := freeAddr(t), freeAddr(t), t.TempDir()
	env := append(serveEnv("", modelArts.URL, addr), "ORDERWATCH_EMBEDDED_NATS_DIR="+dir, "ORDERWATCH_EMBEDDED_NATS_ADDR="+natsAddr)
	w := start(t, build(t, worker), env, "serve")
	awaitReady(t, addr)
	nc, err := nats.Connect("nats://"+natsAddr, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	publish(t, js, fmt.Sprintf(`{"project_id":%q,"order_name":"order.pool-1"}`, project))
	if code, _ := w.terminate(t); code != 0 {
		t.Errorf("exit code %d; want 0", code)
	}
	start(t, build(t, worker), env, "serve")
	awaitReady(t, addr)
	if c := awaitCompletions(t, js, 1); c[0].Outcome != watcher.AllFailed {
		t.Errorf("outcome %s; want %s", c[0].Outcome, watcher.AllFailed)
	}
}

// TestUnfit starts a worker on a stream that would lose requests.
func TestUnfit(t *testing.T) {
	nats := startNATS(t, "")
	url, js := nats.url, nats.js
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "ORDER_REQUESTS", Subjects: []string{"orders.watch"}, Retention: jetstream.WorkQueuePolicy, MaxAge: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	w := start(t, build(t, worker), serveEnv(url, "http://127.0.0.1:1", freeAddr(t)), "serve")
	select {
	case <-w.done:
	case <-time.After(patience):
		t.Fatal("still running")
	}
	out := w.text()
	if code := w.command.ProcessState.ExitCode(); code != 1 || !strings.Contains(out, "stream ORDER_REQUESTS: max_age is 1h0m0s; wanted is 0s") {
		t.Errorf("exit code %d; want 1 and the setting named in:\n%s", code, out)
	}
}

// TestSecrets plants secrets, lets everything go wrong that shows texts, and looks for them in
// whatever came out.
func TestSecrets(t *testing.T) {
	const modelArtsToken, slackToken, natsToken = "planted-modelarts-secret", "xoxb-planted-slack-secret", "planted-nats-secret"
	cloud := emulator.New(emulator.Options{AutoOrders: true})
	cloud.Add(project, "order.echo", emulator.Order{Items: []emulator.Item{{
		ResourceName: "node", Status: "failed", Message: "the call with token " + modelArtsToken + " and Slack's " + slackToken + " failed; AKFAKE0123456789",
	}}})
	cloud.Add(project, "order.refused", emulator.Order{Faults: []emulator.Fault{{
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

	nats := startNATS(t, natsToken)
	url, js := nats.url, nats.js
	addr := freeAddr(t)
	w := start(t, build(t, worker), serveEnv(url, modelArts.URL, addr,
		"ORDERWATCH_NATS_TOKEN="+natsToken, "ORDERWATCH_MODELARTS_TOKEN="+modelArtsToken,
		"ORDERWATCH_SLACK_TOKEN="+slackToken, "ORDERWATCH_SLACK_CHANNEL=C0ONCALL",
		"ORDERWATCH_SLACK_API_URL="+slackServer.URL+"/api/", "ORDERWATCH_LOG_LEVEL=debug"), "serve")
	awaitReady(t, addr)
	publish(t, js, fmt.Sprintf(`{"project_id":%q,"order_name":"order.echo"}`, project))
	publish(t, js, fmt.Sprintf(`{"project_id":%q,"order_name":"order.refused"}`, project))
	awaitCompletions(t, js, 2)
	eventually(t, patience, func() error {
		mu.Lock()
		defer mu.Unlock()
		if !strings.Contains(shown.String(), "AKFAKE0123456789") || !strings.Contains(shown.String(), "order.refused") {
			return fmt.Errorf("not both orders are in Slack: %s", shown.String())
		}
		return nil
	})
	w.terminate(t)

	stored(t, js, "ORDER_EVENTS", ">", func(m jetstream.Msg) { fmt.Fprintf(&shown, "%s %s\n", m.Subject(), m.Data()) })
	stored(t, js, "KV_ORDER_WATCHES", ">", func(m jetstream.Msg) { fmt.Fprintf(&shown, "%s\n", m.Data()) })
	shown.WriteString(w.text())
	for _, secret := range []string{modelArtsToken, slackToken, natsToken} {
		if at := strings.Index(shown.String(), secret); at >= 0 {
			t.Errorf("a secret came out: …%s…", shown.String()[max(0, at-200):at+len(secret)])
		}
	}
}
