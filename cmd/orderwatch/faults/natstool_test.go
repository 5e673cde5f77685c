//go:build contract

package faults_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// natsTool returns the path of the nats tool (github.com/nats-io/natscli), which NATS_TOOL names.
func natsTool(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(os.Getenv("NATS_TOOL"))
	if err != nil {
		t.Fatal(err)
	}
	if stat, err := os.Stat(path); err != nil || stat.IsDir() {
		t.Fatalf("NATS_TOOL=%q names no program: build github.com/nats-io/natscli/nats@v0.5.1 and set it to the path", os.Getenv("NATS_TOOL"))
	}
	return path
}

// tool runs the nats tool as a person would, and returns its standard output. The other output goes
// to log.
func (s *exampleSite) tool(t *testing.T, args ...string) (output, log string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	c := exec.CommandContext(ctx, natsTool(t), args...)
	c.Env = []string{"HOME=" + t.TempDir(), "NATS_URL=" + s.nats.URL}
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil {
		t.Fatalf("nats %v: %v\n%s%s", args, err, &stdout, &stderr)
	}
	return stdout.String(), stderr.String()
}

// request makes a request to the service with the nats tool and decodes the answer.
func (s *exampleSite) request(t *testing.T, endpoint string, question, answer any) {
	t.Helper()
	if err := s.tryRequest(t, endpoint, question, answer); err != nil {
		t.Fatal(err)
	}
}

// tryRequest is request where nobody may be there to answer.
func (s *exampleSite) tryRequest(t *testing.T, endpoint string, question, answer any) error {
	t.Helper()
	body, err := json.Marshal(question)
	if err != nil {
		t.Fatal(err)
	}
	output, log := s.tool(t, "request", "--raw", "orderwatch."+endpoint, string(body))
	if err := json.Unmarshal([]byte(output), answer); err != nil {
		return fmt.Errorf("orderwatch.%s %s: %w\n%s%s", endpoint, body, err, output, log)
	}
	return nil
}

// mustHold fails where the text lacks one of the wanted.
func mustHold(t *testing.T, text string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
}

// TestNatsToolContract publishes a request, follows it, cancels it and reads its completion.
func TestNatsToolContract(t *testing.T) {
	t.Parallel()
	site := newExampleSite(t)
	order := watcher.Order{ProjectID: rig.Project, Name: "order.never"}
	body := fmt.Sprintf(`{"project_id":%q,"order_name":"order.never","request_id":"build-771","labels":{"env":"prod"}}`, rig.Project)
	_, log := site.tool(t, "pub", "-J", "--no-templates", "orders.watch", body)
	mustHold(t, log, "Stored in Stream: ORDER_REQUESTS Sequence: 1")

	var w watcher.Snapshot
	rig.Eventually(t, rig.Patience, func() error {
		if site.request(t, "get", order, &w); w.Polls == 0 {
			return fmt.Errorf("not polled: %+v", w)
		}
		return nil
	})
	if w.State != watcher.Watching || w.OrderName != order.Name || len(w.Requests) != 1 || w.Requests[0].ID != "build-771" {
		t.Errorf("get shows %+v", w)
	}
	var page wire.ListAnswer
	site.request(t, "list", wire.ListQuery{State: watcher.Watching, Label: "env=prod"}, &page)
	if len(page.Watches) != 1 || page.Watches[0].WatchID != w.WatchID {
		t.Errorf("list shows %+v", page)
	}
	var polled, cancelled watcher.Snapshot
	site.request(t, "poll", order, &polled)
	if polled.WatchID != w.WatchID {
		t.Errorf("poll answers %+v", polled)
	}
	site.request(t, "cancel", wire.CancelRequest{Order: order, By: "alice", Reason: "not needed"}, &cancelled)
	if cancelled.WatchID != w.WatchID {
		t.Errorf("cancel answers %+v", cancelled)
	}
	var accepted wire.Accepted
	site.request(t, "watch", watcher.Order{ProjectID: rig.Project, Name: "order.succeeded"}, &accepted)
	if accepted.State != "watching" || accepted.RequestID == "" {
		t.Errorf("watch answers %+v", accepted)
	}

	completed := "orders.completed.*." + order.Key()
	event, _ := site.tool(t, "sub", "--raw", "--stream", "ORDER_EVENTS", "--all", "--count", "1", completed)
	site.mustBeCancelled(t, event)
	site.tool(t, "consumer", "add", "ORDER_EVENTS", "pipelines", "--pull", "--filter", completed, "--deliver", "all", "--ack", "explicit", "--defaults")
	event, _ = site.tool(t, "consumer", "next", "--raw", "ORDER_EVENTS", "pipelines")
	site.mustBeCancelled(t, event)
}

