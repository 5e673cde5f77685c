//go:build contract && long

package faults_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
)

// TestNatsToolOperations runs the commands that deploy/NATS.md names for one stream, under open watches.
func TestNatsToolOperations(t *testing.T) {
	l := newLedger(t, 3)
	readme, err := os.ReadFile("../../../deploy/NATS.md")
	if err != nil {
		t.Fatal(err)
	}
	const stream = "ORDER_WAKEUPS"
	for _, command := range []string{
		"nats stream cluster step-down ORDER_WAKEUPS",
		"nats-server --signal ldm=<pid>",
		"nats stream edit ORDER_WAKEUPS --replicas 1 --force",
		"nats stream edit ORDER_WAKEUPS --tag <tag> --force",
	} {
		if !strings.Contains(string(readme), "`"+strings.Replace(command, "--replicas 1", "--replicas 3", 1)+"`") {
			t.Errorf("deploy/NATS.md does not name %s", command)
		}
		if strings.HasPrefix(command, "nats-server") {
			l.lameDuck(t, stream)
			continue
		}
		to := l.elsewhere(t, stream)
		args := strings.Fields(strings.TrimPrefix(strings.ReplaceAll(command, "<tag>", to), "nats "))
		rig.Eventually(t, rig.Patience, func() error { // NATS refuses it while it moves what was changed before
			run := exec.Command(natsTool(t), args...)
			run.Env = append(os.Environ(), "NATS_URL="+l.url, "XDG_CONFIG_HOME="+t.TempDir())
			if out, err := run.CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w\n%s", command, err, out)
			}
			return nil
		})
		if strings.Contains(command, "<tag>") {
			l.moved(t, stream, to)
		}
		l.goOn(t, command)
		l.awaitHealthy(t)
	}
}
