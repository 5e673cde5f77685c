package faults_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig/guarded"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// hourly lets an order be asked for once, and again an hour later: what comes sooner comes by the list.
var hourly = []string{"ORDERWATCH_POLL_INITIAL=1h", "ORDERWATCH_POLL_MAX=1h", "ORDERWATCH_SWEEP_EVERY=1s"}

// A sweptSite is an installation whose orders are listed.
type sweptSite struct {
	js        jetstream.JetStream
	url       string
	cloud     *emulator.Emulator
	modelArts string
	workers   []*rig.Process
}

func newSweptSite(t *testing.T) *sweptSite {
	t.Helper()
	n := rig.StartNATS(t, "")
	s := &sweptSite{js: n.JS, url: n.URL, cloud: emulator.New(emulator.Options{CallsKept: 100_000})}
	modelArts := httptest.NewServer(s.cloud)
	t.Cleanup(modelArts.Close)
	s.modelArts = modelArts.URL
	return s
}

// start starts so many workers.
func (s *sweptSite) start(t *testing.T, workers int, more ...string) {
	t.Helper()
	for range workers {
		addr := rig.FreeAddr(t)
		s.workers = append(s.workers, rig.Start(t, rig.Build(t, rig.Worker), rig.ServeEnv(s.url, s.modelArts, addr, more...), "serve"))
		rig.AwaitReady(t, addr)
	}
}

// watch asks for the orders.
func (s *sweptSite) watch(t *testing.T, project string, names ...string) {
	t.Helper()
	for _, name := range names {
		rig.Publish(t, s.js, fmt.Sprintf(`{"project_id":%q,"order_name":%q}`, project, name))
	}
}

// lists returns how often the orders of the project were listed.
func (s *sweptSite) lists(project string) (n int) {
	for _, c := range s.cloud.Calls() {
		if c.Kind == emulator.ListOrders && c.Project == project {
			n++
		}
	}
	return n
}

// sweeper returns the id of the worker that has the lease of rig.Project; empty where none has it.
func (s *sweptSite) sweeper(t *testing.T) string {
	t.Helper()
	m, err := lastMessage(t.Context(), s.js, "KV_ORDER_ACCOUNTS", "$KV.ORDER_ACCOUNTS.sweep.cn-north-4."+rig.Project)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	var lease struct{ Worker string }
	_ = json.Unmarshal(m.Data, &lease)
	return lease.Worker
}

// awaitListed waits until the orders of the project were listed often enough to know them all.
func (s *sweptSite) awaitListed(t *testing.T, project string) {
	t.Helper()
	before := s.lists(project)
	rig.Eventually(t, rig.Patience, func() error {
		if n := s.lists(project); n < before+3 {
			return fmt.Errorf("the orders of %s were listed %d times", project, n)
		}
		return nil
	})
}

// ending is an order whose one item ends so long after its first poll.
func ending(after time.Duration) emulator.Order {
	return emulator.Order{FromFirstPoll: true, Items: []emulator.Item{{ResourceName: "node-1", Action: "createNode", EndAfter: after}}}
}

// TestSweep has orders that are polled once an hour: the list shows that they end, to one of two workers, also the last
// one. Then the orders are not listed any more.
func TestSweep(t *testing.T) {
	t.Parallel()
	s := newSweptSite(t)
	names := []string{"order.a", "order.b", "order.c", "order.d", "order.e", "order.f"}
	for i, name := range names {
		s.cloud.Add(rig.Project, name, ending(8*time.Second+time.Duration(i)*time.Second/2))
	}
	s.cloud.Add(rig.Project, "order.never", ending(emulator.Never))
	s.start(t, 2, hourly...)
	s.watch(t, rig.Project, append(names, "order.never")...)
	for _, c := range rig.AwaitCompletions(t, s.js, len(names)) {
		if c.Outcome != watcher.Succeeded || c.DetectedBy != watcher.ByList || c.Polls > 4 {
			t.Errorf("%s: %s, detected by %q, after %d polls", c.OrderName, c.Outcome, c.DetectedBy, c.Polls)
		}
		t.Logf("%s: detected after %s, settled after %s", c.OrderName, c.DetectedAfter, c.SettledAfter)
	}
	s.awaitListed(t, rig.Project)
	s.cloud.Add(rig.Project, "order.never", emulator.Order{Items: []emulator.Item{{ResourceName: "node-1", Action: "createNode", EndAfter: time.Second}}})
	rig.AwaitCompletions(t, s.js, len(names)+1)
	rig.Eventually(t, rig.Patience, func() error {
		if id := s.sweeper(t); id != "" {
			return fmt.Errorf("worker %s has the lease", id)
		}
		return nil
	})
	for _, w := range s.workers {
		if strings.Contains(w.Text(), "is of no use") || strings.Contains(w.Text(), "level=ERROR") {
			t.Errorf("a worker says:\n%s", rig.Tail(w.Text(), 2000))
		}
	}
}

