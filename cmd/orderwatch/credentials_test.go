package main_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// What a worker keeps when its login ends or a permission is withdrawn: it shows within
// noticeLimit, and is ready within backLimit of the repair, without a restart.
const (
	noticeLimit = 10 * time.Second
	backLimit   = 30 * time.Second
)

// A guarded server is a nats-server that wants a login, which a reload changes.
type guarded struct {
	*process
	url    string
	config string // the path of its configuration
	basis  string // what of it stays
	js     jetstream.JetStream
}

// startGuarded starts a nats-server with these rules of who may log in, and connects to it.
func startGuarded(t *testing.T, rules string, admin ...nats.Option) *guarded {
	t.Helper()
	addr, dir := freeAddr(t), t.TempDir()
	g := &guarded{
		url: "nats://" + addr, config: filepath.Join(dir, "nats.conf"),
		basis: fmt.Sprintf("listen: %q\njetstream { store_dir: %q }\n", addr, dir),
	}
	g.write(t, rules)
	g.process = start(t, build(t, natsServer), nil, "-c", g.config)
	nc, err := nats.Connect(g.url, append(admin, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.IgnoreAuthErrorAbort())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	eventually(t, patience, func() error {
		if !nc.IsConnected() {
			return errors.New("not connected")
		}
		return nil
	})
	if g.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *guarded) write(t *testing.T, rules string) {
	t.Helper()
	if err := os.WriteFile(g.config, []byte(g.basis+rules), 0o600); err != nil {
		t.Fatal(err)
	}
}

// reload gives the running server other rules.
func (g *guarded) reload(t *testing.T, rules string) {
	t.Helper()
	g.write(t, rules)
	if err := g.command.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// A guest is a worker on a guarded server, with orders that end some seconds after their first poll.
type guest struct {
	*process
	addr string // of its health
	js   jetstream.JetStream
	want int // completions
}

func startGuest(t *testing.T, g *guarded, login ...string) *guest {
	t.Helper()
	cloud := emulator.New(emulator.Options{})
	modelArts := httptest.NewServer(cloud)
	t.Cleanup(modelArts.Close)
	w := &guest{addr: freeAddr(t), js: g.js, want: 30}
	for i := range w.want {
		cloud.Add(project, orderName(i), emulator.Order{FromFirstPoll: true, Count: emulator.CountAll, Items: []emulator.Item{
			{ResourceName: "node-1", EndAfter: time.Duration(i) * 300 * time.Millisecond, Status: "succeed"},
		}})
	}
	w.process = start(t, build(t, worker), serveEnv(g.url, modelArts.URL, w.addr, login...), "serve")
	awaitReady(t, w.addr)
	shortAckWait(t, g.js) // what was in flight comes again that soon
	return w
}

// ask publishes requests for the orders from one number up to another.
func (w *guest) ask(t *testing.T, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		publish(t, w.js, fmt.Sprintf(`{"project_id":%q,"order_name":%q}`, project, orderName(i)))
	}
}

// away waits until the worker is not ready, and its log says why.
func (w *guest) away(t *testing.T, since time.Time, says string) {
	t.Helper()
	eventually(t, noticeLimit, func() error {
		ready, why := w.ready()
		if ready {
			return errors.New("still ready")
		}
		if !strings.Contains(w.text(), says) {
			return fmt.Errorf("the log does not say %q; not ready: %s", says, why)
		}
		return nil
	})
	t.Logf("not ready, and logged, after %.1f s", time.Since(since).Seconds())
}

// back waits until the worker, the same process, is ready and has done all that was accepted.
func (w *guest) back(t *testing.T, since time.Time) {
	t.Helper()
	eventually(t, backLimit, func() error {
		if ready, why := w.ready(); !ready {
			return errors.New(why)
		}
		return nil
	})
	t.Logf("ready %.1f s after the repair", time.Since(since).Seconds())
	select {
	case <-w.done:
		t.Fatal("the worker has ended")
	default:
	}
	awaitDrained(t, w.js)
	named := make(map[string]int)
	for _, c := range awaitCompletions(t, w.js, w.want) {
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

// users are the rules for an administrator and, where there are any, for a worker.
func users(worker string) string {
	return "authorization { users: [ { user: admin, password: planted-admin }\n" + worker + " ] }\n"
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
	g := startGuarded(t, users(anyWorker), nats.UserInfo("admin", "planted-admin"))
	w := startGuest(t, g, passwordLogin...)
	w.ask(t, 0, 20)
	removed := time.Now()
	g.reload(t, users(""))
	w.away(t, removed, "cannot connect to NATS")
	w.ask(t, 20, w.want)
	added := time.Now()
	g.reload(t, users(anyWorker))
	w.back(t, added)
}

// TestPermissionWithdrawn withdraws one permission after another, and gives them back. That one is
// missing shows on the connection alone: what is published there gets no answer.
func TestPermissionWithdrawn(t *testing.T) {
	t.Parallel()
	g := startGuarded(t, users(anyWorker), nats.UserInfo("admin", "planted-admin"))
	w := startGuest(t, g, passwordLogin...)
	w.ask(t, 0, 20)
	for _, subject := range []string{"$KV.ORDER_WATCHES.", "orders.completed.", "$JS.API.CONSUMER.MSG.NEXT."} {
		withdrawn := time.Now()
		g.reload(t, users(deniedWorker(subject+">")))
		w.away(t, withdrawn, `Permissions Violation for Publish to \"`+subject)
	}
	w.ask(t, 20, w.want)
	given := time.Now()
	g.reload(t, users(anyWorker))
	w.back(t, given)
}

// TestCredentialsRotated ends the worker's credentials, and then replaces the file that holds them.
func TestCredentialsRotated(t *testing.T) {
	t.Parallel()
	for name, expires := range map[string]time.Duration{"revoked": 0, "expired": 12 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, dir := newAuthority(t), t.TempDir()
			admin, file := filepath.Join(dir, "admin.creds"), filepath.Join(dir, "worker.creds")
			a.issue(t, admin, 0)
			g := startGuarded(t, a.rules(t), nats.UserCredentials(admin))
			build(t, worker) // before the time runs
			user, until := a.issue(t, file, expires), time.Now().Add(expires)
			w := startGuest(t, g, "ORDERWATCH_NATS_CREDS_FILE="+file)
			w.ask(t, 0, 20)
			if expires == 0 {
				a.revoke(t, g.url, user)
			} else {
				time.Sleep(time.Until(until))
			}
			w.away(t, until, "cannot connect to NATS")
			w.ask(t, 20, w.want)
			rotated := time.Now()
			a.issue(t, file, 0)
			w.back(t, rotated)
			if strings.Contains(w.text(), "SEED") || strings.Contains(w.text(), "eyJ") {
				t.Error("the log holds credentials")
			}
		})
	}
}

// An authority issues credentials for users of one account.
type authority struct {
	operator  nkeys.KeyPair
	key       nkeys.KeyPair // of the account
	systemKey nkeys.KeyPair
	account   *jwt.AccountClaims
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{operator: newKey(t, nkeys.CreateOperator), key: newKey(t, nkeys.CreateAccount), systemKey: newKey(t, nkeys.CreateAccount)}
	a.account = jwt.NewAccountClaims(publicKey(t, a.key))
	a.account.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit}
	return a
}

