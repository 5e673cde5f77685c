package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// asks has the orders watched, and waits until each is known.
func (d *desk) asks(t *testing.T, orders ...string) {
	t.Helper()
	if got := rig.CarryOut(t, d.env, append([]string{"watch"}, orders...)...); got.Code != 0 {
		t.Fatalf("watch: %d %s%s", got.Code, got.Out, got.Err)
	}
	for _, order := range orders {
		rig.Eventually(t, rig.Patience, func() error {
			if got := rig.CarryOut(t, d.env, "get", order); got.Code != 0 {
				return fmt.Errorf("get: %d %s", got.Code, got.Err)
			}
			return nil
		})
	}
}

// shows waits until get shows a watch as it is wanted, and returns that.
func (d *desk) shows(t *testing.T, order string, wanted func(watcher.Snapshot) bool) (w watcher.Snapshot) {
	t.Helper()
	rig.Eventually(t, rig.Patience, func() error {
		got := rig.CarryOut(t, d.env, "get", "-o", "json", order)
		if strings.Count(got.Out, "\n") != 1 {
			t.Fatalf("get -o json is not one line: %q", got.Out)
		}
		if err := json.Unmarshal([]byte(got.Out), &w); err != nil {
			t.Fatalf("%v: %s%s", err, got.Out, got.Err)
		}
		if !wanted(w) {
			return fmt.Errorf("it is %s", got.Out)
		}
		return nil
	})
	return w
}

// wantSaid holds how a command ended and what it said.
func wantSaid(t *testing.T, what string, got rig.Waited, code int, out, err []string) {
	t.Helper()
	var wrong []string
	if got.Code != code {
		wrong = append(wrong, fmt.Sprintf("exit code %d, want %d", got.Code, code))
	}
	for _, text := range out {
		if !strings.Contains(got.Out, text) {
			wrong = append(wrong, fmt.Sprintf("no %q on stdout", text))
		}
	}
	for _, text := range err {
		if !strings.Contains(got.Err, text) {
			wrong = append(wrong, fmt.Sprintf("no %q on stderr", text))
		}
	}
	if len(err) == 0 && got.Err != "" || strings.Contains(got.Out+got.Err, "\x1b") {
		wrong = append(wrong, "unwanted text")
	}
	if len(wrong) > 0 {
		t.Errorf("%s: %s\n%s%s", what, strings.Join(wrong, "; "), got.Out, got.Err)
	}
}

// TestGetListCancel looks at orders with different fates, and cancels some.
func TestGetListCancel(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.cloud.Add(rig.Project, "order.never-2", emulator.Order{Items: []emulator.Item{{ResourceName: "node-1", EndAfter: emulator.Never}}})
	d.asks(t, "order.parts", "order.never", "order.never-2", "order.refused")
	d.shows(t, "order.parts", func(w watcher.Snapshot) bool { return w.Outcome == watcher.PartiallyFailed })
	d.shows(t, "order.refused", func(w watcher.Snapshot) bool { return w.Outcome == watcher.OrderRefused })
	d.shows(t, "order.never", func(w watcher.Snapshot) bool { return w.Counts.Processing == 1 })

	got := rig.CarryOut(t, d.env, "get", rig.Project+"/order.parts")
	wantSaid(t, "get", got, 0, []string{rig.Project + "/order.parts\n", "partially_failed  1 of 2 nodes failed", "node-failed", "about failed", "Why items failed"}, nil)
	got = rig.CarryOut(t, d.env, "get", "order.refused")
	wantSaid(t, "get of a refused order", got, 0, []string{"about refused", "orderwatch watch --region cn-north-4 --timeout 2h " + rig.Project + "/order.refused"}, nil)
	got = rig.CarryOut(t, d.env, "get", "order.unknown")
	wantSaid(t, "get of no order", got, 1, nil, []string{"no order, request or watch is known as order.unknown in project " + rig.Project, "orderwatch watch " + rig.Project + "/order.unknown\n", "was rejected: orderwatch events order.unknown\n"})
	got = rig.CarryOut(t, d.env, "get", rig.Project+"/order.unknown")
	wantSaid(t, "get of no order of a project", got, 1, nil, []string{rig.Project + "/order.unknown: no watch of this order is known: nobody asked to watch it, or its record is no longer kept\n"})
	got = rig.CarryOut(t, d.env, "get", "order.a", "order.b")
	wantSaid(t, "get of two", got, 2, nil, []string{"2 orders are named; name one"})

	got = rig.CarryOut(t, d.env, "list")
	wantSaid(t, "list", got, 0, []string{rig.Project + "/order.parts ", "partially_failed", "2/2", "STATE"}, nil)
	got = rig.CarryOut(t, d.env, "list", "--state", "ended", "--limit", "1")
	wantSaid(t, "list of one", got, 0, []string{"order."}, []string{"the newest 1; there are more"})
	if n := strings.Count(got.Out, "order."); n != 1 {
		t.Errorf("%d watches with --limit 1:\n%s", n, got.Out)
	}
	got = rig.CarryOut(t, d.env, "list", "--label", "env=none")
	wantSaid(t, "list of none", got, 0, []string{"No watch is known that fits"}, nil)
	for args, says := range map[string]string{
		"--state gone": `--state: "gone" must be watching or ended`, "--label x": "key=value", "--limit 0": "at least 1",
		"--all --limit 5": "contradict", "--project a.b": "project_id: must be", "--watch": "needs a terminal", "--watch -o json": "draws a table",
	} {
		got = rig.CarryOut(t, d.env, append([]string{"list"}, strings.Fields(args)...)...)
		wantSaid(t, "list "+args, got, 2, nil, []string{says})
	}

	got = rig.CarryOut(t, d.env, "cancel", "--by", "ann", "--reason", "wrong flavor", "order.never", "order.unknown", "order.parts", "order.never-2")
	wantSaid(t, "cancel", got, 1,
		[]string{rig.Project + "/order.never: the watch ends now", "NOT cancelled", "order.never-2: the watch ends now"},
		[]string{"is known as order.unknown in project", "order.parts: its watch has ended already"})
	w := d.shows(t, "order.never", func(w watcher.Snapshot) bool { return w.State == watcher.Ended })
	if w.Outcome != watcher.Cancelled || w.Reason != "cancelled by ann: wrong flavor" {
		t.Errorf("cancelled: %s, %s", w.Outcome, w.Reason)
	}
	got = rig.CarryOut(t, d.env, "cancel", "--by", strings.Repeat("x", 201), "order.never-2")
	wantSaid(t, "cancel by a long name", got, 2, nil, []string{"by: "})
}

