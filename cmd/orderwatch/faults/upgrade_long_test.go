//go:build long

package faults_test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig/guarded"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// TestGoingBackTooEarly goes back to the release before, while something is left of this one that it does not know. It does not
// start, and says what that is. deploy/README.md has it all.
func TestGoingBackTooEarly(t *testing.T) {
	t.Parallel()
	before, this := buildOf(t, releaseBefore), rig.Build(t, rig.Worker)
	page, err := os.ReadFile("../../../deploy/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, upgrade, _ := strings.Cut(string(page), "\n## Upgrade\n")
	upgrade, _, _ = strings.Cut(upgrade, "\n## ")
	env := func(n rig.NATS, more ...string) []string {
		return rig.ServeEnv(n.URL, "http://127.0.0.1:1", rig.FreeAddr(t), more...)
	}

	t.Run("variables", func(t *testing.T) {
		t.Parallel()
		known := variables(t, before)
		var added, set []string
		for _, name := range variables(t, this) {
			if !slices.Contains(known, name) {
				added, set = append(added, name), append(set, name+"=x")
			}
		}
		text := refuses(t, before, env(rig.NATS{URL: "nats://127.0.0.1:1"}, set...))
		for _, name := range added {
			if !strings.Contains(text, name+": no such variable") {
				t.Errorf("it does not name %s:\n%s", name, text)
			}
			if strings.HasPrefix(name, "ORDERWATCH_PAGE_") {
				name = "ORDERWATCH_PAGE_"
			}
			if !strings.Contains(upgrade, "`"+name) {
				t.Errorf("deploy/README.md does not name %s where it says how to upgrade", name)
			}
		}
	})
	t.Run("keys of rules", func(t *testing.T) {
		t.Parallel()
		rules := filepath.Join(t.TempDir(), "routes.yaml")
		added := map[string]string{"mention_on": "[late]", "env": "env", "runbook": `[{cause: "*", url: "https://wiki.example/on-call"}]`}
		text := "rules:\n  - channels: [C0REST]\n    mention: here\n"
		for key, value := range added {
			text += "    " + key + ": " + value + "\n"
		}
		if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		slack := []string{"ORDERWATCH_SLACK_TOKEN=xoxb-planted", "ORDERWATCH_SLACK_CHANNEL=C0REST", "ORDERWATCH_SLACK_ROUTES_FILE=" + rules}
		says := refuses(t, before, env(rig.NATS{URL: "nats://127.0.0.1:1"}, slack...))
		for key := range added {
			if !strings.Contains(says, key) || !strings.Contains(upgrade, "`"+key+"`") {
				t.Errorf("it, or deploy/README.md, does not name the key %s:\n%s", key, says)
			}
		}
	})
	t.Run("subjects of teams", func(t *testing.T) {
		t.Parallel()
		n := rig.StartNATS(t, "")
		if done := rig.CarryOut(t, []string{"ORDERWATCH_NATS_URL=" + n.URL}, "provision"); done.Code != 0 {
			t.Fatalf("provision: %s", done.Err)
		}
		if text := refuses(t, before, env(n)); !strings.Contains(text, "orders.watch.*") || !strings.Contains(text, "not fit to work with") {
			t.Errorf("it says\n%s", text)
		}
		alone(t, n.JS)
		addr := rig.FreeAddr(t)
		rig.Start(t, before, rig.ServeEnv(n.URL, "http://127.0.0.1:1", addr), "serve")
		rig.AwaitReady(t, addr)
	})
}

// variables returns what a program reads, as its help lists it.
func variables(t *testing.T, program string) (names []string) {
	t.Helper()
	help, err := exec.Command(program, "serve", "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`(?m)^([A-Z][A-Z0-9_]+)(\[_FILE\])?( |$)`).FindAllSubmatch(help, -1) {
		names = append(names, "ORDERWATCH_"+string(match[1]))
	}
	if len(names) < 50 {
		t.Fatalf("%d variables: %v", len(names), names)
	}
	return names
}

// refuses holds that a worker ends with 1, and returns what it says.
func refuses(t *testing.T, program string, env []string) string {
	t.Helper()
	p := rig.Start(t, program, env, "serve")
	if code := p.Ends(t); code != 1 {
		t.Errorf("it ends with %d", code)
	}
	return p.Text()
}

// alone takes from the stream of requests, and from who reads it, the subjects of teams, as deploy/README.md says for going back.
func alone(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	consumer, err := js.Consumer(t.Context(), "ORDER_REQUESTS", "intake")
	if err != nil {
		t.Fatal(err)
	}
	reads := consumer.CachedInfo().Config
	reads.FilterSubjects, reads.FilterSubject = nil, "orders.watch"
	if _, err := js.UpdateConsumer(t.Context(), "ORDER_REQUESTS", reads); err != nil {
		t.Fatal(err)
	}
	requests, err := js.Stream(t.Context(), "ORDER_REQUESTS")
	if err != nil {
		t.Fatal(err)
	}
	keeps := requests.CachedInfo().Config
	keeps.Subjects = []string{"orders.watch"}
	if _, err := js.UpdateStream(t.Context(), keeps); err != nil {
		t.Fatal(err)
	}
}

// TestWorkersBeforeNATSFiles upgrades the workers alone: the streams, the consumers and the permissions are those of the release
// before. They work, and say of each thing that is not as wanted what to do, and nothing else.
func TestWorkersBeforeNATSFiles(t *testing.T) {
	t.Parallel()
	permissions := filepath.Join(t.TempDir(), "nats-permissions.conf")
	shipped, err := exec.Command("git", "show", releaseBefore+":deploy/nats-permissions.conf").Output()
	if err == nil {
		err = os.WriteFile(permissions, shipped, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	g := guarded.Start(t, guarded.Shipped(t, permissions), nats.UserInfo("setup", "planted-setup"))
	cloud := emulator.New(emulator.Options{})
	modelArts := httptest.NewServer(cloud)
	t.Cleanup(modelArts.Close)
	serve := func(program, user, provision string) *rig.Process {
		addr := rig.FreeAddr(t)
		p := rig.Start(t, program, rig.ServeEnv(g.URL, modelArts.URL, addr, "ORDERWATCH_NATS_USER="+user, "ORDERWATCH_NATS_PASSWORD=planted-"+user,
			"ORDERWATCH_PROVISION="+provision), "serve")
		rig.AwaitReady(t, addr)
		return p
	}
	before := buildOf(t, releaseBefore)
	serve(before, "setup", "true").Terminate(t)
	worker := serve(rig.Build(t, rig.Worker), "worker", "false")
	for i := range 3 { // two are listed
		cloud.Add(rig.Project, orderName(i), ending(time.Duration(i)*time.Second))
		rig.Publish(t, g.JS, fmt.Sprintf(`{"project_id":%q,"order_name":%q}`, rig.Project, orderName(i)))
	}
	rig.AwaitCompletions(t, g.JS, 3)
	asking := exec.Command(before, "watch", "--wait", "--timeout", "1m", rig.Project+"/"+orderName(0)) // the command line is upgraded last
	asking.Env = append(rig.Bare(), "XDG_CONFIG_HOME="+filepath.Join(t.TempDir(), "none"),
		"ORDERWATCH_NATS_URL="+g.URL, "ORDERWATCH_NATS_USER=person", "ORDERWATCH_NATS_PASSWORD=planted-person")
	if out, err := asking.CombinedOutput(); err != nil {
		t.Errorf("watch of the release before: %v\n%s", err, out)
	}
	expected := []string{
		"nats stream edit ORDER_REQUESTS --subjects 'orders.watch' --subjects 'orders.watch.*' --force",
		"nats consumer edit ORDER_REQUESTS intake --filter 'orders.watch' --filter 'orders.watch.*' --force",
		"setting=ack_wait found=1m0s",
		"subject=orders.listed.>",
		"it needs the bucket and the consumer history of deploy/README.md, and permissions for them",
	}
	for _, text := range expected {
		worker.Says(t, text)
	}
	for line := range strings.Lines(worker.Text()) {
		named := func(text string) bool { return strings.Contains(line, text) }
		if strings.Contains(line, "level=ERROR") || strings.Contains(line, "level=WARN") && !slices.ContainsFunc(expected, named) {
			t.Errorf("the worker says %s", line)
		}
	}
}
