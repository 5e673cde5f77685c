package outbox_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
)

// attendOrder delivers the attention until it is done, and returns the delays.
func (b *bench) attendOrder(a watcher.OrderAttention) []time.Duration {
	b.Helper()
	return b.settleBy(func() error { return b.notifier.AttendOrder(b.Context(), a) })
}

// toTeams lets the watch's requests name two channels, one of them by a label.
func toTeams(a watcher.OrderAttention) watcher.OrderAttention {
	a.Requests = []watcher.Request{{ID: "a", Labels: map[string]string{"team": "gpu"}}, {ID: "b", SlackChannel: "C0ONCALL"}}
	return a
}

func byLabel(c *config) {
	c.Routes = routesOf("rules: [{match: {labels: {team: gpu}}, channels: [C0TEAM], quiet_successes: true}]")
}

// Each watch, kind and beginning is told once in each channel of the watch, whichever workers it comes to
// and however often. Nobody is woken.
func TestAttendOrderPostsOnce(t *testing.T) {
	b := newBench(t, byLabel)
	other := b.another()
	for range 2 {
		for _, kind := range concernKinds[:3] { // of watches that go on
			b.attendOrder(toTeams(concern(kind)))
			other.attendOrder(toTeams(concern(kind)))
		}
	}
	for _, channel := range []string{"C0ONCALL", "C0TEAM"} {
		m := b.want(channel, 3)
		for i, text := range []string{"*CANNOT SEE* - order.pool-5ed5-w4l2n since 12:03 UTC (Internal server error", "no longer listed by ModelArts: createNode os-node-2, last seen processing", "has the status “canceled”"} {
			b.wantShown(m[i], text, "The watch goes on", "orderwatch get 6f5da086876d4cd084d36f8bd3346036/order.pool-5ed5-w4l2n")
			if got := emulator.Mentions(m[i]); len(got) > 0 || m[i].ThreadTS != "" || m[i].Edited {
				t.Errorf("message %d in %s mentions %v, is in a thread, or was edited", i, channel, got)
			}
		}
	}
	again := toTeams(concern(watcher.Vanished))
	for i := range 2 {
		again.Since = again.Since.Add(20 * time.Minute)
		b.attendOrder(again)
		b.want("C0ONCALL", 4+i)
	}
	if b.notifier.PossibleDuplicates() != 0 || b.notifier.Undelivered() != 0 {
		t.Error("counted as doubled or undelivered")
	}
}

// Late, stalled, blind and the deadline of one watch are one message in each channel, which shows the latest of them,
// or that it is over, and wakes nobody.
func TestConditionsShareAMessage(t *testing.T) {
	b := newBench(t, byLabel)
	other := b.another()
	told := func(kind watcher.AttentionKind, polls int, want string) {
		t.Helper()
		a := toTeams(concern(kind))
		a.Polls = polls
		b.attendOrder(a)
		other.attendOrder(a)
		for _, channel := range []string{"C0ONCALL", "C0TEAM"} {
			m := b.want(channel, 1)[0]
			b.wantShown(m, want)
			if got := emulator.Mentions(m); len(got) > 0 {
				t.Errorf("it mentions %v", got)
			}
		}
	}
	told(watcher.Late, 10, "*LATE*")
	told(watcher.Stalled, 10, "*STALLED*")
	told(watcher.Late, 10, "*STALLED*") // redelivered
	told("stalled_over", 20, "moving again after 26 min")
	told(watcher.Stalled, 10, "moving again after 26 min")
	told(watcher.Blind, 30, "*CANNOT SEE*")
	told("stalled_over", 20, "*CANNOT SEE*")
	told("blind_over", 40, "seen again, was blind for 26 min")
	told(watcher.DeadlineNear, 40, "LEFT*")
	again := toTeams(concern(watcher.Stalled))
	again.Since, again.Polls = again.Since.Add(time.Hour), 50
	b.attendOrder(again)
	b.wantShown(b.want("C0TEAM", 1)[0], "*STALLED*")
	told("stalled_over", 20, "*STALLED*") // of the first time
	near := toTeams(concern(watcher.DeadlineNear))
	near.Since, near.Polls = near.Since.Add(time.Hour), 60
	b.attendOrder(near)
	b.wantShown(b.want("C0TEAM", 1)[0], "LEFT*")
	again.Until, again.Polls = again.Since.Add(time.Hour), 70
	b.attendOrder(again)
	b.wantShown(b.want("C0TEAM", 1)[0], "LEFT*") // it still is
	if b.notifier.PossibleDuplicates() != 0 || b.notifier.Undelivered() != 0 {
		t.Error("counted as doubled or undelivered")
	}
}

