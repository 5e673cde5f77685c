package main_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/events/wire"
	slackemulator "github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestRenotify posts what Slack finally refused, and then what stands already, once more for each
// command.
func TestRenotify(t *testing.T) {
	t.Parallel()
	slack := slackemulator.New(slackemulator.Options{RateLimit: true})
	slack.AddToken("xoxb-test", "chat:write", "channels:history")
	slack.AddChannel("C0ONCALL", slackemulator.Open)
	slack.AddChannel("C0OTHER", slackemulator.Open)
	tooLong := slackemulator.Refuse("msg_blocks_too_long")
	slack.Script(tooLong, tooLong, tooLong) // rich, simpler, and text alone
	slackServer := httptest.NewServer(slack)
	defer slackServer.Close()
	d := newDesk(t, "ORDERWATCH_SLACK_TOKEN=xoxb-test", "ORDERWATCH_SLACK_CHANNEL=C0ONCALL", "ORDERWATCH_SLACK_CHANNELS_ALLOWED=C0OTHER",
		"ORDERWATCH_SLACK_API_URL="+slackServer.URL+"/api/")
	d.asks(t, "order.fails")
	w := d.shows(t, "order.fails", func(w watcher.Snapshot) bool { return w.State == watcher.Ended })
	rig.Eventually(t, rig.Patience, func() error {
		got := rig.CarryOut(t, d.env, "events", "--kind", "undelivered")
		if got.Code != 0 || !strings.Contains(got.Out, "undelivered  "+rig.Project+"/order.fails  failed  C0ONCALL: post to slack: msg_blocks_too_long; post it again: orderwatch renotify w_") {
			return fmt.Errorf("%d %s%s", got.Code, got.Out, got.Err)
		}
		return nil
	})
	posted := func(channel string, n int, text string) {
		t.Helper()
		rig.Eventually(t, rig.Patience, func() error {
			m := slack.Messages(channel)
			if len(m) != n || !strings.Contains(slackemulator.Render(m[n-1]), text) {
				return fmt.Errorf("%d messages in %s: %+v", len(m), channel, m)
			}
			return nil
		})
	}
	got := rig.CarryOut(t, d.env, "renotify", "--by", "ann", "order.fails")
	wantSaid(t, "renotify", got, 0, []string{rig.Project + "/order.fails: the summary of watch " + w.WatchID + " (failed, "}, nil)
	posted("C0ONCALL", 1, "Sent again* by ann, 20")

	got = rig.CarryOut(t, d.env, "renotify", "--by", "bob", "-o", "json", "--channel", "C0OTHER", w.WatchID)
	var done wire.Renotified
	if err := json.Unmarshal([]byte(got.Out), &done); err != nil || got.Code != 0 || done.WatchID != w.WatchID || done.Name != "order.fails" {
		t.Errorf("renotify -o json: %d %v %s%s", got.Code, err, got.Out, got.Err)
	}
	posted("C0OTHER", 1, "Sent again* by bob, 20")
	posted("C0ONCALL", 1, "ann")

	stranger := "w_" + strings.Repeat("0", 26)
	wantSaid(t, "a stranger", rig.CarryOut(t, d.env, "renotify", "--by", "ann", stranger), 1, nil, []string{stranger + ": no event of this watch is kept", "list --state ended"})
	wantSaid(t, "not ended", rig.CarryOut(t, d.env, "renotify", "--by", "ann", "order.never"), 1, nil, []string{"order.never: no watch of this order has ended"})
	wantSaid(t, "a channel", rig.CarryOut(t, d.env, "renotify", "--by", "ann", "--channel", "C0ELSE", "order.fails"), 2, nil, []string{"slack_channels: must be IDs of channels that the workers are configured with"})
	wantSaid(t, "the channel of a watch", rig.CarryOut(t, d.env, "renotify", "--by", "ann", "--channel", "C0ELSE", w.WatchID), 2, nil, []string{w.WatchID + ": slack_channels: must be IDs"})
	wantSaid(t, "a channel's name", rig.CarryOut(t, d.env, "renotify", "--by", "ann", "--channel", "#else", "order.fails"), 2, nil, []string{`--channel: "#else" must be a channel's ID`})
	wantSaid(t, "a part of an id", rig.CarryOut(t, d.env, "renotify", "--by", "ann", w.WatchID[:20]), 1, nil, []string{"no watch of this order has ended"})
	wantSaid(t, "get of a watch", rig.CarryOut(t, d.env, "get", w.WatchID), 0, []string{rig.Project + "/order.fails", w.WatchID}, nil)
	wantSaid(t, "get of a stranger", rig.CarryOut(t, d.env, "get", stranger), 1, nil, []string{stranger + ": no order's latest watch has this id", "orderwatch events " + stranger})
	if events := rig.CarryOut(t, d.env, "events", "-o", "json", w.WatchID); events.Code != 0 || strings.Count(events.Out, w.WatchID) < 3 || strings.Count(events.Out, "\n") != strings.Count(events.Out, `"watch_id":"`+w.WatchID) {
		t.Errorf("events of a watch: %d %s%s", events.Code, events.Out, events.Err)
	}
	wantSaid(t, "events of a stranger", rig.CarryOut(t, d.env, "events", stranger), 0, nil, []string{"no such event is kept"})
	wantSaid(t, "two", rig.CarryOut(t, d.env, "renotify", "order.a", "order.b"), 2, nil, []string{"name one watch or order"})
}
