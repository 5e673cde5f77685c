//go:build long

package faults_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
)

// TestDiskFull fills the disk of the nats-server while hundreds of watches are under way, frees it
// after a while, and starts the server again: it stands still until then.
func TestDiskFull(t *testing.T) {
	for name, stop := range map[string]func(*rig.Process){
		"terminated": func(p *rig.Process) { p.Command.Process.Signal(syscall.SIGTERM); <-p.Done },
		"killed":     (*rig.Process).Kill,
	} {
		t.Run(name, func(t *testing.T) {
			l := newLoad(400, 60*time.Second, 6)
			disk := mountDisk(t)
			n := startNATSOn(t, disk)
			f := startFleet(t, n.URL, l, 2)
			rig.ShortAckWait(t, n.JS)
			f.run(t, n.JS, l, func(random *rand.Rand) {
				wait(random, 15_000, 18_000)
				ballast := filepath.Join(disk, "ballast")
				size := writeBallast(t, ballast)
				full := time.Now()
				alarm := f.alarm(t)
				t.Logf("the disk is full with %d KiB; not ready after %.1f s: %s", size>>10, alarm.after.Sub(full).Seconds(), alarm.why)
				wait(random, 8_000, 10_000)
				if err := os.Remove(ballast); err != nil {
					t.Fatal(err)
				}
				stop(n.Process)
				f.serverKills.Add(1)
				freed := time.Now()
				n.Process = rig.Start(t, rig.Build(t, rig.NATSServer), nil, "-c", n.Config)
				f.awaitReady(t)
				t.Logf("ready %.1f s after the server's start", time.Since(freed).Seconds())
			})
			for _, w := range f.workers {
				if !strings.Contains(w.Text(), "level=ERROR") && !strings.Contains(w.Text(), "level=WARN") {
					t.Error("the log of a worker says nothing")
				}
			}
		})
	}
}

// diskSize is that of the server's disk, in mebibytes.
const diskSize = 20

// mountDisk mounts a disk in memory until the test ends.
func mountDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm", diskSize), "tmpfs", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("mount a tmpfs of %d MiB on %s: %v: %s\nThis test fills a disk of its own, and needs the right to mount one: run it as root (on Linux).", diskSize, dir, err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount %s: %v: %s", dir, err, out)
		}
	})
	return dir
}

// startNATSOn starts a nats-server that keeps its data in the directory and takes no account of how
// much room there is.
func startNATSOn(t *testing.T, dir string) rig.NATS {
	t.Helper()
	addr := rig.FreeAddr(t)
	n := rig.NATS{URL: "nats://" + addr, Config: filepath.Join(t.TempDir(), "nats.conf")}
	text := fmt.Sprintf("listen: %q\njetstream { store_dir: %q, max_file_store: 1GB, sync_interval: always }\n", addr, dir)
	if err := os.WriteFile(n.Config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	n.Process = rig.Start(t, rig.Build(t, rig.NATSServer), nil, "-c", n.Config)
	nc, err := nats.Connect(n.URL, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if n.JS, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	return n
}

// writeBallast writes a file until the disk is full, and returns its size.
func writeBallast(t *testing.T, path string) int64 {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for block := 64 << 10; block > 0; block /= 2 {
		for err = error(nil); err == nil; {
			_, err = file.Write(make([]byte, block))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		t.Fatal(err)
	}
	return end
}

// A diskAlarm is when a worker was not ready, and what it said.
type diskAlarm struct {
	after time.Time
	why   string
}

// alarm waits until no worker is ready.
func (f *fleet) alarm(t *testing.T) (a diskAlarm) {
	t.Helper()
	for _, addr := range f.addrs {
		rig.Eventually(t, rig.Patience, func() error {
			answer, err := http.Get("http://" + addr + "/readyz")
			if err != nil {
				return err
			}
			defer answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return errors.New("still ready")
			}
			why, _ := io.ReadAll(answer.Body) // what can be read of it
			a = diskAlarm{time.Now(), strings.TrimSpace(string(why))}
			return nil
		})
	}
	return a
}