// Nothing is posted of an end of which no beginning stands, nor of a beginning that comes after its end; what began
// before that and goes on is.
func TestConditionOverBeforeItIsTold(t *testing.T) {
	b := newBench(t)
	for _, kind := range []watcher.AttentionKind{"blind_over", watcher.Blind, "stalled_over", watcher.Stalled} {
		b.attendOrder(concern(kind))
		b.another().attendOrder(concern(kind))
		b.want("C0ONCALL", 0)
	}
	late := concern(watcher.Late)
	late.Polls = 1
	b.attendOrder(late)
	b.wantShown(b.want("C0ONCALL", 1)[0], "*LATE*")
}

// The message that shows a condition becomes the summary: nothing is left that says how the watch was before. What comes
// of conditions then is neither posted nor changed. Where it fails a reply wakes people, since an edit does not.
func TestConditionBecomesTheSummary(t *testing.T) {
	for _, outcome := range []watcher.Outcome{watcher.Succeeded, watcher.Cancelled, watcher.AllFailed} {
		b := newBench(t)
		b.attendOrder(concern(watcher.Stalled))
		b.settle(order(outcome, 40))
		n := 1
		if outcome == watcher.AllFailed {
			n = 2
		}
		m := b.want("C0ONCALL", n)
		if !m[0].Edited || strings.Contains(emulator.Render(m[0]), "STALLED") || len(emulator.Mentions(m[0])) > 0 {
			t.Errorf("it became\n%s", emulator.Render(m[0]))
		}
		if n == 2 && (!m[1].Broadcast || len(emulator.Mentions(m[1])) == 0) {
			t.Errorf("nobody is woken:\n%s", emulator.Render(m[1]))
		}
		for _, kind := range []watcher.AttentionKind{"stalled_over", watcher.Blind, watcher.DeadlineNear} {
			a := concern(kind)
			a.Polls += 50
			b.attendOrder(a)
			b.another().attendOrder(a)
		}
		if after := b.want("C0ONCALL", n); after[0].Text != m[0].Text {
			t.Errorf("then it became\n%s", emulator.Render(after[0]))
		}
	}
}

// With quiet_successes, too, the message that shows a condition is ended, and none follows it.
func TestConditionEndsQuietly(t *testing.T) {
	b := newBench(t, func(c *config) { c.Routes = routesOf("rules: [{quiet_successes: true}]") })
	b.attendOrder(concern(watcher.Late))
	b.settle(order(watcher.Succeeded, 40))
	b.wantShown(b.want("C0ONCALL", 1)[0], "DONE - 40 nodes created", "(edited)")
}

