//go:build deploy && linux

package install_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
)

// A machine runs a real systemd as process 1 of namespaces of its own: processes, network, cgroups, /etc, /var, /run and
// /tmp are its own, /usr is this machine's, to read. It needs root, and the packages systemd and bubblewrap. It ends with the test.
//
// What it lacks is a limit of memory, where the kernel has given that controller to another hierarchy of cgroups: MemoryMax=
// is read then, and not enforced.
type machine struct {
	pid  int    // of its process 1, as this process sees it
	home string // the folder that is /root there
}

// scriptTime is how long a script may take: one waits for alerts.
const scriptTime = 10 * time.Minute

// startMachine starts a machine that has these programs in /usr/local/bin, by their names there.
func startMachine(t *testing.T, programs map[string]string) *machine {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("only root can start a systemd of its own")
	}
	root := t.TempDir()
	for _, dir := range []string{"bin", "etc/systemd/system", "home"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, path := range programs {
		copyFile(t, path, filepath.Join(root, "bin", name), 0o755)
	}
	for name, text := range map[string]string{
		"etc/machine-id": "0123456789abcdef0123456789abcdef\n", "etc/passwd": "root:x:0:0::/root:/bin/bash\n", "etc/group": "root:x:0:\n",
		// What the units stand on is there by itself. Nothing of this machine's units is started.
		"etc/systemd/system/sysinit.target":        "[Unit]\nDefaultDependencies=no\n",
		"etc/systemd/system/network-online.target": "[Unit]\nDefaultDependencies=no\n",
		"etc/systemd/system/multi-user.target":     "[Unit]\nDefaultDependencies=no\nWants=systemd-journald.socket systemd-journald.service\n",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, unit := range []string{"systemd-journald.service", "systemd-journald.socket", "basic.target", "shutdown.target"} {
		copyFile(t, "/usr/lib/systemd/system/"+unit, filepath.Join(root, "etc/systemd/system", unit), 0o644)
	}
	m := &machine{home: filepath.Join(root, "home")}
	m.boot(t, root)
	rig.Eventually(t, rig.Patience, func() error {
		if out, err := m.run("systemctl is-active multi-user.target"); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	return m
}

// boot starts process 1.
func (m *machine) boot(t *testing.T, root string) {
	t.Helper()
	group, handle := ownCgroup(t)
	told, tell, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	command := exec.Command("bwrap", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup",
		"--as-pid-1", "--die-with-parent", "--cap-add", "ALL", "--info-fd", "3",
		"--ro-bind", "/usr", "/usr", "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--symlink", "usr/bin", "/bin", "--symlink", "usr/sbin", "/sbin",
		"--bind", filepath.Join(root, "bin"), "/usr/local/bin", "--bind", filepath.Join(root, "etc"), "/etc", "--bind", m.home, "/root",
		"--ro-bind", "/etc/ssl", "/etc/ssl", "--ro-bind", "/etc/alternatives", "/etc/alternatives",
		"--tmpfs", "/run", "--tmpfs", "/tmp", "--tmpfs", "/var", "--dir", "/home", "--proc", "/proc", "--dev", "/dev",
		"--ro-bind", "/sys", "/sys", "--bind", group, "/sys/fs/cgroup",
		"--clearenv", "--setenv", "container", "bwrap", "--setenv", "PATH", "/usr/local/bin:/usr/bin:/usr/sbin",
		"--setenv", "SYSTEMD_UNIT_PATH", "/etc/systemd/system",
		// What a service mounts must come to process 1, too: credentials do.
		"/bin/sh", "-c", `mount --make-rshared / && exec "$@"`, "sh",
		"/usr/lib/systemd/systemd", "--system", "--unit=multi-user.target", "--log-target=journal-or-kmsg", "--show-status=no")
	command.Stdout, command.Stderr, command.ExtraFiles = &output, &output, []*os.File{tell}
	command.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(handle.Fd())}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	tell.Close()
	t.Cleanup(func() {
		command.Process.Kill() // its children die with it
		command.Wait()         // it was killed
		if t.Failed() {
			t.Logf("output of bwrap: %s", output.String())
		}
		rig.Eventually(t, rig.Patience, func() error { return removeCgroup(group) })
	})
	var info struct {
		PID int `json:"child-pid"`
	}
	if err := json.NewDecoder(told).Decode(&info); err != nil {
		t.Fatalf("bwrap tells no child: %v: %s", err, output.String())
	}
	m.pid = info.PID
	t.Cleanup(func() { // before the one above
		if t.Failed() {
			log, _ := m.run("journalctl --no-pager -q | tail -n 300")
			t.Logf("the machine's log:\n%s", log)
		}
	})
}

// run runs a script of bash in the machine, and returns what it prints.
func (m *machine) run(script string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), scriptTime) // also when the test has ended
	defer cancel()
	command := exec.CommandContext(ctx, "nsenter", "--target", fmt.Sprint(m.pid), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup",
		"/usr/bin/env", "-i", "HOME=/root", "PATH=/usr/local/bin:/usr/bin:/usr/sbin", "/bin/bash", "-euo", "pipefail", "-c", "cd\n"+script)
	command.Dir = "/"
	command.WaitDelay = time.Second // what it leaves behind has its output, too
	out, err := command.CombinedOutput()
	return string(out), err
}

// must runs a script that must succeed, and returns what it prints, without space around it.
func (m *machine) must(t *testing.T, script string) string {
	t.Helper()
	out, err := m.run(script)
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return strings.TrimSpace(out)
}

// ownCgroup makes a cgroup of version 2 below this process's own.
func ownCgroup(t *testing.T) (path string, handle *os.File) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	cgroups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	own := ""
	for line := range strings.Lines(string(cgroups)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			own = rest
		}
	}
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); strings.Contains(line, " - cgroup2 ") {
			path, err = os.MkdirTemp(filepath.Join(fields[4], own), "orderwatch-test-")
			break
		}
	}
	if err != nil || path == "" {
		t.Fatalf("no cgroup of version 2 can be made: %v", err)
	}
	handle, err = os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { handle.Close() })
	return path, handle
}

// removeCgroup removes a cgroup, whose processes have ended or are about to, and what is below it.
func removeCgroup(path string) error {
	var all []string
	err := filepath.WalkDir(path, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			all = append(all, path)
		}
		return err
	})
	for _, dir := range slices.Backward(all) {
		err = errors.Join(err, syscall.Rmdir(dir))
	}
	return err
}

func copyFile(t *testing.T, from, to string, mode fs.FileMode) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, content, mode)
	}
	if err != nil {
		t.Fatal(err)
	}
}
