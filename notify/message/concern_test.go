package message_test

import (
	"fmt"
	"math"
	"slices"
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

// concerns are what Concern is given.
func concerns() map[string]struct {
	attention watcher.OrderAttention
	options   message.Options
} {
	type one = struct {
		attention watcher.OrderAttention
		options   message.Options
	}
	all := make(map[string]one)
	var none message.Options
	here := message.Options{Mention: routes.Mention("here")}
	for _, kind := range append(slices.Clone(concernKinds), "blind_over", "stalled_over") {
		all["concern_"+string(kind)] = one{concern(kind), none}
		all["concern_"+string(kind)+"_hostile"] = one{hostileConcern(kind), message.Options{Secrets: message.HideSecrets(secretKey)}}
	}
	all["concern_stalled_page"] = one{concern(watcher.Stalled), message.Options{Links: pages}}
	all["concern_stalled_now"] = one{concern(watcher.Stalled), message.Options{Now: unlistedSince.Add(24*time.Minute + 10*time.Second)}}
	for _, kind := range []watcher.AttentionKind{watcher.Late, watcher.Stalled} {
		a := concern(kind)
		a.Requests[0].LateAt = time.Time{}
		if kind == watcher.Late {
			all["concern_late_forgotten"] = one{a, none}
		}
		a.Usual = &history.Usual{P10: history.Span(7 * time.Minute), P50: history.Span(9 * time.Minute), P90: history.Span(11*time.Minute + 30*time.Second), Samples: 43}
		all["concern_"+string(kind)+"_usual"] = one{a, none}
	}
	near := concern(watcher.DeadlineNear)
	near.AcceptedAt, near.ExpectedItems = near.Since.Add(-96*time.Minute), 20
	near.Requests[0].SlackChannel, near.Requests[0].ReceivedAt, near.Requests[0].Deadline = "C0TEAM", near.AcceptedAt, near.Since.Add(24*time.Minute)
	all["concern_deadline_delivered_late"] = one{near, message.Options{Now: near.Since.Add(10 * time.Minute)}}
	all["concern_late_wakes"] = one{concern(watcher.Late), here}
	unseen := concern(watcher.Stalled)
	unseen.Items, unseen.Counts = nil, watcher.Counts{}
	all["concern_stalled_never_seen"] = one{unseen, none}
	several := concern(watcher.Vanished)
	for i := range several.Items[12:] {
		several.Items[12+i].MissingSince = unlistedSince.Add(time.Duration(i) * time.Second)
	}
	several.Items[19].TakenFor, several.Items[19].Action = watcher.TakenForDeleted, "deleteNode"
	several.Counts = watcher.Counts{Total: 20, Succeeded: 13, Processing: 7, Missing: 8}
	all["concern_vanished_several"] = one{several, message.Options{NoThread: true}}
	words := concern(watcher.UnknownStatus)
	for i := range words.Items[13:16] {
		words.Items[13+i].Status = watcher.Status([]string{"canceled", "paused", ""}[i])
	}
	all["concern_unknown_status_several"] = one{words, here}
	bare := concern(watcher.Vanished)
	bare.Items, bare.ItemsOmitted, bare.Requests = nil, 20, nil
	all["concern_vanished_without_items"] = one{bare, here}
	never := concern(watcher.Blind)
	never.Items, never.Counts, never.Error = nil, watcher.Counts{}, nil
	all["concern_blind_never_seen"] = one{never, message.Options{Refusal: message.Refusal{Channel: "C0TEAM", Code: "is_archived", Remedy: "unarchive the channel, or configure another"}}}
	later := concern("of_a_later_version")
	later.Reason = "the order is <odd>"
	all["concern_of_a_later_version"] = one{later, here}
	return all
}

func TestConcern(t *testing.T) {
	for name, tc := range concerns() {
		t.Run(name, func(t *testing.T) {
			m := message.Concern(tc.attention, tc.options)
			keepsLimits(t, m, tc.options)
			all := everything(t, m)
			if wakes := name == "concern_late_wakes"; (m.Mention != "") != wakes || len(m.Replies) > 0 {
				t.Errorf("it wakes %q, with %d replies", m.Mention, len(m.Replies))
			}
			calm := slices.Contains([]watcher.AttentionKind{watcher.Late, watcher.Stalled, watcher.DeadlineNear, watcher.Blind}, tc.attention.Kind)
			for i, e := range all {
				shown := emulator.Render(e)
				if calm && (strings.Contains(shown, "🔴") || strings.Contains(strings.ToLower(shown), "failed")) {
					t.Errorf("message %d reads like a failure:\n%s", i, shown)
				}
				if strings.Contains(shown, "Zx81Kq92Lm43") {
					t.Errorf("message %d shows a password:\n%s", i, shown)
				}
			}
			var b strings.Builder
			fmt.Fprintf(&b, "=== notification\n%s=== message\n%s=== brief\n%s=== log\n%s\n",
				emulator.Render(all[2]), emulator.Render(all[0]), emulator.Render(all[1]), strings.Join(m.Lines(), "\n"))
			slacktest.GoldenSum(t, name+".txt", b.String(), m.Blocks)
		})
	}
}

func FuzzConcern(f *testing.F) {
	f.Add("os-node-1", "createNode", "processing", "sold out", "blind", int64(1744286585), true)
	f.Add("os-node-1", "createNode", "processing", "sold out", "deadline", int64(math.MaxInt64), true)
	f.Add("os-node-1", "createNode", "processing", "sold out", "late", int64(-1), true)
	f.Add("`<!here>", strings.Repeat("&", 90), strings.Repeat("<", 90), strings.Repeat("\n", 90), "unknown_status", int64(-1), false)
	f.Fuzz(func(t *testing.T, name, action, status, said, kind string, since int64, missing bool) {
		a := concern(watcher.AttentionKind(kind))
		a.Since, a.OrderName, a.Reason, a.Error = time.Unix(since, 0), name+a.OrderName, said, &watcher.ErrorDetail{Code: status, Message: said}
		it := watcher.Item{ResourceName: name, Action: action, Status: watcher.Status(status), Message: said, Replaces: said}
		if missing {
			it.MissingSince = a.Since
		}
		a.Items = append(a.Items, it)
		o := message.Options{Mention: routes.Mention("here"), Secrets: message.HideSecrets(secretKey)}
		keepsLimits(t, message.Concern(a, o), o)
	})
}