// Where people follow a watch, its conditions are shown in the message that says how far it is, as long as they are so,
// whichever of both comes first.
func TestConditionInTheProgressMessage(t *testing.T) {
	b := newBench(t, func(c *config) { c.Progress = true })
	other := b.another()
	told := func(kind watcher.AttentionKind, polls int, want ...string) {
		t.Helper()
		a := concern(kind)
		a.Polls, a.At = polls, b.clock.Now()
		b.attendOrder(a)
		other.attendOrder(a)
		b.wantShown(b.want("C0ONCALL", 1)[0], want...)
	}
	runs := func(polls, done int, want ...string) {
		t.Helper()
		b.clock.Sleep(t.Context(), 10*time.Second)
		g := watcher.Progress{Report: concern(watcher.Late).Report, Number: polls, At: b.clock.Now()}
		g.Polls, g.Counts.Succeeded, g.Counts.Processing = polls, done, 20-done
		b.settleBy(func() error { return other.notifier.Progress(b.Context(), g) })
		b.wantShown(b.want("C0ONCALL", 1)[0], want...)
	}
	not := func(words ...string) {
		t.Helper()
		shown := emulator.Render(b.want("C0ONCALL", 1)[0])
		for _, word := range words {
			if strings.Contains(shown, word) {
				t.Errorf("%s is left:\n%s", word, shown)
			}
		}
	}
	told(watcher.Late, 10, "*RUNNING - 12 of 20 nodes ended, 8 still processing*", "*LATE*: not done after 13 min", "as of ")
	runs(10, 12, "*LATE*")
	runs(11, 13, "*RUNNING - 13 of 20", "*LATE*")
	told(watcher.Stalled, 12, "*STALLED*")
	not("LATE")
	told(watcher.Late, 10, "*STALLED*") // redelivered
	told("stalled_over", 20, "*LATE*")
	runs(20, 14, "*RUNNING - 14 of 20", "*LATE*")
	not("STALLED")
	told(watcher.Blind, 30, "*CANNOT SEE* since 12:03 UTC", "as of "+"2025-04-10 12:03")
	told("blind_over", 40, "*LATE*")
	runs(40, 15, "*LATE*")
	told(watcher.DeadlineNear, 41, "LEFT*, 8 of 20 nodes open", "orderwatch watch --region")
	b.settle(order(watcher.Succeeded, 40))
	not("LATE", "LEFT", "RUNNING")
	if b.notifier.PossibleDuplicates() != 0 || b.notifier.Undelivered() != 0 {
		t.Error("counted as doubled or undelivered")
	}
}

// What is over is shown in the progress message until something else is known.
func TestConditionOverInTheProgressMessage(t *testing.T) {
	b := newBench(t, func(c *config) { c.Progress = true })
	b.runs(60 * time.Second)
	b.attendOrder(concern(watcher.Blind))
	b.wantShown(b.want("C0ONCALL", 1)[0], "*CANNOT SEE*")
	b.attendOrder(concern("blind_over"))
	b.wantShown(b.want("C0ONCALL", 1)[0], "*RUNNING", "seen again, was blind for 26 min")
	g := watcher.Progress{Report: concern(watcher.Late).Report, Number: 100}
	g.Polls = concern("blind_over").Polls + 1
	b.settleBy(func() error { return b.notifier.Progress(b.Context(), g) })
	if shown := emulator.Render(b.want("C0ONCALL", 1)[0]); strings.Contains(shown, "was blind") {
		t.Errorf("it is left:\n%s", shown)
	}
}

// A rule says for which conditions people are woken, too: by the message where it is new, else by a reply that the channel
// shows, once for each.
func TestConditionWakesWhereARuleSaysSo(t *testing.T) {
	for _, progress := range []bool{false, true} {
		b := newBench(t, func(c *config) {
			c.Routes = routesOf(fmt.Sprintf("rules: [{match: {labels: {team: gpu}}, channels: [C0TEAM], mention: S0TEAM, mention_on: [late, deadline], progress: %t}]", progress))
		})
		if progress {
			g := watcher.Progress{Report: toTeams(concern(watcher.Late)).Report, Number: 1}
			g.Polls = 1
			b.settleBy(func() error { return b.notifier.Progress(b.Context(), g) })
		}
		woken := func(kind watcher.AttentionKind, polls int, want int) {
			t.Helper()
			b.clock.Sleep(t.Context(), 2*time.Minute) // a channel gets one ping a minute
			a := toTeams(concern(kind))
			a.Polls = polls
			for range 2 {
				b.attendOrder(a)
				b.another().attendOrder(a)
			}
			if got := emulator.Mentions(b.want("C0ONCALL", 1)[0]); len(got) > 0 {
				t.Errorf("C0ONCALL mentions %v", got)
			}
			n := 0
			for _, m := range b.slack.Messages("C0TEAM") {
				if m.ThreadTS != "" && !m.Broadcast {
					t.Errorf("a reply that nobody sees:\n%s", emulator.Render(m))
				}
				n += len(emulator.Mentions(m))
			}
			if n != want {
				t.Errorf("%s: %d mentions, want %d", kind, n, want)
			}
		}
		woken(watcher.Late, 10, 1)
		woken(watcher.Stalled, 20, 1-btoi(!progress)) // an edit takes the root's mention away
		woken(watcher.DeadlineNear, 30, 2-btoi(!progress))
		woken("stalled_over", 40, 2-btoi(!progress))
		b.clock.Sleep(t.Context(), 2*time.Minute)
		c := order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 3))
		c.Requests = toTeams(concern(watcher.Late)).Requests
		b.settle(c)
		replies := 0
		for _, m := range b.slack.Messages("C0TEAM") {
			if m.Broadcast {
				replies++
			}
		}
		if want := 3 - btoi(!progress); replies != want {
			t.Errorf("%d replies wake people, want %d", replies, want)
		}
	}
}

