package main_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig/clinic"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig/guarded"
	"github.com/orderwatch/orderwatch/watcher"
)

// moreUsers are beside those of nats-permissions.conf.
const moreUsers = `users: [
	{user: follower, password: planted-follower, permissions: {
		publish: {allow: ["$JS.API.CONSUMER.INFO.ORDER_EVENTS.mine", "$JS.API.CONSUMER.MSG.NEXT.ORDER_EVENTS.mine", "$JS.ACK.ORDER_EVENTS.mine.>"]}
		subscribe: {allow: ["_INBOX_follower.>"]}
	}}
	{user: nobody, password: planted-nobody, permissions: {publish: {deny: [">"]}, subscribe: {deny: [">"]}}}
	{user: team2, password: planted-team2, permissions: {
		publish: {allow: ["team2.>", "$JS.API.*.INFO.TEAM2.>", "$KV.TEAM2_WATCHES.>"]}
		subscribe: {allow: ["_INBOX_team2.>"]}
	}}
	{user: reader, password: planted-reader, permissions: {
		publish: {allow: ["orderwatch.get", "$JS.API.STREAM.INFO.>", "$JS.API.CONSUMER.INFO.>", "$JS.API.DIRECT.GET.>", "$JS.API.INFO"]}
		subscribe: {allow: ["_INBOX.>"]}
	}}`

// TestDoctorStrangers logs in as everybody who is no worker, beside workers that do well: nothing is a
// problem, nobody is to change the worker's user, and what was not looked at is not counted as good. Case T3.
func TestDoctorStrangers(t *testing.T) {
	t.Parallel()
	rules := strings.Replace(permissionRules(t), "users: [", moreUsers, 1)
	g := guarded.Start(t, rules, nats.UserInfo("setup", "planted-setup"))
	c := clinic.New(t)
	as := func(user string, more ...string) []string {
		return c.Env(g.URL, append([]string{"ORDERWATCH_NATS_USER=" + user, "ORDERWATCH_NATS_PASSWORD=planted-" + user}, more...)...)
	}
	clinic.Provision(t, as("setup"))
	addrs := []string{rig.FreeAddr(t), rig.FreeAddr(t)}
	for _, addr := range addrs {
		rig.Start(t, rig.Build(t, rig.Worker), append(as("worker"), "ORDERWATCH_PROVISION=false", "ORDERWATCH_HTTP_ADDR="+addr), "serve")
		rig.AwaitReady(t, addr)
	}
	for _, addr := range addrs { // whichever answers knows the other
		rig.Eventually(t, rig.Patience, func() error {
			if known := rig.MetricsOf(t, addr)["orderwatch_workers"]; known != float64(len(addrs)) {
				return fmt.Errorf("%s knows %v workers", addr, known)
			}
			return nil
		})
	}
	for _, tt := range []struct {
		user, login string
		seen        []clinic.Finding
	}{
		{"person", "as the user person of deploy/nats-permissions.conf", []clinic.Finding{
			{Check: "assets.stream", Level: "ok", About: "ORDER_EVENTS"}, {Check: "assets.consumer", Level: "ok", About: "slack of ORDER_EVENTS"},
			{Check: "clocks.nats", Level: "ok"}, {Check: "workers.present", Level: "ok", Found: "2"}, {Check: "watches.open", Level: "ok", Found: "0 watched"},
		}},
		{"producer", "it may ask for watches, as the user producer", nil},
		{"follower", "nor create a consumer of events", nil},
		{"nobody", "it may do nothing of what workers do", []clinic.Finding{{Check: "permissions.subscribe", Level: "note", Found: "no answers"}}},
		{"team2", "it may do nothing of what workers do", nil},
		{"reader", "it may do nothing of what workers do", []clinic.Finding{
			{Check: "assets.stream", Level: "ok", About: "ORDER_WAKEUPS"}, {Check: "watches.open", Level: "ok"}, {Check: "workers.present", Level: "ok", Found: "2"},
		}},
	} {
		t.Run(tt.user, func(t *testing.T) {
			t.Parallel()
			code, out := clinic.Doctor(t, as(tt.user), "-o", "json")
			all := clinic.Findings(t, out)
			if code != 0 || clinic.Bad(all) != "" {
				t.Errorf("exit code %d\n%s", code, clinic.Bad(all))
			}
			for _, want := range append(tt.seen, clinic.Finding{Check: "permissions.login", Level: "note", About: tt.user, Found: tt.login, Do: "with the worker's environment"}) {
				if !clinic.Has(all, want) {
					t.Errorf("no finding %+v in\n%s", want, out)
				}
			}
			for _, advice := range []string{"worker's user", "stream edit", "consumer edit", "that permission", "has no leader", "Allow it"} {
				if strings.Contains(out, advice) {
					t.Errorf("it says %q:\n%s", advice, out)
				}
			}
			_, text := clinic.Doctor(t, as(tt.user))
			t.Log(text)
			if strings.Contains(text, "work is lost") || !strings.Contains(text, "were not looked at (?).") || !strings.Contains(text, "0 problems, 0 warnings") {
				t.Errorf("it ends with\n%s", text)
			}
		})
	}
}

