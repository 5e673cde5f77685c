package notify_test

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify"
	"github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
)

// someRoutes have a rule for each thing that a rule can say.
const someRoutes = `rules:
  - match:
      projects: [my-project, other]
      labels: {env: [prod, staging], team: gpu}
    channels: [C0GPU, C0ONCALL]
    mention: S0GPUONCALL
    fallback: C0OPS
    quiet_successes: true
    progress: false
  - match: {labels: {team: gpu}}
    mention: none
    progress: true
    quiet_successes: false
  - match: {projects: [my-project]}
    channels: [C0MINE]
  - match: {labels: {team: ""}}
    fallback: C0NOBODY
`

// TestRoutesChoose holds which rule decides, what it decides, and what people read of it.
func TestRoutesChoose(t *testing.T) {
	t.Parallel()
	standard := notify.Route{Channels: []string{"C0DEFAULT"}, Mention: "here", Fallback: "C0LAST", QuietSuccesses: true}
	with := func(change func(*notify.Route)) notify.Route {
		route := standard
		change(&route)
		return route
	}
	first := notify.Route{Channels: []string{"C0GPU", "C0ONCALL"}, Mention: "S0GPUONCALL", Fallback: "C0OPS", QuietSuccesses: true}
	second := with(func(r *notify.Route) { r.Mention, r.Progress, r.QuietSuccesses = "", true, false })
	for _, tt := range []struct {
		name, project string
		request       watcher.Request
		want          notify.Route
		why           string
		misses        []string
	}{
		{name: "all holds", project: "other", request: watcher.Request{Labels: map[string]string{"team": "gpu", "env": "staging", "more": "x"}}, want: first,
			why: "rule 1 matches (routes.yaml:2): project other, label env=staging, label team=gpu"},
		{name: "another value", project: "my-project", request: watcher.Request{Labels: map[string]string{"team": "gpu", "env": "Prod"}}, want: second,
			why: "rule 2 matches (routes.yaml:10): label team=gpu", misses: []string{"label env is Prod, not prod or staging"}},
		{name: "a label less", project: "my-project", request: watcher.Request{Labels: map[string]string{"env": "prod"}},
			want:   with(func(r *notify.Route) { r.Channels = []string{"C0MINE"} }),
			why:    "rule 3 matches (routes.yaml:14): project my-project",
			misses: []string{"there is no label team", "there is no label team"}},
		{name: "another project", project: "my-Project", request: watcher.Request{Labels: map[string]string{"env": "prod", "team": "gp"}}, want: standard,
			why: "no rule matches, so the defaults decide",
			misses: []string{"the project is my-Project, not my-project or other", "label team is gp, not gpu",
				"the project is my-Project, not my-project", `label team is gp, not ""`}},
		{name: "empty value", project: "p", request: watcher.Request{Labels: map[string]string{"team": ""}},
			want:   with(func(r *notify.Route) { r.Fallback = "C0NOBODY" }),
			why:    `rule 4 matches (routes.yaml:16): label team=""`,
			misses: []string{"the project is p, not my-project or other", `label team is "", not gpu`, "the project is p, not my-project"}},
		{name: "its own channel", project: "other", request: watcher.Request{SlackChannel: "C0ASKED", Labels: map[string]string{"team": "gpu", "env": "prod"}},
			want: notify.Route{Channels: []string{"C0ASKED"}, Mention: "S0GPUONCALL", Fallback: "C0OPS", QuietSuccesses: true},
			why:  "rule 1 matches (routes.yaml:2): project other, label env=prod, label team=gpu; the request names the channel itself"},
		{name: "its own channel, and no rule", project: "p", request: watcher.Request{SlackChannel: "C0ASKED"},
			want: with(func(r *notify.Route) { r.Channels = []string{"C0ASKED"} }),
			why:  "no rule matches, so the defaults decide; the request names the channel itself",
			misses: []string{"the project is p, not my-project or other", "there is no label team",
				"the project is p, not my-project", "there is no label team"}},
		{name: "hostile", project: "my-project", request: watcher.Request{Labels: map[string]string{"team": "gpu", "env": "\x1b[2J\u202e" + strings.Repeat("好", 100)}}, want: second,
			why: "rule 2 matches (routes.yaml:10): label team=gpu", misses: []string{`label env is "\x1b[2J\u202e` + strings.Repeat("好", 54) + `…", not prod or staging`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rules := routes(t, someRoutes)
			got, why := rules.Choose(standard, tt.project, tt.request)
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
			if why.String() != tt.why {
				t.Errorf("why: %s\nwant %s", why, tt.why)
			}
			var misses []string
			for i, miss := range rules.Misses(tt.project, tt.request) {
				if line := []int{2, 10, 14, 16}[i]; miss.Rule != i+1 || miss.Line != line {
					t.Errorf("%+v; want rule %d in line %d", miss, i+1, line)
				}
				misses = append(misses, miss.Reason)
			}
			if !slices.Equal(misses, tt.misses) {
				t.Errorf("misses\n%q\nwant\n%q", misses, tt.misses)
			}
			got.Channels[0] = "C0CHANGED"
			if again, _ := rules.Choose(standard, tt.project, tt.request); !reflect.DeepEqual(again, tt.want) {
				t.Errorf("who changes a route changes the rules: %+v", again)
			}
		})
	}
}

