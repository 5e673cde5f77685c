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

// TestWhy asks what happened to an order that failed and of which people were told.
func TestWhy(t *testing.T) {
	t.Parallel()
	slack := slackemulator.New(slackemulator.Options{RateLimit: true})
	slack.AddToken("xoxb-test", "chat:write", "channels:history")
	slack.AddChannel("C0ONCALL", slackemulator.Open)
	slackServer := httptest.NewServer(slack)
	defer slackServer.Close()
	d := newDesk(t, "ORDERWATCH_SLACK_TOKEN=xoxb-test", "ORDERWATCH_SLACK_CHANNEL=C0ONCALL", "ORDERWATCH_SLACK_API_URL="+slackServer.URL+"/api/")
	d.asks(t, "order.fails")
	w := d.shows(t, "order.fails", func(w watcher.Snapshot) bool { return w.State == watcher.Ended })
	var said rig.Waited
	rig.Eventually(t, rig.Patience, func() error {
		said = rig.CarryOut(t, d.env, "why", "order.fails")
		if said.Code != 0 || !strings.Contains(said.Out, "told on Slack in C0ONCALL") {
			return fmt.Errorf("%d %s%s", said.Code, said.Out, said.Err)
		}
		return nil
	})
	wantSaid(t, "why", said, 0, []string{rig.Project + "/order.fails\nfailed  ", "asked by ", "ModelArts shows the order: ", "failed: ", "told on Slack in C0ONCALL how it ended"}, nil)
	got := rig.CarryOut(t, d.env, "why", "-o", "json", w.WatchID)
	var story wire.Story
	if err := json.Unmarshal([]byte(got.Out), &story); err != nil || story.Watch.WatchID != w.WatchID || len(story.Lines) < 4 || story.Lines[0].Kind != "asked" {
		t.Errorf("why -o json: %d %v %s%s", got.Code, err, got.Out, got.Err)
	}
	wantSaid(t, "why of none", rig.CarryOut(t, d.env, "why", "order.none"), 1, nil, []string{"order.none"})
}
