//go:build release

package image_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

func TestMain(m *testing.M) { rig.Main(m, 1) }

// A container is the image of this machine's platform, unpacked.
type container struct {
	root   string
	env    []string          // of the image
	args   []string          // what the image runs by itself
	labels map[string]string // of the image, among what umoci adds
}

// unpack unpacks the image that .ci/run release has made.
func unpack(t *testing.T) container {
	t.Helper()
	folder := os.Getenv("RELEASE")
	archives, err := filepath.Glob(filepath.Join(folder, "orderwatch_*_image_linux_"+runtime.GOARCH+".tar"))
	if err != nil || len(archives) != 1 {
		t.Fatalf("RELEASE=%q has %d images of this platform: %v", folder, len(archives), err)
	}
	dir := t.TempDir()
	layout, bundle := filepath.Join(dir, "layout"), filepath.Join(dir, "bundle")
	if err := os.Mkdir(layout, 0o755); err != nil {
		t.Fatal(err)
	}
	must(t, exec.Command("tar", "-xf", archives[0], "-C", layout))
	var tags []string
	for line := range strings.Lines(must(t, exec.Command("umoci", "list", "--layout", layout))) {
		tags = append(tags, strings.TrimSpace(line))
	}
	if len(tags) != 1 {
		t.Fatalf("the layout has the tags %q", tags)
	}
	must(t, exec.Command("umoci", "unpack", "--rootless", "--image", layout+":"+tags[0], bundle))
	config, err := os.ReadFile(filepath.Join(bundle, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var spec struct {
		Process struct {
			User struct{ UID, GID int }
			Args []string
			Env  []string
			Cwd  string
		}
		Annotations map[string]string
	}
	if err := json.Unmarshal(config, &spec); err != nil {
		t.Fatal(err)
	}
	if u := spec.Process.User; u.UID != 65532 || u.GID != 65532 {
		t.Errorf("the image runs as %d:%d", u.UID, u.GID)
	}
	if !slices.Equal(spec.Process.Args, []string{"/orderwatch", "serve"}) {
		t.Errorf("the image runs %q", spec.Process.Args)
	}
	if !slices.Contains(spec.Process.Env, "ORDERWATCH_HTTP_ADDR=:8080") {
		t.Errorf("the image's environment is %q", spec.Process.Env)
	}
	reach(t, dir)
	return container{root: filepath.Join(bundle, "rootfs"), env: spec.Process.Env, args: spec.Process.Args, labels: spec.Annotations}
}

// reach lets the image's user come to a folder: those of tests and umoci's are their owner's alone.
func reach(t *testing.T, dir string) {
	t.Helper()
	for _, path := range []string{filepath.Dir(dir), dir, filepath.Join(dir, "bundle")} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func must(t *testing.T, command *exec.Cmd) string {
	t.Helper()
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

// command returns a command line that runs a program in the image's root, with nothing else in the environment than the
// image's and more: as user 65532, who is no other user outside where the tests run as root; without capabilities, which no
// program can give it back; where nothing can be written; as the first process, as in a container. It has the machine's network.
func (c container) command(more []string, args ...string) []string {
	line := []string{
		"bwrap", "--unshare-user", "--uid", "65532", "--gid", "65532", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
		"--as-pid-1", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--ro-bind", c.root, "/", "--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev",
		"--clearenv",
	}
	if os.Getuid() == 0 {
		line = append([]string{"setpriv", "--reuid", "65532", "--regid", "65532", "--clear-groups"}, line...)
	}
	for _, variable := range append(slices.Clone(c.env), more...) {
		name, value, _ := strings.Cut(variable, "=")
		line = append(line, "--setenv", name, value)
	}
	return append(append(line, "--"), args...)
}

// start starts a program in the image's root.
func (c container) start(t *testing.T, env []string, args ...string) *rig.Process {
	t.Helper()
	line := c.command(env, args...)
	return rig.Start(t, line[0], nil, line[1:]...)
}

// run runs a program in the image's root to its end, and returns what it printed.
func (c container) run(env []string, args ...string) (string, error) {
	line := c.command(env, args...)
	out, err := exec.Command(line[0], line[1:]...).CombinedOutput()
	return string(out), err
}

// inside returns the process of a program that was started in the image's root: bubblewrap's only child.
func inside(t *testing.T, p *rig.Process) (pid int) {
	t.Helper()
	above := strconv.Itoa(p.Command.Process.Pid)
	rig.Eventually(t, rig.Patience, func() error {
		children, err := os.ReadFile("/proc/" + above + "/task/" + above + "/children")
		if err != nil {
			return err
		}
		if pid, err = strconv.Atoi(strings.TrimSpace(string(children))); err != nil {
			return err
		}
		if name := kernel(t, pid, "comm"); name != "orderwatch\n" {
			return fmt.Errorf("bubblewrap runs %q", name)
		}
		return nil
	})
	return pid
}

// kernel returns what the kernel says of a process.
func kernel(t *testing.T, pid int, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// isPowerless holds that a program has no rights and no place to write, by the kernel's own word.
func isPowerless(t *testing.T, p *rig.Process) {
	t.Helper()
	pid := inside(t, p)
	status := kernel(t, pid, "status")
	want := []string{`CapInh:\s+0+`, `CapPrm:\s+0+`, `CapEff:\s+0+`, `CapBnd:\s+0+`, `CapAmb:\s+0+`, `NoNewPrivs:\s+1`}
	if os.Getuid() == 0 { // otherwise the kernel shows outside the user of the tests
		want = append(want, `Uid:\s+65532\s+65532\s+65532\s+65532`, `Gid:\s+65532\s+65532\s+65532\s+65532`, `Groups:\s*`)
	}
	for _, line := range want {
		if !regexp.MustCompile(`(?m)^` + line + `$`).MatchString(status) {
			t.Errorf("no line %s in\n%s", line, status)
		}
	}
	if ids := kernel(t, pid, "uid_map"); !regexp.MustCompile(`^\s*65532\s+\d+\s+1\s*$`).MatchString(ids) {
		t.Errorf("the users inside are %q", ids)
	}
	for line := range strings.Lines(kernel(t, pid, "mountinfo")) {
		fields := strings.Fields(line) // the fifth is where, the sixth how
		at, options := fields[4], strings.Split(fields[5], ",")
		if at != "/proc" && !strings.HasPrefix(at, "/dev/") && !slices.Contains(options, "ro") {
			t.Errorf("%s can be written: %s", at, line)
		}
	}
}

// TestServes runs the worker in the image's root, where it completes an order; asks how it is by the image's own check; and runs the
// page there, which shows the order.
func TestServes(t *testing.T) {
	c := unpack(t)
	server := rig.StartNATS(t, "")
	cloud := emulator.New(emulator.Options{AutoOrders: true})
	modelArts := httptest.NewServer(cloud)
	t.Cleanup(modelArts.Close)
	addr := rig.FreeAddr(t)
	env := rig.ServeEnv(server.URL, modelArts.URL, addr)
	worker := c.start(t, env, c.args...)
	rig.AwaitReady(t, addr)
	isPowerless(t, worker)

	const order = "order.partial-1"
	rig.Publish(t, server.JS, fmt.Sprintf(`{"project_id": %q, "order_name": %q, "request_id": "build-771"}`, rig.Project, order))
	if done := rig.AwaitCompletions(t, server.JS, 1); done[0].OrderName != order || done[0].Outcome != watcher.PartiallyFailed {
		t.Errorf("the worker says %+v", done[0])
	}

	if out, err := c.run(env, "/orderwatch", "health"); err != nil {
		t.Errorf("health: %v: %s", err, out)
	}
	if out, err := c.run(append(env, "TZ=Asia/Shanghai"), "/orderwatch", "get", rig.Project+"/"+order); err != nil || !strings.Contains(out, " CST") {
		t.Errorf("get says %v, and does not know Shanghai's time:\n%s", err, out)
	}

	at := rig.FreeAddr(t)
	page := c.start(t, []string{"ORDERWATCH_NATS_URL=" + server.URL, "ORDERWATCH_PAGE_ADDR=" + at}, "/orderwatch", "page")
	rig.Eventually(t, rig.Patience, func() error {
		answer, err := http.Get("http://" + at + "/orders/" + rig.Project + "/" + order)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if answer.StatusCode != http.StatusOK || !strings.Contains(string(text), order) {
			return fmt.Errorf("the page answers %s: %w", answer.Status, err)
		}
		return nil
	})
	isPowerless(t, page)
	for name, p := range map[string]*rig.Process{"worker": worker, "page": page} {
		if err := syscall.Kill(inside(t, p), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if code := p.Ends(t); code != 0 {
			t.Errorf("the %s ends with %d", name, code)
		}
	}
}

// TestWritesNothing holds that the image's user finds no place to write in its root.
func TestWritesNothing(t *testing.T) {
	c := unpack(t)
	for _, dir := range []string{"/", "/tmp", "/home/nonroot", "/etc", "/etc/ssl/certs", "/usr/share", "/dev", "/proc"} {
		if out, err := c.run(nil, "/orderwatch", "man", dir+"/pages"); err == nil || !regexp.MustCompile("read-only file system|no such file|permission denied").MatchString(out) {
			t.Errorf("%s: %v: %s", dir, err, out)
		}
	}
}

// TestKnowsItself holds that the program of the image knows its version and its commit, and that the image's labels say the same;
// that nobody but root owns what is in the image; and that licences of others are with it.
func TestKnowsItself(t *testing.T) {
	c := unpack(t)
	out, err := c.run(nil, "/orderwatch", "version", "-o", "json")
	var built struct {
		Version, Commit, Platform string
		Modified                  bool
	}
	if err := json.Unmarshal([]byte(out), &built); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	head := strings.TrimSpace(must(t, exec.Command("git", "rev-parse", "HEAD")))
	if err != nil || built.Commit != head || built.Modified || built.Platform != "linux/"+runtime.GOARCH || !regexp.MustCompile(`^\d+\.\d+\.\d+`).MatchString(built.Version) {
		t.Errorf("HEAD is %s, and the program says %v: %s", head, err, out)
	}
	if of := "org.opencontainers.image."; c.labels[of+"version"] != built.Version || c.labels[of+"revision"] != head {
		t.Errorf("the image's labels are %v", c.labels)
	}
	text, err := os.ReadFile(filepath.Join(c.root, "usr/share/doc/orderwatch/THIRD-PARTY-LICENSES.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"github.com/nats-io/nats.go ", "github.com/slack-go/slack ", "Go and its standard library", "htmx-", "golang.org/x/crypto "} {
		if !strings.Contains(string(text), "\n"+name) {
			t.Errorf("there is no licence of %s", name)
		}
	}
}
