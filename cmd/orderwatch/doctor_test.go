package main_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig/clinic"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig/guarded"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
	"github.com/orderwatch/orderwatch/watcher/modelarts/login"
)

// permissionRules returns nats-permissions.conf with passwords.
func permissionRules(t *testing.T) string {
	t.Helper()
	return guarded.Shipped(t, "../../deploy/nats-permissions.conf")
}

// TestDoctorHealthy looks at an installation as deploy/README.md wants it: two workers with just their
// permissions. Nothing is wrong, nobody hears of it, and no secret is shown.
func TestDoctorHealthy(t *testing.T) {
	t.Parallel()
	g := guarded.Start(t, permissionRules(t), nats.UserInfo("setup", "planted-setup"))
	c := clinic.New(t)
	c.Cloud.Add(rig.Project, "order.pool-1", emulator.Order{Items: []emulator.Item{{ResourceName: "pool-1", EndAfter: emulator.Never}}})
	as := func(user string, more ...string) []string {
		return c.Env(g.URL, append([]string{"ORDERWATCH_NATS_USER=" + user, "ORDERWATCH_NATS_PASSWORD=planted-" + user}, more...)...)
	}
	clinic.Provision(t, as("setup"))
	env := as("worker", "ORDERWATCH_PROVISION=false")
	for range 2 {
		addr := rig.FreeAddr(t)
		rig.Start(t, rig.Build(t, rig.Worker), append(env, "ORDERWATCH_HTTP_ADDR="+addr), "serve")
		rig.AwaitReady(t, addr)
	}
	polls := c.Cloud.Polls(rig.Project, "orderwatch-doctor")

	code, out := clinic.Doctor(t, env, "-o", "json")
	all := clinic.Findings(t, out)
	if code != 0 || clinic.Bad(all) != "" {
		t.Errorf("exit code %d\n%s", code, clinic.Bad(all))
	}
	for _, want := range []clinic.Finding{
		{Check: "configuration.variables", Level: "ok"},
		{Check: "nats.connection", Level: "ok", About: g.URL},
		{Check: "nats.version", Level: "ok", Found: "2."},
		{Check: "nats.limits", Level: "ok"},
		{Check: "nats.sync_interval", Level: "note", Do: "always"},
		{Check: "nats.strict", Level: "ok"},
		{Check: "permissions.publish", Level: "ok", About: "$JS.ACK.*.*.ORDER_WAKEUPS.poller.>"},
		{Check: "permissions.subscribe", Level: "ok", About: "_INBOX_orderwatch.>"},
		{Check: "permissions.publish", Level: "ok", About: "orders.listed.>"},
		{Check: "permissions.subscribe", Level: "ok", About: "orders.listed.>"},
		{Check: "permissions.allow_responses", Level: "ok"},
		{Check: "assets.stream", Level: "ok", About: "ORDER_REQUESTS"},
		{Check: "assets.consumer", Level: "ok", About: "slack of ORDER_EVENTS"},
		{Check: "watches.open", Level: "ok", Found: "0 watched"},
		{Check: "workers.present", Level: "ok", Found: "2"},
		{Check: "workers.versions", Level: "ok"},
		{Check: "modelarts.login", Level: "ok", About: "cn-north-4", Found: "takes the login"},
		{Check: "modelarts.list", Level: "ok", About: "cn-north-4", Found: "are listed"},
		{Check: "clocks.nats", Level: "ok"},
		{Check: "clocks.modelarts", Level: "ok"},
		{Check: "slack.token", Level: "ok", Found: "orderwatch in Example"},
		{Check: "slack.scope", Level: "ok", About: "chat:write"},
		{Check: "slack.channel", Level: "ok", About: "C0ONCALL"},
	} {
		if !clinic.Has(all, want) {
			t.Errorf("no finding %+v in\n%s", want, out)
		}
	}
	if n := c.Cloud.Polls(rig.Project, "orderwatch-doctor") - polls; n != 1 {
		t.Errorf("ModelArts was asked %d times; want 1", n)
	}
	if n := c.Slack.Calls(); n > 0 {
		t.Errorf("%d posts", n)
	}

	code, text := clinic.Doctor(t, env, "--all", "--order", rig.Project+"/order.pool-1")
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"✓", "publish orders.undelivered.>", rig.Project + "/order.pool-1 has 1 item", "0 problems, 0 warnings"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "\x1b") {
		t.Error("colours, although it is no terminal")
	}
	for _, secret := range []string{"planted-worker", clinic.SecretKey, "PLANTEDACCESS", clinic.SlackToken} {
		if strings.Contains(out+text, secret) {
			t.Errorf("the secret %s is shown", secret)
		}
	}
}