// TestRoutesWhy holds what is said beside a rule that has something to match.
func TestRoutesWhy(t *testing.T) {
	t.Parallel()
	if _, why := (notify.Routes{}).Choose(notify.Route{}, "p", watcher.Request{}); why.String() != "there are no rules, so the defaults decide" || why.Rule != 0 || why.File != "" {
		t.Errorf("without rules: %+v", why)
	}
	rules := routes(t, rulesOf("match: {projects: [a, b, c, d, e, f, \"007\"]}\n    mention: none", "mention: here"))
	if _, why := rules.Choose(notify.Route{}, "p", watcher.Request{}); why.String() != "rule 2 matches every request (routes.yaml:4)" || why.Line != 4 {
		t.Errorf("%s", why)
	}
	if misses := rules.Misses("p", watcher.Request{}); len(misses) != 1 || misses[0].Reason != "the project is p, not a, b, c, d or 3 others" {
		t.Errorf("%+v", misses)
	}
}

// TestRoutesChannels holds which channels the rules name, and where.
func TestRoutesChannels(t *testing.T) {
	t.Parallel()
	rules := routes(t, someRoutes)
	want := map[string]int{"C0GPU": 2, "C0ONCALL": 2, "C0OPS": 2, "C0MINE": 14, "C0NOBODY": 16}
	channels := rules.Channels()
	if !slices.Equal(channels, []string{"C0GPU", "C0ONCALL", "C0OPS", "C0MINE", "C0NOBODY"}) {
		t.Errorf("%q", channels)
	}
	for _, channel := range channels {
		if rules.Line(channel) != want[channel] {
			t.Errorf("%s is in line %d; want %d", channel, rules.Line(channel), want[channel])
		}
	}
	if rules.Line("C0DEFAULT") != 0 || rules.Line("") != 0 || (notify.Routes{}).Channels() != nil {
		t.Error("a channel that no rule names")
	}
}

// TestExampleRoutes holds that the example means what its comments say.
func TestExampleRoutes(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(exampleRoutes)
	if err != nil {
		t.Fatal(err)
	}
	rules := routes(t, string(text))
	standard := notify.Route{Channels: []string{"C0DEFAULT"}, Mention: "U0ANN"}
	for _, tt := range []struct {
		labels map[string]string
		rule   int
		want   notify.Route
	}{
		{map[string]string{"team": "gpu", "env": "prod"}, 1,
			notify.Route{Channels: []string{"C0GPU", "C0ONCALL"}, Mention: "S0GPUONCALL", Fallback: "C0OPS", Progress: true}},
		{map[string]string{"team": "gpu", "env": "dev", "nightly": "true"}, 2, notify.Route{Channels: []string{"C0GPU"}, QuietSuccesses: true}},
		{map[string]string{"nightly": "true"}, 3, notify.Route{Channels: []string{"C0TESTS"}, QuietSuccesses: true}},
		{nil, 4, notify.Route{Channels: []string{"C0DEFAULT"}, Mention: "here"}},
	} {
		if got, why := rules.Choose(standard, "my-project", watcher.Request{Labels: tt.labels}); !reflect.DeepEqual(got, tt.want) || why.Rule != tt.rule {
			t.Errorf("%v: %s\ngot  %+v\nwant %+v", tt.labels, why, got, tt.want)
		}
	}
}

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
			b := newBench(t, func(c *notify.Config) { c.Routes = routes(t, rules) })
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
			b := newBench(t, func(c *notify.Config) { c.Routes = routes(t, rules) })
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

// TestRoutesDocumented holds that the rules are right which deploy/README.md shows.
func TestRoutesDocumented(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../deploy/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```yaml\nrules:\n")
	text, _, ok := strings.Cut(rest, "```\n")
	if !ok {
		t.Fatal("deploy/README.md shows no rules")
	}
	rules := routes(t, "rules:\n"+text)
	if got, why := rules.Choose(notify.Route{}, "my-project", watcher.Request{Labels: map[string]string{"team": "gpu", "env": "prod"}}); why.Rule != 1 || !slices.Equal(got.Channels, []string{"C0GPU", "C0ONCALL"}) {
		t.Errorf("%s: %+v", why, got)
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
			b := newBench(t, func(c *notify.Config) { c.Routes = routes(t, rulesOf(tt.before)) })
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
				b.config.Routes = routes(t, rulesOf(tt.after))
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
	b := newBench(t, func(c *notify.Config) {
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