func newKey(t *testing.T, create func() (nkeys.KeyPair, error)) nkeys.KeyPair {
	t.Helper()
	key, err := create()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func publicKey(t *testing.T, key nkeys.KeyPair) string {
	t.Helper()
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// rules are those of a server that trusts the authority.
func (a *authority) rules(t *testing.T) string {
	t.Helper()
	sign := func(claims jwt.Claims) string {
		token, err := claims.Encode(a.operator)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	operator, system := publicKey(t, a.operator), publicKey(t, a.systemKey)
	return fmt.Sprintf("operator: %q\nsystem_account: %s\nresolver { type: full, dir: %q }\nresolver_preload { %s: %q, %s: %q }\n",
		sign(jwt.NewOperatorClaims(operator)), system, t.TempDir(), publicKey(t, a.key), sign(a.account), system, sign(jwt.NewAccountClaims(system)))
}

// revoke tells the server that the user's credentials are no longer valid.
func (a *authority) revoke(t *testing.T, url, user string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "system.creds")
	issue(t, a.systemKey, file, 0)
	nc, err := nats.Connect(url, nats.UserCredentials(file))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	a.account.Revoke(user)
	token, err := a.account.Encode(a.operator)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := nc.Request("$SYS.REQ.CLAIMS.UPDATE", []byte(token), 5*time.Second)
	if err != nil || !strings.Contains(string(answer.Data), `"code":200`) {
		t.Fatalf("revoke: %s, %v", answer.Data, err)
	}
}

// issue writes credentials for a new user, for ever or until they expire, and returns the user.
func (a *authority) issue(t *testing.T, file string, expires time.Duration) (user string) {
	t.Helper()
	return issue(t, a.key, file, expires)
}

func issue(t *testing.T, account nkeys.KeyPair, file string, expires time.Duration) (user string) {
	t.Helper()
	key := newKey(t, nkeys.CreateUser)
	user = publicKey(t, key)
	claims := jwt.NewUserClaims(user)
	if expires > 0 {
		claims.Expires = time.Now().Add(expires).Unix()
	}
	token, err := claims.Encode(account)
	if err != nil {
		t.Fatal(err)
	}
	seed, err := key.Seed()
	if err != nil {
		t.Fatal(err)
	}
	creds, err := jwt.FormatUserConfig(token, seed)
	if err == nil {
		err = os.WriteFile(file+".new", creds, 0o600)
	}
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err != nil {
		t.Fatal(err)
	}
	return user
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
	g := startGuarded(t, users(anyWorker), nats.UserInfo("admin", "planted-admin"))
	w := startGuest(t, g, "ORDERWATCH_NATS_USER=worker", "ORDERWATCH_NATS_PASSWORD_FILE="+file)
	w.ask(t, 0, 20)
	changed := time.Now()
	g.reload(t, users("{ user: worker, password: planted-other }"))
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
	g := startGuarded(t, "max_payload: 1048576\n")
	cloud := emulator.New(emulator.Options{})
	modelArts := httptest.NewServer(cloud)
	t.Cleanup(modelArts.Close)
	cloud.Add(project, "order.large", emulator.Order{FromFirstPoll: true, Count: emulator.CountAll, Items: []emulator.Item{
		{ResourceName: "node-1", EndAfter: 40 * time.Second, Status: "succeed"},
	}})
	var addrs []string
	var envs [][]string
	var workers []*process
	for range 3 {
		addr := freeAddr(t)
		addrs, envs = append(addrs, addr), append(envs, serveEnv(g.url, modelArts.URL, addr))
		workers = append(workers, start(t, build(t, worker), envs[len(envs)-1], "serve"))
		awaitReady(t, addr)
	}
	labels := make([]string, 32)
	for i := range labels {
		labels[i] = fmt.Sprintf("%q:%q", fmt.Sprintf("label-%02d-%s", i, strings.Repeat("k", 50)), strings.Repeat("v", 256))
	}
	const joins = 35
	for i := range joins {
		publish(t, g.js, fmt.Sprintf(`{"project_id":%q,"order_name":"order.large","request_id":"build-%d","labels":{%s}}`, project, i, strings.Join(labels, ",")))
	}
	eventually(t, patience, func() error {
		s, err := g.js.Stream(t.Context(), "ORDER_REQUESTS")
		if err != nil {
			return err
		}
		if n := s.CachedInfo().State.Msgs; n > 0 {
			return fmt.Errorf("%d requests are not taken", n)
		}
		return nil
	})
	g.reload(t, "max_payload: 262144\n")
	restarts := 0
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		for i, w := range workers {
			select {
			case <-w.done:
				restarts++
				if code := w.command.ProcessState.ExitCode(); code != 1 || !strings.Contains(w.text(), "closed for good") {
					t.Errorf("worker %d ended with %d", i, code)
				}
				workers[i] = start(t, build(t, worker), envs[i], "serve")
			default:
			}
		}
	}
	if restarts > 1 {
		t.Errorf("%d workers lost their connections; want one at the most", restarts)
	}
	for _, addr := range addrs {
		awaitReady(t, addr)
		answer, err := http.Get("http://" + addr + "/livez")
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("/livez says %s", answer.Status)
		}
	}
	if c := awaitCompletions(t, g.js, 1)[0]; c.Outcome != "succeeded" || len(c.Requests) != joins {
		t.Errorf("%s with %d requests; want succeeded with %d", c.Outcome, len(c.Requests), joins)
	}
	t.Logf("%d workers were started again", restarts)
}
