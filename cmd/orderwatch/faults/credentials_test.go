package faults_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig/guarded"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// What a worker keeps when its login ends or a permission is withdrawn: it shows within
// noticeLimit, and is ready within backLimit of the repair, without a restart.
const (
	noticeLimit = 10 * time.Second
	backLimit   = 30 * time.Second
)

// A guest is a worker on a guarded server, with orders that end some seconds after their first poll.
type guest struct {
	*rig.Process
	addr string // of its health
	js   jetstream.JetStream
	want int // completions
}

func startGuest(t *testing.T, g *guarded.Server, login ...string) *guest {
	t.Helper()
	cloud := emulator.New(emulator.Options{})
	modelArts := httptest.NewServer(cloud)
	t.Cleanup(modelArts.Close)
	w := &guest{addr: rig.FreeAddr(t), js: g.JS, want: 30}
	for i := range w.want {
		cloud.Add(rig.Project, orderName(i), emulator.Order{FromFirstPoll: true, Count: emulator.CountAll, Items: []emulator.Item{
			{ResourceName: "node-1", EndAfter: time.Duration(i) * 300 * time.Millisecond, Status: "succeed"},
		}})
	}
	w.Process = rig.Start(t, rig.Build(t, rig.Worker), rig.ServeEnv(g.URL, modelArts.URL, w.addr, login...), "serve")
	rig.AwaitReady(t, w.addr)
	rig.ShortAckWait(t, g.JS) // what was in flight comes again that soon
	return w
}

// ask publishes requests for the orders from one number up to another.
func (w *guest) ask(t *testing.T, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		rig.Publish(t, w.js, fmt.Sprintf(`{"project_id":%q,"order_name":%q}`, rig.Project, orderName(i)))
	}
}

// away waits until the worker is not ready, and its log says why.
func (w *guest) away(t *testing.T, since time.Time, says string) {
	t.Helper()
	rig.Eventually(t, noticeLimit, func() error {
		ready, why := w.ready()
		if ready {
			return errors.New("still ready")
		}
		if !strings.Contains(w.Text(), says) {
			return fmt.Errorf("the log does not say %q; not ready: %s", says, why)
		}
		return nil
	})
	t.Logf("not ready, and logged, after %.1f s", time.Since(since).Seconds())
}

// back waits until the worker, the same process, is ready and has done all that was accepted.
func (w *guest) back(t *testing.T, since time.Time) {
	t.Helper()
	rig.Eventually(t, backLimit, func() error {
		if ready, why := w.ready(); !ready {
			return errors.New(why)
		}
		return nil
	})
	t.Logf("ready %.1f s after the repair", time.Since(since).Seconds())
	select {
	case <-w.Done:
		t.Fatal("the worker has ended")
	default:
	}
	rig.AwaitDrained(t, w.js)
	named := make(map[string]int)
	for _, c := range rig.AwaitCompletions(t, w.js, w.want) {
		named[c.OrderName]++
	}
	for i := range w.want {
		if n := named[orderName(i)]; n != 1 {
			t.Errorf("%s has %d completions; want 1", orderName(i), n)
		}
	}
}

// ready asks the worker whether it is ready, and why not.
func (w *guest) ready() (ready bool, why string) {
	answer, err := http.Get("http://" + w.addr + "/readyz")
	if err != nil {
		return false, err.Error()
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body) // what can be read of it
	return answer.StatusCode == http.StatusOK, string(body)
}

const anyWorker = "{ user: worker, password: planted-worker }"

// deniedWorker is a worker who may not publish on a subject.
func deniedWorker(subject string) string {
	return fmt.Sprintf("{ user: worker, password: planted-worker, permissions: { publish: { deny: [%q] } } }", subject)
}

var passwordLogin = []string{"ORDERWATCH_NATS_USER=worker", "ORDERWATCH_NATS_PASSWORD=planted-worker"}

// TestUserRemoved removes the worker's user, and adds it again.
func TestUserRemoved(t *testing.T) {
	t.Parallel()
	g := guarded.Start(t, guarded.Users(anyWorker), nats.UserInfo("admin", "planted-admin"))
	w := startGuest(t, g, passwordLogin...)
	w.ask(t, 0, 20)
	removed := time.Now()
	g.Reload(t, guarded.Users(""))
	w.away(t, removed, "cannot connect to NATS")
	w.ask(t, 20, w.want)
	added := time.Now()
	g.Reload(t, guarded.Users(anyWorker))
	w.back(t, added)
}

// TestPermissionWithdrawn withdraws one permission after another, and gives them back. That one is
// missing shows on the connection alone: what is published there gets no answer.
func TestPermissionWithdrawn(t *testing.T) {
	t.Parallel()
	g := guarded.Start(t, guarded.Users(anyWorker), nats.UserInfo("admin", "planted-admin"))
	w := startGuest(t, g, passwordLogin...)
	w.ask(t, 0, 20)
	for _, subject := range []string{"$KV.ORDER_WATCHES.", "orders.completed.", "$JS.API.CONSUMER.MSG.NEXT."} {
		withdrawn := time.Now()
		g.Reload(t, guarded.Users(deniedWorker(subject+">")))
		w.away(t, withdrawn, `Permissions Violation for Publish to \"`+subject)
	}
	w.ask(t, 20, w.want)
	given := time.Now()
	g.Reload(t, guarded.Users(anyWorker))
	w.back(t, given)
}

