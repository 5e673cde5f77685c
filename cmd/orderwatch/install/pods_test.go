//go:build deploy

package install_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"golang.org/x/crypto/bcrypt"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig/guarded"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// A running pod is a process with the pod's arguments, variables and files. It listens on other ports than the pod would.
type running struct {
	*rig.Process
	of    object
	env   []string
	addrs map[any]string // by the container's ports, and by their names
}

// TestPods starts what deploy/README.md installs, without Slack, as processes on a server with the users of
// deploy/nats-permissions.conf: the job creates what workers and page wait for, their probes say so, an order is watched to its
// end, and doctor, run in a worker's pod, finds nothing wrong.
func TestPods(t *testing.T) {
	g := guarded.Start(t, guarded.Shipped(t, deployDir+"nats-permissions.conf"), nats.UserInfo("setup", "planted-setup"))
	cloud := httptest.NewServer(emulator.New(emulator.Options{AutoOrders: true, Keys: []emulator.Key{{Access: "planted-access", Secret: "planted-key"}}}))
	defer cloud.Close()
	at, err := url.Parse(g.URL)
	if err != nil {
		t.Fatal(err)
	}
	text, err := render(t, chartDir, "--values", readmeValues(t), "--set", "files.ORDERWATCH_SLACK_TOKEN_FILE=null,config.ORDERWATCH_SLACK_CHANNEL=null",
		"--set", "config.ORDERWATCH_STREAM_REPLICAS=1,networkPolicy.natsPort="+at.Port(), "--set", "config.ORDERWATCH_NATS_URL="+g.URL+",config.ORDERWATCH_MODELARTS_ENDPOINT="+cloud.URL,
		"--set", "config.ORDERWATCH_POLL_INITIAL=300ms,config.ORDERWATCH_POLL_MAX=1s,config.ORDERWATCH_SETTLE=300ms")
	if err != nil {
		t.Fatal(err)
	}
	all := documents(t, text)
	hash, err := bcrypt.GenerateFromPassword([]byte("planted"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string]string{"nats-worker": "planted-worker\n", "nats-page": "planted-page\n", "nats-setup": "planted-setup\n",
		"access-key": "planted-access\n", "secret-key": "planted-key\n", "users": "ada:" + string(hash) + "\n"}
	pods := make(map[string]*running)
	for _, o := range all {
		if podOf(o) != nil && o.kind() == "Deployment" {
			pods[o.name()] = start(t, o, all, secrets)
		}
	}
	worker, page := pods["orderwatch"], pods["orderwatch-page"]
	worker.Says(t, "run orderwatch provision")
	for _, o := range all {
		if o.kind() == "Job" {
			if job := start(t, o, all, secrets); job.Ends(t) != 0 {
				t.Fatalf("the job failed: %s", job.Text())
			}
		}
	}
	for _, pod := range pods {
		for _, probe := range []string{"livenessProbe", "readinessProbe"} {
			pod.says(t, containerOf(pod.of).at(probe, "httpGet", "port"), fmt.Sprint(containerOf(pod.of).at(probe, "httpGet", "path")), "ok")
		}
		port := podOf(pod.of).at("metadata", "annotations", "prometheus.io/port")
		pod.says(t, port, "/metrics", "orderwatch_nats_connected 1\n")
	}
	if answer, err := http.Get("http://" + page.addrs["http"] + "/"); err != nil || answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("the page without a login: %v, %v", answer, err)
	}
	login := []string{"ORDERWATCH_NATS_URL=" + g.URL, "ORDERWATCH_NATS_USER=person", "ORDERWATCH_NATS_PASSWORD=planted-person"}
	if got := rig.CarryOut(t, login, "watch", "--wait", rig.Project+"/order.succeed-5ed5-w4l2n"); got.Code != 0 {
		t.Errorf("watch --wait: %d\n%s%s", got.Code, got.Out, got.Err)
	}
	if got := rig.CarryOut(t, worker.env, "doctor"); got.Code != 0 {
		t.Errorf("doctor: %d\n%s%s", got.Code, got.Out, got.Err)
	}
}

// start starts a process as the object's pods would run.
func start(t *testing.T, o object, all []object, secrets map[string]string) *running {
	t.Helper()
	vars, err := environment(t, o, all, secrets)
	if err != nil {
		t.Fatal(err)
	}
	p := &running{of: o, addrs: make(map[any]string)}
	for _, port := range containerOf(o).list("ports") {
		addr := rig.FreeAddr(t)
		for _, name := range []any{port["name"], port["containerPort"], fmt.Sprint(port["containerPort"])} {
			p.addrs[name] = addr
		}
		for name, value := range vars {
			if value == ":"+fmt.Sprint(port["containerPort"]) {
				vars[name] = addr
			}
		}
	}
	for name, value := range vars {
		p.env = append(p.env, config.Prefix+name+"="+value)
	}
	var args []string
	for _, arg := range containerOf(o)["args"].([]any) {
		args = append(args, fmt.Sprint(arg))
	}
	p.Process = rig.Start(t, rig.Build(t, rig.Worker), p.env, args...)
	return p
}

// says waits until the pod answers on the port with 200 and the text.
func (p *running) says(t *testing.T, port any, path, want string) {
	t.Helper()
	rig.Eventually(t, rig.Patience, func() error {
		answer, err := http.Get("http://" + p.addrs[port] + path)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK || !strings.Contains(string(text), want) {
			return fmt.Errorf("%v %s: %s, %v: %s", port, path, answer.Status, err, text)
		}
		return nil
	})
}
