package outbox_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
)

// alike returns so many watches that failed for the same cause.
func alike(n int) (all []watcher.Completion) {
	for i := range n {
		c := order(watcher.AllFailed, 0, failure("no quota left", "createNode", 3))
		c.WatchID, c.OrderName = fmt.Sprint("w_alike_", i), fmt.Sprintf("order.alike-%d-x", i)
		all = append(all, c)
	}
	return all
}

// TestGroupIsRefused holds that each of many failures alike stands once where Slack refuses the thread of their group, or
// the channel is archived while they are told.
func TestGroupIsRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		before, after  emulator.ChannelState
		alone          map[string]int // messages of their own, by channel
		rows           int
		group, instead string // what the group's message says
	}{
		"the thread":           {emulator.Locked, emulator.Locked, map[string]int{"C0TEAM": 10}, 0, "Orders failed alike: no quota left", "Slack refuses a thread here (restricted_action_thread_locked)"},
		"the thread, later on": {emulator.Open, emulator.Locked, map[string]int{"C0TEAM": 5}, 5, "10 orders failed alike: no quota left", "the others are listed in the thread"},
		"the channel":          {emulator.Open, emulator.Archived, map[string]int{"C0TEAM": 5, "C0SPARE": 3}, 2, "7 orders failed alike: no quota left", "the others are listed in the thread"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _ := partBench(t, sleepless)
			b.slack.AddChannel("C0TEAM", tt.before)
			all := alike(10)
			b.inTurn(all[:7])
			b.slack.AddChannel("C0TEAM", tt.after)
			b.inTurn(all[7:])
			b.another().inTurn(all)

			told, alone, rows, group := make(map[string]int), make(map[string]int), 0, ""
			for _, channel := range []string{"C0TEAM", "C0SPARE", "C0ONCALL"} {
				for _, m := range b.slack.Messages(channel) {
					names := alikeName.FindAllString(m.Text, -1)
					switch {
					case isLine(m):
						continue
					case strings.Contains(m.Text, "rders failed alike"):
						group += emulator.Render(m) + m.Text
					case m.ThreadTS == "":
						alone[channel] += len(names)
					default:
						rows += len(names)
					}
					for _, n := range names {
						told[n]++
					}
				}
			}
			if len(told) != 10 || rows != tt.rows || fmt.Sprint(alone) != fmt.Sprint(tt.alone) {
				t.Errorf("told are %v, %v of them alone, and %d in the thread\n%s", told, alone, rows, b.log)
			}
			if !strings.Contains(group, tt.group) || !strings.Contains(group, tt.instead) {
				t.Errorf("the group is\n%s", group)
			}
		})
	}
}

// TestGroupOfFollowed holds that of many failures alike, of which messages say how their watches go on, five wake people by
// a reply that the channel shows. The messages of the others become their summaries, which a group's thread lists, too.
func TestGroupOfFollowed(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *config) {
		sleepless(c)
		c.Progress = true
	})
	all := alike(12)
	for _, c := range all {
		g := watcher.Progress{Report: c.Report, Number: 1}
		g.AcceptedAt = b.clock.Now().Add(-time.Minute)
		b.settleBy(func() error { return b.notifier.Progress(b.Context(), g) })
	}
	b.inTurn(all)
	b.another().inTurn(all)

	own, shown, rows, woken := 0, 0, 0, 0
	for _, m := range b.slack.Messages("C0ONCALL") {
		switch {
		case isLine(m):
			if strings.Contains(string(m.Blocks), "Orders failed alike") {
				woken += len(emulator.Mentions(m))
			}
		case strings.Contains(m.Text, "rders failed alike"):
			if woken += len(emulator.Mentions(m)); !strings.HasPrefix(m.Text, "12 orders failed alike") {
				t.Errorf("the group is\n%s", emulator.Render(m))
			}
		case strings.Contains(m.Text, " that failed alike: "):
			rows += len(alikeName.FindAllString(m.Text, -1))
		case m.Broadcast:
			shown++
		case m.ThreadTS == "":
			if own++; !strings.HasPrefix(m.Text, "FAILED: ") || len(emulator.Mentions(m)) > 0 {
				t.Errorf("it is left:\n%s", emulator.Render(m))
			}
		}
	}
	if own != 12 || shown != 5 || rows != 7 || woken != 1 {
		t.Errorf("%d messages are left, of which %d have a reply that the channel shows; %d watches are listed, and people are woken for the group %d times\n%s", own, shown, rows, woken, b.log)
	}
}

