package main_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
)

// TestEventsCommand prints what a few orders led to, as a whole and in parts.
func TestEventsCommand(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	if got := rig.CarryOut(t, d.env, "events"); got.Code != 0 || got.Out != "" || !strings.Contains(got.Err, "no such event is kept") {
		t.Errorf("of none: %d %s%s", got.Code, got.Out, got.Err)
	}
	if got := rig.CarryOut(t, d.env, "watch", "--wait", "order.succeeds", "order.parts", "order.fails"); got.Code != 3 {
		t.Fatalf("exit code %d: %s%s", got.Code, got.Out, got.Err)
	}
	rig.Publish(t, d.nats.JS, `{"project_id":"p","order_name":"order.x","timeout":"1\u001b[2J"}`)
	between := time.Now().Add(time.Minute).UTC().Format(time.RFC3339)
	for _, tt := range []struct {
		args string
		code int
		want map[string]int // how many lines hold this; "" stands for all lines
	}{
		{"", 0, map[string]int{"  completed  ": 3, "  rejected   order.x  –  timeout: ": 1, rig.Project + "/order.fails  failed  1 of 1 node failed · ": 1}},
		{"--kind completed", 0, map[string]int{"": 3}},
		{"--kind rejected,completed", 0, map[string]int{"": 4}},
		{"--outcome failed", 0, map[string]int{"": 1, "order.fails": 1}},
		{"--outcome failed,succeeded,failed " + rig.Project, 0, map[string]int{"": 2, rig.Project: 0}},
		{"another-project", 0, map[string]int{"": 0}},
		{rig.Project + "/order.parts --outcome partially_failed", 0, map[string]int{"": 1, "partially_failed  1 of 2 nodes failed · ": 1}},
		{"--kind completed --since 1h", 0, map[string]int{"": 3}},
		{"--kind completed --since " + between, 0, map[string]int{"": 0}},
		{"--kind completed -o json", 0, map[string]int{"": 3, `{"specversion":"1.0"`: 3}},
		{"--kind completion", 2, nil},
		{"--outcome great", 2, nil},
		{"--outcome failed --kind progress", 2, nil},
		{"--kind rejected " + rig.Project, 2, nil},
		{"--kind attention " + rig.Project + "/order.a", 0, map[string]int{"": 0}},
		{"--since yesterday", 2, nil},
		{"--since -2h", 2, nil},
		{"order.parts --kind completed", 0, map[string]int{"": 1, "order.parts  partially_failed": 1}},
		{"neither*", 0, map[string]int{"": 0}}, // it may be the id of a request
		{rig.Project + "/", 2, nil},
		{"one two", 2, nil},
	} {
		check := func() error {
			got := rig.CarryOut(t, d.env, append([]string{"events"}, strings.Fields(tt.args)...)...)
			if got.Code != tt.code || tt.code == 2 && (strings.Count(got.Err, "\n") > 3 || got.Err == "") || strings.Contains(got.Out, "\x1b") {
				return fmt.Errorf("events %s: exit code %d: %s%s", tt.args, got.Code, got.Out, got.Err)
			}
			for text, want := range tt.want {
				n := 0
				for line := range strings.Lines(got.Out) {
					if strings.Contains(line, text) {
						n++
					}
				}
				if n != want {
					return fmt.Errorf("events %s: %d lines with %q; want %d:\n%s", tt.args, n, text, want, got.Out)
				}
			}
			return nil
		}
		rig.Eventually(t, rig.Patience, check) // the rejection comes when it comes
	}
}

