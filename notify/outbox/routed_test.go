package outbox_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestRoutesMeet holds how people are told in a channel that several requests of a watch lead to: once,
// waking whom the first says that wakes somebody, and quietly only where all want it so.
func TestRoutesMeet(t *testing.T) {
	t.Parallel()
	rules := rulesOf(
		"{match: {labels: {by: silent}}, channels: [C0TEAM], mention: none, quiet_successes: true}",
		"{match: {labels: {by: one}}, channels: [C0TEAM, C0ONCALL], mention: S0ONE, quiet_successes: true}",
		"{match: {labels: {by: two}}, channels: [C0ONCALL, C0TEAM], mention: S0TWO}",
		"{match: {labels: {by: shown}}, channels: [C0TEAM], mention: none, progress: true}",
		"{match: {projects: ["+order(watcher.Succeeded, 1).ProjectID+"]}, mention: U0REST}",
	)
	asked := watcher.Request{ID: "asked", SlackChannel: "C0TEAM", Labels: map[string]string{"by": "one"}}
	by := func(names ...string) (requests []watcher.Request) {
		for _, name := range names {
			requests = append(requests, watcher.Request{ID: name, Labels: map[string]string{"by": name}})
		}
		return requests
	}
	type told struct {
		success, progress bool
		wakes             string // for a failure
	}
	for _, tt := range []struct {
		name     string
		requests []watcher.Request
		want     map[string]told
	}{
		{"nobody is woken", by("silent"), map[string]told{"C0TEAM": {}}},
		{"quiet together", by("silent", "one"), map[string]told{"C0TEAM": {wakes: "S0ONE"}, "C0ONCALL": {wakes: "S0ONE"}}},
		{"the first that wakes", by("silent", "two", "one"), map[string]told{"C0TEAM": {success: true, wakes: "S0TWO"}, "C0ONCALL": {success: true, wakes: "S0TWO"}}},
		{"one wants more", by("one", "silent", "shown"), map[string]told{"C0TEAM": {success: true, progress: true, wakes: "S0ONE"}, "C0ONCALL": {wakes: "S0ONE"}}},
		{"the same twice", by("two", "two"), map[string]told{"C0TEAM": {success: true, wakes: "S0TWO"}, "C0ONCALL": {success: true, wakes: "S0TWO"}}},
		{"the request's channel", append(by("silent"), asked), map[string]told{"C0TEAM": {wakes: "S0ONE"}}},
		{"no rule's label", by("somebody", "else"), map[string]told{"C0ONCALL": {success: true, wakes: "U0REST"}}},
		{"no requests", nil, map[string]told{"C0ONCALL": {success: true, wakes: "U0REST"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(c *config) { c.Routes = parsed(t, rules) })
			stands := func(channel string) (roots []emulator.Message) {
				for _, m := range b.slack.Messages(channel) {
					if m.ThreadTS == "" {
						roots = append(roots, m)
					}
				}
				return roots
			}
			success, failed := order(watcher.Succeeded, 3), order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 3))
			failed.WatchID = "w_failed"
			success.Requests, failed.Requests = tt.requests, tt.requests
			running := watcher.Progress{Report: success.Report, Number: 1}
			running.WatchID = "w_running"
			deliver := map[string]func() error{
				"progress": func() error { return b.notifier.Progress(b.Context(), running) },
				"success":  func() error { return b.notifier.Notify(b.Context(), success) },
				"failure":  func() error { return b.notifier.Notify(b.Context(), failed) },
			}
			for _, what := range []string{"progress", "success", "failure"} {
				before := map[string]int{"C0TEAM": len(stands("C0TEAM")), "C0ONCALL": len(stands("C0ONCALL"))}
				b.settleBy(deliver[what])
				for channel, n := range before {
					want, wanted := tt.want[channel]
					wanted = wanted && (what == "failure" || what == "success" && want.success || what == "progress" && want.progress)
					now := stands(channel)
					if got := len(now) - n; (got == 1) != wanted || got > 1 {
						t.Errorf("%s: %d messages in %s, wanted: %t", what, got, channel, wanted)
						continue
					}
					var wakes []string
					if wanted && what == "failure" && want.wakes != "" {
						wakes = []string{want.wakes}
					}
					if wanted && !slices.Equal(emulator.Mentions(now[n]), wakes) {
						t.Errorf("%s in %s wakes %q, not %q", what, channel, emulator.Mentions(now[n]), wakes)
					}
				}
			}
		})
	}
}

