package outbox_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
)

// again is somebody's wish.
func again(b *bench, id string, channels ...string) watcher.Again {
	return watcher.Again{ID: id, WatchID: "w_01JRFQ7M9C0D8E6T3V5XKB2NHA", By: "ann *<!channel>*", At: b.clock.Now(), Channels: channels}
}

func (b *bench) settleAgain(c watcher.Completion, a watcher.Again) []time.Duration {
	b.Helper()
	return b.settleBy(func() error { return b.notifier.NotifyAgain(b.Context(), c, a) })
}

// Each wish posts one more message with its thread, which says who wants it and wakes whom the first
// did; a wish that comes twice, also to another worker, posts none.
func TestNotifyAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 40))
	b.settle(c)
	b.clock.Sleep(t.Context(), 24*time.Hour)
	first := again(b, "one")
	b.settleAgain(c, first)
	b.settleAgain(c, first)
	other := newBench(t, func(config *config) {
		*config = b.config
	})
	other.settleAgain(c, first)
	m := b.want("C0ONCALL", 4)
	if m[3].ThreadTS != m[2].TS {
		t.Error("the reply is not in the new thread")
	}
	shown := emulator.Render(m[2])
	if !strings.HasPrefix(shown, "🔁 *Sent again* by ann *<!channel>*, 2025-04-11 12:01:") || strings.Contains(shown, "late") {
		t.Errorf("it shows\n%s", shown)
	}
	if got := emulator.Mentions(m[2]); fmt.Sprint(got) != "[here]" || !strings.HasPrefix(m[2].Text, "FAILED: all 40 nodes") || !strings.Contains(m[2].Text, "Sent again by ann *&lt;!channel&gt;*.") {
		t.Errorf("it mentions %v and says %q", got, m[2].Text)
	}
	b.settleAgain(c, again(b, "two", "C0TEAM"))
	b.want("C0ONCALL", 4)
	b.want("C0TEAM", 2)
}

// What Slack finally refused can be posted again, where it takes it now; what it refuses again is kept
// again, as another message.
func TestNotifyAgainWhatWasUndelivered(t *testing.T) {
	t.Parallel()
	k := &kept{}
	b := newBench(t, func(c *config) { c.Undelivered = k })
	b.slack.AddChannel("C0ONCALL", emulator.Archived)
	c := order(watcher.Succeeded, 3)
	b.settle(c)
	b.settleAgain(c, again(b, "early"))
	if len(k.all) != 2 || k.all[1].ID != "again.early.C0ONCALL" || k.all[1].WatchID != c.WatchID {
		t.Errorf("%+v", k.all)
	}
	b.slack.AddChannel("C0ONCALL", emulator.Open)
	b.settleAgain(c, again(b, "later"))
	b.want("C0ONCALL", 1)
}

// The mark stands in every form of the message.
func TestNotifyAgainIsMarkedInEveryForm(t *testing.T) {
	t.Parallel()
	for refusals := range 3 {
		b := newBench(t)
		b.slack.Script(repeat(emulator.Refuse("invalid_blocks"), refusals)...)
		b.settleAgain(order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 3)), again(b, "one"))
		if shown := emulator.Render(b.want("C0ONCALL", 1)[0]); !strings.Contains(strings.ToLower(strings.ReplaceAll(shown, "*", "")), "sent again by ann") {
			t.Errorf("after %d refusals:\n%s", refusals, shown)
		}
	}
}