// What wakes people is told although another condition began with it, which is shown then.
func TestConditionWakesBesideAnother(t *testing.T) {
	for _, progress := range []bool{false, true} {
		b := newBench(t, func(c *config) {
			c.Routes = routesOf(fmt.Sprintf("rules: [{mention: here, mention_on: [late], progress: %t}]", progress))
		})
		for range 2 {
			for _, kind := range []watcher.AttentionKind{watcher.Stalled, watcher.Late} { // as one poll tells them
				a := concern(kind)
				a.Polls = 10
				b.attendOrder(a)
			}
		}
		m := b.want("C0ONCALL", 2)
		if reply := m[1]; !reply.Broadcast || len(emulator.Mentions(reply)) != 1 || !strings.HasPrefix(reply.Text, "LATE - ") {
			t.Errorf("the reply is\n%s", emulator.Render(reply))
		}
	}
}

// What wakes people is shown although it is told after what began later, which is shown again when it is over.
func TestConditionWakesOutOfTurn(t *testing.T) {
	for _, progress := range []bool{false, true} {
		b := newBench(t, func(c *config) {
			c.Routes = routesOf(fmt.Sprintf("rules: [{mention: here, mention_on: [blind], progress: %t}]", progress))
		})
		shows := func(kind watcher.AttentionKind, polls int, want string) {
			t.Helper()
			a := concern(kind)
			a.Polls = polls
			b.attendOrder(a)
			b.another().attendOrder(a)
			if shown := emulator.Render(b.slack.Messages("C0ONCALL")[0]); !strings.Contains(shown, want) || want != "CANNOT SEE" && strings.Contains(shown, "CANNOT SEE") {
				t.Errorf("after %s it is\n%s", kind, shown)
			}
		}
		shows(watcher.DeadlineNear, 30, "LEFT")
		shows(watcher.Blind, 20, "CANNOT SEE")
		shows("blind_over", 50, "LEFT")
		b.want("C0ONCALL", 2)
	}
}