// TestPoll polls an order whose next poll is an hour away.
func TestPoll(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "ORDERWATCH_POLL_INITIAL=1h", "ORDERWATCH_POLL_MAX=1h")
	d.asks(t, "order.never")
	d.shows(t, "order.never", func(w watcher.Snapshot) bool { return w.Polls == 1 })
	got := rig.CarryOut(t, d.env, "poll", "order.never", "order.unknown")
	wantSaid(t, "poll", got, 1, []string{rig.Project + "/order.never: is polled now, after 1 poll; the last was "}, []string{"is known as order.unknown in project"})
	d.shows(t, "order.never", func(w watcher.Snapshot) bool { return w.Polls == 2 })
	got = rig.CarryOut(t, d.env, "poll", "-o", "json", "order.never")
	var w watcher.Snapshot
	if err := json.Unmarshal([]byte(got.Out), &w); err != nil || got.Code != 0 || w.OrderName != "order.never" {
		t.Errorf("poll -o json: %d %v %s%s", got.Code, err, got.Out, got.Err)
	}
}

// TestListPages lists so many watches with such long labels that the service needs several answers.
func TestListPages(t *testing.T) {
	t.Parallel()
	const orders = 150
	d := newDesk(t, "ORDERWATCH_POLL_INITIAL=1h", "ORDERWATCH_POLL_MAX=1h", "ORDERWATCH_MODELARTS_NOT_FOUND_GRACE=2h")
	labels := make(map[string]string)
	for i := range 30 {
		labels[fmt.Sprint("label-", i)] = strings.Repeat("x", 250)
	}
	for i := range orders {
		body, err := json.Marshal(map[string]any{"project_id": rig.Project, "order_name": fmt.Sprint("order.", i), "labels": labels})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.nats.JS.PublishAsync("orders.watch", body); err != nil {
			t.Fatal(err)
		}
	}
	list := func(args ...string) (names []string, said string) {
		got := rig.CarryOut(t, d.env, append([]string{"list", "-o", "json"}, args...)...)
		for line := range strings.Lines(got.Out) {
			var w watcher.Snapshot
			if err := json.Unmarshal([]byte(line), &w); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			names = append(names, w.OrderName)
		}
		return names, got.Err
	}
	rig.Eventually(t, rig.Patience, func() error {
		if names, said := list("--all"); len(names) != orders {
			return fmt.Errorf("%d watches, %s", len(names), said)
		}
		return nil
	})
	names, said := list("--limit", "140")
	if len(names) != 140 || !strings.Contains(said, "the newest 140; there are more") {
		t.Errorf("%d watches with --limit 140: %s", len(names), said)
	}
	if names, said := list("--limit", "150"); len(names) != orders || said != "" {
		t.Errorf("%d watches with --limit 150: %s", len(names), said)
	}
	slices.Sort(names)
	if len(slices.Compact(names)) != 140 {
		t.Error("a watch is listed twice")
	}
}

