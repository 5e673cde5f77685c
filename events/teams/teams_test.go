package teams_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/watcher"
)

const two = `teams:
  gpu:
    projects: [p-gpu, "gpu-*"]
    channels: [C0GPU]
    limits: {open_watches: 2, timeout: 30m, requests_per_minute: 3}
  net: {projects: ["p-*"], channels: [C0NET, C0GPU]}
`

func parsed(t *testing.T, text string) teams.Teams {
	t.Helper()
	all, err := teams.Parse("teams.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestParseErrors holds what people read of a file that is wrong.
func TestParseErrors(t *testing.T) {
	t.Parallel()
	team := func(says string) string { return "teams:\n  gpu: " + says + "\n" }
	for _, test := range []struct{ text, want string }{
		{"", "1: the file is empty: write teams, and a mapping of them"},
		{"{}", "1: there are no teams: write teams, and a mapping of them"},
		{"teams:", "1: teams has no value: give it keys and values, such as {gpu: {projects: [my-project]}}"},
		{"teams: []", "1: teams must be keys and values, such as {gpu: {projects: [my-project]}}, not a list"},
		{"teams: {}", "1: teams is empty: name at least one, or unset the variable"},
		{"rules: []", "1: unknown key; there is only teams"},
		{"teams:\n  a b: {projects: [p]}", "2: team 1: its name must be 1 to 64 of A-Z a-z 0-9 _ -, as it stands in subjects"},
		{"teams:\n  a.b: {projects: [p]}", "2: team 1: its name must be 1 to 64 of A-Z a-z 0-9 _ -, as it stands in subjects"},
		{"teams:\n  7: {projects: [p]}", "2: team 1: its name is a number: put it in quotes to make it a text"},
		{"teams:\n  a: {projects: [p]}\n  a: {projects: [q]}", "3: this team comes again; it is in line 2, too"},
		{team("{}"), "2: team 1: it has no projects: name at least one"},
		{team("{channels: [C0A]}"), "2: team 1: it has no projects: name at least one"},
		{team("{projects: []}"), "2: team 1: projects is an empty list: name at least one, or leave it out"},
		{team("{projects: p}"), "2: team 1: projects must be a list, such as [my-project, my-team-*], not a text"},
		{team("{projects: [p_]}"), "2: team 1: entry 1 of projects must be a project's ID: 1 to 64 of A-Z a-z 0-9 -, or the beginning of some and a * at its end"},
		{team("{projects: [a*b]}"), "2: team 1: entry 1 of projects must be a project's ID: 1 to 64 of A-Z a-z 0-9 -, or the beginning of some and a * at its end"},
		{team("{projects: [p, p]}"), "2: team 1: entry 2 of projects is there already"},
		{team("{projects: [p], channels: [general]}"), "2: team 1: entry 1 of channels must be a channel's ID such as C0123456789, not its name; the channel's details in Slack show it"},
		{team("{projects: [p], limits: {}}"), "2: team 1: limits is empty: leave it out"},
		{team("{projects: [p], limits: {open_watches: 0}}"), "2: team 1: open_watches must be a whole number from 1 to 1000000"},
		{team("{projects: [p], limits: {requests_per_minute: 1.5}}"), "2: team 1: requests_per_minute must be a whole number from 1 to 100000"},
		{team("{projects: [p], limits: {timeout: 3}}"), "2: team 1: timeout is a number: put it in quotes to make it a text"},
		{team("{projects: [p], limits: {timeout: 1d}}"), "2: team 1: timeout must be a duration of at least 1s, such as 12h"},
		{team("{projects: [p], limits: {timout: 1h}}"), "2: team 1: unknown key of limits; there are open_watches, timeout, requests_per_minute"},
		{team("{project: [p]}"), "2: team 1: unknown key of a team; there are projects, channels, limits"},
	} {
		_, err := teams.Parse("teams.yaml", []byte(test.text))
		if err == nil || err.Error() != "teams.yaml:"+test.want {
			t.Errorf("%q:\ngot  %v\nwant teams.yaml:%s", test.text, err, test.want)
		}
	}
}

// TestExample holds that the file that deploy has is right.
func TestExample(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../deploy/teams.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if all := parsed(t, string(text)); all.May("gpu", "gpu-project") != nil || all.May("train", "gpu-project") == nil {
		t.Errorf("the teams are %q", all.Names())
	}
}

// TestOtherFiles gives files that were meant for something else: nothing of them is quoted.
func TestOtherFiles(t *testing.T) {
	t.Parallel()
	const secret = "xoxb-planted"
	for _, text := range []string{
		secret, "token: " + secret, "teams: " + secret, "teams: {" + secret + ": " + secret + "}", "teams: {'" + secret + " x': {}}",
		"teams: {a: {" + secret + ": 1}}", "teams: {a: {projects: ['" + secret + "_']}}", "teams: {a: {channels: [" + secret + "]}}",
		"teams: {a: {projects: [p], limits: {timeout: " + secret + ", open_watches: " + secret + "}}}", strings.Repeat(secret+"\n", 1<<16),
	} {
		if _, err := teams.Parse("teams.yaml", []byte(text)); err == nil || strings.Contains(err.Error(), "planted") {
			t.Errorf("%.60q: %v", text, err)
		}
	}
}

// TestMay holds which projects are a team's.
func TestMay(t *testing.T) {
	t.Parallel()
	all := parsed(t, two)
	for _, test := range []struct {
		team, project string
		may           bool
	}{
		{"gpu", "p-gpu", true}, {"gpu", "gpu-", true}, {"gpu", "gpu-1", true}, {"gpu", "p-gpu-1", false}, {"gpu", "gpu", false}, {"gpu", "P-GPU", false},
		{"net", "p-gpu", true}, {"net", "q", false}, {"ops", "p-gpu", false}, {"GPU", "p-gpu", false}, {"", "anything", true},
	} {
		err := all.May(test.team, test.project)
		denied, ok := errors.AsType[*teams.Denied](err)
		if (err == nil) != test.may || err != nil && (!ok || denied.Code != 403) {
			t.Errorf("%s and %s: %v", test.team, test.project, err)
		}
		if field, ok := errors.AsType[*watcher.FieldError](err); err != nil && (!ok || field.Reason == "") {
			t.Errorf("no field error: %v", err)
		}
		if ruling := all.Rule(test.team, test.project); ruling.Allowed != test.may || ruling.Reason == "" {
			t.Errorf("the ruling is %+v", ruling)
		}
		if (teams.Teams{}).May(test.team, test.project) != nil {
			t.Errorf("without a file %s may not", test.team)
		}
	}
	if got := all.Channels(); !slices.Equal(got, []string{"C0GPU", "C0NET"}) || all.Line("C0NET") != 6 || all.Line("C0GPU") != 2 || all.Line("C0") != 0 {
		t.Errorf("the channels are %q", got)
	}
}

// TestWithin holds what is beyond a limit, and when to try again.
func TestWithin(t *testing.T) {
	t.Parallel()
	all, now := parsed(t, two), time.Date(2025, 4, 10, 12, 0, 0, 0, time.UTC)
	ago := func(seconds ...int) (times []time.Time) {
		for _, s := range seconds {
			times = append(times, now.Add(-time.Duration(s)*time.Second))
		}
		return times
	}
	for _, test := range []struct {
		team   string
		open   int
		stored []time.Time
		says   string
	}{
		{"gpu", 1, nil, ""}, {"gpu", 2, nil, "has 2 open watches"}, {"gpu", 0, ago(50, 10), ""}, {"gpu", 0, ago(50, 40, 10), "in 11s"},
		{"gpu", 0, ago(59, 50, 40, 10), "in 11s"}, {"net", 1000, ago(slices.Repeat([]int{1}, 1000)...), ""}, {"", 1000, nil, ""},
	} {
		err := all.Within(test.team, test.open, test.stored, now)
		if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s with %d open and %d stored: %v; want %q", test.team, test.open, len(test.stored), err, test.says)
		}
		if denied, ok := errors.AsType[*teams.Denied](err); err != nil && (!ok || denied.Code != 429) {
			t.Errorf("%v is no answer 429", err)
		}
	}
}

// TestView holds what a team sees of watches.
func TestView(t *testing.T) {
	t.Parallel()
	all := parsed(t, two)
	requests := func(names ...string) (list []watcher.Request) {
		for i, team := range names {
			list = append(list, watcher.Request{ID: fmt.Sprint(team, i), Team: team})
		}
		return list
	}
	for _, test := range []struct {
		team, project string
		requests      []watcher.Request
		owns          bool
		own           int
	}{
		{"gpu", "p-gpu", requests("net", "gpu", "", "gpu"), true, 2}, {"gpu", "q", requests("gpu"), true, 1}, {"gpu", "q", requests("net", ""), false, 0},
		{"", "q", requests("net", "gpu"), true, 2}, {"ops", "p-gpu", requests("gpu", ""), false, 0},
	} {
		v := all.View(test.team)
		w := watcher.Watch{Order: watcher.Order{ProjectID: test.project}, Requests: test.requests}
		ended := watcher.Watch{Order: w.Order, Completion: &watcher.Completion{Report: watcher.Report{ProjectID: test.project, Requests: test.requests}}}
		if v.Owns(&w) != test.owns || v.Owns(&ended) != test.owns || v.Completed(*ended.Completion) != test.owns || len(v.Own(test.requests)) != test.own {
			t.Errorf("%q sees %t of %+v, and %+v of it", test.team, v.Owns(&w), w, v.Own(test.requests))
		}
		if v.Others(test.requests) != (test.team != "" && test.own < len(test.requests)) {
			t.Errorf("%q has others: %t of %+v", test.team, v.Others(test.requests), test.requests)
		}
		if without := (teams.Teams{}).View(test.team); !without.Owns(&w) || len(without.Own(test.requests)) != len(test.requests) {
			t.Errorf("without a file %q does not see all", test.team)
		}
	}
	wish := watcher.Snapshot{Wish: &watcher.Wish{By: "bob", Reason: "secret", Team: "net"}}
	if got := all.View("gpu").Shown(wish); got.Wish.By == "bob" || got.Wish.Reason != "" || wish.Wish.By != "bob" {
		t.Errorf("the wish of another team is shown: %+v", got.Wish)
	}
	if got := all.View("net").Shown(wish); got.Wish.By != "bob" {
		t.Errorf("the team's own wish is shown as %+v", got.Wish)
	}
}

// TestViewHidesWords holds that of what others asked a team is shown how much there is, and none of their words.
func TestViewHidesWords(t *testing.T) {
	t.Parallel()
	all := parsed(t, two)
	request := func(team string) watcher.Request {
		return watcher.Request{ID: "id-of-" + team, Team: team, RequestedBy: "words of " + team, Link: "https://" + team + ".example", Labels: map[string]string{"of": "words of " + team}}
	}
	cancelled := watcher.Snapshot{State: watcher.Ended, Outcome: watcher.Cancelled, Wish: &watcher.Wish{By: "words of net", Reason: "words of net", Team: "net"}}
	cancelled.Reason, cancelled.Requests = "cancelled by team net: words of net", []watcher.Request{request("net"), request("")}
	for team, shows := range map[string]bool{"gpu": false, "net": true, "": true} {
		got := all.View(team).Shown(cancelled)
		if text, err := json.Marshal(got); err != nil || strings.Contains(string(text), "words of net") != shows {
			t.Errorf("%q is shown %s, %v", team, text, err)
		}
		if want := map[string]int{"gpu": 2, "net": 1}[team]; got.OtherRequests != want {
			t.Errorf("%q is shown that there are %d others; want %d", team, got.OtherRequests, want)
		}
	}
	w := watcher.Watch{Requests: []watcher.Request{request("net")}}
	ended := watcher.Watch{Completion: &watcher.Completion{Report: watcher.Report{Requests: w.Requests}}}
	for team, has := range map[string]bool{"gpu": false, "net": true, "": true} {
		if v := all.View(team); v.Labelled(w, "of", "words of net") != has || v.Labelled(ended, "of", "words of net") != has {
			t.Errorf("%q finds the label of net: %t", team, !has)
		}
	}
	for name, event := range map[string]string{
		"cancelled":   `{"id":"1","traceparent":"of net","data":{"outcome":"cancelled","reason":"words of net","requests":[{"team":"net","request_id":"of net"}]}}`,
		"shared":      `{"id":"1","data":{"outcome":"succeeded","requests":[{"team":"net","labels":{"of":"net"}},{"team":"gpu","request_id":"mine"}]}}`,
		"told again":  `{"id":"1","data":{"watch_id":"w_1","by":"somebody of net","team":"net","request_id":"of net","channels":["C0NET of net"]}}`,
		"an account":  `{"id":"1","data":{"account":"ab12","waiting":7,"channels":[{"slack_channel":"C0NET","labels":{"of":"of net"},"watches":7}],"channels_omitted":2}}`,
		"the team's":  `{"id":"1","data":{"outcome":"cancelled","reason":"mine","requests":[{"team":"gpu"}]}}`,
		"again by it": `{"id":"1","data":{"watch_id":"w_1","by":"mine","team":"gpu","request_id":"mine","channels":["mine"]}}`,
	} {
		shown := string(all.View("gpu").ShownEvent([]byte(event)))
		if !json.Valid([]byte(shown)) || strings.Contains(shown, "of net") || strings.Contains(shown, "C0NET") || strings.Count(shown, "mine") != strings.Count(event, "mine") {
			t.Errorf("%s: %s", name, shown)
		}
		if own := string(all.View("").ShownEvent([]byte(event))); own != event {
			t.Errorf("%s: the operator is shown %s", name, own)
		}
		if name == "an account" && !strings.Contains(shown, `"channels_omitted":3`) {
			t.Errorf("%s: %s", name, shown)
		}
	}
}
