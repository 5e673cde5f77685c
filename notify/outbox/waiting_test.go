package outbox_test

import (
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
)

// waitsIn is an event of an account of which the channels wait.
func waitsIn(kind watcher.AttentionKind) watcher.Attention {
	a := attention(kind, watcher.HeldUnreachable)
	a.Channels = []watcher.WaitingChannel{
		{SlackChannel: "", Watches: 9, Items: 90},
		{SlackChannel: "C0OPS", Watches: 2, Ended: 12, Items: 20},
		{Labels: map[string]string{"team": "gpu"}, Watches: 1, Ended: 3, Items: 4},
		{SlackChannel: "C0TEAM", Watches: 1, Items: 4},
	}
	return a
}

func blindBench(t *testing.T, change ...func(*config)) *bench {
	b := newBench(t, append(change, byLabel)...)
	b.slack.AddChannel("C0OPS", emulator.Open)
	return b
}

// Each channel whose watches wait for an account gets one line, which wakes nobody, and is edited when that is over. The
// default channel gets what it gets without it.
func TestAttendTellsChannelsThatWait(t *testing.T) {
	b := blindBench(t)
	other := b.another()
	for _, project := range []string{"p0", "p1"} {
		a := waitsIn(watcher.Unreachable)
		a.ProjectID = project
		b.attend(a)
		other.attend(a)
	}
	want := map[string]string{"C0OPS": "2 orders of project p0 wait, last seen 12 of 20 items ended", "C0TEAM": "2 orders of project p0 wait, last seen 3 of 8 items ended"}
	for channel, text := range want {
		m := b.want(channel, 1)[0]
		b.wantShown(m, "*CANNOT SEE* since 12:00 UTC (ModelArts in cn-north-4 cannot be reached): "+text)
		if len(emulator.Mentions(m)) > 0 {
			t.Errorf("it mentions %v", emulator.Mentions(m))
		}
	}
	b.wantShown(b.want("C0ONCALL", 1)[0], "cannot be reached", "@here")
	b.clock.Sleep(t.Context(), time.Minute)
	over := attention(watcher.Reachable, watcher.HeldUnreachable) // a worker of the release before forgot who waits
	for range 2 {
		other.attend(over)
		b.attend(over)
		b.attend(waitsIn(watcher.Unreachable)) // redelivered late
	}
	for channel := range want {
		b.wantShown(b.want(channel, 1)[0], "*SEEN AGAIN*: ModelArts in cn-north-4 can be reached again after 17 min.", "(edited)")
	}
	b.wantShown(b.want("C0ONCALL", 1)[0], "can be reached again")
	if b.notifier.PossibleDuplicates() != 0 || b.notifier.Undelivered() != 0 {
		t.Error("counted as doubled or undelivered")
	}
}

// What is over before people were told is not told, and what a channel refuses is the default channel's alone.
func TestAttendTellsNoChannelAfterTheEnd(t *testing.T) {
	b := blindBench(t)
	b.slack.AddChannel("C0TEAM", emulator.Archived)
	b.clock.now = outageBegan.Add(2 * time.Hour)
	b.attend(waitsIn(watcher.Reachable))
	b.attend(waitsIn(watcher.Unreachable))
	b.want("C0OPS", 0)
	later := waitsIn(watcher.Unreachable)
	later.Since = later.Since.Add(time.Minute)
	b.attend(later)
	b.want("C0OPS", 1)
	b.want("C0TEAM", 0)
	for _, m := range b.want("C0ONCALL", 2) {
		if strings.Contains(m.Text, "CANNOT SEE") {
			t.Errorf("it is told in the default channel, too: %q", m.Text)
		}
	}
}

// A webhook has one channel, which gets the notice.
func TestAttendByWebhookTellsOneChannel(t *testing.T) {
	b := newBench(t, webhookAlone)
	b.slack.AddWebhook("/services/T0/B0/x", "C0ONCALL")
	b.attend(waitsIn(watcher.Unreachable))
	b.want("C0ONCALL", 1)
}