// A patient is an installation of its own on a server that it shares with others.
type patient struct {
	clinic.Clinic
	js     jetstream.JetStream
	prefix string // of streams
}

func (p patient) updateStream(t *testing.T, name string, change func(*jetstream.StreamConfig)) {
	t.Helper()
	s, err := p.js.Stream(t.Context(), p.prefix+name)
	if err != nil {
		t.Fatal(err)
	}
	config := s.CachedInfo().Config
	change(&config)
	if _, err := p.js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
}

func (p patient) updateConsumer(t *testing.T, stream, name string, change func(*jetstream.ConsumerConfig)) {
	t.Helper()
	c, err := p.js.Consumer(t.Context(), p.prefix+stream, name)
	if err != nil {
		t.Fatal(err)
	}
	config := c.CachedInfo().Config
	change(&config)
	if _, err := p.js.UpdateConsumer(t.Context(), p.prefix+stream, config); err != nil {
		t.Fatal(err)
	}
}

// store stores a value under a key of a bucket.
func (p patient) store(t *testing.T, bucket, key string, value []byte) {
	t.Helper()
	if _, err := p.js.Publish(t.Context(), "$KV."+p.prefix+bucket+"."+key, value); err != nil {
		t.Fatal(err)
	}
}

// TestDoctorBroken breaks one thing at a time.
func TestDoctorBroken(t *testing.T) {
	t.Parallel()
	shared := rig.StartNATS(t, "")
	routes := filepath.Join(t.TempDir(), "routes.yaml")
	if err := os.WriteFile(routes, []byte("rules:\n  - {match: {projects: [p]}, channels: [C0NONE]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		env   []string
		args  []string
		wreck func(*testing.T, patient)
		want  []clinic.Finding
		code  int
	}{
		{
			name: "retention",
			wreck: func(t *testing.T, p patient) {
				if err := p.js.DeleteStream(t.Context(), p.prefix+"_REQUESTS"); err != nil {
					t.Fatal(err)
				}
				subject := strings.ToLower(p.prefix) + "s.watch"
				if _, err := p.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: p.prefix + "_REQUESTS", Subjects: []string{subject}, Discard: jetstream.DiscardNew}); err != nil {
					t.Fatal(err)
				}
			},
			want: []clinic.Finding{
				{Check: "assets.setting", Level: "problem", About: "_REQUESTS: retention", Found: "Limits", Wanted: "WorkQueue"},
				{Check: "assets.missing", Level: "note", About: "intake"},
			},
			code: 1,
		},
		{
			name: "limit on wake-ups",
			wreck: func(t *testing.T, p patient) {
				p.updateStream(t, "_WAKEUPS", func(c *jetstream.StreamConfig) { c.MaxMsgs = 1000 })
			},
			want: []clinic.Finding{{Check: "assets.setting", Level: "problem", About: "_WAKEUPS: max_msgs", Found: "1000", Wanted: "-1", Do: "nats stream edit"}},
			code: 1,
		},
		{
			name: "MaxDeliver",
			wreck: func(t *testing.T, p patient) {
				p.updateConsumer(t, "_WAKEUPS", "poller", func(c *jetstream.ConsumerConfig) { c.MaxDeliver = 5 })
			},
			want: []clinic.Finding{{Check: "assets.setting", Level: "problem", About: "consumer poller of", Found: "5", Wanted: "-1", Do: "nats consumer edit"}},
			code: 1,
		},
		{
			name: "AckWait",
			wreck: func(t *testing.T, p patient) {
				p.updateConsumer(t, "_REQUESTS", "intake", func(c *jetstream.ConsumerConfig) { c.AckWait = 2 * time.Second })
			},
			want: []clinic.Finding{{Check: "assets.setting", Level: "warning", About: "intake", Found: "2s", Wanted: "1m0s"}}, // a step under way keeps its delivery
		},
		{
			name: "harmless setting",
			wreck: func(t *testing.T, p patient) {
				p.updateStream(t, "_EVENTS", func(c *jetstream.StreamConfig) { c.MaxAge = 60 * 24 * time.Hour })
			},
			want: []clinic.Finding{{Check: "assets.setting", Level: "warning", About: "_EVENTS: max_age", Found: "1440h0m0s", Wanted: "2160h0m0s"}},
		},
		{
			name: "replicas without a cluster",
			env:  []string{"ORDERWATCH_STREAM_REPLICAS=3"},
			want: []clinic.Finding{
				{Check: "nats.cluster", Level: "warning", Found: "3 replicas"},
				{Check: "assets.setting", Level: "warning", About: "_WAKEUPS: num_replicas", Found: "1", Wanted: "3"},
			},
		},
		{
			name: "paused consumer",
			wreck: func(t *testing.T, p patient) {
				if _, err := p.js.PauseConsumer(t.Context(), p.prefix+"_WAKEUPS", "poller", time.Now().Add(time.Hour)); err != nil {
					t.Fatal(err)
				}
			},
			want: []clinic.Finding{{Check: "assets.paused", Level: "warning", About: "poller", Do: "nats consumer resume"}},
		},
		{
			name: "missing stream that is not to be created",
			env:  []string{"ORDERWATCH_PROVISION=false"},
			wreck: func(t *testing.T, p patient) {
				if err := p.js.DeleteStream(t.Context(), "KV_"+p.prefix+"_SLACK"); err != nil {
					t.Fatal(err)
				}
			},
			want: []clinic.Finding{{Check: "assets.missing", Level: "problem", About: "_SLACK", Do: "ORDERWATCH_PROVISION=true"}},
			code: 1,
		},
		{
			name: "requests that nobody takes",
			wreck: func(t *testing.T, p patient) {
				if _, err := p.js.Publish(t.Context(), strings.ToLower(p.prefix)+"s.watch", []byte("{}")); err != nil {
					t.Fatal(err)
				}
			},
			want: []clinic.Finding{
				{Check: "assets.backlog", Level: "warning", About: "intake", Found: "1 wait"},
				{Check: "workers.present", Level: "problem", Found: "none: requests are kept, but nothing is polled; waiting: 1 request", Do: "Start orderwatch serve."},
			},
			code: 1,
		},
		{
			name: "overdue watch",
			wreck: func(t *testing.T, p patient) {
				past := time.Now().Add(-time.Hour)
				record, err := watcher.EncodeWatch(watcher.Watch{
					Schema: watcher.SchemaVersion, State: watcher.Watching, ID: "w_1", Order: watcher.Order{ProjectID: rig.Project, Name: "order.late"},
					Region: "cn-north-4", AcceptedAt: past, Deadline: past.Add(2 * time.Hour), NextPollAt: past,
					Wakeup: 1, Requests: []watcher.Request{{ID: "build-1"}},
				}, 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				p.store(t, "_WATCHES", rig.Project+".order.late", record)
			},
			want: []clinic.Finding{
				{Check: "watches.overdue", Level: "warning", Found: rig.Project + "/order.late by 1h00m"},
				{Check: "workers.present", Level: "problem", Found: "nothing is polled; open: 1 watch"},
			},
			code: 1,
		},
		{
			name: "held account",
			env:  []string{"ORDERWATCH_MODELARTS_ACCESS_KEY=", "ORDERWATCH_MODELARTS_SECRET_KEY=", "ORDERWATCH_MODELARTS_TOKEN=planted-token"},
			wreck: func(t *testing.T, p patient) {
				now := time.Now()
				hold, err := json.Marshal(watcher.Hold{Kind: watcher.HeldLogin, Region: "cn-north-4", Reason: "the token is dead\x1b[31m", Since: now, Until: now.Add(time.Hour)})
				if err != nil {
					t.Fatal(err)
				}
				p.store(t, "_ACCOUNTS", "hold."+login.Token{}.Login()+".cn-north-4", hold)
			},
			want: []clinic.Finding{
				{Check: "workers.hold", Level: "problem", Found: "the token is dead\ufffd"},
				{Check: "modelarts.login", Level: "note", Found: "was not asked: ModelArts refuses the account's login"},
				{Check: "modelarts.token", Level: "warning", Found: "24 hours"},
			},
			code: 1,
		},
		{
			name: "wrong ModelArts key",
			env:  []string{"ORDERWATCH_MODELARTS_SECRET_KEY=planted-another-key"},
			want: []clinic.Finding{{Check: "modelarts.login", Level: "problem", Found: "401", Do: "ORDERWATCH_MODELARTS_ACCESS_KEY"}},
			code: 1,
		},
		{
			name: "another project's login",
			wreck: func(t *testing.T, p patient) {
				p.Cloud.SetFaults(emulator.Fault{Status: http.StatusForbidden, Code: "ModelArts.0210", Message: "project differs"})
			},
			want: []clinic.Finding{{Check: "modelarts.login", Level: "problem", Found: "403", Do: "permission"}},
			code: 1,
		},
		{
			name: "throttled",
			wreck: func(t *testing.T, p patient) {
				p.Cloud.SetFaults(emulator.Fault{Status: http.StatusTooManyRequests, Code: "APIGW.0308"})
			},
			want: []clinic.Finding{{Check: "modelarts.login", Level: "warning", Found: "429", Do: "ORDERWATCH_MODELARTS_RATE"}},
		},
		{
			name: "clocks apart",
			wreck: func(t *testing.T, p patient) {
				p.Cloud.SetFaults(emulator.Fault{Header: map[string]string{"Date": time.Now().Add(59*time.Minute + 45*time.Second).UTC().Format(http.TimeFormat)}})
			},
			want: []clinic.Finding{{Check: "clocks.modelarts", Level: "problem", Found: "NATS's clock, by which workers go, is 59m"}},
			code: 1,
		},
		{
			name: "unknown order",
			args: []string{"--order", rig.Project + "/order.unknown"},
			want: []clinic.Finding{
				{Check: "modelarts.login", Level: "ok", Found: "takes the login"},
				{Check: "modelarts.order", Level: "warning", About: "order.unknown"},
			},
		},
		{
			name: "no ModelArts",
			env:  []string{"ORDERWATCH_MODELARTS_ENDPOINT=http://" + rig.FreeAddr(t)},
			want: []clinic.Finding{{Check: "modelarts.login", Level: "problem", Do: "ORDERWATCH_MODELARTS_ENDPOINT"}},
			code: 1,
		},
		{
			name: "wrong Slack token",
			env:  []string{"ORDERWATCH_SLACK_TOKEN=xoxb-planted-wrong"},
			want: []clinic.Finding{{Check: "slack.token", Level: "problem", Found: "invalid_auth"}},
			code: 1,
		},
		{
			name: "no scope to post",
			env:  []string{"ORDERWATCH_SLACK_TOKEN=xoxb-planted-reads"},
			want: []clinic.Finding{{Check: "slack.scope", Level: "problem", About: "chat:write"}},
			code: 1,
		},
		{
			name: "no scope to look at channels",
			env:  []string{"ORDERWATCH_SLACK_TOKEN=xoxb-planted-posts"},
			want: []clinic.Finding{
				{Check: "slack.scope", Level: "note", About: "channels:read"},
				{Check: "slack.channel", Level: "note", About: "C0ONCALL", Found: "channels:read"},
			},
		},
		{
			name: "not in the channel",
			env:  []string{"ORDERWATCH_SLACK_CHANNEL=C0OUT"},
			want: []clinic.Finding{{Check: "slack.channel", Level: "problem", About: "C0OUT #", Found: "not_in_channel", Do: "/invite"}},
			code: 1,
		},
		{
			name: "archived channel",
			env:  []string{"ORDERWATCH_SLACK_CHANNEL=C0OLD"},
			want: []clinic.Finding{{Check: "slack.channel", Level: "problem", About: "C0OLD", Found: "is_archived", Do: "ORDERWATCH_SLACK_CHANNEL"}},
			code: 1,
		},
		{
			name: "other channel that is not there",
			env:  []string{"ORDERWATCH_SLACK_CHANNELS_ALLOWED=C0NONE"},
			want: []clinic.Finding{
				{Check: "slack.channel", Level: "ok", About: "C0ONCALL"},
				{Check: "slack.channel", Level: "warning", About: "C0NONE", Found: "channel_not_found"},
			},
		},
		{
			name: "channel of a rule that is not there",
			env:  []string{"ORDERWATCH_SLACK_ROUTES_FILE=" + routes},
			want: []clinic.Finding{
				{Check: "slack.channel", Level: "ok", About: "C0ONCALL"},
				{Check: "slack.channel", Level: "warning", About: "C0NONE", Found: "channel_not_found", Do: "line 2 of " + routes},
			},
		},
		{
			name: "webhook and channels to choose",
			env: []string{"ORDERWATCH_SLACK_TOKEN=", "ORDERWATCH_SLACK_CHANNEL=", "ORDERWATCH_SLACK_CHANNELS_ALLOWED=C0OUT",
				"ORDERWATCH_SLACK_WEBHOOK_URL=https://hooks.slack.com/services/T0/B0/planted-hook"},
			want: []clinic.Finding{
				{Check: "slack.webhook", Level: "ok", Found: "right form"},
				{Check: "slack.webhook", Level: "note", Found: "ORDERWATCH_SLACK_CHANNELS_ALLOWED", Do: "ORDERWATCH_SLACK_TOKEN"},
			},
		},
		{
			name: "webhook that is none, beside a token",
			env:  []string{"ORDERWATCH_SLACK_WEBHOOK_URL=https://hooks.slack.com/planted-hook"},
			want: []clinic.Finding{
				{Check: "slack.channel", Level: "ok", About: "C0ONCALL"},
				{Check: "slack.webhook", Level: "warning", Found: "has not the form"},
			},
		},
		{
			name: "wrong variable",
			env:  []string{"ORDERWATCH_POLL_INITIAL=soon"},
			want: []clinic.Finding{
				{Check: "configuration.variable", Level: "problem", About: "ORDERWATCH_POLL_INITIAL", Found: "must be a duration"},
				{Check: "modelarts.login", Level: "ok"},
			},
			code: 1,
		},
		{
			name: "no variables",
			env:  []string{"ORDERWATCH_NATS_URL=", "ORDERWATCH_MODELARTS_REGIONS=", "ORDERWATCH_SLACK_CHANNEL="},
			want: []clinic.Finding{
				{Check: "configuration.variable", Level: "problem", About: "ORDERWATCH_NATS_URL"},
				{Check: "nats.connection", Level: "note", Found: "was not looked at"},
				{Check: "modelarts.login", Level: "note", Found: "was not looked at"},
				{Check: "slack.token", Level: "note", Found: "was not looked at"},
			},
			code: 1,
		},
		{
			name: "NATS away",
			env:  []string{"ORDERWATCH_NATS_URL=nats://" + rig.FreeAddr(t)},
			want: []clinic.Finding{
				{Check: "nats.connection", Level: "problem", Found: "cannot connect"},
				{Check: "modelarts.login", Level: "ok"},
				{Check: "slack.channel", Level: "ok"},
			},
			code: 1,
		},
	}
	for n, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := patient{Clinic: clinic.New(t), js: shared.JS, prefix: fmt.Sprintf("P%d", n)}
			env := p.Env(shared.URL, "ORDERWATCH_STREAM_PREFIX="+p.prefix, fmt.Sprintf("ORDERWATCH_SUBJECT_PREFIX=p%ds", n), fmt.Sprintf("ORDERWATCH_SERVICE_PREFIX=p%dv", n))
			clinic.Provision(t, env)
			if test.wreck != nil {
				test.wreck(t, p)
			}
			code, out := clinic.Doctor(t, append(env, test.env...), append([]string{"-o", "json"}, test.args...)...)
			all := clinic.Findings(t, out)
			if code != test.code {
				t.Errorf("exit code %d; want %d\n%s", code, test.code, clinic.Bad(all))
			}
			for _, want := range test.want {
				if !clinic.Has(all, want) {
					t.Errorf("no finding %+v in\n%s", want, out)
				}
			}
			for _, secret := range []string{"planted-", clinic.SecretKey} {
				if strings.Contains(out, secret) {
					t.Errorf("a secret is shown:\n%s", out)
				}
			}
		})
	}
}

