package outbox_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
)

// A failure that an archived channel refuses goes to its fallback at once, then to the default channel, then to the
// webhook, each once, with a note of where it should have been; and is kept where all refuse.
func TestFallback(t *testing.T) {
	t.Parallel()
	const webhook = "/services/T0/B0/x"
	for name, tc := range map[string]struct {
		gone []string // channels
		in   string   // where it stands in the end
		said string   // of the channel that refused last
	}{
		"the channel":            {nil, "C0TEAM", ""},
		"its fallback":           {[]string{"C0TEAM"}, "C0SPARE", "C0TEAM refuses it (is_archived)"},
		"the default channel":    {[]string{"C0TEAM", "C0SPARE"}, "C0ONCALL", "C0SPARE refuses it (is_archived)"},
		"the webhook":            {[]string{"C0TEAM", "C0SPARE", "C0ONCALL"}, "C0HOOK", "C0ONCALL refuses it (is_archived)"},
		"nothing but the events": {[]string{"C0TEAM", "C0SPARE", "C0ONCALL", "C0HOOK"}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := &kept{}
			b := newBench(t, func(c *config) {
				c.WebhookURL = strings.TrimSuffix(c.APIURL, "/api/") + webhook
				c.Undelivered = k
				c.Routes = parsed(t, "rules: [{match: {labels: {env: prod}}, channels: [C0TEAM], fallback: C0SPARE, mention: S0TEAM}]")
			})
			all := []string{"C0TEAM", "C0SPARE", "C0ONCALL", "C0HOOK"}
			for _, channel := range all {
				b.slack.AddChannel(channel, emulator.Open)
			}
			for _, channel := range tc.gone {
				b.slack.AddChannel(channel, emulator.Archived)
			}
			b.slack.AddWebhook(webhook, "C0HOOK")
			c := order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 40))
			delays := b.settle(c)
			over, last := b.clock.Now().Sub(c.CompletedAt), tc.in == "" // which is tried for an hour
			if (over >= time.Hour) != last || !last && over > time.Minute {
				t.Errorf("%d delays, over after %s", len(delays), over)
			}
			for range 2 { // a redelivery, to this worker and to another
				if d := b.another().settle(c); len(d) > 0 {
					t.Errorf("put back for %v", d)
				}
				b.settle(c)
			}
			for _, channel := range all {
				roots := 0
				for _, m := range b.slack.Messages(channel) {
					if m.ThreadTS == "" {
						roots++
						if shown := emulator.Render(m); tc.said == "" == strings.Contains(shown, "refuses it") || !strings.Contains(shown, tc.said) {
							t.Errorf("shown is\n%s", shown)
						}
						if got := emulator.Mentions(m); len(got) != 1 || got[0] != "S0TEAM" {
							t.Errorf("mentions %v", got)
						}
					}
				}
				if (roots == 1) != (channel == tc.in) || roots > 1 {
					t.Errorf("%d messages in %s", roots, channel)
				}
			}
			if lost := tc.in == ""; (len(k.all) == 1) != lost || lost && k.all[0].Channel != "webhook" {
				t.Errorf("kept %+v", k.all)
			}
		})
	}
}

// TestFallbacksThatRefuseEachOther holds that what two channels refuse, each the other's fallback, is kept,
// whatever fails meanwhile.
func TestFallbacksThatRefuseEachOther(t *testing.T) {
	t.Parallel()
	k, n, failed := &kept{}, &notes{}, false
	b := newBench(t, func(c *config) {
		c.Notes, c.Undelivered = n, k
		c.Routes = parsed(t, "rules: [{match: {labels: {env: prod}}, fallback: C0TEAM}, {channels: [C0TEAM]}]")
	})
	b.slack.AddChannel("C0ONCALL", emulator.Archived)
	b.slack.AddChannel("C0TEAM", emulator.Archived)
	c := order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 3))
	c.Requests = append(c.Requests, watcher.Request{ID: "build-2"})
	n.fail = func(key string, _ []byte) error {
		if late := b.clock.Now().Sub(c.CompletedAt) > time.Hour; !late || failed || !strings.HasPrefix(key, "watch.") || !strings.HasSuffix(key, ".C0TEAM") {
			return nil
		}
		failed = true
		return errors.New("no answer")
	}
	b.settle(c)
	if len(k.all) != 1 || !failed {
		t.Errorf("kept %+v", k.all)
	}
}

// A webhook that is gone pauses nobody while there is a token.
func TestFallbackIsGone(t *testing.T) {
	t.Parallel()
	k := &kept{}
	b := newBench(t, func(c *config) {
		c.WebhookURL, c.Undelivered = strings.TrimSuffix(c.APIURL, "/api/")+"/services/T0/B0/gone", k
	})
	b.slack.AddChannel("C0ONCALL", emulator.Archived)
	b.settle(order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 3)))
	if len(k.all) != 1 || k.all[0].Code != "no_service" {
		t.Errorf("kept %+v", k.all)
	}
	b.slack.AddChannel("C0ONCALL", emulator.Open)
	c := order(watcher.Succeeded, 3)
	c.WatchID = "w_next"
	if d := b.settle(c); len(d) > 0 {
		t.Errorf("the next waits %v", d)
	}
}

// Where only failures are told, a success is told only where a message about it stands.
func TestQuietSuccesses(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *config) {
		c.Routes = parsed(t, "rules: [{match: {labels: {env: prod}}, quiet_successes: true, progress: true}]")
	})
	for i, c := range []watcher.Completion{order(watcher.Succeeded, 3), order(watcher.Cancelled, 3)} {
		c.WatchID = "w_" + string(rune('a'+i))
		b.settle(c)
		late := watcher.Progress{Report: c.Report, Number: 1}
		b.settleBy(func() error { return b.notifier.Progress(b.Context(), late) })
	}
	b.want("C0ONCALL", 0)

	c := order(watcher.Succeeded, 3)
	c.WatchID = "w_shown"
	b.settleBy(func() error { return b.notifier.Progress(b.Context(), watcher.Progress{Report: c.Report, Number: 1}) })
	b.settle(c)
	b.wantShown(b.want("C0ONCALL", 1)[0], "DONE - 3 nodes created")

	c = order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 3))
	c.WatchID = "w_failed"
	b.settle(c)
	b.want("C0ONCALL", 2)
}

// What a channel refuses is told in its fallback also where the watch's other request wants only failures
// told there.
func TestFallbackIsQuiet(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *config) {
		c.Routes = parsed(t, "rules: [{match: {labels: {env: prod}}, channels: [C0TEAM], fallback: C0SPARE}, {channels: [C0SPARE], quiet_successes: true}]")
	})
	b.slack.AddChannel("C0SPARE", emulator.Open)
	b.slack.AddChannel("C0TEAM", emulator.Archived)
	c := order(watcher.Succeeded, 3)
	c.Requests = append(c.Requests, watcher.Request{ID: "b"})
	b.settle(c)
	b.wantShown(b.want("C0SPARE", 1)[0], "C0TEAM refuses it")
	b.another().settle(c)
	b.settle(c)
	b.want("C0SPARE", 1)
}
