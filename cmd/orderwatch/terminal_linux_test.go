package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
)

// onTerminal starts a program on a terminal of this size, and ends it with the test. What it prints
// is kept with all that it tells the terminal.
func onTerminal(t *testing.T, path string, env []string, columns, lines int, args ...string) *rig.Process {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(master.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: uint16(columns), Row: uint16(lines)})
	}
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &rig.Process{Command: exec.Command(path, args...), Done: make(chan struct{})}
	p.Command.Env = append(rig.Bare(), env...)
	p.Command.Stdin, p.Command.Stdout, p.Command.Stderr = terminal, terminal, terminal
	p.Command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := p.Command.Start(); err != nil {
		t.Fatal(err)
	}
	terminal.Close()
	read := make(chan struct{})
	go func() {
		defer close(read)
		buffer := make([]byte, 32<<10)
		for {
			n, err := master.Read(buffer)
			p.Write(buffer[:n])
			if err != nil {
				return // the program has closed its side
			}
		}
	}()
	go func() {
		p.Command.Wait() // its state says how it ended
		<-read
		close(p.Done)
	}()
	t.Cleanup(func() {
		p.Kill()
		master.Close()
		if t.Failed() {
			t.Logf("on the terminal: %q", rig.Tail(p.Text(), 5000))
		}
	})
	return p
}

// TestListWatch refreshes a table on a terminal, while the nats-server is restarted, until Ctrl-C.
func TestListWatch(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.asks(t, "order.never", "order.succeeds")
	p := onTerminal(t, rig.Build(t, rig.Worker), append(d.env, "TERM=xterm"), 80, 24, "list", "--watch")
	p.Says(t, "\x1b[32msucceeded")
	d.nats.Kill()
	p.Says(t, "not refreshed since")
	d.nats.Again(t)
	before := len(p.Text())
	rig.Eventually(t, rig.Patience, func() error {
		if !strings.Contains(p.Text()[before:], "orderwatch list, as of") {
			return fmt.Errorf("not refreshed")
		}
		return nil
	})
	if err := p.Command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := p.Ends(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	screens := strings.Split(p.Text(), "\x1b[?25h\x1b[?1049l")
	if len(screens) != 2 || !strings.HasPrefix(screens[0], "\x1b[?1049h\x1b[?25l") {
		t.Fatalf("%d screens", len(screens))
	}
	if last := screens[1]; !strings.Contains(last, "order.never") || !strings.Contains(last, "watching") || strings.Contains(last, "\x1b[H") {
		t.Errorf("what is left is %q", last)
	}
	if strings.Contains(screens[0], "\x1b[2J") {
		t.Error("the screen was cleared: it flickers")
	}
}

// TestColours holds that there is colour on a terminal alone, and none with NO_COLOR.
func TestColours(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.asks(t, "order.never")
	for env, coloured := range map[string]bool{"TERM=xterm": true, "NO_COLOR=1": false, "TERM=dumb": false} {
		p := onTerminal(t, rig.Build(t, rig.Worker), append(d.env, "TERM=xterm", env), 100, 30, "get", "order.never")
		if code := p.Ends(t); code != 0 || strings.Contains(p.Text(), "\x1b[") != coloured {
			t.Errorf("with %s: %d %q", env, code, p.Text())
		}
	}
}
