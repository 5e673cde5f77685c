package message_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/notify/slack/slacktest"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/history"
)

// TestRunningWithACondition holds the message that says how far a watch is, with what people should know of it.
func TestRunningWithACondition(t *testing.T) {
	here := routes.Mention("here")
	conditions := make(map[string]watcher.OrderAttention)
	for _, kind := range []watcher.AttentionKind{watcher.Late, watcher.Stalled, watcher.Blind, watcher.DeadlineNear, "blind_over", "stalled_over"} {
		conditions[string(kind)] = concern(kind)
		conditions[string(kind)+"_hostile"] = hostileConcern(kind)
	}
	for name, a := range conditions {
		t.Run(name, func(t *testing.T) {
			o := message.Options{Condition: &a, Now: unlistedSince.Add(24 * time.Minute), Secrets: message.HideSecrets(secretKey)}
			g := watcher.Progress{Report: a.Report, At: unlistedSince.Add(20 * time.Minute)}
			g.Changes = []watcher.Change{{ResourceName: "os-node-11", Action: "createNode", From: watcher.Processing, To: watcher.Succeed}}
			m := message.Running(g, o)
			keepsLimits(t, m, o)
			all := everything(t, m)
			if strings.Contains(emulator.Render(all[0]), "Zx81Kq92Lm43") || m.Mention != "" {
				t.Errorf("it shows a password, or mentions %q", m.Mention)
			}
			slacktest.GoldenSum(t, "running_"+name+".txt", fmt.Sprintf("=== notification\n%s=== message\n%s=== brief\n%s", emulator.Render(all[2]), emulator.Render(all[0]), emulator.Render(all[1])), m.Blocks)
			o.Mention = here
			if wakes := message.Running(g, o); (wakes.Mention == here) != a.Until.IsZero() {
				t.Errorf("where a rule says so it mentions %q", wakes.Mention)
			}
		})
	}
}

// TestRunningLikelyReady holds the message that says when the order is likely to be ready.
func TestRunningLikelyReady(t *testing.T) {
	a := concern(watcher.Late)
	a.Requests[0].LateAt = time.Time{}
	a.Usual = &history.Usual{P10: history.Span(7 * time.Minute), P50: history.Span(9 * time.Minute), P90: history.Span(11*time.Minute + 30*time.Second), Samples: 43}
	g := watcher.Progress{Report: a.Report, At: unlistedSince.Add(20 * time.Minute)}
	g.ETA = &history.Estimate{From: unlistedSince.Add(24 * time.Minute), To: unlistedSince.Add(31 * time.Minute), Samples: 43}
	for name, o := range map[string]message.Options{"likely": {}, "likely_late": {Condition: &a, Now: unlistedSince.Add(24 * time.Minute)}} {
		m := message.Running(g, o)
		keepsLimits(t, m, o)
		slacktest.GoldenSum(t, "running_"+name+".txt", emulator.Render(everything(t, m)[0]), m.Blocks)
	}
	few, without := g, g
	few.ETA, without.ETA = &history.Estimate{Samples: 3}, nil
	if got, want := message.Running(few, message.Options{}), message.Running(without, message.Options{}); emulator.Render(everything(t, got)[0]) != emulator.Render(everything(t, want)[0]) {
		t.Error("few known is said")
	}
}