// TestWaysToTheOrder holds what leads from a message to its order, and which runbook and environment a rule adds to it:
// in the rule's channel, and where it is sent again to another.
func TestWaysToTheOrder(t *testing.T) {
	t.Parallel()
	rules := rulesOf("{match: {labels: {team: gpu}}, channels: [C0TEAM], env: stage, runbook: [{cause: quota, url: https://wiki.example/quota}, {cause: Flavor*OUT, url: https://wiki.example/sold-out}]}")
	b := newBench(t, func(c *config) {
		c.Routes = parsed(t, rules)
		c.ConsoleURL, c.PublicURL = "https://console.example/{region}#/{project}/{order}", "https://orderwatch.example/watches/{watch}"
	})
	failed := order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 3))
	failed.Requests = []watcher.Request{{ID: "a", Labels: map[string]string{"team": "gpu", "stage": "prod"}}}
	other := failed
	other.WatchID, other.Requests = "w_other", []watcher.Request{{ID: "b", Labels: map[string]string{"stage": "prod"}}}
	b.settle(failed)
	b.settle(other)
	b.settleAgain(failed, again(b, "one", "C0ONCALL"))
	links := []string{"https://console.example/" + failed.Region + "#/" + failed.ProjectID + "/" + failed.OrderName, "https://orderwatch.example/watches/" + failed.WatchID}
	ruled := []string{"https://wiki.example/sold-out", " · prod\n"}
	oncall := slices.DeleteFunc(b.want("C0ONCALL", 3), isLine)
	for _, tt := range []struct {
		name      string
		shown     emulator.Message
		want, not []string
	}{
		{"by the rule", b.want("C0TEAM", 1)[0], append(links, ruled...), []string{"/quota"}},
		{"by no rule", oncall[0], []string{links[0], "https://orderwatch.example/watches/w_other"}, append(ruled, "/quota")},
		{"again, elsewhere", oncall[1], append(links, ruled...), []string{"/quota"}},
	} {
		shown := emulator.Render(tt.shown)
		for _, text := range tt.want {
			if !strings.Contains(shown, text) {
				t.Errorf("%s: no %q in\n%s", tt.name, text, shown)
			}
		}
		for _, text := range tt.not {
			if strings.Contains(shown, text) {
				t.Errorf("%s: %q in\n%s", tt.name, text, shown)
			}
		}
	}
}

// TestRoutesMeetFallback holds where is told what such a channel finally refuses: in the first fallback
// that one of the requests has, and that is not the channel itself.
func TestRoutesMeetFallback(t *testing.T) {
	t.Parallel()
	rules := rulesOf(
		"{match: {labels: {by: none}}, channels: [C0TEAM]}",
		"{match: {labels: {by: one}}, channels: [C0TEAM], fallback: C0ONE}",
		"{match: {labels: {by: two}}, channels: [C0TEAM], fallback: C0TWO}",
		"{match: {labels: {by: team}}, channels: [C0ELSE], fallback: C0TEAM}",
	)
	by := func(name, channel string) watcher.Request {
		return watcher.Request{ID: name, SlackChannel: channel, Labels: map[string]string{"by": name}}
	}
	for name, tt := range map[string]struct {
		requests []watcher.Request
		want     string
	}{
		"the first":          {[]watcher.Request{by("none", ""), by("two", ""), by("one", "")}, "C0TWO"},
		"not its own":        {[]watcher.Request{by("team", "C0TEAM"), by("one", "")}, "C0ONE"},
		"none":               {[]watcher.Request{by("none", ""), by("team", "C0TEAM")}, "C0ONCALL"},
		"of another channel": {[]watcher.Request{by("two", "C0OUT"), by("one", "")}, "C0ONE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(c *config) { c.Routes = parsed(t, rules) })
			b.slack.AddChannel("C0TEAM", emulator.Archived)
			others := []string{"C0ONE", "C0TWO", "C0ELSE", "C0ONCALL"}
			for _, channel := range append(others, "C0OUT") {
				b.slack.AddChannel(channel, emulator.Open)
			}
			c := order(watcher.Succeeded, 3)
			c.Requests = tt.requests
			b.settle(c)
			for _, channel := range others {
				n := 0
				if channel == tt.want {
					n = 1
				}
				b.want(channel, n)
			}
		})
	}
}

