package slack_test

import (
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/notify/slack"
	"github.com/orderwatch/orderwatch/notify/slack/emulator"
)

// TestInspect asks about a token and channels of every kind, and posts nothing.
func TestInspect(t *testing.T) {
	t.Parallel()
	workspace := emulator.New(emulator.Options{})
	server := httptest.NewServer(workspace)
	t.Cleanup(server.Close)
	workspace.AddToken("xoxb-sees", "chat:write", "channels:read")
	workspace.AddToken("xoxb-posts", "chat:write")
	workspace.AddToken("xoxb-none")
	workspace.AddChannel("C0OPEN", emulator.Open)
	workspace.AddChannel("C0OLD", emulator.Archived)
	workspace.AddChannel("C0OUT", emulator.NotMember)
	workspace.AddChannel("G0PRIVATE", emulator.Open)
	channels := []string{"C0OPEN", "C0OLD", "C0OUT", "C0NONE", "G0PRIVATE"}
	inspect := func(token, url string) slack.Inspection {
		t.Helper()
		caller, err := slack.New(slack.Config{Token: token, APIURL: url})
		if err != nil {
			t.Fatal(err)
		}
		return caller.Inspect(t.Context(), channels...)
	}
	refusal := func(code, scope string) *slack.Error {
		if code == "missing_scope" {
			return &slack.Error{Class: slack.TokenRefused, Code: code, Detail: "needs the scope " + scope}
		}
		return &slack.Error{Class: slack.ChannelRefused, Code: code}
	}

	got := inspect("xoxb-sees", server.URL+"/api/")
	want := slack.Inspection{Team: "Example", Bot: "orderwatch", Scopes: []string{"chat:write", "channels:read"}, Channels: []slack.Channel{
		{ID: "C0OPEN", Name: "channel-of-C0OPEN", Member: true},
		{ID: "C0OLD", Name: "channel-of-C0OLD", Archived: true},
		{ID: "C0OUT", Name: "channel-of-C0OUT"},
		{ID: "C0NONE", Err: refusal("channel_not_found", "")},
		{ID: "G0PRIVATE", Err: refusal("missing_scope", "groups:read")},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if got := inspect("xoxb-posts", server.URL+"/api/"); !reflect.DeepEqual(got.Channels[0].Err, refusal("missing_scope", "channels:read")) {
		t.Errorf("without the scope: %+v", got)
	}
	if got := inspect("xoxb-none", server.URL+"/api/"); got.Scopes != nil || got.Refused != nil {
		t.Errorf("without any scope: %+v", got)
	}
	if got := inspect("xoxb-wrong", server.URL+"/api/"); got.Refused == nil || got.Refused.Class != slack.TokenRefused || len(got.Channels) > 0 {
		t.Errorf("with a wrong token: %+v", got)
	}
	server.Close()
	got = inspect("xoxb-sees", server.URL+"/api/")
	if got.Refused == nil || got.Refused.Class == slack.TokenRefused || strings.Contains(got.Refused.Error(), "xoxb") {
		t.Errorf("without Slack: %+v", got.Refused)
	}
	if n := workspace.Calls(); n > 0 {
		t.Errorf("%d posts", n)
	}
}

// TestInspectionRefuses holds what is said of channels before anything is posted there.
func TestInspectionRefuses(t *testing.T) {
	t.Parallel()
	missing := &slack.Error{Class: slack.TokenRefused, Code: "missing_scope"}
	for _, tt := range []struct {
		name    string
		channel slack.Channel
		scopes  []string
		code    string
	}{
		{"a member", slack.Channel{Member: true}, nil, ""},
		{"no member", slack.Channel{}, nil, "not_in_channel"},
		{"no member, who may post in public channels", slack.Channel{}, []string{slack.ScopePostPublic}, ""},
		{"no member of a private channel", slack.Channel{Private: true}, []string{slack.ScopePostPublic}, "not_in_channel"},
		{"archived", slack.Channel{Member: true, Archived: true}, nil, "is_archived"},
		{"not seen", slack.Channel{Err: missing}, nil, ""},
		{"unknown", slack.Channel{Err: &slack.Error{Class: slack.ChannelRefused, Code: "channel_not_found"}}, nil, "channel_not_found"},
	} {
		code := ""
		if e := (slack.Inspection{Scopes: tt.scopes}).Refuses(tt.channel); e != nil {
			code = e.Code
		}
		if code != tt.code {
			t.Errorf("%s: %q, want %q", tt.name, code, tt.code)
		}
	}
}

// TestInspectionLacks holds that scopes are missed only where a channel needs them.
func TestInspectionLacks(t *testing.T) {
	t.Parallel()
	public, private, unseen := slack.Channel{ID: "C1"}, slack.Channel{ID: "C2", Private: true}, slack.Channel{ID: "G3"}
	for _, tt := range []struct {
		scopes   string
		channels []slack.Channel
		want     string
	}{
		{"", []slack.Channel{public}, ""}, // Slack does not say
		{"chat:write", []slack.Channel{public}, "channels:history files:write"},
		{"chat:write", []slack.Channel{private}, "files:write groups:history"},
		{"chat:write files:write", []slack.Channel{public, unseen}, "channels:history groups:history"},
		{"chat:write files:write channels:history", []slack.Channel{public}, ""},
	} {
		i := slack.Inspection{Channels: tt.channels}
		if tt.scopes != "" {
			i.Scopes = strings.Fields(tt.scopes)
		}
		if got := strings.Join(i.Lacks(), " "); got != tt.want {
			t.Errorf("with %q: %q, want %q", tt.scopes, got, tt.want)
		}
	}
}

// TestInspectStopsWhenThrottled holds that nothing is asked for the time that Slack wants to be left alone.
func TestInspectStopsWhenThrottled(t *testing.T) {
	t.Parallel()
	asked := 0
	workspace := emulator.New(emulator.Options{Fault: func(method string) emulator.Fault {
		if method != "conversations.info" {
			return emulator.Pass
		}
		asked++
		return emulator.TooMany("30")
	}})
	server := httptest.NewServer(workspace)
	t.Cleanup(server.Close)
	workspace.AddToken("xoxb-sees", "chat:write", "channels:read")
	caller, err := slack.New(slack.Config{Token: "xoxb-sees", APIURL: server.URL + "/api/"})
	if err != nil {
		t.Fatal(err)
	}
	i := caller.Inspect(t.Context(), "C1", "C2", "C3")
	if asked != 1 || len(i.Channels) != 3 || i.Channels[2].ID != "C3" || i.Channels[2].Err == nil {
		t.Errorf("%d calls: %+v", asked, i.Channels)
	}
}