// TestDoctorNeighbours looks where another installation lives, with a part of the prefixes changed: nothing
// of the other installation is to be changed. Case T5.
func TestDoctorNeighbours(t *testing.T) {
	t.Parallel()
	s := rig.StartNATS(t, "")
	c := clinic.New(t)
	addr := rig.FreeAddr(t)
	rig.Start(t, rig.Build(t, rig.Worker), c.Env(s.URL, "ORDERWATCH_HTTP_ADDR="+addr, "ORDERWATCH_EVENTS_MAX_AGE=2400h"), "serve")
	rig.AwaitReady(t, addr)
	team := func(names ...string) (env []string) {
		for _, name := range names {
			env = append(env, "ORDERWATCH_"+name+"_PREFIX="+map[string]string{"SUBJECT": "team2", "SERVICE": "team2-service", "STREAM": "TEAM2"}[name])
		}
		return env
	}
	for _, tt := range []struct {
		name string
		env  []string
		want clinic.Finding
		code int
	}{
		{"subjects alone", team("SUBJECT"), clinic.Finding{Check: "assets.installation", Level: "problem", Found: "another installation lives here: stream ORDER_REQUESTS has orders.watch", Do: "Set ORDERWATCH_STREAM_PREFIX, too"}, 1},
		{"subjects and service", team("SUBJECT", "SERVICE"), clinic.Finding{Check: "assets.installation", Level: "problem", Found: "another installation lives here", Do: "Set ORDERWATCH_STREAM_PREFIX, too"}, 1},
		{"streams alone", team("STREAM"), clinic.Finding{Check: "assets.installation", Level: "problem", About: "TEAM2_REQUESTS", Found: "stream ORDER_REQUESTS has the subject orders.watch", Do: "ORDERWATCH_SUBJECT_PREFIX"}, 1},
		{"streams and service", team("STREAM", "SERVICE"), clinic.Finding{Check: "assets.installation", Level: "problem", About: "TEAM2_WAKEUPS", Found: "stream ORDER_WAKEUPS has the subject orders.", Do: "ORDERWATCH_SUBJECT_PREFIX"}, 1},
		{"all", team("SUBJECT", "STREAM", "SERVICE"), clinic.Finding{Check: "assets.missing", Level: "note", Found: "is not there yet"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code, out := clinic.Doctor(t, c.Env(s.URL, tt.env...), "-o", "json")
			all := clinic.Findings(t, out)
			if code != tt.code || !clinic.Has(all, tt.want) {
				t.Errorf("exit code %d, want %d; no finding %+v in\n%s", code, tt.code, tt.want, out)
			}
			changesNothing(t, all, "ORDER_")
		})
	}
	t.Run("one service", func(t *testing.T) { // both work, and share the service
		addr := rig.FreeAddr(t)
		env := c.Env(s.URL, "ORDERWATCH_SUBJECT_PREFIX=team3", "ORDERWATCH_STREAM_PREFIX=TEAM3", "ORDERWATCH_HTTP_ADDR="+addr)
		rig.Start(t, rig.Build(t, rig.Worker), env, "serve")
		rig.AwaitReady(t, addr)
		code, out := clinic.Doctor(t, env, "-o", "json")
		all := clinic.Findings(t, out)
		if want := (clinic.Finding{Check: "workers.service", Level: "problem", Found: "takes requests on orders.watch", Do: "ORDERWATCH_SERVICE_PREFIX"}); code != 1 || !clinic.Has(all, want) {
			t.Errorf("exit code %d, no finding %+v in\n%s", code, want, out)
		}
		if want := (clinic.Finding{Check: "workers.present", Level: "note", Found: "one"}); !clinic.Has(all, want) {
			t.Errorf("no finding %+v in\n%s", want, out)
		}
		changesNothing(t, all, "ORDER_")
	})
}

