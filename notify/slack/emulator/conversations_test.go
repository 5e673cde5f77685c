package emulator_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"github.com/orderwatch/orderwatch/notify/slack/emulator"
)

func TestConversationsInfo(t *testing.T) {
	b := newBench(t, emulator.Options{})
	b.slack.AddToken("xoxb-reads", "channels:read", "groups:read")
	b.slack.AddChannel("C2", emulator.Archived)
	b.slack.AddChannel("G3", emulator.NotMember)
	type channel struct {
		ID       string `json:"id"`
		Member   bool   `json:"is_member"`
		Archived bool   `json:"is_archived"`
		Private  bool   `json:"is_private"`
	}
	for _, test := range []struct {
		token, channel string
		code, needed   string
		want           channel
	}{
		{token: "xoxb-reads", channel: "C1", want: channel{ID: "C1", Member: true}},
		{token: "xoxb-reads", channel: "C2", want: channel{ID: "C2", Archived: true}},
		{token: "xoxb-reads", channel: "G3", want: channel{ID: "G3", Private: true}},
		{token: "xoxb-reads", channel: "C9", code: "channel_not_found"},
		{token: "xoxb-no", channel: "C1", code: "invalid_auth"},
		{token: token, channel: "C1", code: "missing_scope", needed: "channels:read"},
		{token: token, channel: "G3", code: "missing_scope", needed: "groups:read"},
	} {
		r, err := http.PostForm(b.url+"/api/conversations.info", url.Values{"token": {test.token}, "channel": {test.channel}})
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			OK            bool
			Error, Needed string
			Channel       channel
		}
		err = json.NewDecoder(r.Body).Decode(&got)
		r.Body.Close()
		if err != nil || got.OK != (test.code == "") || got.Error != test.code || got.Needed != test.needed || got.Channel != test.want {
			t.Errorf("%s asks for %s: got %+v, %v", test.token, test.channel, got, err)
		}
	}
}