// TestRoutesChange holds that a message that goes to a fallback gets there, also where the rules no
// longer name it, and that it says why it is there, however often it is tried.
func TestRoutesChange(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, before, after, want string }{
		{"the same", "{channels: [C0TEAM], fallback: C0OLD}", "{channels: [C0TEAM], fallback: C0OLD}", "C0OLD"},
		{"another fallback", "{channels: [C0TEAM], fallback: C0OLD}", "{channels: [C0TEAM], fallback: C0NEW}", "C0OLD"},
		{"no fallback", "{channels: [C0TEAM], fallback: C0OLD}", "{channels: [C0TEAM]}", "C0OLD"},
		{"the other way round", "{channels: [C0TEAM], fallback: C0OLD}", "{channels: [C0OLD], fallback: C0TEAM}", "C0OLD"},
		{"another channel", "{channels: [C0TEAM], fallback: C0OLD}", "{channels: [C0NEW]}", "C0NEW"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(c *config) { c.Routes = parsed(t, rulesOf(tt.before)) })
			channels := []string{"C0OLD", "C0NEW", "C0ONCALL"}
			b.slack.AddChannel("C0TEAM", emulator.Archived)
			for _, channel := range channels {
				b.slack.AddChannel(channel, emulator.Open)
			}
			c := order(watcher.Succeeded, 3)
			c.CompletedAt = b.clock.Now().Add(-2 * time.Hour)
			b.slack.Script(emulator.Refuse("is_archived"), emulator.Refuse("ratelimited")) // in the channel, and in its fallback
			if b.notify(c) == 0 {
				t.Fatal("the fallback took it at once")
			}
			if tt.before == tt.after {
				b.settle(c)
			} else {
				b.config.Routes = parsed(t, rulesOf(tt.after))
				b.another().settle(c)
			}
			for _, channel := range channels {
				if channel != tt.want {
					b.want(channel, 0)
				}
			}
			if m := b.want(tt.want, 1)[0]; tt.want == "C0OLD" && tt.name != "the other way round" {
				b.wantShown(m, "C0TEAM refuses it (is_archived)")
			}
		})
	}
}

// TestWebhookTakenAway holds that what the webhook was to get is kept where there is none any more.
func TestWebhookTakenAway(t *testing.T) {
	t.Parallel()
	k := &kept{}
	b := newBench(t, func(c *config) {
		c.WebhookURL, c.Undelivered = strings.TrimSuffix(c.APIURL, "/api/")+"/services/T0/B0/x", k
	})
	c := order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 3))
	c.CompletedAt = b.clock.Now().Add(-2 * time.Hour)
	b.slack.AddWebhook("/services/T0/B0/x", "C0TEAM")
	b.slack.Script(emulator.Refuse("is_archived"), emulator.TooMany("30")) // in the channel, and by the webhook
	if b.notify(c) == 0 {
		t.Fatal("the webhook took it at once")
	}
	b.config.WebhookURL = ""
	b.another().settle(c)
	if len(k.all) != 1 || k.all[0].Code != "no_webhook" {
		t.Errorf("kept %+v", k.all)
	}
}

// routes returns the rules of the YAML text.
func parsed(t *testing.T, text string) routes.Routes {
	t.Helper()
	r, err := routes.Parse("routes.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// rulesOf returns a file with these rules, each of which is a line of its own, from the second on.
func rulesOf(rules ...string) string {
	text := "rules:\n"
	for _, rule := range rules {
		text += "  - " + rule + "\n"
	}
	return text
}