// TestDoctorDenied takes a permission from the worker, refuses its login, and limits its account.
func TestDoctorDenied(t *testing.T) {
	t.Parallel()
	c := clinic.New(t)
	setup := nats.UserInfo("setup", "planted-setup")
	const users = `users: [{user: worker, password: planted-worker}, {user: setup, password: planted-setup}]`
	const limited = `accounts: {A: {` + users + `, jetstream: {max_file: 1G, max_ack_pending: 5000}}}`
	const none = `accounts: {A: {` + users + `}}`
	for _, test := range []struct {
		name, rules string
		env         []string
		want        []clinic.Finding
		code        int
	}{
		{
			name: "permission", rules: strings.Replace(permissionRules(t), `"orders.due.>"`, "", 1),
			want: []clinic.Finding{{Check: "permissions.publish", Level: "problem", About: "orders.due.>", Found: "denied"}}, code: 1,
		},
		{
			name: "look at a stream", rules: strings.Replace(permissionRules(t), `"$JS.API.STREAM.INFO.ORDER_EVENTS"`, "", 1),
			want: []clinic.Finding{
				{Check: "permissions.publish", Level: "problem", About: "$JS.API.STREAM.INFO.ORDER_EVENTS", Found: "denied"},
				{Check: "assets.state", Level: "note", About: "stream ORDER_EVENTS", Found: "may not ask for it: $JS.API.STREAM.INFO.ORDER_EVENTS"},
				{Check: "assets.stream", Level: "ok", About: "ORDER_WAKEUPS"},
			}, code: 1,
		},
		{
			name: "login", rules: permissionRules(t), env: []string{"ORDERWATCH_NATS_PASSWORD=planted-wrong"},
			want: []clinic.Finding{{Check: "nats.login", Level: "problem", Do: "ORDERWATCH_NATS_"}}, code: 1,
		},
		{
			name: "limits", rules: limited,
			want: []clinic.Finding{
				{Check: "nats.limit", Level: "warning", About: "max_storage", Found: "0 %", Wanted: "no limit"},
				{Check: "nats.limit", Level: "warning", About: "max_ack_pending", Found: "5000"},
			},
		},
		{
			name: "no JetStream", rules: none,
			want: []clinic.Finding{{Check: "nats.jetstream", Level: "problem", Found: "for the account"}}, code: 1,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := guarded.Start(t, test.rules, setup)
			as := func(user string, more ...string) []string {
				return c.Env(g.URL, append([]string{"ORDERWATCH_NATS_USER=" + user, "ORDERWATCH_NATS_PASSWORD=planted-" + user}, more...)...)
			}
			if test.name != "no JetStream" {
				clinic.Provision(t, as("setup"))
			}
			code, out := clinic.Doctor(t, as("worker", append([]string{"ORDERWATCH_PROVISION=false"}, test.env...)...), "-o", "json")
			all := clinic.Findings(t, out)
			if code != test.code {
				t.Errorf("exit code %d; want %d\n%s", code, test.code, clinic.Bad(all))
			}
			for _, want := range test.want {
				if !clinic.Has(all, want) {
					t.Errorf("no finding %+v in\n%s", want, out)
				}
			}
		})
	}
}

