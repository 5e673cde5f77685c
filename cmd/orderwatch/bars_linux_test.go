package main_test

import (
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// sizes are those of terminals that people have.
var sizes = [][2]int{{80, 24}, {90, 12}, {120, 40}}

// addMany adds orders that go on, with two items of which one has ended, and returns their names.
func (d *desk) addMany(n int) (names []string) {
	for i := range n {
		name := fmt.Sprintf("order.many-%02d", i+1)
		d.cloud.Add(rig.Project, name, emulator.Order{Count: emulator.CountAll, Items: []emulator.Item{{ResourceName: "node-1"}, {ResourceName: "node-2", EndAfter: emulator.Never}}})
		names = append(names, name)
	}
	return names
}

// TestBarsOfMany waits for more orders than a terminal has rows: no bar gets into what scrolls back, and those that there is
// no room for are summed up.
func TestBarsOfMany(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	const orders = 30
	names := d.addMany(orders)
	bar := regexp.MustCompile(`^order\.many-\d\d +\[=+>?-*\]  1 of 2 nodes ended`)
	for _, size := range sizes {
		columns, rows := size[0], size[1]
		p := onTerminal(t, rig.Build(t, rig.Worker), append([]string{"TERM=xterm"}, d.env...), columns, rows, append([]string{"watch", "--wait", "order.parts"}, names...)...)
		shown := min(orders, rows-2)
		var g *glass
		rig.Eventually(t, rig.Patience, func() error {
			g = seen(p.Text(), columns, rows)
			bars := 0
			for _, line := range g.lines() {
				if bar.MatchString(line) {
					bars++
				}
			}
			if bars != shown {
				return fmt.Errorf("%d bars of %d", bars, shown)
			}
			if last := g.lines()[len(g.lines())-1]; shown < orders && last != fmt.Sprintf("and %d more orders: %d of %d items ended", orders-shown, orders-shown, 2*(orders-shown)) {
				return fmt.Errorf("the last line is %q", last)
			}
			return nil
		})
		g.log(t, "watch --wait of 31 orders")
		if err := p.Command.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if code := p.Ends(t); code != 130 {
			t.Errorf("exit code %d", code)
		}
		g = seen(p.Text(), columns, rows)
		for _, line := range append(g.above, g.lines()...) {
			if strings.Contains(line, "[=") || strings.Contains(line, "[-") || strings.Contains(line, "more order") {
				t.Errorf("a bar is left: %q", line)
			}
		}
		for _, text := range []string{"order.parts: partially_failed: ", "order.parts: node-failed failed: about failed", "order.many-30: 1 of 2 nodes ended", "interrupted; what is being watched goes on."} {
			if n := strings.Count(g.all(), text); n != 1 {
				t.Errorf("%d times %q in\n%s", n, text, g.all())
			}
		}
	}
	p := rig.Start(t, rig.Build(t, rig.Worker), d.env, append([]string{"watch", "--wait"}, names...)...) // piped
	p.Says(t, "order.many-30: 1 of 2 nodes ended")
	if strings.Contains(p.Text(), "\x1b") || strings.Contains(p.Text(), "[=") {
		t.Errorf("bars without a terminal: %s", p.Text())
	}
}

// TestGetOnTerminal looks at an order of which sixty items failed alike: where there is no room, like items are folded, and
// how it ended, why, and who asked stand first and last.
func TestGetOnTerminal(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	var items []emulator.Item
	for i := range 60 {
		items = append(items, emulator.Item{ResourceName: fmt.Sprintf("os-node-created-%02d", i+1), Status: "failed", Message: "flavor modelarts.bm.gpu.8v100 is sold out"})
	}
	d.cloud.Add(rig.Project, "order.alike", emulator.Order{Count: emulator.CountAll, Items: items})
	d.asks(t, "order.alike")
	w := d.shows(t, "order.alike", func(w watcher.Snapshot) bool { return w.State == watcher.Ended })
	who := "(" + w.Requests[0].ID + ")"
	for _, size := range sizes {
		for env, coloured := range map[string]bool{"NO_COLOR=": true, "NO_COLOR=1": false} {
			p := onTerminal(t, rig.Build(t, rig.Worker), append([]string{"TERM=xterm", env}, d.env...), size[0], size[1], "get", "order.alike")
			if code := p.Ends(t); code != 0 || strings.Contains(p.Text(), "\x1b[31m") != coloured {
				t.Errorf("exit code %d, coloured %t: %q", code, !coloured, p.Text())
			}
			g := seen(p.Text(), size[0], size[1])
			lines := append(g.above, g.lines()...)
			g.log(t, "get "+env)
			if n := len(lines); n < 6 || lines[0] != rig.Project+"/order.alike" || lines[1] != "failed  60 of 60 nodes failed" ||
				!strings.HasPrefix(lines[n-2], "order.alike, asked by ") || !strings.HasSuffix(lines[n-2], who) ||
				!strings.HasPrefix(lines[n-1], "failed  60 of 60 nodes failed: flavor modelarts.bm.gpu.8v100 is") {
				t.Errorf("lines:\n%s", strings.Join(lines, "\n"))
			}
			if size[1] >= 24 && len(g.above) > 0 {
				t.Errorf("%d lines have scrolled away", len(g.above))
			}
			if !strings.Contains(g.all(), "60 × createNode: flavor modelarts.bm.gpu.8v100 is sold out") || !strings.Contains(g.all(), "and 58 more like these, failed") {
				t.Errorf("not folded:\n%s", g.all())
			}
		}
	}
	piped := rig.CarryOut(t, d.env, "get", "order.alike")
	wantSaid(t, "get, piped", piped, 0, []string{"os-node-created-25 ", "and 35 failed (--all shows them)"}, nil)
}

// TestListTells holds that a table that is refreshed says once what has happened in between.
func TestListTells(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.asks(t, "order.later", "order.never")
	d.shows(t, "order.later", func(w watcher.Snapshot) bool { return w.Counts.Total == 2 })
	var all []*rig.Process
	for _, size := range sizes {
		all = append(all, onTerminal(t, rig.Build(t, rig.Worker), append([]string{"TERM=xterm"}, d.env...), size[0], size[1], "list", "--watch"))
	}
	for _, p := range all {
		p.Says(t, "order.never")
	}
	d.finish()
	for i, p := range all {
		p.Says(t, "order.later: partially_failed: 1 of 2 nodes failed: about failed")
		g := seen(p.Text(), sizes[i][0], sizes[i][1])
		g.log(t, "list --watch")
		// A line may say before that the first of its items failed.
		if lines := g.lines(); !strings.HasPrefix(lines[0], "orderwatch list, as of ") || !strings.Contains(lines[1]+lines[2], "  order.later: partially_failed: ") {
			t.Errorf("lines: %q", lines)
		}
		if err := p.Command.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if code := p.Ends(t); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if left := seen(p.Text(), sizes[i][0], sizes[i][1]).all(); strings.Count(left, "order.later: partially_failed: ") != 1 {
			t.Errorf("what is left:\n%s", left)
		}
	}
}

// TestDemoOnTerminal runs the demo on a small terminal: no bar gets into what scrolls back, and at its end it says how to go
// on, with commands that work as they stand there.
func TestDemoOnTerminal(t *testing.T) {
	t.Parallel()
	const columns, rows = 90, 12
	p := onTerminal(t, rig.Build(t, rig.Worker), []string{"TERM=xterm"}, columns, rows, "demo", "--keep")
	p.Says(t, "Ctrl-C ends the demo.")
	g := seen(p.Text(), columns, rows)
	g.log(t, "demo --keep")
	for _, line := range append(g.above, g.lines()...) {
		if strings.Contains(line, "[=") || strings.Contains(line, "[-") {
			t.Errorf("a bar is left: %q", line)
		}
	}
	var env []string
	for _, found := range regexp.MustCompile(`  export (ORDERWATCH_[A-Z_]+=\S+)`).FindAllStringSubmatch(g.all(), -1) {
		env = append(env, found[1])
	}
	for command, says := range map[string]string{"watch --wait order.partial-1": "partially_failed", "get order.gpu-60-x7k2p": "40 of 60 nodes failed", "list --watch": ""} {
		switch {
		case len(env) != 2 || !strings.Contains(g.all(), " "+command+"\n"):
			t.Errorf("no %q, or no address, in\n%s", command, g.all())
		case says != "":
			if got := rig.CarryOut(t, env, strings.Fields(command)...); !strings.Contains(got.Out, says) {
				t.Errorf("%s: exit code %d: %s%s", command, got.Code, got.Out, got.Err)
			}
		}
	}
	nowhere := rig.CarryOut(t, []string{"TMPDIR=/nowhere"}, "demo")
	wantSaid(t, "demo without a temporary folder", nowhere, 1, nil, []string{"stat /nowhere: no such file or directory", "\nSet TMPDIR to a folder that can be written\n"})
}
