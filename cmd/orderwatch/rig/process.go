package rig

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A Process is a program under test. Its output is kept.
type Process struct {
	Command *exec.Cmd
	Done    chan struct{} // closed when it has ended

	mu     sync.Mutex
	output bytes.Buffer
}

// Write keeps what the process prints.
func (p *Process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.Write(b)
}

// Text returns what the process has printed.
func (p *Process) Text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// Start starts a program and ends it with the test; on Linux also where the tests end at once, as at their time limit.
func Start(t testing.TB, path string, env []string, args ...string) *Process {
	t.Helper()
	p := &Process{Command: exec.Command(path, args...), Done: make(chan struct{})}
	p.Command.Env = append(Bare(), env...)
	p.Command.Stdout, p.Command.Stderr = p, p
	endWithUs(p.Command)
	started := make(chan error)
	go func() {
		// Linux ends the program with the thread that started it: this one, which is there until the program has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.Command.Start()
		started <- err
		if err == nil {
			p.Command.Wait() // its state says how it ended
			close(p.Done)
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("output of %s %v:\n%s", filepath.Base(path), args, Tail(p.Text(), 20000))
		}
	})
	return p
}

// Bare is this process's environment without what would configure a worker.
func Bare() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir()}
}

// Tail returns the last n bytes of s, or all of it.
func Tail(s string, n int) string { return s[max(0, len(s)-n):] }

// Kill ends the process with SIGKILL and waits for it.
func (p *Process) Kill() {
	p.Command.Process.Kill() // it may have ended
	<-p.Done
}

// Terminate ends the process with SIGTERM and returns its exit code and how long it took.
func (p *Process) Terminate(t testing.TB) (code int, took time.Duration) {
	t.Helper()
	begin := time.Now()
	if err := p.Command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Done:
	case <-time.After(Patience):
		t.Fatal("still running 30 s after SIGTERM")
	}
	return p.Command.ProcessState.ExitCode(), time.Since(begin)
}

// FreeAddr returns an address on which nobody listens. Its port is below those that systems give to connections, so
// that no connection has it while a server that is restarted wants it again.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range 1000 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(10_000+rand.IntN(20_000)))
		if _, before := addrs.LoadOrStore(addr, true); before {
			continue
		}
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}

var addrs sync.Map // those that FreeAddr returned

// Says waits until the process has printed the text.
func (p *Process) Says(t *testing.T, text string) {
	t.Helper()
	Eventually(t, Patience, func() error {
		if !strings.Contains(p.Text(), text) {
			return fmt.Errorf("no %q in %q", text, p.Text())
		}
		return nil
	})
}

// Ends waits until the process has ended and returns its exit code.
func (p *Process) Ends(t *testing.T) int {
	t.Helper()
	select {
	case <-p.Done:
	case <-time.After(Patience):
		t.Fatal("still running")
	}
	return p.Command.ProcessState.ExitCode()
}
