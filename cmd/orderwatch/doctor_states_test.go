package main_test

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig/clinic"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig/guarded"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// A doctorState is a state of an installation, and what doctor finds wrong in it.
type doctorState struct {
	name    string
	rules   func(string) string       // changes nats-permissions.conf
	env     func(url string) []string // beside that of the user
	workers int                       // that run
	wreck   func(*testing.T, ward)    // once they run
	program string                    // the version of the workers; empty: this one
	unfit   bool                      // no worker can create the streams
	want    []clinic.Finding          // beside, of the worker's login

	// What is wrong, as "level check", for each kind of login, sorted. The operator's is that of the worker, unless
	// it is given.
	worker, person, others, operator []string
	ends                             string // how the closing sentence ends for the worker's login
	untrue                           []string
}

// doctorStates are the states. Without a worker at work all who may look are warned of that; for a login that sees open watches
// or requests it is a problem.
func doctorStates(t *testing.T) []doctorState {
	const (
		none    = "warning workers.present"
		needed  = "problem workers.present" // none, and something waits for one
		work    = "work is lost, repeated or not done until that is mended"
		nothing = "a worker with this environment, on this machine, does nothing until that is mended"
		over    = "some requests get no completion until that is mended"
		untold  = "people are not told until that is mended"
	)
	alone := []string{none}
	change := func(old, new string) func(string) string {
		return func(rules string) string { return strings.Replace(rules, old, new, 1) }
	}
	also := func(block string) func(string) string {
		return func(rules string) string { return rules + "\n" + block }
	}
	limited := func(limits string) func(string) string { // the same users, in an account with limits
		return func(rules string) string {
			return strings.Replace(rules, "authorization {", "accounts: {A: {jetstream: {"+limits+"}", 1) + "}"
		}
	}
	env := func(variables ...string) func(string) []string {
		return func(string) []string { return variables }
	}
	return []doctorState{
		{name: "all is well", workers: 2},
		{name: "one worker", workers: 1},
		{name: "no worker", worker: alone, person: alone},
		{name: "paused consumer", workers: 2,
			wreck: func(t *testing.T, p ward) {
				if _, err := p.js.PauseConsumer(t.Context(), "ORDER_WAKEUPS", "poller", time.Now().Add(time.Hour)); err != nil {
					t.Fatal(err)
				}
			},
			worker: []string{"warning assets.paused"}},
		{name: "paused consumer of messages", workers: 2,
			wreck: func(t *testing.T, p ward) {
				if _, err := p.js.PauseConsumer(t.Context(), "ORDER_EVENTS", "slack", time.Now().Add(time.Hour)); err != nil {
					t.Fatal(err)
				}
			},
			worker: []string{"warning assets.paused"}, person: []string{"warning assets.paused"}},
		{name: "sealed stream",
			wreck: func(t *testing.T, p ward) {
				p.updateStream(t, "_EVENTS", func(c *jetstream.StreamConfig) { c.Sealed = true })
			},
			worker: []string{"problem assets.setting", none}, person: []string{"problem assets.setting", none},
			ends: work, untrue: []string{"stream edit ORDER_EVENTS: work", "once it is empty"}},
		{name: "sealed bucket",
			wreck: func(t *testing.T, p ward) {
				patient{js: p.js, prefix: "KV_ORDER"}.updateStream(t, "_SLACK", func(c *jetstream.StreamConfig) { c.Sealed = true })
			},
			worker: []string{"problem assets.setting", none}, person: alone, ends: work},
		{name: "broken record", workers: 2, // the patrol leaves alone what was written within the last minute
			wreck: func(t *testing.T, p ward) {
				p.store(t, "_WATCHES", rig.Project+".order.broken", []byte(`{"stream":"ORDER_REQUESTS","seq":1}`))
			},
			worker: []string{"problem watches.unreadable"}, person: []string{"problem watches.unreadable"}, ends: over},
		{name: "broken record that workers told of",
			wreck: func(t *testing.T, p ward) {
				p.store(t, "_WATCHES", rig.Project+".order.broken", []byte(`no JSON`))
				p.store(t, "_WATCHES", "broken", brokenList(t, "order.broken", time.Time{}))
			},
			worker: []string{"problem watches.broken", none}, person: alone, ends: "1 problem: " + over,
			untrue: []string{"1 record cannot be read", "moved aside"}},
		{name: "two broken records, one of them moved aside", workers: 1,
			wreck: func(t *testing.T, p ward) {
				p.store(t, "_WATCHES", rig.Project+".order.text", []byte(`no JSON`))
				p.store(t, "_WATCHES", "broken", brokenList(t, "order.gone", time.Now()))
			},
			worker: []string{"problem watches.broken", "problem watches.unreadable"}, person: []string{"problem watches.unreadable"}, ends: "2 problems: " + over},
		{name: "broken record of an order that is watched again",
			wreck: func(t *testing.T, p ward) {
				p.store(t, "_WATCHES", "broken", brokenList(t, "order.a", time.Now()))
				p.record(t, watcher.Watch{State: watcher.Watching, Order: watcher.Order{ProjectID: rig.Project, Name: "order.a"}, Region: "cn-north-4"})
			},
			worker: []string{needed}, person: alone, ends: "1 problem: " + work, untrue: []string{"broken record"}},
		{name: "a record of a later release",
			wreck: func(t *testing.T, p ward) {
				p.store(t, "_WATCHES", rig.Project+".order.later", []byte(`{"schema":1000,"state":"watching","watch_id":"w_1"}`))
			},
			worker: alone, person: alone, untrue: []string{"record cannot be read", "broken record"}},
		{name: "lost store", workers: 2,
			wreck: func(t *testing.T, p ward) {
				p.loseRecords(t)
			},
			worker: []string{"problem watches.lost"}, operator: []string{"problem watches.lost"}, ends: over},
		{name: "a hold of an account", workers: 2,
			wreck: func(t *testing.T, p ward) {
				p.hold(t, watcher.HeldPermission)
			},
			worker: []string{"problem workers.hold"}, person: []string{"problem workers.hold"}, ends: work},
		{name: "ModelArts is not reached", workers: 2,
			wreck: func(t *testing.T, p ward) {
				p.hold(t, watcher.HeldUnreachable)
			},
			worker: []string{"problem workers.hold"}, person: []string{"problem workers.hold"}, ends: work},
		{name: "a hold for asking too often", workers: 2,
			wreck: func(t *testing.T, p ward) {
				p.hold(t, watcher.HeldThrottled)
			},
			worker: []string{"warning workers.hold"}, person: []string{"warning workers.hold"}},
		{name: "a list that is of no use", workers: 2,
			wreck: func(t *testing.T, p ward) {
				p.refuseList(t)
			},
			worker: []string{"warning modelarts.list", "warning workers.list"}, person: []string{"warning workers.list"}},
		{name: "workers may not tell what is listed", workers: 2, rules: func(rules string) string {
			return strings.NewReplacer(`, "orders.listed.>"]`, `]`, `"orders.listed.>"`, ``).Replace(rules)
		},
			worker: []string{"warning permissions.publish", "warning permissions.subscribe"}, operator: []string{}},
		{name: "workers of the release before", workers: 2, program: "0.9.0", untrue: []string{"no worker answers", "side by side"}},
		{name: "dead wake-ups",
			wreck: func(t *testing.T, p ward) {
				if _, err := p.js.Publish(t.Context(), "orders.due."+rig.Project+".order.ghost", []byte(`{}`)); err != nil {
					t.Fatal(err)
				}
			},
			worker: []string{"warning assets.backlog", none}, person: alone},
		{name: "requests that nobody takes",
			wreck: func(t *testing.T, p ward) {
				for range 3 {
					if _, err := p.js.Publish(t.Context(), "orders.watch", []byte("{}")); err != nil {
						t.Fatal(err)
					}
				}
			},
			worker: []string{"warning assets.backlog", needed}, person: alone, ends: "1 problem: " + work},
		{name: "a stream is missing",
			wreck: func(t *testing.T, p ward) {
				if err := p.js.DeleteStream(t.Context(), "ORDER_WAKEUPS"); err != nil {
					t.Fatal(err)
				}
			},
			worker: []string{"problem assets.missing", "problem assets.missing", none}, operator: []string{none}, person: alone, ends: work},
		{name: "the stream of events is missing",
			wreck: func(t *testing.T, p ward) {
				if err := p.js.DeleteStream(t.Context(), "ORDER_EVENTS"); err != nil {
					t.Fatal(err)
				}
			},
			worker: []string{"problem assets.missing", "problem assets.missing", none}, operator: []string{none}, person: alone, ends: work},
		{name: "only buckets are left",
			wreck: func(t *testing.T, p ward) {
				for _, name := range []string{"ORDER_REQUESTS", "ORDER_WAKEUPS", "ORDER_EVENTS"} {
					if err := p.js.DeleteStream(t.Context(), name); err != nil {
						t.Fatal(err)
					}
				}
			},
			worker: slices.Concat(slices.Repeat([]string{"problem assets.missing"}, 6), alone), operator: alone, person: alone, ends: work, untrue: []string{"kv edit"}},
		{name: "the consumer of the release before",
			wreck: func(t *testing.T, p ward) {
				p.updateConsumer(t, "_WAKEUPS", "poller", func(c *jetstream.ConsumerConfig) { c.AckWait = time.Minute })
			},
			worker: []string{"warning assets.setting", none}, person: alone,
			want: []clinic.Finding{{Check: "assets.setting", Level: "warning", About: "poller", Found: "1m0s", Do: "nats consumer edit ORDER_WAKEUPS poller --wait 3s"}}},
		{name: "events are kept for longer than this environment wants",
			wreck: func(t *testing.T, p ward) {
				p.updateStream(t, "_EVENTS", func(c *jetstream.StreamConfig) { c.MaxAge = 2400 * time.Hour })
			},
			worker: []string{"warning assets.setting", none}, person: alone},
		{name: "this environment wants more replicas", env: env("ORDERWATCH_STREAM_REPLICAS=3"),
			worker: slices.Concat([]string{"warning assets.setting"}, slices.Repeat([]string{"warning assets.setting"}, 6), []string{"warning nats.cluster", none}),
			person: []string{"warning nats.cluster", none}, others: []string{"warning nats.cluster"}},
		{name: "limits of the account are met", workers: 2, rules: limited("max_streams: 6, max_file: 1G"),
			worker: []string{"warning nats.limit", "warning nats.limit"}},
		{name: "a full account", rules: limited("max_file: 2M"),
			wreck: func(t *testing.T, p ward) {
				for size := 500_000; size > 1000; {
					if _, err := p.js.Publish(t.Context(), "orders.undelivered.slack", make([]byte, size)); err != nil {
						size /= 2
					}
				}
			},
			worker: []string{"problem nats.limit", none}, person: alone, ends: work},
		{name: "a small max_payload", rules: also("max_payload: 300000"), workers: 2},
		{name: "max_payload below what records need", rules: also("max_payload: 100000"), unfit: true,
			worker: slices.Concat([]string{"problem nats.max_payload"}, slices.Repeat([]string{"problem assets.missing"}, 9)), operator: []string{"problem nats.max_payload"}, person: []string{"problem nats.max_payload", none}, others: []string{"problem nats.max_payload"}, ends: work},
		{name: "no server", env: env("ORDERWATCH_NATS_URL=nats://" + rig.FreeAddr(t)), ends: "1 problem: " + nothing,
			worker: []string{"problem nats.connection"}, person: []string{"problem nats.connection"}, others: []string{"problem nats.connection"}},
		{name: "a name that nobody knows", env: env("ORDERWATCH_NATS_URL=nats://nats.invalid:4222"), ends: "1 problem: " + nothing,
			worker: []string{"problem nats.connection"}, person: []string{"problem nats.connection"}, others: []string{"problem nats.connection"}},
		{name: "one of three servers", workers: 2, env: func(url string) []string {
			return []string{"ORDERWATCH_NATS_URL=nats://" + rig.FreeAddr(t) + "," + url + ",nats://" + rig.FreeAddr(t)}
		}},
		{name: "a wrong password", env: env("ORDERWATCH_NATS_PASSWORD=planted-wrong"), ends: "1 problem: " + nothing,
			worker: []string{"problem nats.login"}, person: []string{"problem nats.login"}, others: []string{"problem nats.login"}},
		{name: "no login", env: env("ORDERWATCH_NATS_USER=", "ORDERWATCH_NATS_PASSWORD="), ends: "1 problem: " + nothing,
			worker: []string{"problem nats.login"}, person: []string{"problem nats.login"}, others: []string{"problem nats.login"}},
		{name: "Slack refuses the token", workers: 2, env: env("ORDERWATCH_SLACK_TOKEN=xoxb-planted-wrong"), ends: "1 problem: " + untold,
			worker: []string{"problem slack.token"}, person: []string{"problem slack.token"}, others: []string{"problem slack.token"}},
		{name: "no Slack", workers: 2, env: env("ORDERWATCH_SLACK_TOKEN=", "ORDERWATCH_SLACK_CHANNEL=")},
		{name: "a permission is missing", workers: 0, rules: change(`"orders.due.>"`, ""),
			worker: []string{"problem permissions.publish", none}, operator: alone, person: alone, ends: work},
	}
}