// TestCredentialsRotated ends the worker's credentials, and then replaces the file that holds them.
func TestCredentialsRotated(t *testing.T) {
	t.Parallel()
	for name, expires := range map[string]time.Duration{"revoked": 0, "expired": 12 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, dir := guarded.NewAuthority(t), t.TempDir()
			admin, file := filepath.Join(dir, "admin.creds"), filepath.Join(dir, "worker.creds")
			a.Issue(t, admin, 0)
			g := guarded.Start(t, a.Rules(t), nats.UserCredentials(admin))
			rig.Build(t, rig.Worker) // before the time runs
			user, until := a.Issue(t, file, expires), time.Now().Add(expires)
			w := startGuest(t, g, "ORDERWATCH_NATS_CREDS_FILE="+file)
			w.ask(t, 0, 20)
			if expires == 0 {
				a.Revoke(t, g.URL, user)
			} else {
				time.Sleep(time.Until(until))
			}
			w.away(t, until, "cannot connect to NATS")
			w.ask(t, 20, w.want)
			rotated := time.Now()
			a.Issue(t, file, 0)
			w.back(t, rotated)
			if strings.Contains(w.Text(), "SEED") || strings.Contains(w.Text(), "eyJ") {
				t.Error("the log holds credentials")
			}
		})
	}
}

// TestPasswordFileRotated changes the worker's password on the server and then in the file that the worker has it from:
// it is ready again without a restart.
func TestPasswordFileRotated(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("planted-worker")
	g := guarded.Start(t, guarded.Users(anyWorker), nats.UserInfo("admin", "planted-admin"))
	w := startGuest(t, g, "ORDERWATCH_NATS_USER=worker", "ORDERWATCH_NATS_PASSWORD_FILE="+file)
	w.ask(t, 0, 20)
	changed := time.Now()
	g.Reload(t, guarded.Users("{ user: worker, password: planted-other }"))
	w.away(t, changed, "cannot connect to NATS")
	w.ask(t, 20, w.want)
	written := time.Now()
	write("planted-other")
	w.back(t, written)
}

// TestPayloadLoweredUnderWorkers lowers the server's max_payload under three workers and an order whose record is
// larger: two minutes later all work, those that lost their connection after they were started again.
func TestPayloadLoweredUnderWorkers(t *testing.T) {
	t.Parallel()
	g := guarded.Start(t, "max_payload: 1048576\n")
	cloud := emulator.New(emulator.Options{})
	modelArts := httptest.NewServer(cloud)
	t.Cleanup(modelArts.Close)
	cloud.Add(rig.Project, "order.large", emulator.Order{FromFirstPoll: true, Count: emulator.CountAll, Items: []emulator.Item{
		{ResourceName: "node-1", EndAfter: 40 * time.Second, Status: "succeed"},
	}})
	var addrs []string
	var envs [][]string
	var workers []*rig.Process
	for range 3 {
		addr := rig.FreeAddr(t)
		addrs, envs = append(addrs, addr), append(envs, rig.ServeEnv(g.URL, modelArts.URL, addr))
		workers = append(workers, rig.Start(t, rig.Build(t, rig.Worker), envs[len(envs)-1], "serve"))
		rig.AwaitReady(t, addr)
	}
	labels := make([]string, 32)
	for i := range labels {
		labels[i] = fmt.Sprintf("%q:%q", fmt.Sprintf("label-%02d-%s", i, strings.Repeat("k", 50)), strings.Repeat("v", 256))
	}
	const joins = 35
	for i := range joins {
		rig.Publish(t, g.JS, fmt.Sprintf(`{"project_id":%q,"order_name":"order.large","request_id":"build-%d","labels":{%s}}`, rig.Project, i, strings.Join(labels, ",")))
	}
	rig.Eventually(t, rig.Patience, func() error {
		s, err := g.JS.Stream(t.Context(), "ORDER_REQUESTS")
		if err != nil {
			return err
		}
		if n := s.CachedInfo().State.Msgs; n > 0 {
			return fmt.Errorf("%d requests are not taken", n)
		}
		return nil
	})
	g.Reload(t, "max_payload: 262144\n")
	restarts := 0
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		for i, w := range workers {
			select {
			case <-w.Done:
				restarts++
				if code := w.Command.ProcessState.ExitCode(); code != 1 || !strings.Contains(w.Text(), "closed for good") {
					t.Errorf("worker %d ended with %d", i, code)
				}
				workers[i] = rig.Start(t, rig.Build(t, rig.Worker), envs[i], "serve")
			default:
			}
		}
	}
	if restarts > 1 {
		t.Errorf("%d workers lost their connections; want one at the most", restarts)
	}
	for _, addr := range addrs {
		rig.AwaitReady(t, addr)
		answer, err := http.Get("http://" + addr + "/livez")
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("/livez says %s", answer.Status)
		}
	}
	if c := rig.AwaitCompletions(t, g.JS, 1)[0]; c.Outcome != "succeeded" || len(c.Requests) != joins {
		t.Errorf("%s with %d requests; want succeeded with %d", c.Outcome, len(c.Requests), joins)
	}
	t.Logf("%d workers were started again", restarts)
}