// mustBeCancelled checks a completion event as the tool prints it.
func (s *exampleSite) mustBeCancelled(t *testing.T, printed string) {
	t.Helper()
	var event struct {
		SpecVersion, Type, Subject string
		Data                       watcher.Completion
	}
	if err := json.Unmarshal([]byte(printed), &event); err != nil {
		t.Fatalf("%v:\n%s", err, printed)
	}
	if event.SpecVersion != "1.0" || event.Type != "io.orderwatch.order.completed.v1" || event.Subject != "order.never" ||
		event.Data.Outcome != watcher.Cancelled || !strings.Contains(event.Data.Reason, "alice") ||
		len(event.Data.Requests) != 1 || event.Data.Requests[0].ID != "build-771" {
		t.Errorf("the event is %s", printed)
	}
}

// TestNatsToolErrors makes wrong requests to the service: the tool shows code and text of the error.
func TestNatsToolErrors(t *testing.T) {
	t.Parallel()
	site := newExampleSite(t)
	order := fmt.Sprintf(`{"project_id":%q,"order_name":"order.succeeded"}`, rig.Project)
	ended := fmt.Sprintf(`{"project_id":%q,"order_name":"order.succeeded","by":"alice"}`, rig.Project)
	site.tool(t, "pub", "-J", "orders.watch", order)
	rig.AwaitCompletions(t, site.nats.JS, 1)
	for _, c := range []struct{ endpoint, body, code, says string }{
		{"get", fmt.Sprintf(`{"project_id":%q,"order_name":"order.other"}`, rig.Project), "404", "no watch of this order is known"},
		{"get", `{"order":"x"}`, "400", "order: is no field of this request"},
		{"list", `{"limit":0}`, "400", "limit: must be"},
		{"cancel", order, "400", "by: is required"},
		{"cancel", ended, "409", "the watch has ended"},
		{"poll", order, "409", "the watch has ended"},
		{"watch", `{"project_id":"p"}`, "400", "order_name: is required"},
	} {
		output, log := site.tool(t, "req", "orderwatch."+c.endpoint, c.body)
		mustHold(t, log, "Nats-Service-Error-Code: "+c.code, "Nats-Service-Error: ", c.says)
		mustHold(t, output, `"code":`+c.code, c.says)
	}
}

// TestNatsToolReports looks at what the tool shows of the service and of what is in JetStream.
func TestNatsToolReports(t *testing.T) {
	t.Parallel()
	site := newExampleSite(t)
	for _, order := range []string{"order.succeeded", "order.never"} {
		site.tool(t, "pub", "-J", "orders.watch", fmt.Sprintf(`{"project_id":%q,"order_name":%q}`, rig.Project, order))
	}
	rig.AwaitCompletions(t, site.nats.JS, 1)
	rig.Eventually(t, rig.Patience, func() error {
		var w watcher.Snapshot
		if err := site.tryRequest(t, "get", watcher.Order{ProjectID: rig.Project, Name: "order.never"}, &w); err != nil || w.Polls > 0 {
			return err
		}
		return errors.New("not polled")
	})

	list, _ := site.tool(t, "micro", "ls")
	mustHold(t, list, "orderwatch", "Watches ModelArts orders until they have ended")
	shown, _ := site.tool(t, "micro", "info", "orderwatch")
	mustHold(t, shown, "Service: orderwatch", "events: ORDER_EVENTS", "requests: orders.watch")
	at := 0
	endpoints := []string{"cancel", "events", "get", "history", "list", "poll", "renotify", "status", "watch", "why"}
	for _, endpoint := range endpoints {
		mustHold(t, shown, "Name: "+endpoint, "Subject: orderwatch."+endpoint)
		next := strings.Index(shown, "Name: "+endpoint)
		if next < at {
			t.Errorf("%s is not where one looks for it:\n%s", endpoint, shown)
		}
		at = next
	}
	if n := strings.Count(shown, `request_schema: {"`); n != len(endpoints) {
		t.Errorf("%d endpoints show a schema; want %d:\n%s", n, len(endpoints), shown)
	}
	stats, _ := site.tool(t, "micro", "stats", "orderwatch")
	if !regexp.MustCompile(`│ get +│ [1-9][0-9]* +│`).MatchString(stats) {
		t.Errorf("the statistics show no request to get:\n%s", stats)
	}
	mustHold(t, stats, "orderwatch Service Statistics")

	rig.Eventually(t, rig.Patience, func() error { // a wake-up is twice there while it is renewed
		streams, _ := site.tool(t, "stream", "report")
		for _, want := range []string{
			`ORDER_REQUESTS +│ File +│ +│ 1 +│ 0 `,        // all are taken
			`ORDER_WAKEUPS +│ File +│ +│ 1 +│ 1 `,         // one watch is open
			`KV_ORDER_WATCHES +│ File +│ +│ 0 +│ [2-9] `,  // two records, and what the workers note beside them
			`ORDER_EVENTS +│ File +│ +│ [0-9]+ +│ [2-9] `, // progress and a completion; this test consumes too
			`KV_ORDER_ACCOUNTS +│ File `, `KV_ORDER_SLACK +│ File `,
		} {
			if !regexp.MustCompile(`│ ` + want).MatchString(streams) {
				return fmt.Errorf("%s is not in:\n%s", want, streams)
			}
		}
		return nil
	})
	consumers, _ := site.tool(t, "consumer", "report", "ORDER_EVENTS")
	if !regexp.MustCompile(`│ slack +│ Pull +│ Explicit +│ 1m0s +│ `).MatchString(consumers) {
		t.Errorf("the report does not show the consumer slack:\n%s", consumers)
	}
}