// TestPingOfAnArchivedChannel holds that people are woken in the fallback for a message that stands in a channel, and woke
// nobody before that was archived. The message is not posted again.
func TestPingOfAnArchivedChannel(t *testing.T) {
	t.Parallel()
	b, k := partBench(t, sleepless)
	first, second := order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 3)), alike(1)[0]
	b.settle(first)
	begin := b.clock.Now()
	for len(b.slack.Messages("C0TEAM")) < 2 {
		b.clock.Sleep(b.Context(), b.notify(second))
	}
	b.slack.AddChannel("C0TEAM", emulator.Archived)
	b.settle(second)
	b.another().settle(second)
	if m := b.want("C0TEAM", 2); fmt.Sprint(emulator.Mentions(m[0]), emulator.Mentions(m[1])) != "[here] []" {
		t.Errorf("%q and %q wake people", emulator.Render(m[0]), emulator.Render(m[1]))
	}
	line := b.want("C0SPARE", 1)[0]
	if !isLine(line) || !strings.Contains(line.Text, "C0TEAM: FAILED: all 3 nodes, no quota left - "+second.OrderName) || fmt.Sprint(emulator.Mentions(line)) != "[here]" {
		t.Errorf("the line is %q", line.Text)
	}
	if late := tsTime(t, line).Sub(begin); late > 65*time.Second || len(k.all) > 0 {
		t.Errorf("it comes after %s; kept is %v", late, k.all)
	}
}

// TestGroupAfterAnOldFailure holds that a failure with the cause, of more than ten minutes ago, keeps no later ones from being
// told in a group.
func TestGroupAfterAnOldFailure(t *testing.T) {
	t.Parallel()
	b := newBench(t, sleepless)
	all := alike(13)
	b.inTurn(all[:1])
	b.clock.Sleep(b.Context(), 11*time.Minute)
	b.inTurn(all[1:])
	alone, group := 0, false
	for _, m := range b.slack.Messages("C0ONCALL") {
		switch {
		case isLine(m) || m.ThreadTS != "":
		case strings.HasPrefix(m.Text, "12 orders failed alike"):
			group = true
		default:
			alone++
		}
	}
	if alone != 6 || !group {
		t.Errorf("%d have messages of their own, and a group: %t\n%s", alone, group, b.log)
	}
}

// TestGroupWakesItsOwn holds that failures of which other people are told are not in a group that wakes nobody.
func TestGroupWakesItsOwn(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *config) {
		sleepless(c)
		c.Routes = parsed(t, rulesOf("{match: {labels: {env: dev}}, channels: [C0TEAM], mention: none}", "{match: {labels: {env: prod}}, channels: [C0TEAM], mention: S0ONE}"))
	})
	all := alike(9)
	for i := range all {
		all[i].Requests = []watcher.Request{{ID: "dev", Labels: map[string]string{"env": "dev"}}}
	}
	all[8].Requests = []watcher.Request{{ID: "prod", Labels: map[string]string{"env": "prod"}}}
	b.inTurn(all)
	woken := ""
	for _, m := range b.slack.Messages("C0TEAM") {
		if len(emulator.Mentions(m)) > 0 {
			woken += m.Text
		}
	}
	if !strings.Contains(woken, "order.alike-8-x") {
		t.Errorf("people are woken for %q\n%s", woken, b.log)
	}
}

