package main_test

import (
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
)

// TestWatchOnTerminal looks at what a terminal is told while orders are waited for.
func TestWatchOnTerminal(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for _, tt := range []struct {
		env    []string
		args   []string
		has    []string
		hasNot []string
	}{
		{env: []string{"TERM=xterm"}, has: []string{"[====", "1 of 2 nodes ended", "\x1b[31mpartially_failed\x1b[0m", "about failed\uFFFD"}},
		{env: []string{"TERM=xterm", "NO_COLOR=1"}, has: []string{"[====", ": partially_failed: 1 of 2"}, hasNot: []string{"\x1b[31m"}},
		{env: []string{"TERM=dumb"}, has: []string{": partially_failed: 1 of 2"}, hasNot: []string{"\x1b", "[==="}},
		{env: []string{"TERM=xterm"}, args: []string{"-o", "json"}, has: []string{`{"specversion":"1.0"`}, hasNot: []string{"\x1b", "[==="}},
	} {
		d.unfinish()
		p := onTerminal(t, rig.Build(t, rig.Worker), append(tt.env, d.env...), 80, 24, append([]string{"watch", "--wait", "order.later"}, tt.args...)...)
		p.Says(t, "req-")
		if len(tt.args) == 0 {
			p.Says(t, "1 of 2 nodes ended")
		}
		d.finish()
		code := p.Ends(t)
		shown := p.Text()
		if code != 3 || !utf8.ValidString(shown) {
			t.Errorf("%q: exit code %d", tt.env, code)
		}
		for _, text := range tt.has {
			if !strings.Contains(shown, text) {
				t.Errorf("%q %q: no %q in %q", tt.env, tt.args, text, shown)
			}
		}
		for _, text := range tt.hasNot {
			if strings.Contains(shown, text) {
				t.Errorf("%q %q: %q in %q", tt.env, tt.args, text, shown)
			}
		}
	}
}

// TestWatchInterruptedOnTerminal holds that Ctrl-C leaves the last state on the terminal, and the
// command that goes on with it in one piece.
func TestWatchInterruptedOnTerminal(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	p := onTerminal(t, rig.Build(t, rig.Worker), append([]string{"TERM=xterm"}, d.env...), 80, 24, "watch", "--wait", "order.later")
	p.Says(t, "1 of 2 nodes ended")
	if err := p.Command.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	code, shown := p.Ends(t), p.Text()
	for _, text := range []string{"  order.later: 1 of 2 nodes ended\r\n", "goes on. How it is:\r\n  orderwatch get " + rig.Project + "/order.later\r\n"} {
		if code != 130 || !strings.Contains(shown, text) {
			t.Errorf("exit code %d, want 130 and %q in %q", code, text, shown)
		}
	}
}