// silent listens as a nats-server that greets, answers the first pings of each connection, and is silent otherwise.
func silent(t *testing.T, version string, pings int) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if version != "" {
					fmt.Fprintf(conn, `INFO {"server_id":"X","version":%q,"proto":1,"headers":true,"max_payload":1048576,"jetstream":true}`+"\r\n", version)
				}
				answered := 0
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					if lines.Text() == "PING" && answered < pings {
						answered++
						fmt.Fprint(conn, "PONG\r\n")
					}
				}
			}()
		}
	}()
	return listener.Addr().String()
}

// TestDoctorBlackHoles looks at an installation where nobody answers: it ends in time all the same.
func TestDoctorBlackHoles(t *testing.T) {
	t.Parallel()
	const limit = 30 * time.Second
	tests := []struct {
		name    string
		version string
		pings   int
		want    clinic.Finding
	}{
		{name: "no server", want: clinic.Finding{Check: "nats.connection", Level: "problem", Found: "cannot connect"}},
		{name: "silent from the beginning", version: "2.15.2", want: clinic.Finding{Check: "nats.connection", Level: "problem", Found: "cannot connect"}},
		{name: "silent after the greeting", version: "2.15.2", pings: 1, want: clinic.Finding{Check: "nats.connection", Level: "problem", Found: "does not answer"}},
		{name: "no JetStream that answers", version: "2.15.2", pings: 1000, want: clinic.Finding{Check: "assets.state", Level: "problem", Found: "does not answer"}},
		{name: "too old", version: "2.11.9", pings: 1000, want: clinic.Finding{Check: "nats.version", Level: "problem", Found: "2.11.9", Wanted: "2.14"}},
	}
	type ended struct {
		code int
		out  string
		took time.Duration
	}
	var running sync.WaitGroup
	results := make([]ended, len(tests))
	for n, test := range tests { // all at once: each takes long
		hole := silent(t, "", 0)
		env := rig.ServeEnv("nats://"+silent(t, test.version, test.pings), "http://"+hole, "127.0.0.1:0",
			"ORDERWATCH_MODELARTS_TIMEOUT=20s", "ORDERWATCH_MODELARTS_PROJECT_ID="+rig.Project,
			"ORDERWATCH_SLACK_TOKEN="+clinic.SlackToken, "ORDERWATCH_SLACK_CHANNEL=C0ONCALL", "ORDERWATCH_SLACK_CHANNELS_ALLOWED=C0A,C0B,C0C", "ORDERWATCH_SLACK_API_URL=http://"+hole+"/api/")
		p, begin := rig.Start(t, rig.Build(t, rig.Worker), env, "doctor", "-o", "json"), time.Now()
		running.Go(func() {
			<-p.Done
			results[n] = ended{p.Command.ProcessState.ExitCode(), p.Text(), time.Since(begin)}
		})
	}
	running.Wait()
	for n, test := range tests {
		got := results[n]
		t.Logf("%s: %s", test.name, got.took)
		if got.code != 1 || got.took > limit {
			t.Errorf("%s: exit code %d after %s; want 1 within %s", test.name, got.code, got.took, limit)
		}
		for _, want := range []clinic.Finding{test.want,
			{Check: "modelarts.login", Level: "problem", About: "cn-north-4"},
			{Check: "slack.token", Level: "warning", Found: "not reached"},
		} {
			if !clinic.Has(clinic.Findings(t, got.out), want) {
				t.Errorf("%s: no finding %+v in\n%s", test.name, want, got.out)
			}
		}
	}
}