// A ward is an installation with workers.
type ward struct {
	patient
	addrs []string // of the workers' HTTP servers
}

// brokenList is what workers remember of a broken record.
func brokenList(t *testing.T, order string, moved time.Time) []byte {
	t.Helper()
	list, err := json.Marshal([]wire.BrokenRecord{{
		Order: watcher.Order{ProjectID: rig.Project, Name: order}, WatchID: "w_1", Since: time.Now().Add(-time.Hour), Reason: "it is none that a worker wrote",
		Requests: []string{"build-1"}, MovedAt: moved,
	}})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// hold stores that an account is held, and waits until all workers know.
func (w ward) hold(t *testing.T, kind watcher.HoldKind) {
	t.Helper()
	hold, err := json.Marshal(watcher.Hold{Kind: kind, Region: "cn-north-4", Reason: "refused", Since: time.Now(), Until: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	w.store(t, "_ACCOUNTS", "hold.ab12.cn-north-4", hold)
	for _, addr := range w.addrs {
		rig.Eventually(t, rig.Patience, func() error {
			for name := range rig.MetricsOf(t, addr) {
				if strings.HasPrefix(name, "orderwatch_account_held_seconds{") {
					return nil
				}
			}
			return errors.New("it does not know of the hold")
		})
	}
}

// refuseList has a project watched whose orders may not be listed, and waits until all workers know.
func (w ward) refuseList(t *testing.T) {
	t.Helper()
	const project = "unlisted"
	w.Cloud.SetFaults(emulator.Fault{Project: project, Kind: emulator.ListOrders, Status: 403, Code: "ModelArts.0108", Message: "not permitted"})
	for _, order := range []string{"order.a", "order.b", "order.c"} {
		w.Cloud.Add(project, order, emulator.Order{Items: []emulator.Item{{ResourceName: "node-1", EndAfter: emulator.Never}}})
		if _, err := w.js.Publish(t.Context(), "orders.watch", fmt.Appendf(nil, `{"project_id":%q,"order_name":%q}`, project, order)); err != nil {
			t.Fatal(err)
		}
	}
	for _, addr := range w.addrs {
		rig.Eventually(t, rig.Patience, func() error {
			if rig.MetricsOf(t, addr)[fmt.Sprintf("orderwatch_sweep_off{project=%q,region=%q}", project, "cn-north-4")] != 1 {
				return errors.New("it does not know that the list is of no use")
			}
			return nil
		})
	}
}

// loseRecords makes the bucket of records anew, and waits until workers tell of it.
func (w ward) loseRecords(t *testing.T) {
	t.Helper()
	stream, err := w.js.Stream(t.Context(), "KV_ORDER_WATCHES")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.js.DeleteStream(t.Context(), "KV_ORDER_WATCHES"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.js.CreateStream(t.Context(), stream.CachedInfo().Config); err != nil {
		t.Fatal(err)
	}
	rig.Eventually(t, rig.Patience, func() error {
		told, err := w.js.Stream(t.Context(), "ORDER_EVENTS")
		if err == nil {
			_, err = told.GetLastMsgForSubject(t.Context(), "orders.attention.lost.all")
		}
		return err
	})
}

// buildVersion builds the program as another version.
func buildVersion(t *testing.T, version string) string {
	t.Helper()
	if version == "" {
		return rig.Build(t, rig.Worker)
	}
	path := filepath.Join(t.TempDir(), "orderwatch")
	if out, err := exec.Command("go", "build", "-ldflags", "-X main.version="+version, "-o", path, rig.Worker).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// looksAtOnce is how many logins look at a state at the same time: they mostly wait for answers.
const looksAtOnce = 3

// TestDoctorStates looks at each state with each kind of login: it finds what is wrong and nothing else, says the
// same in its closing sentence, and advises nobody to change what is the workers' who is none.
func TestDoctorStates(t *testing.T) {
	t.Parallel()
	c := clinic.New(t)
	rules := strings.Replace(permissionRules(t), "users: [", moreUsers, 1)
	for _, state := range doctorStates(t) {
		t.Run(state.name, func(t *testing.T) {
			t.Parallel()
			mine := rules
			if state.rules != nil {
				mine = state.rules(rules)
			}
			g := guarded.Start(t, mine, nats.UserInfo("setup", "planted-setup"))
			as := func(user string, more ...string) []string {
				return c.Env(g.URL, append([]string{"ORDERWATCH_NATS_USER=" + user, "ORDERWATCH_NATS_PASSWORD=planted-" + user}, more...)...)
			}
			w := ward{patient: patient{Clinic: c, js: g.JS, prefix: "ORDER"}}
			state.build(t, g, as, &w)
			var looks sync.WaitGroup
			slots := make(chan struct{}, looksAtOnce)
			for user, wrong := range map[string][]string{
				"worker": state.worker, "setup": state.operator, "person": state.person,
				"producer": state.others, "follower": state.others, "nobody": state.others,
			} {
				env := as(user)
				switch {
				case user == "worker":
					env = append(env, "ORDERWATCH_PROVISION=false")
				case user == "setup" && wrong == nil:
					wrong = state.worker
				}
				if state.env != nil {
					env = append(env, state.env(g.URL)...)
				}
				slots <- struct{}{}
				looks.Go(func() {
					defer func() { <-slots }()
					state.look(t, user, env, wrong)
				})
			}
			looks.Wait()
		})
	}
}

// build creates the streams, starts the workers, and wrecks something.
func (s doctorState) build(t *testing.T, g *guarded.Server, as func(string, ...string) []string, w *ward) {
	t.Helper()
	if !s.unfit {
		clinic.Provision(t, as("setup"))
	}
	program := buildVersion(t, s.program)
	for range s.workers {
		addr := rig.FreeAddr(t)
		rig.Start(t, program, append(as("worker"), "ORDERWATCH_PROVISION=false", "ORDERWATCH_HTTP_ADDR="+addr), "serve")
		rig.AwaitReady(t, addr)
		w.addrs = append(w.addrs, addr)
	}
	for _, addr := range w.addrs { // whichever answers knows the others
		rig.Eventually(t, rig.Patience, func() error {
			if known := rig.MetricsOf(t, addr)["orderwatch_workers"]; known != float64(s.workers) {
				return fmt.Errorf("%s knows %v workers", addr, known)
			}
			return nil
		})
	}
	if s.wreck != nil {
		s.wreck(t, *w)
	}
}

// look looks as one user.
func (s doctorState) look(t *testing.T, user string, env, wrong []string) {
	t.Helper()
	code, out := clinic.Doctor(t, env, "-o", "json")
	_, text := clinic.Doctor(t, env)
	words := strings.Join(strings.Fields(text), " ")
	all := clinic.Findings(t, out)
	count := make(map[string]int)
	var found []string
	seen := make(map[clinic.Finding]bool)
	for _, f := range all {
		count[f.Level]++
		if f.Level == "problem" || f.Level == "warning" {
			found = append(found, f.Level+" "+f.Check)
		}
		same := clinic.Finding{Check: f.Check, About: f.About, Found: f.Found}
		if seen[same] {
			t.Errorf("as %s, it says twice %+v", user, f)
		}
		seen[same] = true
	}
	slices.Sort(found)
	wanted := slices.Sorted(slices.Values(wrong))
	if !slices.Equal(found, wanted) {
		t.Errorf("as %s, it finds %q, want %q\n%s", user, found, wanted, text)
	}
	if sum := fmt.Sprintf("%d problem", count["problem"]); !strings.Contains(words, " "+sum) || (code != 0) != (count["problem"] > 0) || (code != 0) != strings.Contains(words, "until that is mended") {
		t.Errorf("as %s, exit code %d, %s, but it ends so:\n%s", user, code, sum, text)
	}
	switch user {
	case "worker":
		if !strings.HasSuffix(words, s.ends) {
			t.Errorf("as %s, it does not end with %q:\n%s", user, s.ends, text)
		}
	case "setup": // it may do all that a worker may
	default:
		for _, f := range all {
			for _, advice := range []string{"nats stream", "nats kv", "nats consumer", "Delete", "worker's user", "Allow it", "Give it to"} {
				if strings.Contains(f.Do, advice) {
					t.Errorf("as %s, it advises to change what is another's: %+v", user, f)
				}
			}
		}
	}
	for _, want := range s.want {
		if user == "worker" && !clinic.Has(all, want) {
			t.Errorf("no finding %+v in\n%s", want, out)
		}
	}
	for _, untrue := range s.untrue {
		if strings.Contains(words, untrue) {
			t.Errorf("as %s, it says %q:\n%s", user, untrue, text)
		}
	}
}

// TestDoctorTLS connects to servers with TLS: what is wrong is said by its cause, and whoever cannot connect is not
// told that work is lost. Case N5.
func TestDoctorTLS(t *testing.T) {
	t.Parallel()
	c, dir := clinic.New(t), t.TempDir()
	ca, caKey := writeCertificate(t, dir, "ca", nil, nil)
	writeCertificate(t, dir, "another-ca", nil, nil)
	writeCertificate(t, dir, "server", ca, caKey)
	writeCertificate(t, dir, "expired", ca, caKey, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	writeCertificate(t, dir, "elsewhere", ca, caKey, func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"nats.example"} })
	file := func(name string) string { return filepath.Join(dir, name+".pem") }
	for _, tt := range []struct {
		name, certificate, more string // of the server
		ca                      string
		env                     []string
		want                    clinic.Finding
	}{
		{name: "well", certificate: "server", ca: "ca", want: clinic.Finding{Check: "nats.connection", Level: "ok"}},
		{name: "expired", certificate: "expired", ca: "ca", want: clinic.Finding{Check: "nats.connection", Level: "problem", Found: "expired", Do: "renew the certificate"}},
		{name: "another name", certificate: "elsewhere", ca: "ca", want: clinic.Finding{Check: "nats.connection", Level: "problem", Found: "certificate", Do: "that the server's certificate has, in ORDERWATCH_NATS_URL"}},
		{name: "another authority", certificate: "server", ca: "another-ca", want: clinic.Finding{Check: "nats.connection", Level: "problem", Found: "unknown authority", Do: "ORDERWATCH_NATS_CA_FILE"}},
		{name: "no authority", certificate: "server", want: clinic.Finding{Check: "nats.connection", Level: "problem", Found: "certificate", Do: "ORDERWATCH_NATS_CA_FILE"}},
		{name: "no certificate of the client", certificate: "server", ca: "ca", more: "verify: true, ca_file: " + strconv.Quote(file("ca")), want: clinic.Finding{Check: "nats.connection", Level: "problem", Found: "tls", Do: "_CERT_FILE"}},
		{name: "handshake first", certificate: "server", ca: "ca", more: "handshake_first: true", want: clinic.Finding{Check: "nats.connection", Level: "problem", Found: "EOF", Do: "set ORDERWATCH_NATS_TLS_FIRST=true"}},
		{name: "handshake first, as configured", certificate: "server", ca: "ca", more: "handshake_first: true", env: []string{"ORDERWATCH_NATS_TLS_FIRST=true"}, want: clinic.Finding{Check: "nats.connection", Level: "ok"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			addr, config := rig.FreeAddr(t), filepath.Join(t.TempDir(), "nats.conf")
			text := fmt.Sprintf("listen: %q\njetstream { store_dir: %q }\ntls { cert_file: %q, key_file: %q, %s }\n", addr, t.TempDir(), file(tt.certificate), file(tt.certificate+"-key"), tt.more)
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			rig.Start(t, rig.Build(t, rig.NATSServer), nil, "-c", config)
			rig.Eventually(t, rig.Patience, func() error {
				conn, err := net.Dial("tcp", addr)
				if err == nil {
					conn.Close()
				}
				return err
			})
			env := c.Env("nats://"+addr, tt.env...)
			if tt.ca != "" {
				env = append(env, "ORDERWATCH_NATS_CA_FILE="+file(tt.ca))
			}
			code, out := clinic.Doctor(t, env, "-o", "json")
			if all := clinic.Findings(t, out); !clinic.Has(all, tt.want) || (code != 0) != (tt.want.Level == "problem") {
				t.Errorf("exit code %d, no finding %+v in\n%s", code, tt.want, out)
			}
			if _, text := clinic.Doctor(t, env); strings.Contains(text, "work is lost") {
				t.Errorf("it says so:\n%s", text)
			}
			if got := rig.CarryOut(t, env, "list"); tt.want.Level == "problem" && (got.Code != 1 || !strings.Contains(got.Err, tt.want.Do)) { // a person is told the same
				t.Errorf("list: exit code %d, no %q in %s", got.Code, tt.want.Do, got.Err)
			}
		})
	}
}