// TestSweeperKilled kills the worker that lists the orders while some of them end. Another one takes over, and finds
// out which.
func TestSweeperKilled(t *testing.T) {
	t.Parallel()
	s := newSweptSite(t)
	names := []string{"order.a", "order.b", "order.c", "order.d"}
	for _, name := range append(names, "order.x", "order.y") {
		s.cloud.Add(rig.Project, name, ending(emulator.Never))
	}
	s.start(t, 2, hourly...)
	s.watch(t, rig.Project, append(names, "order.x", "order.y")...)
	s.awaitListed(t, rig.Project)
	first := s.sweeper(t)
	killed := 0
	for i, w := range s.workers {
		if strings.Contains(w.Text(), "sweeping the orders of a project") {
			killed = i
		}
	}
	s.workers[killed].Kill()
	begin := time.Now()
	for _, name := range names {
		s.cloud.Add(rig.Project, name, emulator.Order{Items: []emulator.Item{{ResourceName: "node-1", Action: "createNode"}}})
	}
	rig.Eventually(t, rig.Patience, func() error {
		if id := s.sweeper(t); id == first || id == "" {
			return fmt.Errorf("the lease is worker %q's", id)
		}
		return nil
	})
	t.Logf("another worker sweeps after %s", time.Since(begin).Round(100*time.Millisecond))
	for _, c := range rig.AwaitCompletions(t, s.js, len(names)) {
		if !slices.Contains(names, c.OrderName) || c.Outcome != watcher.Succeeded {
			t.Errorf("%s: %s", c.OrderName, c.Outcome)
		}
	}
	t.Logf("what ended meanwhile is known after %s", time.Since(begin).Round(100*time.Millisecond))
}

// wrongLists are what may be wrong with a list. Each is met by a project of its own.
var wrongLists = map[string]emulator.Fault{
	"right":           {Rows: emulator.RowFault{}},
	"forbidden":       {Status: http.StatusForbidden, Code: "ModelArts.0108", Message: "not permitted"},
	"unknown":         {Status: http.StatusNotFound, Code: "APIG.0101", Message: "The API does not exist"},
	"bad-request":     {Status: http.StatusBadRequest, Code: "ModelArts.50004000", Message: "Bad request."},
	"fails":           {Status: http.StatusServiceUnavailable, Shape: emulator.HTML},
	"silent":          {Hang: true},
	"slow":            {Delay: 800 * time.Millisecond},
	"cut":             {Cut: true, CutAfter: 20},
	"a-page":          {Body: "<html><body>maintenance</body></html>"},
	"another-schema":  {Body: `{"count":"many","items":{"a":1}}`},
	"empty":           {Body: `{"count":0,"items":[]}`},
	"all-ended":       {Body: `{"count":2,"items":[{"orderName":"order.a","phase":"successed","creationTimestamp":1744285793000,"endTimestamp":1744286479000},{"orderName":"order.b","phase":"failed","creationTimestamp":1744285793000,"endTimestamp":1744286479000}]}`},
	"others":          {Body: `{"count":1,"items":[{"orderName":"order.else","phase":"running","creationTimestamp":1744285793000}]}`},
	"shuffled":        {Rows: emulator.RowFault{Shuffled: true}},
	"shifts":          {Rows: emulator.RowFault{Shift: -2}},
	"any-phase":       {Rows: emulator.RowFault{AnyPhase: true}},
	"ends-early":      {Rows: emulator.RowFault{Early: 5 * time.Second}},
	"never-ends":      {Rows: emulator.RowFault{Late: emulator.Never}},
	"no-end-time":     {Rows: emulator.RowFault{NoEnd: true}},
	"now-and-then":    {ToPoll: 3, Status: http.StatusBadGateway, Shape: emulator.HTML},
	"a-redirect":      {Status: http.StatusFound, Header: map[string]string{"Location": "/v1/p/orders"}},
	"a-gigabyte":      {Pad: 1 << 30},
	"dripping":        {Drip: 200 * time.Millisecond},
	"refused-as-html": {Status: http.StatusForbidden, Shape: emulator.HTML},
}

