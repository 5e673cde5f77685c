package faults_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig/guarded"
	"github.com/orderwatch/orderwatch/events/eventstest"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// trainProject is the project of the team train; that of the team gpu is rig.Project.
const trainProject = "0d1f7e66c8be4f6b9c5c7f30b5a80f11"

// A teamSite is an installation with the accounts of deploy/nats-accounts.conf: a server, workers, and orders of both
// teams' projects.
type teamSite struct {
	nats      *guarded.Server // its JetStream is the user setup's
	cloud     *emulator.Emulator
	modelArts string
	teams     string // the file that says which project each team has
	workers   []*rig.Process
}

// accountsFile returns the shipped file, with the projects of the tests and a password for each user.
func accountsFile(t *testing.T) string {
	t.Helper()
	return strings.NewReplacer("gpu-project", rig.Project, "train-project", trainProject).Replace(guarded.Shipped(t, "../../../deploy/nats-accounts.conf"))
}

// newTeamSite starts an installation. rules are those of the server.
func newTeamSite(t *testing.T, rules string, workers int) *teamSite {
	t.Helper()
	cloud := emulator.New(emulator.Options{})
	failed := emulator.Item{ResourceName: "node-2", Status: "failed", Message: "flavor sold out"}
	for _, project := range []string{rig.Project, trainProject} {
		cloud.Add(project, "order.succeeded", emulator.Order{FromFirstPoll: true, Items: []emulator.Item{{ResourceName: "node-1"}}})
		cloud.Add(project, "order.failed", emulator.Order{FromFirstPoll: true, Items: []emulator.Item{failed}})
		cloud.Add(project, "order.partially-failed", emulator.Order{FromFirstPoll: true, Items: []emulator.Item{{ResourceName: "node-1"}, failed}})
		cloud.Add(project, "order.never", emulator.Order{Items: []emulator.Item{{ResourceName: "node-1", EndAfter: emulator.Never}}})
	}
	modelArts := httptest.NewServer(cloud)
	t.Cleanup(modelArts.Close)
	site := &teamSite{nats: startAccounts(t, rules), cloud: cloud, modelArts: modelArts.URL, teams: teamsFile(t)}
	setup := site.start(t, "setup", "true")
	for _, team := range []struct{ name, project string }{{"gpu", rig.Project}, {"train", trainProject}} {
		_, err := site.nats.JS.CreateConsumer(t.Context(), "ORDER_EVENTS", jetstream.ConsumerConfig{
			Durable: team.name, FilterSubject: "orders.completed.*." + team.project + ".>",
			AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Minute, MaxDeliver: -1,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	setup.Terminate(t)
	for range workers {
		site.workers = append(site.workers, site.start(t, "worker", "false"))
	}
	return site
}

// startAccounts starts a server with the rules, to which the test is connected as the user setup.
func startAccounts(t *testing.T, rules string) *guarded.Server {
	t.Helper()
	return guarded.Start(t, rules, nats.UserInfo("setup", "planted-setup"), nats.CustomInboxPrefix("_INBOX_setup"))
}

// start starts a worker that logs in as the user, and waits until it is ready.
func (s *teamSite) start(t *testing.T, user, provision string) *rig.Process {
	t.Helper()
	addr := rig.FreeAddr(t)
	w := rig.Start(t, rig.Build(t, rig.Worker), rig.ServeEnv(s.nats.URL, s.modelArts, addr, "ORDERWATCH_NATS_USER="+user,
		"ORDERWATCH_NATS_PASSWORD=planted-"+user, "ORDERWATCH_PROVISION="+provision, "ORDERWATCH_MODELARTS_NOT_FOUND_GRACE=1s", "ORDERWATCH_TEAMS_FILE="+s.teams), "serve")
	rig.AwaitReady(t, addr)
	return w
}

// login is the environment of a command that logs in as the user.
func login(url, user string) []string {
	return []string{"ORDERWATCH_NATS_URL=" + url, "ORDERWATCH_NATS_USER=" + user, "ORDERWATCH_NATS_PASSWORD=planted-" + user}
}

// withLogin returns the URL with the login of the user.
func withLogin(url, user string) string {
	return strings.Replace(url, "://", "://"+user+":planted-"+user+"@", 1)
}

// TestSameWorker holds that the worker may do the same by both of the files that ship.
func TestSameWorker(t *testing.T) {
	t.Parallel()
	var may []string
	for _, name := range []string{"nats-accounts.conf", "nats-permissions.conf"} {
		file, err := os.ReadFile("../../../deploy/" + name)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, begins := strings.Cut(string(file), "user: worker\n")
		rest, responses, ends := strings.Cut(rest, "allow_responses")
		if !begins || !ends {
			t.Fatalf("%s has no user worker", name)
		}
		responses, _, _ = strings.Cut(responses, "\n")
		may = append(may, strings.Join(strings.Fields(rest+responses), " "))
	}
	if may[0] != may[1] {
		t.Errorf("the worker may\n%s\nby the accounts, and by the permissions\n%s", may[0], may[1])
	}
}

// tour runs every command that asks, as somebody of the team gpu would.
func tour(t *testing.T, env []string) {
	t.Helper()
	run := func(code int, says string, args ...string) string {
		t.Helper()
		got := rig.CarryOut(t, env, args...)
		if int(got.Code) != code || !strings.Contains(got.Out+got.Err, says) {
			t.Errorf("%v: exit code %d; want %d and %q in:\n%s%s", args, got.Code, code, says, got.Out, got.Err)
		}
		return got.Out
	}
	of := func(name string) string { return rig.Project + "/order." + name }
	follows := rig.Start(t, rig.Build(t, rig.Worker), env, "events", "--follow", "--since", "1h", "-o", "json", rig.Project)
	run(0, "succeeded", "watch", "--wait", of("succeeded"))
	run(0, `"outcome":"succeeded"`, "watch", "--wait", "-o", "json", of("succeeded"))
	run(3, "flavor sold out", "watch", "--wait", of("failed"), of("partially-failed"))
	run(0, "is stored", "watch", of("never"))
	rig.Eventually(t, rig.Patience, func() error {
		if got := rig.CarryOut(t, env, "get", of("never")); got.Code != 0 {
			return errors.New(got.Err)
		}
		return nil
	})
	run(0, "order.never", "list")
	run(0, "", "poll", of("never"))
	run(2, "nothing is stored: region: must be one of the configured regions", "watch", "--wait", "--region", "nowhere-1", of("unknown"))
	run(5, "not_found", "watch", "--wait", of("unknown"))
	run(0, "order.never", "cancel", of("never"))
	run(0, "is posted again", "renotify", of("succeeded"))
	run(0, "workers", "status")
	run(0, "order.failed", "events", "--kind", "completed")
	run(0, "no such event is kept", "events", "--kind", "rejected") // it is refused before it is stored
	run(0, "order.partially-failed", "events", of("partially-failed"))
	rig.Eventually(t, rig.Patience, func() error {
		for _, text := range []string{`"outcome":"succeeded"`, `"outcome":"failed"`, `"outcome":"partially_failed"`, `"outcome":"cancelled"`, `"outcome":"not_found"`} {
			if !strings.Contains(follows.Text(), text) {
				return fmt.Errorf("events --follow has not printed %s", text)
			}
		}
		return nil
	})
	if lines := strings.Split(strings.TrimSpace(follows.Text()), "\n"); len(lines) > len(uniqueLines(lines)) {
		t.Errorf("events --follow printed an event twice:\n%s", follows.Text())
	}
}

func uniqueLines(lines []string) map[string]bool {
	seen := make(map[string]bool)
	for _, line := range lines {
		seen[line] = true
	}
	return seen
}

// TestTeamCommands runs every command from the account of a team, which has no JetStream and imports the service.
func TestTeamCommands(t *testing.T) {
	t.Parallel()
	site := newTeamSite(t, accountsFile(t), 2)
	tour(t, login(site.nats.URL, "gpu-person"))
	for _, w := range site.workers {
		if strings.Contains(w.Text(), "denies a permission") || strings.Contains(w.Text(), "how long orders usually take") {
			t.Errorf("a worker lacks a permission:\n%s", rig.Tail(w.Text(), 3000))
		}
	}
}

// TestTeamLeaf runs them at a leaf node of the team's account, which has JetStream in a domain of its own.
func TestTeamLeaf(t *testing.T) {
	t.Parallel()
	listen := rig.FreeAddr(t)
	rules := strings.Replace(accountsFile(t), "      {\n        # A pipeline", "      { user: gpu-leaf, password: planted-gpu-leaf }\n      {\n        # A pipeline", 1)
	newTeamSite(t, rules+fmt.Sprintf("leafnodes { listen: %q }\n", listen), 1)
	addr, dir := rig.FreeAddr(t), t.TempDir()
	config := filepath.Join(dir, "leaf.conf")
	text := fmt.Sprintf("listen: %q\nserver_name: leaf\njetstream { store_dir: %q, domain: edge }\nleafnodes { remotes: [ { url: \"nats-leaf://gpu-leaf:planted-gpu-leaf@%s\" } ] }\n", addr, dir, listen)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	rig.Start(t, rig.Build(t, rig.NATSServer), nil, "-c", config)
	env := []string{"ORDERWATCH_NATS_URL=nats://" + addr}
	rig.Eventually(t, rig.Patience, func() error {
		if got := rig.CarryOut(t, env, "status"); got.Code != 0 {
			return errors.New(got.Err)
		}
		return nil
	})
	tour(t, env)
}

// contextOf writes a context of the nats tool, selects it, and returns the folder of the user's configuration.
func contextOf(t *testing.T, name, text string) string {
	t.Helper()
	home := t.TempDir()
	file := filepath.Join(home, "nats", "context", name+".json")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	selected := os.WriteFile(filepath.Join(home, "nats", "context.txt"), []byte(name), 0o600)
	if err := errors.Join(selected, os.WriteFile(file, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	return home
}

// opsAccount is an account that imports the whole JetStream API under another name: one for those who may do all.
const opsAccount = `
  OPS {
    imports: [
      { service: { account: ORDERWATCH, subject: "orders.watch" } }
      { service: { account: ORDERWATCH, subject: "orderwatch.*" } }
      { service: { account: ORDERWATCH, subject: "$JS.API.>" }, to: "js.orderwatch.API.>" }
    ]
    users: [ { user: ops, password: planted-ops } ]
  }
`

// TestTeamAPIPrefix runs them where the account imports the JetStream API under another name: by the variable, and by a
// context of the nats tool.
func TestTeamAPIPrefix(t *testing.T) {
	t.Parallel()
	rules := strings.Replace(accountsFile(t), "    exports: [\n", `    exports: [
      { service: "orders.watch", accounts: [OPS] }
      { service: "orderwatch.*", accounts: [OPS] }
      { service: "$JS.API.>", response_type: stream, accounts: [OPS] }
`, 1)
	at := strings.LastIndex(rules, "}")
	site := newTeamSite(t, rules[:at]+opsAccount+rules[at:], 1)
	tour(t, append(login(site.nats.URL, "ops"), "ORDERWATCH_NATS_JS_API_PREFIX=js.orderwatch.API"))

	home := contextOf(t, "ops", fmt.Sprintf(`{"url": %q, "user": "ops", "password": "planted-ops", "jetstream_api_prefix": "js.orderwatch.API"}`, site.nats.URL))
	got := rig.CarryOut(t, []string{"XDG_CONFIG_HOME=" + home}, "events", "--context", "ops", "--kind", "completed")
	if got.Code != 0 || !strings.Contains(got.Out, "order.failed") {
		t.Errorf("exit code %d:\n%s%s", got.Code, got.Out, got.Err)
	}
}

// TestTeamMapped lets the team's account map subjects of its own to those that it imports.
func TestTeamMapped(t *testing.T) {
	t.Parallel()
	rules := strings.Replace(accountsFile(t), "  GPU {\n", "  GPU {\n    mappings: { \"pools.ask\": \"orders.watch\", \"pools.service.*\": \"orderwatch.$1\" }\n", 1)
	rules = strings.NewReplacer(`allow: ["orders.watch"] }`, `allow: ["orders.watch", "pools.ask"] }`,
		`allow: ["orders.watch", "orderwatch.*"] }`, `allow: ["orders.watch", "orderwatch.*", "pools.service.*"] }`).Replace(rules)
	site := newTeamSite(t, rules, 1)
	producer, _ := loginAs(t, site.nats.URL, "gpu-producer")
	ack, err := producer.Publish(t.Context(), "pools.ask", fmt.Appendf(nil, `{"project_id":%q,"order_name":"order.succeeded","request_id":"mapped"}`, rig.Project))
	if err != nil || ack.Stream != "ORDER_REQUESTS" {
		t.Fatalf("%+v, %v", ack, err)
	}
	rig.AwaitCompletions(t, site.nats.JS, 1)
	person, _ := loginAs(t, site.nats.URL, "gpu-person")
	reply, err := person.Conn().Request("pools.service.get", fmt.Appendf(nil, `{"project_id":%q,"order_name":"order.succeeded"}`, rig.Project), rig.Patience)
	if err != nil || !strings.Contains(string(reply.Data), `"mapped"`) {
		t.Errorf("%s, %v", reply.Data, err)
	}
}

// TestTeamWaitSurvives kills each of two workers in turn, and starts another, while a pipeline waits: one of them
// answered it.
func TestTeamWaitSurvives(t *testing.T) {
	t.Parallel()
	site := newTeamSite(t, accountsFile(t), 2)
	rig.ShortAckWait(t, site.nats.JS)
	env := login(site.nats.URL, "gpu-person")
	waits := rig.Start(t, rig.Build(t, rig.Worker), env, "watch", "--wait", rig.Project+"/order.never")
	follows := rig.Start(t, rig.Build(t, rig.Worker), env, "events", "--follow", "--since", "1h", "-o", "json", "--kind", "completed", rig.Project)
	waits.Says(t, "is stored")
	for _, w := range site.workers {
		rig.Eventually(t, rig.Patience, func() error {
			if got := rig.CarryOut(t, env, "get", rig.Project+"/order.never"); got.Code != 0 {
				return errors.New(got.Err)
			}
			return nil
		})
		w.Kill()
		site.start(t, "worker", "false")
	}
	if got := rig.CarryOut(t, login(site.nats.URL, "operator"), "cancel", rig.Project+"/order.never"); got.Code != 0 {
		t.Errorf("cancel: %s", got.Err)
	}
	if code := waits.Ends(t); code != 6 {
		t.Errorf("exit code %d; want 6:\n%s", code, waits.Text())
	}
	follows.Says(t, `"outcome":"cancelled"`)
	if n := strings.Count(follows.Text(), `"outcome":"cancelled"`); n != 1 {
		t.Errorf("the completion was printed %d times", n)
	}
}

// TestTeamExamples runs the examples from the team's account: the pipeline's steps as a person of the team, and the
// consumers by the team's durable consumer.
func TestTeamExamples(t *testing.T) {
	t.Parallel()
	site := newTeamSite(t, accountsFile(t), 1)
	bin := t.TempDir()
	programs := map[string]string{"orderwatch": rig.Build(t, rig.Worker)}
	if tool := os.Getenv("NATS_TOOL"); tool != "" {
		programs["nats"] = tool
	}
	for name, path := range programs {
		if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	env := append(rig.Bare(), "PATH="+bin+":"+os.Getenv("PATH"))
	run := func(env []string, program string, args ...string) (int, string) {
		c := exec.CommandContext(t.Context(), program, args...)
		c.Env, c.WaitDelay = env, time.Second
		out, _ := c.CombinedOutput() // the code tells
		return c.ProcessState.ExitCode(), string(out)
	}
	scripts := map[string][]string{"watch-wait.sh": login(site.nats.URL, "gpu-person")}
	if programs["nats"] != "" {
		home := contextOf(t, "person", fmt.Sprintf(`{"url": %q, "user": "gpu-person", "password": "planted-gpu-person", "inbox_prefix": "_INBOX_gpu-person"}`, site.nats.URL))
		scripts["await-order.sh"] = []string{"XDG_CONFIG_HOME=" + home, "EVERY=0.2", "PUBLISH_LIMIT=20"}
	} else {
		t.Log("NATS_TOOL names no nats tool: await-order.sh is not run")
	}
	for script, login := range scripts {
		for order, want := range map[string]int{"order.succeeded": 0, "order.failed": 3, "order.unknown": 5} {
			code, output := run(append(append([]string{}, env...), login...), exampleDir+"shell/"+script, rig.Project, order, "build-"+script)
			if code != want {
				t.Errorf("%s %s: exit code %d; want %d:\n%s", script, order, code, want, output)
			}
		}
	}

	program := rig.Build(t, "github.com/orderwatch/orderwatch/deploy/examples/go")
	producer := []string{"NATS_URL=" + withLogin(site.nats.URL, "gpu-producer"), "NATS_INBOX_PREFIX=_INBOX_gpu-producer"}
	if code, output := run(append(append([]string{}, env...), producer...), program, "ask", "-id", "go-1", rig.Project+"/order.partially-failed"); code != 0 {
		t.Fatalf("ask: exit code %d\n%s", code, output)
	}
	consumer := append([]string{"NATS_URL=" + withLogin(site.nats.URL, "gpu-events"), "NATS_INBOX_PREFIX=_INBOX_gpu-events", "NATS_JS_API_PREFIX=js.orderwatch.API", "DURABLE=gpu"}, env...)
	results := t.TempDir()
	consumes := rig.Start(t, program, consumer, "consume", "-durable", "gpu", "-results", results)
	rig.Eventually(t, rig.Patience, func() error {
		got := awaitResults(t, results, 1)
		for _, order := range []string{"order.succeeded", "order.failed", "order.unknown", "order.partially-failed"} {
			if _, ok := got[order]; !ok {
				return fmt.Errorf("no result of %s", order)
			}
		}
		return nil
	})
	rig.Eventually(t, rig.Patience, func() error { // what was consumed is acknowledged
		return eventstest.Settled(t.Context(), site.nats.JS, "ORDER_EVENTS", "gpu")
	})
	consumes.Terminate(t)

	if code, _ := run(append(pythonEnv(), env...), "python3", "-c", "import nats.js"); code != 0 {
		t.Log("nats-py is not installed: consume.py is not run")
		return
	}
	if code, output := run(append(append([]string{}, env...), producer...), program, "ask", "-id", "py-1", rig.Project+"/order.succeeded"); code != 0 {
		t.Fatalf("ask: exit code %d\n%s", code, output)
	}
	python := rig.Start(t, "/usr/bin/env", append(pythonEnv(), consumer...), "python3", exampleDir+"python/consume.py", filepath.Join(t.TempDir(), "completions.db"))
	python.Says(t, "order.succeeded succeeded")
}