// TestCompletion holds that each shell gets a script, and orders where NATS answers. A shell is
// never kept waiting, nor told of an error.
func TestCompletion(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.asks(t, "order.never", "order.fails")
	d.shows(t, "order.fails", func(w watcher.Snapshot) bool { return w.State == watcher.Ended })
	for _, tt := range []struct {
		args string
		want string
	}{
		{"get " + rig.Project + "/order.n", rig.Project + "/order.never"},
		{"get order.f", "order.fails"},
		{"cancel order.", "order.never"},
		{"poll order.never order.", ""},
		{"get order.never order.", ""},
		{"list --state w", "watching ended"}, // the shell filters
		{"completion f", "fish"},
	} {
		rig.Eventually(t, rig.Patience, func() error { // a machine under load may need more than a shell waits
			got := rig.CarryOut(t, d.env, append([]string{"__completeNoDesc"}, strings.Fields(tt.args)...)...)
			if lines := strings.Split(got.Out, "\n"); got.Code != 0 || !slices.Equal(lines[:len(lines)-2], strings.Fields(tt.want)) {
				return fmt.Errorf("%s: %d %q", tt.args, got.Code, got.Out)
			}
			return nil
		})
	}
	// Where NATS accepts connections and says nothing, or is not there.
	for _, url := range []string{"nats://" + silent(t, "", 0), "nats://" + rig.FreeAddr(t), ""} {
		begin := time.Now()
		got := rig.CarryOut(t, []string{"ORDERWATCH_NATS_URL=" + url}, "__complete", "get", "")
		if took := time.Since(begin); got.Code != 0 || !strings.HasPrefix(got.Out, ":") || took > 4*time.Second || strings.Contains(got.Err, "orderwatch:") {
			t.Errorf("with NATS at %q: %d after %s\n%s%s", url, got.Code, took, got.Out, got.Err)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		got := rig.CarryOut(t, nil, "completion", shell)
		if got.Code != 0 || got.Err != "" || !strings.Contains(got.Out, "__complete") {
			t.Errorf("completion %s: %d %s", shell, got.Code, got.Err)
		}
		if path, err := exec.LookPath(shell); err == nil {
			check := exec.Command(path, "-n")
			check.Stdin = strings.NewReader(got.Out)
			if out, err := check.CombinedOutput(); err != nil {
				t.Errorf("%s does not take its script: %v %s", shell, err, out)
			}
		}
	}
	wantSaid(t, "completion of another shell", rig.CarryOut(t, nil, "completion", "tcsh"), 2, nil, []string{"name one shell: bash, zsh, fish"})
}

// TestMan holds that there is a page for each command, the same each time.
func TestMan(t *testing.T) {
	t.Parallel()
	first, second := t.TempDir(), t.TempDir()
	for _, dir := range []string{first, second} {
		wantSaid(t, "man", rig.CarryOut(t, nil, "man", dir), 0, []string{"wrote ", " pages into " + dir + "\n"}, nil)
	}
	root, err := os.ReadFile(first + "/orderwatch.1")
	if err != nil {
		t.Fatal(err)
	}
	if got := rig.CarryOut(t, nil, "man"); got.Out != string(root) {
		t.Error("man prints another page than it writes")
	}
	pages, err := os.ReadDir(first)
	if err != nil || len(pages) < 15 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, page := range pages {
		one, err := os.ReadFile(first + "/" + page.Name())
		if err != nil {
			t.Fatal(err)
		}
		if again, err := os.ReadFile(second + "/" + page.Name()); err != nil || string(again) != string(one) {
			t.Errorf("%s differs the second time (%v)", page.Name(), err)
		}
		if !strings.Contains(string(one), `" "1" "" "orderwatch `) || strings.Contains(string(one), "Auto generated") {
			t.Errorf("%s says when it was made:\n%.200s", page.Name(), one)
		}
		name, _, _ := strings.Cut(page.Name(), ".1")
		command := strings.TrimPrefix(strings.TrimPrefix(name, "orderwatch"), "-")
		if !strings.Contains(string(one), ".SH EXAMPLE") {
			t.Errorf("%s has no example", page.Name())
		}
		above := root
		if parent, _, ok := strings.Cut(command, "-"); ok {
			if above, err = os.ReadFile(first + "/orderwatch-" + parent + ".1"); err != nil {
				t.Fatal(err)
			}
		}
		if command != "" && !strings.Contains(string(above), "\\-"+strings.ReplaceAll(command, "-", "\\-")) && !strings.Contains(string(above), "-"+command+"(1)") {
			t.Errorf("no page names %s", command)
		}
	}
	if mandoc, err := exec.LookPath("man"); err == nil {
		out, err := exec.Command(mandoc, "--warnings", "-l", first+"/orderwatch-serve.1").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "MODELARTS_REGIONS") {
			t.Errorf("man: %v\n%s", err, out)
		}
	}
	wantSaid(t, "man with two directories", rig.CarryOut(t, nil, "man", "a", "b"), 2, nil, []string{"name one command or one directory"})
	for name, args := range map[string][]string{"get": {"man", "get"}, "routes-test": {"man", "routes", "test"}} {
		page, err := os.ReadFile(first + "/orderwatch-" + name + ".1")
		if got := rig.CarryOut(t, nil, args...); err != nil || got.Out != string(page) {
			t.Errorf("%q prints another page than man writes: %v %s%s", args, err, got.Out, got.Err)
		}
	}
	wantSaid(t, "man of a slip", rig.CarryOut(t, nil, "man", "lst"), 2, nil, []string{`unknown command "lst": did you mean get or list? A directory is written ./lst`})
}
