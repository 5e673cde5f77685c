package main_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// ask publishes a request, and waits until its watch is as it is wanted.
func (d *desk) ask(t *testing.T, r wire.WatchRequest, wanted func(watcher.Snapshot) bool) watcher.Snapshot {
	t.Helper()
	body, err := json.Marshal(r)
	if err == nil {
		_, err = d.nats.JS.Publish(t.Context(), "orders.watch", body)
	}
	if err != nil {
		t.Fatal(err)
	}
	rig.Eventually(t, rig.Patience, func() error {
		if got := rig.CarryOut(t, d.env, "get", r.Order.String()); got.Code != 0 {
			return fmt.Errorf("get: %d %s", got.Code, got.Err)
		}
		return nil
	})
	return d.shows(t, r.Order.String(), wanted)
}

// TestPastedIDs hands ids and names, as lists, events and messages show them, to the commands, by a person who has no
// project configured.
func TestPastedIDs(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ended := func(w watcher.Snapshot) bool { return w.State == watcher.Ended }
	seen := func(w watcher.Snapshot) bool { return w.Counts.Total > 0 }
	fails := d.ask(t, wire.WatchRequest{Order: watcher.Order{ProjectID: rig.Project, Name: "order.fails"}, RequestID: "build-1"}, ended)
	never := d.ask(t, wire.WatchRequest{Order: watcher.Order{ProjectID: rig.Project, Name: "order.never"}, RequestID: "group/pipe/2"}, seen)
	for _, project := range []string{"p-1", "p-2"} {
		d.ask(t, wire.WatchRequest{Order: watcher.Order{ProjectID: project, Name: "order.twice"}, RequestID: "build-3"}, func(watcher.Snapshot) bool { return true })
	}
	rejected := `{"order_nmae":"order.a","request_id":"build-4"}`
	if _, err := d.nats.JS.Publish(t.Context(), "orders.watch", []byte(rejected)); err != nil {
		t.Fatal(err)
	}
	env := []string{"ORDERWATCH_NATS_URL=" + d.nats.URL}
	for _, tt := range []struct {
		args string
		code int
		out  []string
		err  []string
	}{
		{"get order.fails", 0, []string{rig.Project + "/order.fails\n", "about failed"}, nil},
		{"get build-1", 0, []string{rig.Project + "/order.fails\n"}, nil},
		{"get " + fails.WatchID, 0, []string{rig.Project + "/order.fails\n"}, nil},
		{"get group/pipe/2", 0, []string{rig.Project + "/order.never\n"}, nil},
		{"get order.twice", 1, nil, []string{`"order.twice" may mean several orders; name one:`, "\n  p-1/order.twice\n", "\n  p-2/order.twice\n"}},
		{"get build-3", 1, nil, []string{"may mean several orders", "\n  p-1/order.twice, by a request\n"}},
		{"get build-4", 2, nil, []string{`"build-4" names no project`, "no watch is known under this name or id", "\nWhether such a request was rejected: orderwatch events build-4\n"}},
		{"get p/o..", 2, nil, []string{"the order's name must be"}},
		{"poll group/pipe/2 " + never.WatchID, 0, []string{rig.Project + "/order.never: is polled now"}, nil},
		{"poll order.fails", 1, nil, []string{rig.Project + "/order.fails: its watch has ended already"}},
		{"renotify build-1", 0, []string{"the summary of watch " + fails.WatchID}, nil},
		{"renotify order.fails", 0, []string{"the summary of watch " + fails.WatchID}, nil},
		{"events build-1 --kind completed", 0, []string{rig.Project + "/order.fails  failed"}, nil},
		{"events order.fails --kind completed", 0, []string{"order.fails  failed"}, nil},
		{"events " + fails.WatchID + " --kind completed", 0, []string{"order.fails  failed"}, nil},
		{"events " + rig.Project + " --kind completed", 0, []string{"  order.fails  failed"}, nil},
		{"events order.twice", 1, nil, []string{"may mean several orders"}},
		{"watch order.unheard", 2, nil, []string{"names no project"}},
		{"watch build-1", 0, []string{rig.Project + "/order.fails: request "}, nil},
		{"cancel --by ann order.never", 0, []string{rig.Project + "/order.never: the watch ends now"}, nil},
	} {
		if tt.args == "events build-1 --kind completed" {
			tt.out = []string{"order.fails  failed"}
		}
		wantSaid(t, tt.args, rig.CarryOut(t, env, strings.Fields(tt.args)...), tt.code, tt.out, tt.err)
	}
	rig.Eventually(t, rig.Patience, func() error { // the rejection comes when it comes
		if got := rig.CarryOut(t, env, "events", "build-4"); got.Code != 0 || !strings.Contains(got.Out, "order_nmae") {
			return fmt.Errorf("events build-4: %d %s%s", got.Code, got.Out, got.Err)
		}
		return nil
	})
	got := rig.CarryOut(t, d.env, "get", "build-3") // the project is configured, and has no such order
	wantSaid(t, "get with a project", got, 1, nil, []string{"p-1/order.twice, by a request"})
}

// TestListChoice lists watches by how they ended, by a request and since a time, with why orders failed.
func TestListChoice(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.asks(t, "order.parts", "order.never", "order.succeeds")
	d.shows(t, "order.parts", func(w watcher.Snapshot) bool { return w.State == watcher.Ended })
	d.shows(t, "order.succeeds", func(w watcher.Snapshot) bool { return w.State == watcher.Ended })
	request := d.shows(t, "order.never", func(w watcher.Snapshot) bool { return w.Counts.Total > 0 }).Requests[0].ID
	later := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	for args, want := range map[string]string{
		"--outcome failed,partially_failed": "order.parts", "--outcome succeeded --outcome failed": "order.succeeds",
		"--request-id " + request: "order.never", "--request-id none": "", "--since " + later: "order.never", "--since 1h --state ended --outcome partially_failed": "order.parts",
	} {
		got := rig.CarryOut(t, d.env, append([]string{"list"}, strings.Fields(args)...)...)
		if n := strings.Count(got.Out, rig.Project+"/"); got.Code != 0 || want != "" && n != 1 || want == "" && n != 0 || !strings.Contains(got.Out, want) {
			t.Errorf("list %s: exit code %d, want %q in\n%s%s", args, got.Code, want, got.Out, got.Err)
		}
	}
	got := rig.CarryOut(t, d.env, "list", "--outcome", "partially_failed")
	wantSaid(t, "list of failed orders", got, 0, []string{"NOTE\n", "about failed\uFFFD\n"}, nil)
	for args, says := range map[string]string{
		"--outcome great": `--outcome "great": the outcomes are succeeded, `, "--since yesterday": `--since "yesterday": write how long ago`, "--outcome failed --state watching": "leave out --state watching",
	} {
		wantSaid(t, "list "+args, rig.CarryOut(t, d.env, append([]string{"list"}, strings.Fields(args)...)...), 2, nil, []string{says})
	}
}