// changesNothing holds that no advice is to change or delete a stream, bucket or consumer whose name begins so.
func changesNothing(t *testing.T, all []clinic.Finding, prefix string) {
	t.Helper()
	for _, f := range all {
		for _, verb := range []string{"edit ", "edit KV_", "rm ", "delete", "purge ", "resume "} {
			if strings.Contains(f.Do, verb+prefix) {
				t.Errorf("what may be another's is to be changed: %+v", f)
			}
		}
		if strings.Contains(f.Do, "must be deleted") {
			t.Errorf("what may be another's is to be deleted: %+v", f)
		}
	}
}

// TestDoctorProjects checks the login with a project of the records, in the region of each, where no project
// is configured. Case T4.
func TestDoctorProjects(t *testing.T) {
	t.Parallel()
	s := rig.StartNATS(t, "")
	for n, tt := range []struct {
		name    string
		env     []string
		records map[string]string // project, by the order's region
		state   watcher.State
		want    []clinic.Finding
		code    int
	}{
		{"bad login", []string{"ORDERWATCH_MODELARTS_SECRET_KEY=planted-bad"}, map[string]string{"cn-north-4": rig.Project}, watcher.Watching,
			[]clinic.Finding{{Check: "modelarts.login", Level: "problem", Found: "401"}}, 1},
		{"bad login, watches that have ended", []string{"ORDERWATCH_MODELARTS_SECRET_KEY=planted-bad"}, map[string]string{"cn-north-4": rig.Project}, watcher.Ended,
			[]clinic.Finding{{Check: "modelarts.login", Level: "problem", Found: "401"}}, 1},
		{"good login", nil, map[string]string{"cn-north-4": "another-project"}, watcher.Ended,
			[]clinic.Finding{{Check: "modelarts.login", Level: "ok", Found: "for project another-project"}}, 0},
		{"no records", []string{"ORDERWATCH_MODELARTS_SECRET_KEY=planted-bad"}, nil, "",
			[]clinic.Finding{{Check: "modelarts.login", Level: "note", About: "cn-north-4", Found: "was not asked: no project", Do: "--order"}}, 0},
		{"two regions, records in one", []string{"ORDERWATCH_MODELARTS_REGIONS=cn-north-4,cn-southwest-2"}, map[string]string{"cn-southwest-2": "west"}, watcher.Watching,
			[]clinic.Finding{
				{Check: "modelarts.login", Level: "ok", About: "cn-southwest-2", Found: "for project west"},
				{Check: "modelarts.login", Level: "note", About: "cn-north-4", Found: "was not asked: no project"},
				{Check: "workers.present", Level: "problem", Found: "open: 1 watch"},
			}, 1},
		{"two regions", []string{"ORDERWATCH_MODELARTS_REGIONS=cn-north-4,cn-southwest-2"}, map[string]string{"cn-southwest-2": "west", "cn-north-4": "north"}, watcher.Ended,
			[]clinic.Finding{
				{Check: "modelarts.login", Level: "ok", About: "cn-southwest-2", Found: "for project west"},
				{Check: "modelarts.login", Level: "ok", About: "cn-north-4", Found: "for project north"},
			}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := patient{Clinic: clinic.New(t), js: s.JS, prefix: fmt.Sprintf("T%d", n)}
			env := append(p.Env(s.URL, "ORDERWATCH_STREAM_PREFIX="+p.prefix, fmt.Sprintf("ORDERWATCH_SUBJECT_PREFIX=t%ds", n), fmt.Sprintf("ORDERWATCH_SERVICE_PREFIX=t%dv", n), "ORDERWATCH_MODELARTS_PROJECT_ID="), tt.env...)
			clinic.Provision(t, env)
			for region, id := range tt.records {
				p.record(t, watcher.Watch{State: tt.state, Order: watcher.Order{ProjectID: id, Name: "order.a"}, Region: region})
			}
			code, out := clinic.Doctor(t, env, "-o", "json")
			all := clinic.Findings(t, out)
			if code != tt.code {
				t.Errorf("exit code %d; want %d\n%s", code, tt.code, clinic.Bad(all))
			}
			for _, want := range tt.want {
				if !clinic.Has(all, want) {
					t.Errorf("no finding %+v in\n%s", want, out)
				}
			}
		})
	}
}

