package faults_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	slackemulator "github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// TestConditionsInSlack lets a watch be late, then stalled, then blind, and then end, and restarts all workers between
// each two. People see one message, which is edited from state to state and becomes the summary, and are woken where the
// order failed, and only then. With progress the same message says how far the watch is.
func TestConditionsInSlack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		progress bool
		end      string // the last item's status
		says     string
		pings    int
	}{
		"a message of its own": {false, "succeed", "DONE: ", 0},
		"the progress message": {true, "failed", "PARTLY FAILED: ", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newSlackWorld(t, rig.StartNATS(t, ""), "conditions", worldSetting{
				workers: 2, history: true, progress: c.progress, env: []string{patience("24h", "24h")},
			})
			order := func(status string) {
				last := emulator.Item{ResourceName: "node-1", Status: status}
				if status == "" {
					last.EndAfter = emulator.Never
				}
				w.cloud.Add(rig.Project, "order.slow", emulator.Order{Items: []emulator.Item{{ResourceName: "node-0"}, last}})
			}
			order("")
			if err := w.ask(t.Context(), map[string]any{"order_name": "order.slow", "request_id": "slow", "late_after": "1s"}); err != nil {
				t.Fatal(err)
			}
			first := w.awaitShown(t, "LATE - order.slow", c.progress)
			w.restart(t, "1s", "24h")
			w.awaitShown(t, "STALLED - order.slow", c.progress)
			w.cloud.SetFaults(emulator.Fault{Status: 500, Body: `{"error_code":"ModelArts.50005000","error_msg":"Internal error."}`})
			w.restart(t, "1s", "1s")
			w.awaitShown(t, "CANNOT SEE - order.slow", c.progress)
			order(c.end)
			w.restart(t, "24h", "24h")
			w.cloud.SetFaults()
			last := w.awaitShown(t, c.says, false)
			if first.TS != last.TS || !last.Edited {
				t.Errorf("another message is the summary: %+v, before %+v", last, first)
			}
			w.awaitTold(t, rig.Patience)
			pings := 0
			for _, m := range w.slack.Messages(slackRoom[0]) {
				pings += len(slackemulator.Mentions(m))
			}
			if pings != c.pings {
				t.Errorf("people were woken %d times, want %d", pings, c.pings)
			}
			var told []string
			rig.Stored(t, w.nats.JS, w.stream("EVENTS"), w.prefix+".attention.>", func(m jetstream.Msg) {
				kind, _, _ := strings.Cut(strings.TrimPrefix(m.Subject(), w.prefix+".attention."), ".")
				told = append(told, kind)
			})
			if want := []string{"late", "stalled", "blind", "blind", "stalled"}; !slices.Equal(told, want) { // the last two: it is over
				t.Errorf("told %v, want %v", told, want)
			}
		})
	}
}

// patience is how long an order may be stalled and blind before people are told.
func patience(stalled, blind string) string {
	return fmt.Sprintf(`FAULT_PATIENCE={"Stalled":%q,"Blind":%q}`, stalled, blind)
}

// restart stops all workers, then starts as many others with this patience.
func (w *slackWorld) restart(t *testing.T, stalled, blind string) {
	t.Helper()
	for _, p := range w.workers {
		p.Terminate(t)
	}
	w.dead = append(w.dead, w.workers...)
	for i := range w.workers {
		w.workers[i] = rig.Start(t, w.program, append(slices.Clone(w.env), patience(stalled, blind)), "serve")
	}
	for _, p := range w.workers {
		rig.AwaitReady(t, healthAddr(t, p))
	}
}

// awaitShown waits until the channel's one message begins so, and, where people follow the watch, says how far it is. It
// returns the message.
func (w *slackWorld) awaitShown(t *testing.T, text string, running bool) (shown slackemulator.Message) {
	t.Helper()
	rig.Eventually(t, rig.Patience, func() error {
		n := 0
		for _, m := range w.slack.Messages(slackRoom[0]) {
			if m.ThreadTS == "" {
				shown = m
				n++
			}
		}
		if n != 1 || !strings.HasPrefix(shown.Text, text) || strings.Contains(slackemulator.Render(shown), "RUNNING - 1 of 2") != running {
			return fmt.Errorf("%d messages, the last one is\n%s", n, slackemulator.Render(shown))
		}
		return nil
	})
	return shown
}