// TestGroupsInManyChannels holds that failures alike in a hundred channels are all listed within two minutes, although Slack
// allows fifty edits a minute, and that they do not come again and again meanwhile. In the end each message has its count.
func TestGroupsInManyChannels(t *testing.T) {
	t.Parallel()
	const channels, each = 100, 20
	b := newBench(t, sleepless)
	var all []watcher.Completion
	due, begin, tries := make(map[int]time.Time), b.clock.Now(), 0
	for i := range each {
		for j, c := range alike(channels) {
			channel := fmt.Sprintf("C0MANY%d", j)
			b.slack.AddChannel(channel, emulator.Open)
			c.WatchID, c.OrderName = fmt.Sprintf("w_%d_%d", i, j), fmt.Sprintf("order.alike-%d-x", 1000*i+j)
			c.Requests[0].SlackChannel = channel
			due[len(all)] = begin.Add(time.Duration(i) * 5 * time.Second)
			all = append(all, c)
		}
	}
	took := b.deliverAll(all, due, func() { tries++ })

	var latest time.Duration
	for j := range channels {
		rows, count := 0, 0
		for _, m := range b.slack.Messages(fmt.Sprintf("C0MANY%d", j)) {
			switch {
			case m.ThreadTS == "" && strings.Contains(m.Text, "orders failed alike"):
				fmt.Sscanf(m.Text, "%d", &count)
			case m.ThreadTS != "":
				names := alikeName.FindAllString(m.Text, -1)
				rows += len(names)
				round := 0
				fmt.Sscanf(names[0], "order.alike-%d", &round)
				latest = max(latest, tsTime(t, m).Sub(begin)-time.Duration(round/1000)*5*time.Second)
			}
		}
		if rows != each-5 || count != each {
			t.Errorf("channel %d counts %d, and lists %d", j, count, rows)
		}
	}
	if latest > 2*time.Minute || tries > 12*len(all) {
		t.Errorf("the last one is listed after %s; %d deliveries of %d events", latest, tries, len(all))
	}
	t.Logf("all are listed after %s, and counted after %s; %d deliveries of %d events", latest, took, tries, len(all))
}

// TestGroupsMessageIsGone holds that each of many failures alike is told once where the group's message is deleted by
// somebody, or cannot be edited any more, while a thread is to list others.
func TestGroupsMessageIsGone(t *testing.T) {
	t.Parallel()
	for name, gone := range map[string]bool{"deleted": true, "not to be edited": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := "none"
			b := newBench(t, func(c *config) {
				sleepless(c)
				c.Timing.Follow = 6 * time.Second // edits are scarce: there are many replies
				c.HTTPClient = &http.Client{Transport: stranger(func(path, body string) string {
					if !gone && strings.HasSuffix(path, "chat.update") && strings.Contains(body, root) {
						return `{"ok":false,"error":"edit_window_closed"}`
					}
					return ""
				})}
			})
			b.slack.AddToken(token, "chat:write", "channels:history")
			all := alike(30)
			b.inTurn(all[:15])
			for _, m := range b.slack.Messages("C0ONCALL") {
				if m.ThreadTS == "" && strings.Contains(m.Text, "orders failed alike") {
					root = m.TS
				}
			}
			if gone {
				b.deleted(root)
			}
			b.inTurn(all[15:])
			b.another().inTurn(all)

			told, roots := make(map[string]int), make(map[string]bool)
			for _, m := range b.slack.Messages("C0ONCALL") {
				switch {
				case isLine(m):
				case m.ThreadTS == "" && strings.Contains(m.Text, "orders failed alike"):
					if roots[m.TS] = true; !strings.HasPrefix(m.Text, "30 orders") {
						t.Errorf("the group says %q", m.Text)
					}
				case m.ThreadTS == "" || roots[m.ThreadTS]:
					for _, n := range alikeName.FindAllString(m.Text, -1) {
						told[n]++
					}
				}
			}
			for _, c := range all {
				if told[c.OrderName] != 1 {
					t.Errorf("%s is told %d times\n%s", c.OrderName, told[c.OrderName], b.log)
				}
			}
		})
	}
}

// TestGroupOfOneInALockedChannel holds that a group's message says that it has no thread, also where it says nothing else anew.
func TestGroupOfOneInALockedChannel(t *testing.T) {
	t.Parallel()
	b := newBench(t, sleepless)
	b.slack.AddChannel("C0ONCALL", emulator.Locked)
	b.inTurn(alike(6))
	group := ""
	for _, m := range b.slack.Messages("C0ONCALL") {
		if strings.Contains(m.Text, "rders failed alike") && !isLine(m) {
			group += emulator.Render(m)
		}
	}
	if !strings.Contains(group, "Slack refuses a thread here") {
		t.Errorf("the group is\n%s", group)
	}
}
