package routes_test

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/notify/routes"
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
    runbook:
      - {cause: sold out, url: https://wiki.example/sold-out}
      - {cause: "*", url: https://wiki.example/all}
    env: env
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
	standard := routes.Route{Channels: []string{"C0DEFAULT"}, Mention: "here", Fallback: "C0LAST", QuietSuccesses: true}
	with := func(change func(*routes.Route)) routes.Route {
		route := standard
		change(&route)
		return route
	}
	runbooks := []routes.Runbook{{Cause: "sold out", URL: "https://wiki.example/sold-out"}, {Cause: "*", URL: "https://wiki.example/all"}}
	first := routes.Route{Channels: []string{"C0GPU", "C0ONCALL"}, Mention: "S0GPUONCALL", Fallback: "C0OPS", QuietSuccesses: true, Runbooks: runbooks, Env: "env"}
	second := with(func(r *routes.Route) { r.Mention, r.Progress, r.QuietSuccesses = "", true, false })
	for _, tt := range []struct {
		name, project string
		request       watcher.Request
		want          routes.Route
		why           string
		misses        []string
	}{
		{name: "all holds", project: "other", request: watcher.Request{Labels: map[string]string{"team": "gpu", "env": "staging", "more": "x"}}, want: first,
			why: "rule 1 matches (routes.yaml:2): project other, label env=staging, label team=gpu"},
		{name: "another value", project: "my-project", request: watcher.Request{Labels: map[string]string{"team": "gpu", "env": "Prod"}}, want: second,
			why: "rule 2 matches (routes.yaml:14): label team=gpu", misses: []string{"label env is Prod, not prod or staging"}},
		{name: "a label less", project: "my-project", request: watcher.Request{Labels: map[string]string{"env": "prod"}},
			want:   with(func(r *routes.Route) { r.Channels = []string{"C0MINE"} }),
			why:    "rule 3 matches (routes.yaml:18): project my-project",
			misses: []string{"there is no label team", "there is no label team"}},
		{name: "another project", project: "my-Project", request: watcher.Request{Labels: map[string]string{"env": "prod", "team": "gp"}}, want: standard,
			why: "no rule matches, so the defaults decide",
			misses: []string{"the project is my-Project, not my-project or other", "label team is gp, not gpu",
				"the project is my-Project, not my-project", `label team is gp, not ""`}},
		{name: "empty value", project: "p", request: watcher.Request{Labels: map[string]string{"team": ""}},
			want:   with(func(r *routes.Route) { r.Fallback = "C0NOBODY" }),
			why:    `rule 4 matches (routes.yaml:20): label team=""`,
			misses: []string{"the project is p, not my-project or other", `label team is "", not gpu`, "the project is p, not my-project"}},
		{name: "its own channel", project: "other", request: watcher.Request{SlackChannel: "C0ASKED", Labels: map[string]string{"team": "gpu", "env": "prod"}},
			want: routes.Route{Channels: []string{"C0ASKED"}, Mention: "S0GPUONCALL", Fallback: "C0OPS", QuietSuccesses: true, Runbooks: runbooks, Env: "env"},
			why:  "rule 1 matches (routes.yaml:2): project other, label env=prod, label team=gpu; the request names the channel itself"},
		{name: "its own channel, and no rule", project: "p", request: watcher.Request{SlackChannel: "C0ASKED"},
			want: with(func(r *routes.Route) { r.Channels = []string{"C0ASKED"} }),
			why:  "no rule matches, so the defaults decide; the request names the channel itself",
			misses: []string{"the project is p, not my-project or other", "there is no label team",
				"the project is p, not my-project", "there is no label team"}},
		{name: "hostile", project: "my-project", request: watcher.Request{Labels: map[string]string{"team": "gpu", "env": "\x1b[2J\u202e" + strings.Repeat("好", 100)}}, want: second,
			why: "rule 2 matches (routes.yaml:14): label team=gpu", misses: []string{`label env is "\x1b[2J\u202e` + strings.Repeat("好", 54) + `…", not prod or staging`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rules := parsed(t, someRoutes)
			got, why := rules.Choose(standard, tt.project, tt.request)
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
			if why.String() != tt.why {
				t.Errorf("why: %s\nwant %s", why, tt.why)
			}
			var misses []string
			for i, miss := range rules.Misses(tt.project, tt.request) {
				if line := []int{2, 14, 18, 20}[i]; miss.Rule != i+1 || miss.Line != line {
					t.Errorf("%+v; want rule %d in line %d", miss, i+1, line)
				}
				misses = append(misses, miss.Reason)
			}
			if !slices.Equal(misses, tt.misses) {
				t.Errorf("misses\n%q\nwant\n%q", misses, tt.misses)
			}
			got.Channels[0] = "C0CHANGED"
			clear(got.Runbooks)
			if again, _ := rules.Choose(standard, tt.project, tt.request); !reflect.DeepEqual(again, tt.want) {
				t.Errorf("who changes a route changes the rules: %+v", again)
			}
		})
	}
}

// TestRoutesWhy holds what is said beside a rule that has something to match.
func TestRoutesWhy(t *testing.T) {
	t.Parallel()
	if _, why := (routes.Routes{}).Choose(routes.Route{}, "p", watcher.Request{}); why.String() != "there are no rules, so the defaults decide" || why.Rule != 0 || why.File != "" {
		t.Errorf("without rules: %+v", why)
	}
	rules := parsed(t, rulesOf("match: {projects: [a, b, c, d, e, f, \"007\"]}\n    mention: none", "mention: here"))
	if _, why := rules.Choose(routes.Route{}, "p", watcher.Request{}); why.String() != "rule 2 matches every request (routes.yaml:4)" || why.Line != 4 {
		t.Errorf("%s", why)
	}
	if misses := rules.Misses("p", watcher.Request{}); len(misses) != 1 || misses[0].Reason != "the project is p, not a, b, c, d or 3 others" {
		t.Errorf("%+v", misses)
	}
}

// TestRoutesChannels holds which channels the rules name, and where.
func TestRoutesChannels(t *testing.T) {
	t.Parallel()
	rules := parsed(t, someRoutes)
	want := map[string]int{"C0GPU": 2, "C0ONCALL": 2, "C0OPS": 2, "C0MINE": 18, "C0NOBODY": 20}
	channels := rules.Channels()
	if !slices.Equal(channels, []string{"C0GPU", "C0ONCALL", "C0OPS", "C0MINE", "C0NOBODY"}) {
		t.Errorf("%q", channels)
	}
	for _, channel := range channels {
		if rules.Line(channel) != want[channel] {
			t.Errorf("%s is in line %d; want %d", channel, rules.Line(channel), want[channel])
		}
	}
	if rules.Line("C0DEFAULT") != 0 || rules.Line("") != 0 || (routes.Routes{}).Channels() != nil {
		t.Error("a channel that no rule names")
	}
}

// TestTargetsMeet holds which runbooks and whose environment hold in a channel that several requests lead to.
func TestTargetsMeet(t *testing.T) {
	t.Parallel()
	plan := routes.Plan{Default: routes.Route{Channels: []string{"C0DEFAULT"}}, Routes: parsed(t, rulesOf(
		"{match: {labels: {by: one}}, channels: [C0TEAM, C0ONE], runbook: [{cause: a, url: https://a.example}, {cause: b, url: https://b.example}]}",
		"{match: {labels: {by: two}}, channels: [C0TEAM], runbook: [{cause: c, url: https://c.example}, {cause: a, url: https://a.example}], env: stage}",
		"{match: {labels: {by: three}}, channels: [C0TEAM], env: other}"))}
	var requests []watcher.Request
	for _, by := range []string{"one", "two", "three", "nobody"} {
		requests = append(requests, watcher.Request{Labels: map[string]string{"by": by}})
	}
	a, b, c := routes.Runbook{Cause: "a", URL: "https://a.example"}, routes.Runbook{Cause: "b", URL: "https://b.example"}, routes.Runbook{Cause: "c", URL: "https://c.example"}
	want := []routes.Target{
		{Channel: "C0TEAM", Fallbacks: []string{"C0DEFAULT"}, Runbooks: []routes.Runbook{a, b, c}, Env: "stage"},
		{Channel: "C0ONE", Fallbacks: []string{"C0DEFAULT"}, Runbooks: []routes.Runbook{a, b}},
		{Channel: "C0DEFAULT"},
	}
	for range 2 { // the first time changes no rule
		if got := plan.Targets("p", requests); !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
}

// TestMentionOn holds for what a channel's people are woken beside failures: for what one of the routes says that wakes
// somebody.
func TestMentionOn(t *testing.T) {
	t.Parallel()
	rules := parsed(t, rulesOf(
		"{match: {labels: {by: one}}, channels: [C0TEAM, C0ONE], mention: U0ONE, mention_on: [deadline, late]}",
		"{match: {labels: {by: two}}, channels: [C0TEAM], mention_on: [late, blind]}"))
	for mention, want := range map[string][]string{"": {"deadline", "late"}, "here": {"deadline", "late", "blind"}} {
		plan := routes.Plan{Default: routes.Route{Channels: []string{"C0DEFAULT"}, Mention: mention}, Routes: rules}
		got := plan.Targets("p", []watcher.Request{{Labels: map[string]string{"by": "one"}}, {Labels: map[string]string{"by": "two"}}, {}})
		if len(got) != 3 || !slices.Equal(got[0].MentionOn, want) || !slices.Equal(got[1].MentionOn, []string{"deadline", "late"}) || got[2].MentionOn != nil {
			t.Errorf("%q: %+v", mention, got)
		}
	}
}

// TestExampleRoutes holds that the example means what its comments say.
func TestExampleRoutes(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(exampleRoutes)
	if err != nil {
		t.Fatal(err)
	}
	rules := parsed(t, string(text))
	standard := routes.Route{Channels: []string{"C0DEFAULT"}, Mention: "U0ANN"}
	for _, tt := range []struct {
		labels map[string]string
		rule   int
		want   routes.Route
	}{
		{map[string]string{"team": "gpu", "env": "prod"}, 1,
			routes.Route{Channels: []string{"C0GPU", "C0ONCALL"}, Mention: "S0GPUONCALL", MentionOn: []string{"deadline"}, Fallback: "C0OPS", Progress: true, Env: "env", Runbooks: []routes.Runbook{
				{Cause: "sold out", URL: "https://wiki.example/gpu/sold-out"}, {Cause: "quota*exceeded", URL: "https://wiki.example/gpu/quota"}, {Cause: "*", URL: "https://wiki.example/gpu/on-call"}}}},
		{map[string]string{"team": "gpu", "env": "dev", "nightly": "true"}, 2, routes.Route{Channels: []string{"C0GPU"}, QuietSuccesses: true}},
		{map[string]string{"nightly": "true"}, 3, routes.Route{Channels: []string{"C0TESTS"}, QuietSuccesses: true}},
		{nil, 4, routes.Route{Channels: []string{"C0DEFAULT"}, Mention: "here"}},
	} {
		if got, why := rules.Choose(standard, "my-project", watcher.Request{Labels: tt.labels}); !reflect.DeepEqual(got, tt.want) || why.Rule != tt.rule {
			t.Errorf("%v: %s\ngot  %+v\nwant %+v", tt.labels, why, got, tt.want)
		}
	}
}

// TestRoutesDocumented holds that the rules are right which deploy/SLACK.md shows.
func TestRoutesDocumented(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../deploy/SLACK.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```yaml\nrules:\n")
	text, _, ok := strings.Cut(rest, "```\n")
	if !ok {
		t.Fatal("deploy/SLACK.md shows no rules")
	}
	rules := parsed(t, "rules:\n"+text)
	if got, why := rules.Choose(routes.Route{}, "my-project", watcher.Request{Labels: map[string]string{"team": "gpu", "env": "prod"}}); why.Rule != 1 || !slices.Equal(got.Channels, []string{"C0GPU", "C0ONCALL"}) || len(got.Runbooks) != 2 || got.Env != "env" {
		t.Errorf("%s: %+v", why, got)
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
