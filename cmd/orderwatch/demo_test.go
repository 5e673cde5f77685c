package main_test

import (
	"os/exec"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
)

// TestDemo runs the demo as a stranger would.
func TestDemo(t *testing.T) {
	t.Parallel()
	demo := exec.Command(rig.Build(t, rig.Worker), "demo")
	demo.Env = append(rig.Bare(), "ORDERWATCH_SLACK_CHANNEL=ignored") // the demo needs no set-up and takes none
	out, err := demo.CombinedOutput()
	if err != nil {
		t.Fatalf("demo: %v\n%s", err, out)
	}
	for _, want := range []string{
		"requested             24", "completed             22", "rejected               1   order_nmae", "Everything came out as scripted.",
		"likely ready",                              // after some ends
		"order.crowd-… (15)     ",                   // seen so late
		"order.pool-5ed5-w4l2n: 0 of 4 items ended", // live progress
		"io.orderwatch.order.completed.v1 order.gpu-60-x7k2p: partially_failed", // an event
		"PARTLY FAILED - 40 of 60 ", "flavor modelarts.bm.gpu.8v100 is sold out", // in Slack
		"billing (billing-12)", "the first 5 s", // joined; throttled
		"⏳ *RUNNING - 1 of 2 items ended", // in Slack while it goes on
		"┌ Slack #on-call, the same message\n│ ⌛ *NOT DONE - 1 of 2 items open",
		"┌ Slack #on-call, in the thread and in the channel\n│ NOT DONE: 1 of 2 items open",
		"┌ Slack #on-call, in the thread\n│ *Failed items of order.gpu-60-x7k2p*",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in the demo's output:\n%s", want, out)
		}
	}
	for line := range strings.Lines(string(out)) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 80 {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
}

// TestUsage looks at exit codes and at what wrong usage says.
func TestUsage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args string
		code int
		says string
	}{
		{"", 2, "name a command"},
		{"--help", 0, "serve"},
		{"version", 0, "orderwatch (devel)"},
		{"--version", 0, "orderwatch (devel) go1."},
		{"version -o json", 0, `"version":"(devel)","go":"go1.`},
		{"serve --help", 0, "MODELARTS_REGIONS"},
		{"srve", 2, `unknown command "srve"`},
		{"demo --kep", 2, "unknown flag: --kep"},
		{"serve now", 2, `unknown command "now"`},
		{"serve", 1, "ORDERWATCH_NATS_URL: is not set"},
		{"health", 1, "ask the worker"},
		{"emulator --addr nonsense", 1, "start the emulator"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			command := exec.Command(rig.Build(t, rig.Worker), strings.Fields(tt.args)...)
			command.Env = append(rig.Bare(), "ORDERWATCH_HTTP_ADDR="+rig.FreeAddr(t))
			out, _ := command.CombinedOutput() // the code tells
			if code := command.ProcessState.ExitCode(); code != tt.code || !strings.Contains(string(out), tt.says) {
				t.Errorf("exit code %d; want %d and %q in:\n%s", code, tt.code, tt.says, out)
			}
		})
	}
}

// TestPageIsClosed holds that the page does not begin where strangers would see it, and says what to do.
func TestPageIsClosed(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0"} {
		command := exec.Command(rig.Build(t, rig.Worker), "page")
		command.Env = append(rig.Bare(), "ORDERWATCH_NATS_URL=nats://127.0.0.1:1", "ORDERWATCH_PAGE_ADDR="+addr)
		out, _ := command.CombinedOutput() // the code tells
		if code := command.ProcessState.ExitCode(); code != 1 || !strings.Contains(string(out), "ORDERWATCH_PAGE_AUTH: is not set, but ORDERWATCH_PAGE_ADDR is beyond this machine: set basic or proxy") {
			t.Errorf("%s: exit code %d\n%s", addr, code, out)
		}
	}
}
