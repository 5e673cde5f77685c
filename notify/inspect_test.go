package notify_test

import (
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/notify"
	"github.com/orderwatch/orderwatch/notify/slack/emulator"
)

// TestInspect asks about a token and channels of every kind, and posts nothing.
func TestInspect(t *testing.T) {
	t.Parallel()
	slack := emulator.New(emulator.Options{})
	server := httptest.NewServer(slack)
	t.Cleanup(server.Close)
	slack.AddToken("xoxb-sees", "chat:write", "channels:read")
	slack.AddToken("xoxb-posts", "chat:write")
	slack.AddToken("xoxb-none")
	slack.AddChannel("C0OPEN", emulator.Open)
	slack.AddChannel("C0OLD", emulator.Archived)
	slack.AddChannel("C0OUT", emulator.NotMember)
	slack.AddChannel("G0PRIVATE", emulator.Open)
	channels := []string{"C0OPEN", "C0OLD", "C0OUT", "C0NONE", "G0PRIVATE"}
	inspect := func(token, url string) notify.Inspection {
		t.Helper()
		i, err := notify.Inspect(t.Context(), notify.Config{Token: token, Channel: "C0OPEN", APIURL: url}, channels...)
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	refusal := func(code, scope string) *notify.PostError {
		if code == "missing_scope" {
			return &notify.PostError{Class: notify.TokenRefused, Code: code, Detail: "needs the scope " + scope}
		}
		return &notify.PostError{Class: notify.ChannelRefused, Code: code}
	}

	got := inspect("xoxb-sees", server.URL+"/api/")
	want := notify.Inspection{Team: "Example", Bot: "orderwatch", Scopes: []string{"chat:write", "channels:read"}, Channels: []notify.Channel{
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
	if got := inspect("xoxb-wrong", server.URL+"/api/"); got.Refused == nil || got.Refused.Class != notify.TokenRefused || len(got.Channels) > 0 {
		t.Errorf("with a wrong token: %+v", got)
	}
	server.Close()
	got = inspect("xoxb-sees", server.URL+"/api/")
	if got.Refused == nil || got.Refused.Class == notify.TokenRefused || strings.Contains(got.Refused.Error(), "xoxb") {
		t.Errorf("without Slack: %+v", got.Refused)
	}
	if n := slack.Calls(); n > 0 {
		t.Errorf("%d posts", n)
	}
	if _, err := notify.Inspect(t.Context(), notify.Config{Token: "xoxb-sees"}); err == nil {
		t.Error("a token without a channel was taken")
	}
}

// TestInspectionRefuses holds what is said of channels before anything is posted there.
func TestInspectionRefuses(t *testing.T) {
	t.Parallel()
	missing := &notify.PostError{Class: notify.TokenRefused, Code: "missing_scope"}
	for _, tt := range []struct {
		name    string
		channel notify.Channel
		scopes  []string
		code    string
	}{
		{"a member", notify.Channel{Member: true}, nil, ""},
		{"no member", notify.Channel{}, nil, "not_in_channel"},
		{"no member, who may post in public channels", notify.Channel{}, []string{notify.ScopePostPublic}, ""},
		{"no member of a private channel", notify.Channel{Private: true}, []string{notify.ScopePostPublic}, "not_in_channel"},
		{"archived", notify.Channel{Member: true, Archived: true}, nil, "is_archived"},
		{"not seen", notify.Channel{Err: missing}, nil, ""},
		{"unknown", notify.Channel{Err: &notify.PostError{Class: notify.ChannelRefused, Code: "channel_not_found"}}, nil, "channel_not_found"},
	} {
		code := ""
		if e := (notify.Inspection{Scopes: tt.scopes}).Refuses(tt.channel); e != nil {
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
	public, private, unseen := notify.Channel{ID: "C1"}, notify.Channel{ID: "C2", Private: true}, notify.Channel{ID: "G3"}
	for _, tt := range []struct {
		scopes   string
		channels []notify.Channel
		want     string
	}{
		{"", []notify.Channel{public}, ""}, // Slack does not say
		{"chat:write", []notify.Channel{public}, "channels:history files:write"},
		{"chat:write", []notify.Channel{private}, "files:write groups:history"},
		{"chat:write files:write", []notify.Channel{public, unseen}, "channels:history groups:history"},
		{"chat:write files:write channels:history", []notify.Channel{public}, ""},
	} {
		i := notify.Inspection{Channels: tt.channels}
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
	slack := emulator.New(emulator.Options{Fault: func(method string) emulator.Fault {
		if method != "conversations.info" {
			return emulator.Pass
		}
		asked++
		return emulator.TooMany("30")
	}})
	server := httptest.NewServer(slack)
	t.Cleanup(server.Close)
	slack.AddToken("xoxb-sees", "chat:write", "channels:read")
	i, err := notify.Inspect(t.Context(), notify.Config{Token: "xoxb-sees", Channel: "C1", APIURL: server.URL + "/api/"}, "C1", "C2", "C3")
	if err != nil {
		t.Fatal(err)
	}
	if asked != 1 || len(i.Channels) != 3 || i.Channels[2].ID != "C3" || i.Channels[2].Err == nil {
		t.Errorf("%d calls: %+v", asked, i.Channels)
	}
}