// TestListWrong lets each project meet a list that is wrong in its own way. Every order ends by what its items became,
// no account is held, and what is of no use is said once.
func TestListWrong(t *testing.T) {
	t.Parallel()
	s := newSweptSite(t)
	var faults []emulator.Fault
	expected := make(map[watcher.Order]watcher.Outcome)
	for _, project := range slices.Sorted(maps.Keys(wrongLists)) {
		fault := wrongLists[project]
		fault.Project, fault.Kind = project, emulator.ListOrders
		faults = append(faults, fault)
		for i, outcome := range []watcher.Outcome{watcher.Succeeded, watcher.AllFailed, watcher.PartiallyFailed} {
			order := watcher.Order{ProjectID: project, Name: "order." + string(rune('a'+i))}
			end := 6*time.Second + time.Duration(i)*time.Second
			good := emulator.Item{ResourceName: "node-1", Action: "createNode", EndAfter: end}
			bad := emulator.Item{ResourceName: "node-2", Action: "createNode", EndAfter: end, Status: "failed", Message: "flavor sold out"}
			items := map[watcher.Outcome][]emulator.Item{watcher.Succeeded: {good}, watcher.AllFailed: {bad}, watcher.PartiallyFailed: {good, bad}}
			s.cloud.Add(project, order.Name, emulator.Order{FromFirstPoll: true, Items: items[outcome]})
			expected[order] = outcome
		}
	}
	s.cloud.SetFaults(faults...)
	s.start(t, 2, "ORDERWATCH_SWEEP_EVERY=1s", "ORDERWATCH_POLL_MAX_SWEPT=3s")
	for order := range expected {
		s.watch(t, order.ProjectID, order.Name)
	}
	for _, c := range rig.AwaitCompletions(t, s.js, len(expected)) {
		order := watcher.Order{ProjectID: c.ProjectID, Name: c.OrderName}
		if c.Outcome != expected[order] {
			t.Errorf("%s is %s: %s; want %s", order, c.Outcome, c.Reason, expected[order])
		}
		delete(expected, order)
	}
	for order := range expected {
		t.Errorf("%s has no completion", order)
	}
	text := ""
	for _, w := range s.workers {
		text += w.Text()
	}
	for project := range wrongLists {
		said, lines := 0, ""
		for line := range strings.Lines(text) {
			if strings.Contains(line, "project="+project) && strings.Contains(line, "orders of a project") || strings.Contains(line, "project="+project+" ") && strings.Contains(line, "is of no use") {
				lines += line
			}
			if strings.Contains(line, "is of no use") && strings.Contains(line, "project="+project+" ") {
				said++
			}
		}
		if s.lists(project) == 0 || said > 1 {
			t.Errorf("%s: listed %d times; said %d times that it is of no use:\n%s", project, s.lists(project), said, lines)
		}
		if useful := slices.Contains([]string{"right", "slow", "shuffled", "shifts", "now-and-then"}, project); useful && said > 0 {
			t.Errorf("%s is said to be of no use", project)
		}
		if refused := slices.Contains([]string{"forbidden", "unknown", "bad-request", "refused-as-html"}, project); refused && (said != 1 || s.lists(project) > 4) {
			t.Errorf("%s: listed %d times; said %d times that it is of no use", project, s.lists(project), said)
		}
	}
	if strings.Contains(text, "account is held") || strings.Contains(text, "level=ERROR") {
		t.Errorf("a worker says:\n%s", rig.Tail(text, 3000))
	}
}

// TestSweepByEarlierPermissions gives workers the permissions of the release before, which lack orders.listed.>. They work, and
// are told that an order left the list; they say once that the subject is missing.
func TestSweepByEarlierPermissions(t *testing.T) {
	t.Parallel()
	rules := strings.NewReplacer(`, "orders.listed.>"]`, `]`, `"orders.listed.>"`, ``).Replace(guarded.Shipped(t, "../../../deploy/nats-permissions.conf"))
	if strings.Contains(rules, "orders.listed") {
		t.Fatal("the rules still name the subject")
	}
	g := guarded.Start(t, rules, nats.UserInfo("setup", "planted-setup"))
	s := &sweptSite{js: g.JS, url: g.URL, cloud: emulator.New(emulator.Options{})}
	modelArts := httptest.NewServer(s.cloud)
	t.Cleanup(modelArts.Close)
	s.modelArts = modelArts.URL
	s.start(t, 1, "ORDERWATCH_NATS_USER=setup", "ORDERWATCH_NATS_PASSWORD=planted-setup")
	s.workers[0].Terminate(t)
	s.workers = nil
	s.start(t, 2, append(hourly, "ORDERWATCH_NATS_USER=worker", "ORDERWATCH_NATS_PASSWORD=planted-worker", "ORDERWATCH_PROVISION=false")...)
	names := []string{"order.a", "order.b", "order.c"}
	for _, name := range names {
		s.cloud.Add(rig.Project, name, ending(8*time.Second))
	}
	s.cloud.Add(rig.Project, "order.never", ending(emulator.Never))
	s.watch(t, rig.Project, append(names, "order.never")...)
	for _, c := range rig.AwaitCompletions(t, s.js, len(names)) {
		if c.Outcome != watcher.Succeeded || c.DetectedBy != watcher.ByList {
			t.Errorf("%s: %s, detected by %q", c.OrderName, c.Outcome, c.DetectedBy)
		}
	}
	for _, w := range s.workers {
		if n := strings.Count(w.Text(), "does not permit to tell"); n != 1 || strings.Contains(w.Text(), "denies a permission") {
			t.Errorf("said %d times:\n%s", n, rig.Tail(w.Text(), 3000))
		}
		if code, _ := w.Terminate(t); code != 0 {
			t.Errorf("a worker exits with %d", code)
		}
	}
}
