package faults_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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

	"github.com/nats-io/nats.go/jetstream"
	"go.yaml.in/yaml/v3"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// exampleDir is where the examples are.
const exampleDir = "../../../deploy/examples/"

// An exampleSite is what the examples find: a server, a worker, the programs on PATH, and orders that
// have ended, named by their outcome.
type exampleSite struct {
	nats rig.NATS
	path string // PATH, with orderwatch and the nats tool
}

func newExampleSite(t *testing.T, tools ...string) *exampleSite {
	t.Helper()
	failed := emulator.Item{ResourceName: "node-2", Status: "failed", Message: "flavor sold out"}
	cloud := emulator.New(emulator.Options{})
	cloud.Add(rig.Project, "order.succeeded", emulator.Order{FromFirstPoll: true, Items: []emulator.Item{{ResourceName: "node-1"}}})
	cloud.Add(rig.Project, "order.failed", emulator.Order{FromFirstPoll: true, Items: []emulator.Item{failed}})
	cloud.Add(rig.Project, "order.partially-failed", emulator.Order{FromFirstPoll: true, Items: []emulator.Item{{ResourceName: "node-1"}, failed}})
	for _, never := range []string{"order.never", "order.cancelled"} {
		cloud.Add(rig.Project, never, emulator.Order{Items: []emulator.Item{{ResourceName: "node-1", EndAfter: emulator.Never}}})
	}
	modelArts := httptest.NewServer(cloud)
	t.Cleanup(modelArts.Close)
	bin := t.TempDir()
	for _, program := range append([]string{rig.Build(t, rig.Worker) + " orderwatch"}, tools...) {
		path, name, _ := strings.Cut(program, " ")
		if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	site := &exampleSite{rig.StartNATS(t, ""), bin + ":" + os.Getenv("PATH")}
	addr := rig.FreeAddr(t)
	rig.Start(t, rig.Build(t, rig.Worker), rig.ServeEnv(site.nats.URL, modelArts.URL, addr, "ORDERWATCH_MODELARTS_NOT_FOUND_GRACE=1s"), "serve")
	rig.AwaitReady(t, addr)
	return site
}

// run runs a program where the examples run, and returns its exit code and what it printed.
func (s *exampleSite) run(t *testing.T, env []string, program string, args ...string) (code int, output string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, program, args...)
	c.WaitDelay = time.Second // children of a script may hold its output
	c.Env = append([]string{"PATH=" + s.path, "HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir(), "NATS_URL=" + s.nats.URL, "ORDERWATCH_NATS_URL=" + s.nats.URL}, env...)
	out, err := c.CombinedOutput()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited || ctx.Err() != nil {
		t.Fatalf("run %s %v: %v\n%s", program, args, err, out)
	}
	return c.ProcessState.ExitCode(), string(out)
}

// requestsOf returns the ids of the requests that completions of the order name, oldest first.
func (s *exampleSite) requestsOf(t *testing.T, order string) (ids []string) {
	t.Helper()
	rig.Stored(t, s.nats.JS, "ORDER_EVENTS", "orders.completed.*."+rig.Project+"."+order, func(m jetstream.Msg) {
		for _, r := range rig.Completion(t, m).Requests {
			ids = append(ids, r.ID)
		}
	})
	return ids
}

// outcomes are the orders of a site, with the exit code of who waits for them.
var outcomes = []struct {
	order string
	code  int
	says  string
}{
	{"order.succeeded", 0, "succeeded"},
	{"order.failed", 3, "flavor sold out"},
	{"order.partially-failed", 3, "1 of 2 nodes failed"},
	{"order.unknown", 5, "not_found"},
}

// waits runs a step of a pipeline for each outcome, and once more, as a pipeline does that is run
// again: it exits as the order ended, and is one request.
func (s *exampleSite) waits(t *testing.T, requestID string, step func(t *testing.T, order string) (code int, output string)) {
	t.Helper()
	for _, o := range outcomes {
		t.Run(o.order, func(t *testing.T) {
			for range 2 {
				if code, output := step(t, o.order); code != o.code || !strings.Contains(output, o.says) {
					t.Errorf("exit code %d; want %d and %q in:\n%s", code, o.code, o.says, output)
				}
			}
			if ids := s.requestsOf(t, o.order); !slices.Equal(ids, []string{requestID}) {
				t.Errorf("completions name the requests %q; want one, %q", ids, requestID)
			}
		})
	}
}

func TestExampleShell(t *testing.T) {
	t.Parallel()
	site := newExampleSite(t)
	site.waits(t, "build-771", func(t *testing.T, order string) (int, string) {
		return site.run(t, nil, exampleDir+"shell/watch-wait.sh", rig.Project, order, "build-771")
	})
	if code, output := site.run(t, nil, exampleDir+"shell/watch-wait.sh", rig.Project); code == 0 || !strings.Contains(output, "usage") {
		t.Errorf("without an id: exit code %d\n%s", code, output)
	}
}

// terraformHere finds the command of main.tf and what its environment sets. There is no terraform to run it.
var (
	terraformCommand     = regexp.MustCompile(`(?s)command\s+= <<-EOT\n(.*?)\n\s+EOT\n`)
	terraformEnvironment = regexp.MustCompile(`(?s)environment = \{\n(.*?)\n\s+\}\n`)
	terraformEntry       = regexp.MustCompile(`^\s+([A-Z_]+) += (.+)$`)
)

func TestExampleTerraform(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile(exampleDir + "terraform/main.tf")
	if err != nil {
		t.Fatal(err)
	}
	command, environment := terraformCommand.FindSubmatch(file), terraformEnvironment.FindSubmatch(file)
	if command == nil || environment == nil {
		t.Fatal("main.tf has no command, or no environment")
	}
	if bytes.Contains(command[1], []byte("${")) || bytes.Contains(command[1], []byte("%{")) {
		t.Error("terraform would write values into the command")
	}
	site := newExampleSite(t)
	apply := func(t *testing.T, order string) (int, string) {
		values := strings.NewReplacer("var.nats_url", site.nats.URL, "${var.project_id}", rig.Project, "${var.order_name}", order, "${var.attempt}", "1", `"`, "")
		var env []string
		for line := range strings.Lines(string(environment[1])) {
			entry := terraformEntry.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
			if entry == nil {
				t.Fatalf("main.tf: %q is no entry", line)
			}
			env = append(env, entry[1]+"="+values.Replace(entry[2]))
		}
		return site.run(t, env, "/bin/sh", "-c", string(command[1]))
	}
	site.waits(t, "terraform-1", apply)
	for order, want := range map[string]string{"order.failed": "Order anew what is missing", "order.unknown": "check project_id and order_name"} {
		if _, output := apply(t, order); !strings.Contains(output, want) {
			t.Errorf("%s: %q is not in:\n%s", order, want, output)
		}
	}
}

// decodeYAML decodes an example, strictly.
func decodeYAML(t *testing.T, path string, to any) {
	t.Helper()
	file, err := os.ReadFile(exampleDir + path)
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(file))
	decoder.KnownFields(true)
	if err := decoder.Decode(to); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func TestExampleGitLab(t *testing.T) {
	t.Parallel()
	var pipeline struct {
		Job struct {
			Image         string
			Timeout       string
			Interruptible bool
			Retry         struct {
				Max       int
				When      []string
				ExitCodes []int `yaml:"exit_codes"`
			}
			Script []string
		} `yaml:"await-order"`
	}
	decodeYAML(t, "gitlab/.gitlab-ci.yml", &pipeline)
	if codes := pipeline.Job.Retry.ExitCodes; !slices.Equal(codes, []int{1}) {
		t.Errorf("it is run again after the exit codes %v; the others say how an order ended", codes)
	}
	site := newExampleSite(t)
	site.waits(t, "gitlab-771", func(t *testing.T, order string) (int, string) {
		env := []string{"ORDER=" + rig.Project + "/" + order, "CI_PIPELINE_ID=771", "CI_PROJECT_PATH=team/pools", "CI_PIPELINE_URL=https://gitlab.example/team/pools/-/pipelines/771"}
		return site.run(t, env, "bash", "-euo", "pipefail", "-c", strings.Join(pipeline.Job.Script, "\n"))
	})
}

func TestExampleGitHub(t *testing.T) {
	t.Parallel()
	type input struct {
		Description string
		Type        string
		Required    bool
	}
	var workflow struct {
		Name string
		On   struct {
			Call struct {
				Inputs  map[string]input
				Secrets map[string]input
			} `yaml:"workflow_call"`
		}
		Permissions map[string]string
		Jobs        map[string]struct {
			RunsOn  []string `yaml:"runs-on"`
			Timeout int      `yaml:"timeout-minutes"`
			Steps   []struct {
				Name string
				Env  map[string]string
				Run  string
			}
		}
	}
	decodeYAML(t, "github/workflow.yml", &workflow)
	if _, ok := workflow.On.Call.Inputs["order"]; !ok {
		t.Error("the workflow has no input named order")
	}
	steps := workflow.Jobs["await-order"].Steps
	if len(steps) != 1 {
		t.Fatalf("%d steps", len(steps))
	}
	if strings.Contains(steps[0].Run, "${{") {
		t.Error("GitHub would write values into the script")
	}
	site := newExampleSite(t)
	site.waits(t, "github-771", func(t *testing.T, order string) (int, string) {
		values := strings.NewReplacer("${{ inputs.order }}", rig.Project+"/"+order, "${{ vars.ORDERWATCH_NATS_URL }}", site.nats.URL, "${{ secrets.ORDERWATCH_NATS_TOKEN }}", "")
		env := []string{"GITHUB_RUN_ID=771", "GITHUB_REPOSITORY=team/pools", "GITHUB_SERVER_URL=https://github.example"}
		for name, value := range steps[0].Env {
			env = append(env, name+"="+values.Replace(value))
		}
		return site.run(t, env, "bash", "-e", "-c", steps[0].Run)
	})
}

// TestExampleGo lets the program ask in each mode of CloudEvents, and consume what comes of it: once
// where an event comes again.
func TestExampleGo(t *testing.T) {
	t.Parallel()
	site := newExampleSite(t)
	program := rig.Build(t, "github.com/orderwatch/orderwatch/deploy/examples/go")
	want := make(map[string]string)
	for mode, id := range map[string]string{"structured": "build 1%", "binary": `build "2" ü%`} {
		order := "order.succeeded"
		if mode == "binary" {
			order = "order.failed"
		}
		for range 2 { // the second is the same request
			if code, output := site.run(t, nil, program, "ask", "-mode", mode, "-id", id, rig.Project+"/"+order); code != 0 {
				t.Fatalf("ask: exit code %d\n%s", code, output)
			}
		}
		want[order] = "/example/pools " + id
	}
	results := t.TempDir()
	consume := func() *rig.Process {
		return rig.Start(t, program, []string{"NATS_URL=" + site.nats.URL}, "consume", "-results", results)
	}
	first := consume()
	got := awaitResults(t, results, len(want))
	for order, id := range want {
		if r := got[order]; len(r.Requests) != 1 || r.Requests[0].ID != id {
			t.Errorf("%s: the requests %+v; want %q", order, r.Requests, id)
		}
	}
	if got["order.failed"].Outcome != watcher.AllFailed {
		t.Errorf("outcome %s", got["order.failed"].Outcome)
	}
	if code, _ := first.Terminate(t); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}

	// A new consumer of the same name gets everything again.
	if err := site.nats.JS.DeleteConsumer(t.Context(), "ORDER_EVENTS", "pools"); err != nil {
		t.Fatal(err)
	}
	second := consume()
	rig.Eventually(t, rig.Patience, func() error {
		if again := strings.Count(second.Text(), "again; it is done"); again != len(want) {
			return fmt.Errorf("%d events came again; want %d:\n%s", again, len(want), second.Text())
		}
		return nil
	})
	if again := awaitResults(t, results, len(want)); len(again) != len(want) {
		t.Errorf("%d results; want %d", len(again), len(want))
	}
}

// awaitResults waits until so many files are in the folder, and returns what they say, by order.
func awaitResults(t *testing.T, folder string, n int) map[string]watcher.Completion {
	t.Helper()
	results := make(map[string]watcher.Completion)
	rig.Eventually(t, rig.Patience, func() error {
		files, err := filepath.Glob(filepath.Join(folder, "*.json"))
		if err != nil || len(files) < n {
			return errors.Join(err, fmt.Errorf("%d results; want %d", len(files), n))
		}
		for _, file := range files {
			body, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			var c watcher.Completion
			if err := json.Unmarshal(body, &c); err != nil {
				return err
			}
			results[c.OrderName] = c
		}
		return nil
	})
	return results
}

const pythonDir = exampleDir + "python/"

// TestExamplePythonHandles hands completion events to what the Python consumer does with them, each
// twice. It needs no library.
func TestExamplePythonHandles(t *testing.T) {
	t.Parallel()
	site := newExampleSite(t)
	site.pythonOrders(t)
	var lines bytes.Buffer
	for range 2 {
		rig.Stored(t, site.nats.JS, "ORDER_EVENTS", "orders.completed.>", func(m jetstream.Msg) { fmt.Fprintf(&lines, "%s\n", m.Data()) })
	}
	events, database := filepath.Join(t.TempDir(), "events"), filepath.Join(t.TempDir(), "completions.db")
	if err := os.WriteFile(events, lines.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	const feed = `import sys; from completions import *
db = open_database(sys.argv[1])
print([handle(db, *decode(line)) for line in open(sys.argv[2])])
for wrong in "{}", "[]", "nonsense", '{"specversion":"1.0","type":"x"}', '{"specversion":"1.0","type":"' + COMPLETED + '"}':
    try:
        print(decode(wrong))
    except ValueError as error:
        pass
`
	code, output := site.run(t, pythonEnv(), python(t), "-c", feed, database, events)
	if want := "[True, True, False, False]\n"; code != 0 || output != want {
		t.Errorf("exit code %d, %s; want %s", code, output, want)
	}
	site.mustHaveRows(t, database)
	// In memory: py_compile would leave a folder behind.
	if code, output := site.run(t, nil, python(t), "-c", "import sys; compile(open(sys.argv[1]).read(), sys.argv[1], 'exec')", pythonDir+"consume.py"); code != 0 {
		t.Error(output)
	}
}

// TestExamplePython runs the consumer with its library, and again with a new consumer of the same name,
// which gets everything again.
func TestExamplePython(t *testing.T) {
	t.Parallel()
	probe := exec.Command(python(t), "-c", "import nats.js")
	probe.Env = append(rig.Bare(), pythonEnv()...)
	if probe.Run() != nil {
		t.Skip("nats-py is not installed: the consumer was compiled, and what it does with events was run, but not what brings them")
	}
	site := newExampleSite(t)
	site.pythonOrders(t)
	database := filepath.Join(t.TempDir(), "completions.db")
	consume := func(says string) {
		c := rig.Start(t, python(t), append(pythonEnv(), "NATS_URL="+site.nats.URL), pythonDir+"consume.py", database)
		rig.Eventually(t, rig.Patience, func() error {
			if n := strings.Count(c.Text(), says); n != 2 {
				return fmt.Errorf("%q stands there %d times; want 2:\n%s", says, n, c.Text())
			}
			return nil
		})
		if code, _ := c.Terminate(t); code != 0 {
			t.Errorf("exit code %d after SIGTERM:\n%s", code, c.Text())
		}
	}
	consume("INFO w_")
	if err := site.nats.JS.DeleteConsumer(t.Context(), "ORDER_EVENTS", "completions"); err != nil {
		t.Fatal(err)
	}
	consume("again; it is done")
	site.mustHaveRows(t, database)
}

func python(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3")
	}
	return path
}

// pythonEnv lets Python find the example's modules and the libraries that the tester has, and leave no
// compiled files behind.
func pythonEnv() []string {
	folder, err := filepath.Abs(pythonDir)
	if err != nil {
		panic(err) // there is no working directory
	}
	return []string{"PYTHONPATH=" + folder + ":" + os.Getenv("PYTHONPATH"), "PYTHONDONTWRITEBYTECODE=1"}
}

// pythonOrders lets two watches end, for mustHaveRows.
func (s *exampleSite) pythonOrders(t *testing.T) {
	t.Helper()
	for _, order := range []string{"order.succeeded", "order.failed"} {
		rig.Publish(t, s.nats.JS, fmt.Sprintf(`{"project_id":%q,"order_name":%q,"request_id":"build-771"}`, rig.Project, order))
	}
	rig.AwaitCompletions(t, s.nats.JS, 2)
}

func (s *exampleSite) mustHaveRows(t *testing.T, database string) {
	t.Helper()
	const query = `import sqlite3, sys; print(sorted(sqlite3.connect(sys.argv[1]).execute(
		"SELECT order_name, outcome, request_id FROM completion JOIN answered USING (event_id)")))`
	_, rows := s.run(t, nil, python(t), "-c", query, database)
	if want := "[('order.failed', 'failed', 'build-771'), ('order.succeeded', 'succeeded', 'build-771')]\n"; rows != want {
		t.Errorf("the database holds %s; want %s", rows, want)
	}
}