// record stores a watch that is not due for an hour.
func (p patient) record(t *testing.T, w watcher.Watch) {
	t.Helper()
	now := time.Now().UTC()
	w.Schema, w.Wakeup, w.ID, w.AcceptedAt, w.NextPollAt, w.Deadline = watcher.SchemaVersion, 1, "w_1", now, now.Add(time.Hour), now.Add(2*time.Hour)
	asked := []watcher.Request{{ID: "req-1", ReceivedAt: now}}
	if w.State == watcher.Watching {
		w.Requests = asked
	} else {
		w.Completion = &watcher.Completion{Outcome: watcher.Succeeded, CompletedAt: now, Report: watcher.Report{
			WatchID: w.ID, Region: w.Region, ProjectID: w.ProjectID, OrderName: w.Name, Requests: asked, AcceptedAt: now,
		}}
	}
	record, err := watcher.EncodeWatch(w, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	p.store(t, "_WATCHES", w.ProjectID+"."+w.Name, record)
}

// TestDoctorTruth breaks one thing at a time, and holds that nothing untrue is said: neither of what was not
// looked at, nor in the closing sentence, nor what to do about what may be another's.
func TestDoctorTruth(t *testing.T) {
	t.Parallel()
	c := clinic.New(t)
	rules := permissionRules(t)
	without := func(subjects ...string) string {
		text := rules
		for _, s := range subjects {
			if !strings.Contains(text, `"`+s+`"`) {
				t.Fatalf("nats-permissions.conf lacks %s", s)
			}
			text = strings.Replace(text, `"`+s+`"`, `"none.`+strings.TrimPrefix(s, "$")+`"`, 1)
		}
		return text
	}
	for _, tt := range []struct {
		name   string
		rules  string
		env    []string
		wreck  func(*testing.T, patient)
		want   []clinic.Finding
		code   int
		ends   string   // how the closing sentence ends, where there are problems
		untrue []string // what is not to be said
	}{
		{name: "nothing is wrong", rules: rules, untrue: []string{"✗", "is mended"}},
		{name: "no server", rules: rules, env: []string{"ORDERWATCH_NATS_URL=nats://" + rig.FreeAddr(t)}, code: 1,
			want: []clinic.Finding{{Check: "permissions.all", Level: "note", Found: "was not looked at"}, {Check: "watches.open", Level: "note", Found: "was not looked at"}, {Check: "workers.present", Level: "note", Found: "was not looked at"}},
			ends: "1 problem: a worker with this environment, on this machine, does nothing until that is mended", untrue: []string{"work is lost"}},
		{name: "login refused", rules: rules, env: []string{"ORDERWATCH_NATS_PASSWORD=planted-wrong"}, code: 1,
			ends: "1 problem: a worker with this environment, on this machine, does nothing until that is mended", untrue: []string{"work is lost", "deploy/nats-permissions.conf"}},
		{name: "Slack refuses the token", rules: rules, env: []string{"ORDERWATCH_SLACK_TOKEN=xoxb-planted-wrong"}, code: 1,
			ends: "1 problem: people are not told until that is mended", untrue: []string{"work is lost"}},
		{name: "no server, and Slack refuses the token", rules: rules, env: []string{"ORDERWATCH_NATS_URL=nats://" + rig.FreeAddr(t), "ORDERWATCH_SLACK_TOKEN=xoxb-planted-wrong"}, code: 1,
			ends: "2 problems: a worker with this environment, on this machine, does nothing, and people are not told until that is mended", untrue: []string{"work is lost"}},
		{name: "no answers", rules: without("_INBOX_orderwatch.>"), code: 1,
			want: []clinic.Finding{{Check: "permissions.subscribe", Level: "problem", About: "_INBOX_orderwatch.>"}, {Check: "assets.state", Level: "note", Found: "where answers come"}},
			ends: "1 problem: work is lost, repeated or not done until that is mended", untrue: []string{"has no leader", "JetStream does not answer", "JS.API.INFO"}},
		{name: "one stream cannot be looked at", rules: without("$JS.API.STREAM.INFO.KV_ORDER_SLACK"), code: 1,
			want: []clinic.Finding{{Check: "assets.state", Level: "note", About: "KV_ORDER_SLACK", Found: "may not ask"}}, ends: "1 problem: work is lost, repeated or not done until that is mended",
			untrue: []string{"is not there", "does not answer"}},
		{name: "records cannot be read", rules: without("$JS.API.DIRECT.GET.KV_ORDER_WATCHES"), code: 1,
			want: []clinic.Finding{{Check: "watches.open", Level: "note", Found: "were not looked at"}}, untrue: []string{"0 watched"}},
		{name: "what workers share cannot be read", rules: without("$JS.API.DIRECT.GET.KV_ORDER_ACCOUNTS"), code: 1,
			want: []clinic.Finding{{Check: "workers.present", Level: "note", Found: "were not looked at"}}, untrue: []string{"none: requests are kept"}},
		{name: "what only doctor asks for", rules: without("$JS.API.INFO", "$JS.API.STREAM.NAMES", "$SRV.INFO.orderwatch", "orderwatch.status"),
			want: []clinic.Finding{{Check: "nats.limits", Level: "note", Found: "may not see"}}, untrue: []string{"✗", "JetStream has none"}},
		{name: "another service prefix", rules: rules, env: []string{"ORDERWATCH_SERVICE_PREFIX=team2"}, code: 1,
			want: []clinic.Finding{{Check: "permissions.subscribe", Level: "problem", About: "team2.>"}}, untrue: []string{"has no leader"}},
		{name: "other prefixes than the login's", rules: rules, env: []string{"ORDERWATCH_SERVICE_PREFIX=team2", "ORDERWATCH_SUBJECT_PREFIX=team2s", "ORDERWATCH_STREAM_PREFIX=TEAM2"},
			want: []clinic.Finding{{Check: "permissions.login", Level: "note", Found: "no worker's login"}}, untrue: []string{"✗", "stream edit", "is not there"}},
		{name: "somebody else's stream", rules: rules, code: 1,
			wreck: func(t *testing.T, p patient) {
				if err := p.js.DeleteStream(t.Context(), "ORDER_REQUESTS"); err != nil {
					t.Fatal(err)
				}
				if _, err := p.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ORDER_REQUESTS", Subjects: []string{"shop.orders.>"}}); err != nil {
					t.Fatal(err)
				}
			},
			want: []clinic.Finding{{Check: "assets.installation", Level: "problem", Found: "somebody else's stream has this name: stream ORDER_REQUESTS has shop.orders.>"}}, untrue: []string{"stream edit", "another installation lives here"}},
		{name: "somebody else has the subjects", rules: rules, code: 1,
			wreck: func(t *testing.T, p patient) {
				if err := p.js.DeleteStream(t.Context(), "ORDER_REQUESTS"); err != nil {
					t.Fatal(err)
				}
				if _, err := p.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "SHOP", Subjects: []string{"orders.watch"}}); err != nil {
					t.Fatal(err)
				}
			},
			want: []clinic.Finding{{Check: "assets.installation", Level: "problem", Found: "stream SHOP has the subject orders.watch"}}, untrue: []string{"SHOP --", "The first worker that starts creates it"}},
		{name: "a broken record", rules: rules, code: 1,
			wreck: func(t *testing.T, p patient) {
				p.store(t, "_WATCHES", rig.Project+".order.broken", []byte(`{"stream":"ORDER_REQUESTS","seq":1}`))
			},
			want: []clinic.Finding{{Check: "watches.unreadable", Level: "problem", Found: "1 record cannot be read"}}},
		{name: "a record of a later release", rules: rules,
			wreck: func(t *testing.T, p patient) {
				p.store(t, "_WATCHES", rig.Project+".order.later", []byte(`{"schema":1000,"state":"watching","watch_id":"w_1"}`))
			},
			untrue: []string{"cannot be read"}},
		{name: "a deleted record, and the patrol's lease", rules: rules,
			wreck: func(t *testing.T, p patient) {
				bucket, err := p.js.KeyValue(t.Context(), "ORDER_WATCHES")
				if err != nil {
					t.Fatal(err)
				}
				if err := bucket.Delete(t.Context(), rig.Project+".order.gone"); err != nil {
					t.Fatal(err)
				}
			},
			untrue: []string{"cannot be read", "✗"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := guarded.Start(t, tt.rules, nats.UserInfo("setup", "planted-setup"))
			as := func(user string, more ...string) []string {
				return c.Env(g.URL, append([]string{"ORDERWATCH_NATS_USER=" + user, "ORDERWATCH_NATS_PASSWORD=planted-" + user}, more...)...)
			}
			clinic.Provision(t, as("setup"))
			if tt.wreck != nil {
				tt.wreck(t, patient{js: g.JS, prefix: "ORDER"})
			}
			env := append(as("worker", "ORDERWATCH_PROVISION=false"), tt.env...)
			code, out := clinic.Doctor(t, env, "-o", "json")
			all := clinic.Findings(t, out)
			_, text := clinic.Doctor(t, env)
			words := strings.Join(strings.Fields(text), " ")
			if code != tt.code || !strings.HasSuffix(words, tt.ends) {
				t.Errorf("exit code %d; want %d, and at the end %q:\n%s", code, tt.code, tt.ends, text)
			}
			for _, want := range tt.want {
				if !clinic.Has(all, want) {
					t.Errorf("no finding %+v in\n%s", want, out)
				}
			}
			for _, untrue := range tt.untrue {
				if strings.Contains(words, untrue) {
					t.Errorf("it says %q:\n%s", untrue, text)
				}
			}
		})
	}
}

