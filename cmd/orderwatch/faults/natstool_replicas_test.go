//go:build contract && long

package faults_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig/clinic"
)

// TestNatsToolReplicas runs the seven commands that deploy/NATS.md names, on three servers with one replica of
// everything: from 1 to 3 and back. doctor says what is left, until all have three. Case N4.
func TestNatsToolReplicas(t *testing.T) {
	c := startCluster(t)
	env := clinic.New(t).Env(c.url)
	clinic.Provision(t, env)
	readme, err := os.ReadFile("../../../deploy/NATS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "<!-- replicas -->\n```sh\n")
	listed, _, ok := strings.Cut(rest, "```\n<!-- /replicas -->")
	commands := strings.Split(strings.TrimSpace(listed), "\n")
	if !ok || len(commands) != 7 {
		t.Fatalf("deploy/NATS.md names %q", commands)
	}
	change := func(command string) {
		t.Helper()
		rig.Eventually(t, rig.Patience, func() error { // NATS refuses it while it moves what was changed before
			run := exec.Command(natsTool(t), strings.Fields(strings.TrimPrefix(command, "nats "))...)
			run.Env = append(os.Environ(), "NATS_URL="+c.url, "XDG_CONFIG_HOME="+t.TempDir())
			if out, err := run.CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w\n%s", command, err, out)
			}
			return nil
		})
		c.awaitHealthy(t)
	}
	for n, command := range commands {
		change(command)
		_, out := clinic.Doctor(t, env, "-o", "json")
		all := clinic.Findings(t, out)
		if uneven := clinic.Has(all, clinic.Finding{Check: "assets.replicas", Level: "warning", Found: "the streams and buckets differ"}); uneven != (n < 6) {
			t.Errorf("after %s doctor says that they differ: %t\n%s", command, uneven, clinic.Bad(all))
		}
		for _, left := range commands[n+1:] {
			if !clinic.Has(all, clinic.Finding{Check: "assets.replicas", Level: "warning", Do: left}) {
				t.Errorf("after %s doctor does not name %s\n%s", command, left, clinic.Bad(all))
			}
		}
	}
	for _, command := range commands {
		change(strings.Replace(command, "--replicas 3", "--replicas 1", 1))
	}
	for _, name := range []string{"ORDER_REQUESTS", "ORDER_WAKEUPS", "ORDER_EVENTS", "KV_ORDER_WATCHES", "KV_ORDER_ACCOUNTS", "KV_ORDER_SLACK", "KV_ORDER_HISTORY"} {
		stream, err := c.js.Stream(t.Context(), name)
		if err != nil || stream.CachedInfo().Config.Replicas != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
