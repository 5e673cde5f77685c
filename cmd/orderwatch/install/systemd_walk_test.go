//go:build deploy && linux

package install_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
)

// TestOneMachine goes the steps of "On one machine, secured" in deploy/README.md, word for word, on a machine with a systemd of
// its own. Then the units run as the page has them installed: what they promise holds for the processes, an order is watched to
// its end, a worker that dies is started again, and one that is stopped ends in time.
//
// Three things differ: the programs are built by the test, an alert waits for 15 s and not for minutes, and the worker of the
// unit asks the stand-in for ModelArts, too. PROMETHEUS names the program.
func TestOneMachine(t *testing.T) {
	t.Parallel()
	m := startMachine(t, map[string]string{"prometheus": tool(t, "PROMETHEUS")})
	folder := filepath.Join(m.home, "orderwatch-trial")
	if err := os.CopyFS(filepath.Join(folder, "deploy"), os.DirFS("../../../deploy")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(folder, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	copyFile(t, rig.Build(t, rig.Worker), filepath.Join(folder, "bin/orderwatch"), 0o755)
	copyFile(t, rig.Build(t, rig.NATSServer), filepath.Join(folder, "bin/nats-server"), 0o755)
	edit(t, filepath.Join(folder, "deploy/helm/monitoring/rules.yaml"), regexp.MustCompile(`(?m)^( *for:) [0-9]+[ms]$`), "$1 15s")
	edit(t, filepath.Join(folder, "deploy/systemd/worker.env"), regexp.MustCompile(`\z`), "ORDERWATCH_MODELARTS_ENDPOINT=http://127.0.0.1:9092\n")

	steps := walk(t)
	out, err := m.run("cd orderwatch-trial\n" + strings.Join(steps[1:], "\n")) // the first builds
	if err != nil {
		t.Fatalf("the steps end with %v, and say:\n%s", err, out)
	}
	for _, said := range []string{"all streams, buckets and consumers are there now", "succeeded: 4 of 4 items succeeded", "\n0 problems, ", `"alertname":"OrderwatchAbsent"`} {
		if !strings.Contains(out, said) {
			t.Errorf("the steps do not say %q", said)
		}
	}
	if t.Failed() {
		t.Logf("the steps say:\n%s", out)
	}
	m.checkUnits(t)
}

// walk returns the blocks of commands of the section.
func walk(t *testing.T) (steps []string) {
	t.Helper()
	readme, err := os.ReadFile("../../../deploy/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(readme), "## On one machine, secured\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for i, block := range strings.Split(section, "   ```sh\n") {
		if block, _, _ = strings.Cut(block, "   ```\n"); i > 0 {
			steps = append(steps, regexp.MustCompile(`(?m)^ {3}`).ReplaceAllString(block, ""))
		}
	}
	if !found || len(steps) != 8 {
		t.Fatalf("the section has %d blocks of commands", len(steps))
	}
	return steps
}

// edit replaces a part of a file, which must be in it.
func edit(t *testing.T, path string, part *regexp.Regexp, by string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !part.Match(text) {
		t.Fatalf("%s has nothing like %s", path, part)
	}
	if err := os.WriteFile(path, part.ReplaceAll(text, []byte(by)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// checkUnits holds what the units promise, of the running services.
func (m *machine) checkUnits(t *testing.T) {
	t.Helper()
	ready := func() {
		t.Helper()
		rig.Eventually(t, rig.Patience, func() error { _, err := m.run("orderwatch health"); return err })
	}
	ready()
	for _, unit := range []string{"orderwatch", "orderwatch-page"} {
		status := m.must(t, "cat /proc/$(systemctl show -P MainPID "+unit+")/status")
		for _, line := range []string{"NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"} {
			if !strings.Contains(status, "\n"+line+"\n") {
				t.Errorf("%s: its process has not %q:\n%s", unit, line, status)
			}
		}
		if strings.Contains(status, "\nUid:\t0\t") {
			t.Errorf("%s runs as root", unit)
		}
		writable := m.must(t, `root=/proc/$(systemctl show -P MainPID `+unit+`)/root
for folder in / /etc /etc/orderwatch /home /root /tmp /usr/local/bin /var /var/lib /var/tmp; do
  if touch $root$folder/written 2>/dev/null; then echo $folder; fi # as root: what is mounted decides, and not who may
done`)
		if writable != "/tmp\n/var/tmp" { // private ones
			t.Errorf("%s can be written to in %s", unit, writable)
		}
		// The cloud's metadata are out of its reach (28: no answer), and of nobody else's (7: nobody listens).
		reach := m.must(t, `ip address replace 169.254.169.254/32 dev lo
code() { curl -s -m 3 http://169.254.169.254:1/ || echo $?; }
code
echo $BASHPID >/sys/fs/cgroup/system.slice/`+unit+`.service/cgroup.procs
code`)
		if reach != "7\n28" {
			t.Errorf("%s reaches the metadata: %s", unit, reach)
		}
		if out, err := m.run("nsenter -t $(systemctl show -P MainPID " + unit + ") -m /bin/true"); err == nil || !strings.Contains(out, "Permission denied") {
			t.Errorf("%s may start other programs: %v: %s", unit, err, out)
		}
	}
	// Alerts take when a process started, which is made out of /proc/stat.
	for _, port := range []string{"8080", "8091"} {
		m.must(t, "curl -sS --fail http://127.0.0.1:"+port+"/metrics | grep '^process_start_time_seconds [1-9]'")
	}
	m.must(t, `systemctl kill --signal KILL orderwatch
until [ "$(systemctl show -P NRestarts orderwatch)" = 1 ]; do sleep 0.2; done`)
	ready()
	out := m.must(t, `cd orderwatch-trial
export ORDERWATCH_NATS_URL=tls://127.0.0.1:4222 ORDERWATCH_NATS_CA_FILE=ca.pem ORDERWATCH_NATS_USER=gpu-person ORDERWATCH_NATS_PASSWORD_FILE=secrets/gpu-person
orderwatch watch --wait gpu-project/order.succeed-2
curl -sS --fail -u "ada:$(cat secrets/ada)" http://127.0.0.1:8090/orders/gpu-project/order.succeed-2 | grep -o order.succeed-2
curl -sS -o /dev/null -w 'without a login: %{http_code}\n' http://127.0.0.1:8090/`)
	for _, said := range []string{"succeeded: 4 of 4 items succeeded", "\norder.succeed-2\n", "without a login: 401"} {
		if !strings.Contains(out, said) {
			t.Errorf("with the units nothing says %q: %s", said, out)
		}
	}
	m.must(t, "systemctl stop orderwatch orderwatch-page")
	if got := m.must(t, "systemctl show -P Result orderwatch orderwatch-page"); got != "success\n\nsuccess" && got != "success\nsuccess" {
		t.Errorf("stopped: %s", got) // timeout: it was killed after TimeoutStopSec
	}
}