// TestDoctorRate asks about the rate with the logins that ship, with one that may not ask, and while a worker hangs: then
// doctor looks at all else.
func TestDoctorRate(t *testing.T) {
	t.Parallel()
	c := clinic.New(t)
	rules := permissionRules(t)
	const ask = `"orderwatch.status"`
	if strings.Count(rules, ask) != 2 {
		t.Fatalf("nats-permissions.conf has %s %d times; want it for the worker, which is the first, and the page", ask, strings.Count(rules, ask))
	}
	for _, test := range []struct {
		name, rules string
		want        clinic.Finding
	}{
		{"as it ships", rules, clinic.Finding{Check: "workers.rate", Level: "ok"}},
		{"denied", strings.Replace(rules, ask, "", 1), clinic.Finding{Check: "workers.rate", Level: "note", Found: "does not let this user publish on " + ask}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := guarded.Start(t, test.rules, nats.UserInfo("setup", "planted-setup"))
			as := func(user string, more ...string) []string {
				return c.Env(g.URL, append([]string{"ORDERWATCH_NATS_USER=" + user, "ORDERWATCH_NATS_PASSWORD=planted-" + user}, more...)...)
			}
			clinic.Provision(t, as("setup"))
			addr := rig.FreeAddr(t)
			worker := rig.Start(t, rig.Build(t, rig.Worker), as("worker", "ORDERWATCH_PROVISION=false", "ORDERWATCH_HTTP_ADDR="+addr), "serve")
			rig.AwaitReady(t, addr)
			if _, out := clinic.Doctor(t, as("worker", "ORDERWATCH_PROVISION=false"), "-o", "json"); !clinic.Has(clinic.Findings(t, out), test.want) {
				t.Errorf("no finding %+v in\n%s", test.want, out)
			}
			if log := worker.Text(); strings.Contains(log, "answer not sent") {
				t.Errorf("the worker answers doctor where doctor only tries its permissions:\n%s", log)
			}
			if err := worker.Command.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			defer worker.Command.Process.Signal(syscall.SIGCONT)
			_, out := clinic.Doctor(t, as("setup"), "-o", "json")
			if want := (clinic.Finding{Check: "watches.open", Level: "ok"}); !clinic.Has(clinic.Findings(t, out), want) {
				t.Errorf("while a worker hangs: no finding %+v in\n%s", want, out)
			}
		})
	}
}
