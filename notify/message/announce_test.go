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
	"github.com/orderwatch/orderwatch/watcher/watchertest"
)

// An announcement is what Announce is given.
type announcement struct {
	attention watcher.Attention
	options   message.Options
}

func announcements() map[string]announcement {
	here := message.Options{Mention: routes.Mention("here")}
	all := make(map[string]announcement)
	for cause := range reasons {
		for _, kind := range []watcher.AttentionKind{watcher.Unreachable, watcher.Reachable} {
			a := attention(kind, cause)
			if cause == watcher.HeldArrears { // a project's own
				a.WaitingAll = a.Waiting
			}
			all[fmt.Sprintf("account_%s_%s", kind, cause)] = announcement{a, here}
		}
	}
	one := attention(watcher.Unreachable, watcher.HeldUnreachable)
	one.Waiting, one.WaitingAll, one.Reason = 1, 1, ""
	all["account_unreachable_webhook"] = announcement{one, message.Options{NoThread: true}}
	before := attention(watcher.Unreachable, watcher.HeldLogin)
	before.Code, before.Said = "", ""
	all["account_unreachable_login_before"] = announcement{before, here} // by a worker of the release before
	proxy := attention(watcher.Unreachable, watcher.HeldUnreachable)
	proxy.Reason = "a proxy answered 502: Bad Gateway (if this lasts, check the proxy and the endpoint)"
	all["account_unreachable_proxy"] = announcement{proxy, here}
	here.Secrets = message.HideSecrets(secretKey)
	late := attention(watcher.Overdue, "")
	late.Account, late.WaitingAll, late.Until = "", late.Waiting, late.Since.Add(time.Minute)
	all["overdue"] = announcement{late, here}
	hostileLate := hostileAttention(watcher.Overdue)
	all["overdue_hostile"] = announcement{hostileLate, here}
	for name, lost := range map[string]watcher.Attention{
		"lost":          {Reason: "what was watched before 12:00 UTC is forgotten: publish again; requests that were published before 12:00 UTC and in no watch yet are forgotten: publish them again", Lost: []string{watcher.LostWatches, watcher.LostRequests}},
		"lost_requests": {Reason: "requests that were published before 12:00 UTC and in no watch yet are forgotten: publish them again", Lost: []string{watcher.LostRequests}},
		"lost_events":   {Reason: "events from before 12:00 UTC are gone: who had not read a completion finds it with orderwatch get", Lost: []string{watcher.LostEvents, watcher.LostNotes}},
		"lost_notes":    {Reason: "what was posted to Slack before 12:00 UTC is forgotten: a message may come twice, or stay as it is", Lost: []string{watcher.LostNotes}},
		"lost_before":   {Reason: "what was watched before 12:00 UTC is forgotten: publish again"}, // an earlier release's
	} {
		lost.Kind, lost.Region, lost.ProjectID, lost.Since, lost.Until = watcher.Lost, "cn-north-4", "all", watchertest.OutageBegan, watchertest.OutageBegan
		all[name] = announcement{lost, here}
	}
	hostileLoss := hostileAttention(watcher.Lost)
	hostileLoss.Lost = []string{"<!channel> " + bidi + secretKey}
	all["lost_hostile"] = announcement{hostileLoss, here}
	all["account_unreachable_hostile"] = announcement{hostileAttention(watcher.Unreachable), here}
	all["account_reachable_hostile"] = announcement{hostileAttention(watcher.Reachable), here}
	return all
}

func TestAnnounce(t *testing.T) {
	for name, tc := range announcements() {
		t.Run(name, func(t *testing.T) {
			m := message.Announce(tc.attention, tc.options)
			keepsLimits(t, m, tc.options)
			all := everything(t, m)
			var b strings.Builder
			fmt.Fprintf(&b, "=== notification\n%s=== message\n%s=== brief\n%s=== log\n%s\n",
				emulator.Render(all[2]), emulator.Render(all[0]), emulator.Render(all[1]), strings.Join(m.Lines(), "\n"))
			slacktest.GoldenSum(t, name+".txt", b.String(), m.Blocks)
		})
	}
}

func TestAnnounceMentionsNobodyForThrottling(t *testing.T) {
	for cause := range reasons {
		for _, kind := range []watcher.AttentionKind{watcher.Unreachable, watcher.Reachable} {
			m := message.Announce(attention(kind, cause), message.Options{Mention: routes.Mention("S0123")})
			wakes := kind == watcher.Unreachable && cause != watcher.HeldThrottled
			if got := emulator.Mentions(stored(t, m)); (len(got) > 0) != wakes || (m.Mention != "") != wakes {
				t.Errorf("%s of %s mentions %v", kind, cause, got)
			}
		}
	}
}

func FuzzAnnounce(f *testing.F) {
	f.Add("o.1", "cn-north-4", "p", "throttled", "limit", int64(1744286400), int64(60), 3, 9, true)
	f.Add("<!here>", "`", strings.Repeat("&", 900), "arrears", strings.Repeat("<", 5000), int64(-1), int64(-1), -4, 0, false)
	f.Fuzz(func(t *testing.T, outage, region, project, cause, reason string, since, lasted int64, waiting, all int, ends bool) {
		a := watcher.Attention{Kind: watcher.Unreachable, Account: outage, Region: region, ProjectID: project, Cause: watcher.HoldKind(cause),
			Reason: reason, Since: time.Unix(since, 0), Waiting: waiting, WaitingAll: all}
		if ends {
			a.Kind, a.Until = watcher.Reachable, time.Unix(since+lasted, 0)
		}
		o := message.Options{Mention: routes.Mention("here"), Secrets: message.HideSecrets(secretKey)}
		keepsLimits(t, message.Announce(a, o), o)
	})
}