// TestDoctorEmbedded looks at the server inside a worker's process, and starts none.
func TestDoctorEmbedded(t *testing.T) {
	t.Parallel()
	c, addr := clinic.New(t), rig.FreeAddr(t)
	env := c.Env("", "ORDERWATCH_EMBEDDED_NATS_DIR="+t.TempDir(), "ORDERWATCH_EMBEDDED_NATS_ADDR="+rig.FreeAddr(t), "ORDERWATCH_HTTP_ADDR="+addr)
	w := rig.Start(t, rig.Build(t, rig.Worker), env, "serve")
	rig.AwaitReady(t, addr)
	code, out := clinic.Doctor(t, env, "-o", "json")
	if all := clinic.Findings(t, out); code != 0 || clinic.Bad(all) != "" || !clinic.Has(all, clinic.Finding{Check: "nats.sync_interval", Level: "ok", Found: "always"}) {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if code, _ := w.Terminate(t); code != 0 {
		t.Errorf("the worker exits with %d", code)
	}
	code, out = clinic.Doctor(t, env, "-o", "json")
	if want := (clinic.Finding{Check: "nats.connection", Level: "problem", Do: "start that first"}); code != 1 || !clinic.Has(clinic.Findings(t, out), want) {
		t.Errorf("exit code %d, no finding %+v in\n%s", code, want, out)
	}
}

// TestDoctorInterrupted ends it while it waits.
func TestDoctorInterrupted(t *testing.T) {
	t.Parallel()
	p := rig.Start(t, rig.Build(t, rig.Worker), rig.ServeEnv("nats://"+silent(t, "", 0), "http://127.0.0.1:1", "127.0.0.1:0"), "doctor")
	rig.Eventually(t, rig.Patience, func() error {
		if !strings.Contains(p.Text(), "configuration") {
			return errors.New("it has not begun")
		}
		return nil
	})
	if err := p.Command.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Done:
	case <-time.After(rig.Patience):
		t.Fatal("it goes on")
	}
	if code := p.Command.ProcessState.ExitCode(); code != 130 || strings.Contains(p.Text(), "✗") {
		t.Errorf("exit code %d\n%s", code, p.Text())
	}
}

// TestDoctorUsage refuses what is no command line.
func TestDoctorUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"now"}, {"--order", "p/.."}, {"--order", "order-alone"}, {"-o", "yaml"}, {"--nothing"}} {
		code, out := clinic.Doctor(t, nil, args...)
		if lines := strings.Count(out, "\n"); code != 2 || lines > 2 || !strings.Contains(out, "See orderwatch doctor --help.") {
			t.Errorf("doctor %v: exit code %d\n%s", args, code, out)
		}
	}
}

// TestDoctorElsewhere runs it without the worker's environment: nothing is said to be lost.
func TestDoctorElsewhere(t *testing.T) {
	t.Parallel()
	code, out := clinic.Doctor(t, nil)
	if code != 1 || !strings.Contains(out, "variables are not set here: run it with the worker's environment") || strings.Contains(out, "work is lost") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	code, out = clinic.Doctor(t, []string{"ORDERWATCH_POLL_INITIAL=soon"})
	if code != 1 || !strings.Contains(out, "work is lost") {
		t.Errorf("with a variable that is wrong: exit code %d\n%s", code, out)
	}
}