// A watch whose record is broken has no summary: what its message said of how the watch was is replaced.
func TestConditionOfABrokenRecord(t *testing.T) {
	for _, progress := range []bool{false, true} {
		b := newBench(t, func(c *config) { c.Progress = progress })
		b.attendOrder(concern(watcher.Stalled))
		for range 2 {
			b.attendOrder(concern(watcher.BrokenRecord))
			b.another().attendOrder(concern(watcher.BrokenRecord))
		}
		later := concern(watcher.DeadlineNear)
		later.Polls += 10
		b.attendOrder(later)
		for _, m := range b.want("C0ONCALL", 2) {
			if shown := emulator.Render(m); !strings.Contains(shown, "Broken record of order ") || strings.Contains(shown, "STALLED") || len(emulator.Mentions(m)) > 0 {
				t.Errorf("it is left:\n%s", shown)
			}
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Where nothing can be edited each state is a message of its own.
func TestConditionsByWebhook(t *testing.T) {
	b := newBench(t, webhookAlone)
	b.slack.AddWebhook("/services/T0/B0/x", "C0ONCALL")
	for range 2 {
		for _, kind := range []watcher.AttentionKind{watcher.Stalled, "stalled_over", "blind_over"} {
			b.attendOrder(concern(kind))
		}
	}
	b.wantShown(b.want("C0ONCALL", 2)[1], "moving again after 26 min")
}

// What is told while the watch goes on, and its summary, stand beside it, each untouched by the other.
func TestAttendOrderLeavesTheSummaryAlone(t *testing.T) {
	b := newBench(t, func(c *config) { c.Progress = true })
	b.runs(60 * time.Second)
	b.attendOrder(concern(watcher.Vanished))
	m := b.want("C0ONCALL", 2)
	b.wantShown(m[0], "RUNNING")
	attention := m[1]
	b.settle(order(watcher.Succeeded, 40))
	m = b.want("C0ONCALL", 2)
	b.wantShown(m[0], "DONE - 40 nodes created", "(edited)")
	if m[1].TS != attention.TS || m[1].Text != attention.Text || m[1].Edited {
		t.Errorf("the attention became\n%s", emulator.Render(m[1]))
	}
	b.attendOrder(concern(watcher.Vanished)) // redelivered late
	b.want("C0ONCALL", 2)
}

func webhookAlone(c *config) {
	c.Token, c.Channel, c.WebhookURL = "", "", strings.TrimSuffix(c.APIURL, "/api/")+"/services/T0/B0/x"
}

func TestAttendOrderByWebhook(t *testing.T) {
	b := newBench(t, webhookAlone)
	b.slack.AddWebhook("/services/T0/B0/x", "C0ONCALL")
	for range 2 {
		b.attendOrder(toTeams(concern(watcher.Blind)))
		b.another().attendOrder(toTeams(concern(watcher.Blind)))
	}
	b.wantShown(b.want("C0ONCALL", 1)[0], "CANNOT SEE")
}

// A channel that finally refuses it has a fallback, as a summary does; and where there is none the message
// is kept, without the advice to post again what only a summary has.
func TestAttendOrderRefused(t *testing.T) {
	k := &kept{}
	b := newBench(t, func(c *config) {
		c.Undelivered = k
		c.Routes = routesOf("rules: [{match: {labels: {team: gpu}}, channels: [C0TEAM]}]")
	})
	b.clock.now = unlistedSince.Add(2 * time.Hour)
	b.slack.AddChannel("C0TEAM", emulator.Archived)
	a := concern(watcher.Blind)
	a.Requests[0].Labels["team"] = "gpu"
	b.attendOrder(a)
	b.wantShown(b.want("C0ONCALL", 1)[0], "Meant for another channel", "C0TEAM refuses it", "CANNOT SEE")
	b.slack.AddChannel("C0ONCALL", emulator.Archived)
	later := a
	later.Since, later.Polls = later.Since.Add(time.Minute), later.Polls+1
	for range 2 {
		b.attendOrder(later)
		b.another().attendOrder(later)
	}
	if len(k.all) != 1 {
		t.Fatalf("%d messages are kept", len(k.all))
	}
	m := k.all[0]
	if m.ID != "watch.w_01JRFQ7M9C0D8E6T3V5XKB2NHA.C0ONCALL.running.20001" || m.WatchID != a.WatchID || m.ProjectID != a.ProjectID || m.OrderName != a.OrderName ||
		m.Kind != watcher.Blind || m.Outcome != "" || m.Outage != "" || !strings.Contains(m.Text, "CANNOT SEE") || !m.ToldAt.Equal(later.Since) {
		t.Errorf("kept %+v", m)
	}
	if strings.Contains(b.log.String(), "orderwatch renotify") {
		t.Errorf("the log advises to post it again:\n%s", b.log)
	}
}

// What is noted can be read by a later version: the names are fixed, and apart from those of the watch.
func TestWhatIsNotedOfAnOrder(t *testing.T) {
	b := newBench(t)
	b.attendOrder(concern(watcher.UnknownStatus))
	text, _, _ := b.config.Notes.Note(t.Context(), "attention.w_01JRFQ7M9C0D8E6T3V5XKB2NHA_unknown_status_1744286585000.C0ONCALL")
	if !strings.Contains(string(text), `"told":"unknown_status"`) || !strings.Contains(string(text), `"done":true`) {
		t.Errorf("noted %s", text)
	}
	watch := func() string {
		text, _, _ := b.config.Notes.Note(t.Context(), "watch.w_01JRFQ7M9C0D8E6T3V5XKB2NHA.C0ONCALL")
		return string(text)
	}
	if text := watch(); text != "" {
		t.Errorf("noted of the watch: %s", text)
	}
	late := concern(watcher.Late)
	late.Polls = 7
	b.attendOrder(late)
	if text := watch(); !strings.Contains(text, `"told":"running.7001"`) || !strings.Contains(text, `"quiet":true`) || !strings.Contains(text, `"conditions":{"late":{"since":"2025-04-10T12:03:05Z","polls":7,"state":7001}}`) {
		t.Errorf("noted of the watch: %s", text)
	}
}
