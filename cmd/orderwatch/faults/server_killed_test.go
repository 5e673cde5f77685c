package faults_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// TestServerKilledUnderPolls kills the only nats-server while it owes the worker answers in many slots, and starts it again.
// How soon polls go on allows for a busy machine here; TestServerKilledUnderPollsLong has the true bound.
func TestServerKilledUnderPolls(t *testing.T) {
	t.Parallel()
	killServerUnderPolls(t, 300, 500*time.Millisecond, 3*time.Second)
}

// killServerUnderPolls does so under so many watches, whose intervals are the mean. No slot waits for an answer that cannot
// come any more: polls go on within the limit of when the server takes connections again. In all the log warns once, of
// the connection.
func killServerUnderPolls(t *testing.T, watches int, mean, limit time.Duration) {
	w := newWitness()
	modelArts := httptest.NewServer(unending(watches, emulator.Options{Fault: w.polled, CallsKept: 1}))
	t.Cleanup(modelArts.Close)
	n := rig.StartNATSWith(t, "", "always")
	addr := rig.FreeAddr(t)
	p := rig.Start(t, rig.Build(t, rig.Worker), steadyEnv(n.URL, modelArts.URL, addr, mean), "serve")
	rig.AwaitReady(t, addr)
	w.listen(t, n.JS)
	fill(t, n.JS, 0, watches)
	w.awaitPolls(t, watches, time.Now(), rig.Patience)

	said := len(p.Text())
	if err := n.Command.Process.Signal(syscall.SIGSTOP); err != nil { // from here on it answers nobody
		t.Fatal(err)
	}
	w.awaitQuiet(t, 4*answerTime) // who was polled asks it to store that
	before := rig.MetricsOf(t, addr)[pollsPutBack]
	n.Kill()
	p.Says(t, "disconnected from NATS")
	time.Sleep(time.Second) // for so long the worker's connections are refused
	n.Again(t)
	rig.Eventually(t, rig.Patience, func() error {
		if !n.JS.Conn().IsConnected() {
			return errors.New("not connected")
		}
		return nil
	})
	back := time.Now()
	w.awaitPolls(t, 1, back, rig.Patience)
	first := time.Since(back)
	w.awaitPolls(t, watches, back, rig.Patience)
	rig.AwaitReady(t, addr)

	putBack := rig.MetricsOf(t, addr)[pollsPutBack] - before
	t.Logf("%.0f polls waited for the server; the first one came %s after it, all watches were polled after %s, late by %s",
		putBack, first, time.Since(back), spread(durations(w.worst(back))))
	if putBack == 0 {
		t.Error("no poll waited for the server when it was killed")
	}
	if first > limit {
		t.Errorf("the first poll came %s after the server; want %s at most", first, limit)
	}
	var warnings []string
	for line := range strings.Lines(p.Text()[said:]) {
		if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") {
			warnings = append(warnings, line)
		}
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "disconnected from NATS") {
		t.Errorf("%d warnings; want one, of the connection:\n%.2000s", len(warnings), strings.Join(warnings, ""))
	}
}

// pollsPutBack counts the polls that are to be made again.
const pollsPutBack = `orderwatch_deliveries_total{action="put_back",consumer="poller"}`

// awaitQuiet waits until no poll has come for so long.
func (w *witness) awaitQuiet(t *testing.T, quiet time.Duration) {
	t.Helper()
	rig.Eventually(t, rig.Patience, func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		for order, polls := range w.polls {
			if since := time.Since(polls[len(polls)-1]); since < quiet {
				return fmt.Errorf("%s was polled %s ago", order, since)
			}
		}
		return nil
	})
}
