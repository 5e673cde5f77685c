//go:build long

package main_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// TestLateByUsual lets forty orders end after a second, and then runs one with the same action that does not end: it is late a
// minute after it was asked for, and not where that is switched off. It takes two minutes.
func TestLateByUsual(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]watcher.AttentionKind{"true": watcher.Late, "false": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, "ORDERWATCH_LATE_BY_USUAL="+name, "ORDERWATCH_POLL_MAX=10s", "ORDERWATCH_SWEEP_EVERY=0")
			add := func(name string, after time.Duration) {
				d.cloud.Add(rig.Project, name, emulator.Order{FromFirstPoll: true, Items: []emulator.Item{{ResourceName: "node", Action: "createNode", EndAfter: after, Status: "succeed"}}})
				d.asks(t, name)
			}
			begun := time.Now()
			for i := range 40 {
				add(fmt.Sprint("order.quick", i), time.Second)
			}
			rig.Eventually(t, rig.Patience, func() error {
				got := rig.CarryOut(t, d.env, "history", "-o", "json")
				if !strings.Contains(got.Out, `"key":"cn-north-4.createNode","region":"cn-north-4","actions":["createNode"],"ends":40`) || time.Since(begun) < 30*time.Second { // orders must have ended for longer than they take
					return fmt.Errorf("%d %s%s", got.Code, got.Out, got.Err)
				}
				return nil
			})
			add("order.slow", emulator.Never)
			var w watcher.Snapshot
			rig.Eventually(t, rig.Patience, func() error {
				got := rig.CarryOut(t, d.env, "get", "-o", "json", "order.slow")
				if err := json.Unmarshal([]byte(got.Out), &w); err != nil {
					return fmt.Errorf("%w: %s%s", err, got.Out, got.Err)
				}
				if w.LastPollAt.Sub(w.AcceptedAt) < 75*time.Second && w.Condition == "" {
					return fmt.Errorf("not late, last polled at %s", w.LastPollAt)
				}
				return nil
			})
			if since := w.ConditionSince.Sub(w.AcceptedAt); w.Condition != want || want != "" && since != time.Minute {
				t.Errorf("it is %q since %s after it was asked for; want %q", w.Condition, since, want)
			}
		})
	}
}
