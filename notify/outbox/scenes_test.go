package outbox_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify/outbox"
	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/notify/slack"
	"github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/notify/slack/slacktest"
	"github.com/orderwatch/orderwatch/watcher"
)

// A scene is what is delivered to a Slack, and whose channel is looked at.
type scene struct {
	channel string
	change  func(*config)
	play    func(*bench)
	holds   string // only messages whose text holds this
}

// TestScenes holds what people see of messages that are no summary alone: the text as it is shown and
// the calls as they are made.
func TestScenes(t *testing.T) {
	t.Parallel()
	for name, s := range scenes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &wire{}
			b := newBench(t, func(c *config) {
				*c = w.tap(*c)
				if s.change != nil {
					s.change(c)
				}
			})
			b.slack.AddToken(token, "chat:write", "channels:history", slack.ScopeFiles)
			s.play(b)
			messages := slices.DeleteFunc(b.slack.Messages(s.channel), func(m emulator.Message) bool { return !strings.Contains(m.Text, s.holds) })
			w.check(t, "here", true)
			slacktest.Golden(t, "posted_"+name+".txt", shown(messages))
			slacktest.GoldenJSON(t, "posted_"+name+".json", posts(t, w, messages))
		})
	}
}

func scenes() map[string]scene {
	failed := order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 40))
	progress := func(c *config) { c.Progress = true }
	return map[string]scene{
		"running": {"C0ONCALL", progress, func(b *bench) { b.runs(60 * time.Second) }, ""},
		"quiet_then_succeeded": {"C0ONCALL", progress, func(b *bench) {
			b.runs(60 * time.Second)
			b.settle(order(watcher.Succeeded, 40))
		}, ""},
		"quiet_then_failed": {"C0ONCALL", progress, func(b *bench) {
			b.runs(60 * time.Second)
			b.settle(failed)
		}, ""},
		"file": {"C0ONCALL", nil, func(b *bench) { b.settle(filing(2000, 100)) }, ""},
		"sent_again": {"C0ONCALL", nil, func(b *bench) {
			b.settle(failed)
			b.clock.Sleep(b.Context(), 24*time.Hour)
			b.settleAgain(failed, again(b, "one"))
		}, ""},
		"moved": {"C0TEAM", func(c *config) { c.Routes = routesOf("rules: [{fallback: C0TEAM}]") }, func(b *bench) {
			b.slack.AddChannel("C0ONCALL", emulator.Archived)
			b.settle(failed)
		}, ""},
		"alike": {"C0ONCALL", sleepless, func(b *bench) {
			var all []watcher.Completion
			for i := range 9 {
				c := order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 3))
				if i == 8 {
					c = order(watcher.AllFailed, 0, failure("no quota left", "createNode", 3))
				}
				c.WatchID, c.OrderName = fmt.Sprint("w_", i), fmt.Sprintf("order.pool-%d-x", i)
				all = append(all, c)
			}
			b.inTurn(all)
		}, ""},
		"digest": {"C0ONCALL", sleepless, func(b *bench) {
			var all []watcher.Completion
			for i := range 60 {
				c := order(watcher.Succeeded, 3)
				if i%20 == 0 {
					c = order(watcher.Cancelled, 3)
				}
				c.WatchID, c.OrderName = fmt.Sprint("w_", i), fmt.Sprintf("order.pool-%d-x", i)
				all = append(all, c)
			}
			b.clock.Sleep(b.Context(), 40*time.Minute)
			b.inTurn(all)
		}, "told together"},
	}
}

// sleepless leaves every wait to whoever delivers: one who makes one delivery after the other must not
// sleep for others.
func sleepless(c *config) {
	c.Timing = outbox.DefaultTiming()
	c.Timing.Wait = 0
}

// inTurn delivers all at once, one after the other, each again when it is due.
func (b *bench) inTurn(all []watcher.Completion) {
	b.Helper()
	due := make([]time.Time, len(all))
	for left := len(all); left > 0; b.clock.Sleep(b.Context(), time.Second) {
		for i, c := range all {
			if b.clock.Now().Before(due[i]) {
				continue
			}
			due[i] = b.clock.Now().Add(b.notify(c))
			if due[i].Equal(b.clock.Now()) {
				due[i] = due[i].AddDate(1, 0, 0)
				left--
			}
		}
	}
}

// runs delivers that the order goes on, so long after it was accepted.
func (b *bench) runs(after time.Duration) {
	b.Helper()
	g := watcher.Progress{Report: order(watcher.TimedOut, 12, failure("flavor sold out", "createNode", 2)).Report, Number: 1}
	g.AcceptedAt = b.clock.Now().Add(-after)
	g.Counts.Processing, g.Counts.Total = 3, 40
	for i := range 7 {
		g.Changes = append(g.Changes, watcher.Change{ResourceName: fmt.Sprintf("os-node-created-%05d", i), Action: "createNode", From: watcher.Processing, To: watcher.Succeed})
	}
	g.Changes[5].To, g.Changes[5].Message = watcher.Failed, "flavor sold out"
	b.settleBy(func() error { return b.notifier.Progress(b.Context(), g) })
}

func routesOf(text string) routes.Routes {
	routes, err := routes.Parse("routes.yaml", []byte(text))
	if err != nil {
		panic(err)
	}
	return routes
}

// shown returns the messages as people see them.
func shown(messages []emulator.Message) string {
	var b strings.Builder
	for i, m := range messages {
		where := "message"
		switch {
		case m.Broadcast:
			where = "reply that the channel shows, too"
		case m.ThreadTS != "":
			where = "reply"
		}
		fmt.Fprintf(&b, "=== %d: %s\n--- notification: %s\n%s", i+1, where, emulator.Render(emulator.Message{Text: m.Text}), emulator.Render(m))
		for _, f := range m.Files {
			fmt.Fprintf(&b, "--- the file begins\n%s", strings.Join(strings.SplitAfter(string(f.Content), "\n")[:3], ""))
		}
	}
	return b.String()
}

// A postedCall is one call as it is kept in a golden file.
type postedCall struct {
	Method   string          `json:"method"`
	Text     string          `json:"text"`
	Blocks   json.RawMessage `json:"blocks,omitempty"`
	Metadata json.RawMessage `json:"metadata,omitempty"`
	Thread   bool            `json:"thread,omitempty"`
}

// posts returns the calls that made these messages what they are.
func posts(t *testing.T, w *wire, messages []emulator.Message) []postedCall {
	t.Helper()
	texts := map[string]bool{}
	for _, m := range messages {
		texts[m.Text] = true
	}
	var calls []postedCall
	for _, s := range w.sent() {
		if k, ok := s.kit(""); ok && texts[k.Text] && taken(s) {
			calls = append(calls, postedCall{s.method, k.Text, k.Blocks, k.Metadata, s.values.Get("thread_ts") != ""})
		}
	}
	return calls
}

// Every call under testdata posts a message that Slack takes.
func TestPostedGoldensAreBlockKit(t *testing.T) {
	t.Parallel()
	for path, raw := range slacktest.Goldens(t, 8) {
		var calls []postedCall
		if err := json.Unmarshal(raw, &calls); err != nil || len(calls) == 0 {
			t.Errorf("%s: %d calls (%v)", path, len(calls), err)
		}
		for _, call := range calls {
			for _, fault := range slacktest.Faults(slacktest.Kit{Text: call.Text, Blocks: call.Blocks, Metadata: call.Metadata, Mention: "here"}) {
				t.Errorf("%s: %s", path, fault)
			}
		}
	}
}