// TestEventsCommandOfProject prints the events of a project, of which the worker cannot say in time whether it is one.
func TestEventsCommandOfProject(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	if got := rig.CarryOut(t, d.env, "watch", "--wait", "order.fails"); got.Code != 3 {
		t.Fatalf("exit code %d: %s%s", got.Code, got.Out, got.Err)
	}
	d.worker.Terminate(t)
	nc := d.nats.JS.Conn()
	_, err := nc.Subscribe("orderwatch.list", func(m *nats.Msg) {
		answer := nats.NewMsg(m.Reply)
		answer.Header.Set(micro.ErrorHeader, "not all records were read within 8s")
		answer.Header.Set(micro.ErrorCodeHeader, "503")
		answer.Data = []byte(`{"code":503,"reason":"not all records were read within 8s"}`)
		if err := m.RespondMsg(answer); err != nil {
			t.Error(err)
		}
	})
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int{rig.Project: 1, "another-project": 0, "neither*": 0} {
		got := rig.CarryOut(t, d.env, "events", "--kind", "completed", text)
		if got.Code != 0 || strings.Count(got.Out, "  order.fails  failed") != want {
			t.Errorf("events %s: exit code %d: %s%s", text, got.Code, got.Out, got.Err)
		}
	}
}

// TestEventsCommandOfAttention prints what calls for attention: to accounts, to one order, and by those who
// want people to be told again.
func TestEventsCommandOfAttention(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	event := func(subject, kind, data string) {
		t.Helper()
		body := fmt.Sprintf(`{"specversion":"1.0","id":"1","source":"/orderwatch","type":%q,"datacontenttype":"application/json","time":"2025-04-10T12:08:10Z","data":%s}`, kind, data)
		if _, err := d.nats.JS.Publish(t.Context(), "orders.attention."+subject, []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	ofOrder := func(kind, name, more string) {
		t.Helper()
		event(kind+"."+rig.Project+"."+name, "io.orderwatch.order.attention.v1", fmt.Sprintf(`{"kind":%q,"project_id":%q,"order_name":%q,"since":"2025-04-10T12:03:05Z"%s}`, kind, rig.Project, name, more))
	}
	event("credentials."+rig.Project, "io.orderwatch.attention.v1", fmt.Sprintf(`{"kind":"credentials","project_id":%q,"reason":"401"}`, rig.Project))
	ofOrder("blind", "order.a", `,"reason":"this order cannot be read (ModelArts.50005000: Internal\u001b[2J server error)","error":{"code":"ModelArts.50005000","message":"Internal\u001b[2J server error"}`)
	ofOrder("vanished", "order.a", `,"reason":"createNode os-node-2, last seen processing","items":[{"resource_name":"os-node-1","action":"createNode","status":"succeed"},{"resource_name":"os-node-2","action":"createNode","status":"processing","missing_since":"2025-04-10T12:03:05Z"}]`)
	ofOrder("unknown_status", "order.a.b", `,"reason":"the item may go on","items":[{"resource_name":"os-node-2","action":"createNode","status":"canceled"}]`)
	event("renotify."+rig.Project+".order.a", "io.orderwatch.slack.renotify.v1", fmt.Sprintf(`{"watch_id":"w_1","project_id":%q,"order_name":"order.a","by":"ann"}`, rig.Project))
	for _, tt := range []struct {
		args string
		want map[string]int // how many lines hold this; "" stands for all lines
	}{
		{"--kind attention", map[string]int{"": 5, "  attention  " + rig.Project + "/order.a  ": 3, "  attention  " + rig.Project + "  credentials  401": 1}},
		{"--kind attention " + rig.Project, map[string]int{
			"": 5, "order.a  blind  this order cannot be read (ModelArts.50005000: Internal\uFFFD server error)": 1,
			"order.a  vanished  createNode os-node-2, last seen processing": 1, "order.a.b  unknown_status  the item may go on": 1,
		}},
		{rig.Project, map[string]int{"": 5}},
		{rig.Project + "/order.a", map[string]int{"": 3, "order.a  renotify  ann wants people to be told again": 1, "order.a.b": 0, "credentials": 0}},
		{rig.Project + "/order.a --kind attention", map[string]int{"": 3}},
		{rig.Project + "/order.a --kind progress,completed", map[string]int{"": 0}},
		{rig.Project + "/order.a.b --kind attention -o json", map[string]int{"": 1, `"type":"io.orderwatch.order.attention.v1"`: 1}},
		{rig.Project + "/order --kind attention", map[string]int{"": 0}},
		{"another-project --kind attention", map[string]int{"": 0}},
		{"--outcome failed", map[string]int{"": 0}},
	} {
		got := rig.CarryOut(t, d.env, append([]string{"events"}, strings.Fields(tt.args)...)...)
		if got.Code != 0 || strings.Contains(got.Out, "\x1b") {
			t.Errorf("events %s: exit code %d: %s%s", tt.args, got.Code, got.Out, got.Err)
		}
		for text, want := range tt.want {
			n := 0
			for line := range strings.Lines(got.Out) {
				if strings.Contains(line, text) {
					n++
				}
			}
			if n != want {
				t.Errorf("events %s: %d lines with %q; want %d:\n%s", tt.args, n, text, want, got.Out)
			}
		}
	}
}

// TestEventsFollow prints events as they come, from now on and from a time on, over a restart of the
// nats-server, until nobody reads them any more.
func TestEventsFollow(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	follow := func(args ...string) (*exec.Cmd, *bufio.Scanner, string) {
		t.Helper()
		stderr := filepath.Join(t.TempDir(), "stderr")
		file, err := os.Create(stderr)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		command := exec.Command(rig.Build(t, rig.Worker), append([]string{"events", "--follow", "--kind", "completed", "-o", "json"}, args...)...)
		command.Env = append(rig.Bare(), d.env...)
		out, err := command.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		command.Stderr = file
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { command.Process.Kill() })
		return command, bufio.NewScanner(out), stderr
	}
	next := func(lines *bufio.Scanner) string {
		t.Helper()
		if !lines.Scan() {
			t.Fatalf("no more lines: %v", lines.Err())
		}
		var event struct {
			Subject string `json:"subject"`
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			t.Fatalf("%v: %s", err, lines.Bytes())
		}
		return event.Subject
	}
	asked := 0
	watched := func(order string) {
		t.Helper()
		asked++
		rig.Eventually(t, rig.Patience, func() error { // a server that has just come back may not answer
			got := rig.CarryOut(t, d.env, "watch", "--wait", "--request-id", fmt.Sprintf("build-%03d", asked), order)
			if got.Code != 0 && got.Code != 3 {
				return fmt.Errorf("exit code %d: %s%s", got.Code, got.Out, got.Err)
			}
			return nil
		})
	}
	watched("order.succeeds")
	command, lines, stderr := follow("--since", "1h")
	if got := next(lines); got != "order.succeeds" {
		t.Errorf("the first is of %s", got)
	}
	d.nats.Kill()
	rig.Eventually(t, rig.Patience, func() error {
		text, err := os.ReadFile(stderr)
		if err == nil && !strings.Contains(string(text), "the connection to NATS is lost") {
			err = fmt.Errorf("stderr %q", text)
		}
		return err
	})
	d.nats.Again(t)
	watched("order.fails")
	if got := next(lines); got != "order.fails" {
		t.Errorf("the next is of %s", got)
	}
	command.Process.Signal(os.Interrupt)
	if command.Wait(); command.ProcessState.ExitCode() != 130 {
		t.Errorf("Ctrl-C: exit code %d", command.ProcessState.ExitCode())
	}

	// From now on: nothing of before. The reader goes after one line.
	pipe := exec.Command("sh", "-c", `"$0" events --follow --kind completed | head -1`, rig.Build(t, rig.Worker))
	pipe.Env = append(rig.Bare(), d.env...)
	var said strings.Builder
	pipe.Stderr = &said
	done := make(chan struct{})
	var shown []byte
	go func() {
		defer close(done)
		shown, _ = pipe.Output() // what was said tells
	}()
	for ended := false; !ended; { // until it follows, and until it has met the broken pipe
		select {
		case <-done:
			ended = true
		default:
			watched("order.parts")
		}
	}
	if !strings.Contains(string(shown), "order.parts  partially_failed") || strings.Count(string(shown), "\n") != 1 || said.Len() > 0 {
		t.Errorf("from now on: %q, stderr %q", shown, said.String())
	}
}
