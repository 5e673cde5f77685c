package main_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/watchertest"
)

// TestCommandsOfMessages holds that the program takes every command of a message as a shell hands it over: it reads
// it all, and asks where NATS is.
func TestCommandsOfMessages(t *testing.T) {
	t.Parallel()
	program := rig.Build(t, rig.Worker)
	pasted := 0
	for _, name := range []string{"order.pool-1", "-o", "--", "a-b_c.d"} {
		for _, timeout := range []time.Duration{0, time.Second, 90 * time.Minute, 48*time.Hour - time.Second} {
			for _, m := range messagesWithCommands(name, timeout) {
				for _, line := range m.Lines() {
					command, ok := strings.CutPrefix(line, "    orderwatch ")
					if !ok {
						continue
					}
					if pasted++; strings.HasPrefix(command, "watch ") && strings.Contains(command, "--timeout") != (timeout > 0) {
						t.Errorf("for a timeout of %s: %s", timeout, command)
					}
					shell := exec.CommandContext(t.Context(), "sh", "-c", "exec "+program+" "+command)
					shell.Env = append(rig.Bare(), "XDG_CONFIG_HOME="+filepath.Join(t.TempDir(), "none"))
					out, _ := shell.CombinedOutput() // the code tells
					if shell.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "where is NATS?") {
						t.Errorf("%s: exit code %d, %s", command, shell.ProcessState.ExitCode(), out)
					}
				}
			}
		}
	}
	if pasted < 100 {
		t.Errorf("%d commands", pasted)
	}
}

// messagesWithCommands returns messages of an order of this name that a request asked to watch for so long.
func messagesWithCommands(name string, timeout time.Duration) (all []message.Message) {
	named := func(r *watcher.Report) {
		r.OrderName, r.Region, r.ExpectedItems = name, "cn-east-3", 7
		request := &r.Requests[0]
		request.SlackChannel, request.Deadline = "C0TEAM", time.Time{}
		if timeout > 0 {
			request.Deadline = request.ReceivedAt.Add(timeout)
		}
	}
	for _, outcome := range []watcher.Outcome{watcher.TimedOut, watcher.OrderNotFound, watcher.OrderRefused, watcher.Cancelled} {
		c := watchertest.Completion(outcome, 0)
		named(&c.Report)
		all = append(all, message.Summarize(c, message.Options{}))
	}
	for _, kind := range watchertest.OrderAttentionKinds {
		a := watchertest.OrderAttention(kind)
		named(&a.Report)
		all = append(all, message.Concern(a, message.Options{}))
	}
	return all
}