// TestNatsToolShell runs the example that waits with the nats tool alone, for every way in which that
// can end.
func TestNatsToolShell(t *testing.T) {
	t.Parallel()
	const script = exampleDir + "shell/await-order.sh"
	site := newExampleSite(t, natsTool(t)+" nats")
	env := []string{"EVERY=0.2", "REQUESTED_BY={{Count}}", "LINK=https://ci.example/771"}
	site.waits(t, "build-771", func(t *testing.T, order string) (int, string) {
		return site.run(t, env, script, rig.Project, order, "build-771")
	})

	for _, c := range []struct {
		name, order, id string
		env             []string
		code            int
		says            string
	}{
		{"timed out", "order.never", "build-772", []string{"WATCH_TIMEOUT=1s"}, 4, "timed_out"},
		{"rejected", "order.never", "build-773", []string{"WATCH_TIMEOUT=nonsense"}, 2, "rejected: timeout: must be"},
		{"not heard of", "order.never", "build-774", []string{"WAIT_LIMIT=3"}, 1, "nothing heard of build-774 within 3 s"},
		{"no NATS", "order.never", "build-775", []string{"PUBLISH_LIMIT=1", "NATS_URL=nats://" + rig.FreeAddr(t)}, 1, "no servers available"},
		{"no stream", "order.never", "build-776", []string{"PUBLISH_LIMIT=1", "NATS_URL=" + rig.StartNATS(t, "").URL}, 1, "No responders"},
		{"usage", "order.never", "", nil, 2, "usage"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := slices.DeleteFunc([]string{rig.Project, c.order, c.id}, func(arg string) bool { return arg == "" })
			if code, output := site.run(t, append(slices.Clone(env), c.env...), script, args...); code != c.code || !strings.Contains(output, c.says) {
				t.Errorf("exit code %d; want %d and %q in:\n%s", code, c.code, c.says, output)
			}
		})
	}
}

// TestNatsToolShellWaits lets the example wait for a watch of an order that had ended before, while
// NATS is restarted: it does not take the earlier completion for its own.
func TestNatsToolShellWaits(t *testing.T) {
	t.Parallel()
	site := newExampleSite(t, natsTool(t)+" nats")
	order := watcher.Order{ProjectID: rig.Project, Name: "order.cancelled"}
	cancel := func(by string) {
		var w watcher.Snapshot
		rig.Eventually(t, rig.Patience, func() error { // from when it is watched
			if err := site.tryRequest(t, "get", order, &w); err != nil || w.State == watcher.Watching {
				return err
			}
			return errors.New("not watched")
		})
		site.request(t, "cancel", wire.CancelRequest{Order: order, By: by}, &w)
	}
	site.tool(t, "pub", "-J", "orders.watch", fmt.Sprintf(`{"project_id":%q,"order_name":%q,"request_id":"build-1"}`, rig.Project, order.Name))
	cancel("alice")
	rig.AwaitCompletions(t, site.nats.JS, 1)

	waits := rig.Start(t, exampleDir+"shell/await-order.sh", []string{"PATH=" + site.path, "NATS_URL=" + site.nats.URL, "EVERY=0.2"}, rig.Project, order.Name, "build-2")
	rig.Eventually(t, rig.Patience, func() error {
		if !strings.Contains(waits.Text(), "still processing") {
			return fmt.Errorf("it does not say how far it is:\n%s", waits.Text())
		}
		return nil
	})
	site.nats.Terminate(t)
	rig.Start(t, rig.Build(t, rig.NATSServer), nil, "-c", site.nats.Config)
	rig.Eventually(t, rig.Patience, func() error {
		if !site.nats.JS.Conn().IsConnected() {
			return errors.New("NATS is away")
		}
		return nil
	})
	cancel("bob")
	select {
	case <-waits.Done:
	case <-time.After(rig.Patience):
		t.Fatal("it waits for ever")
	}
	if code := waits.Command.ProcessState.ExitCode(); code != 6 {
		t.Errorf("exit code %d; want 6", code)
	}
	mustHold(t, waits.Text(), "cancelled by bob")
}
