package emulator_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify/slack/emulator"
)

const token = "xoxb-test"

// A bench is the emulator over HTTP on a clock that the test moves.
type bench struct {
	*testing.T
	slack *emulator.Server
	url   string
	now   time.Time
}

func newBench(t *testing.T, o emulator.Options) *bench {
	b := &bench{T: t, now: time.Date(2025, 4, 10, 12, 0, 0, 0, time.UTC)}
	o.Now = func() time.Time { return b.now }
	b.slack = emulator.New(o)
	b.slack.AddToken(token, "chat:write", "channels:history")
	b.slack.AddChannel("C1", emulator.Open)
	server := httptest.NewServer(b.slack)
	t.Cleanup(server.Close)
	b.url = server.URL
	return b
}

type answer struct {
	OK       bool   `json:"ok"`
	Error    string `json:"error"`
	TS       string `json:"ts"`
	Metadata struct {
		Messages []string `json:"messages"`
	} `json:"response_metadata"`
}

// post sends the form and returns the status, the headers and the answer.
func (b *bench) post(method string, form url.Values) (*http.Response, answer) {
	b.Helper()
	if !form.Has("token") {
		form.Set("token", token)
	}
	r, err := http.PostForm(b.url+"/api/"+method, form)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Body.Close()
	body, _ := io.ReadAll(r.Body)
	var a answer
	json.Unmarshal(body, &a)
	return r, a
}

func text(channel, s string) url.Values { return url.Values{"channel": {channel}, "text": {s}} }

func TestPostMessage(t *testing.T) {
	b := newBench(t, emulator.Options{})
	_, first := b.post("chat.postMessage", text("C1", "hello"))
	_, second := b.post("chat.postMessage", text("C1", "hello"))
	if !first.OK || !second.OK || first.TS == "" || first.TS == second.TS {
		t.Fatalf("got %+v and %+v", first, second)
	}
	reply := text("C1", "more")
	reply.Set("thread_ts", first.TS)
	if _, a := b.post("chat.postMessage", reply); !a.OK {
		t.Errorf("reply: %+v", a)
	}
	m := b.slack.Messages("C1")
	if len(m) != 3 || m[2].ThreadTS != first.TS || m[2].Text != "more" {
		t.Errorf("kept %+v", m)
	}
}

func TestPostMessageAsJSON(t *testing.T) {
	b := newBench(t, emulator.Options{})
	r, _ := http.NewRequest("POST", b.url+"/api/chat.postMessage", strings.NewReader(`{"channel":"C1","text":"hi","blocks":[{"type":"section","text":{"type":"mrkdwn","text":"*hi*"}}]}`))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("Authorization", "Bearer "+token)
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	a.Body.Close()
	if m := b.slack.Messages("C1"); len(m) != 1 || emulator.Render(m[0]) != "*hi*\n" {
		t.Errorf("kept %+v", m)
	}
}

func TestRefusals(t *testing.T) {
	b := newBench(t, emulator.Options{})
	b.slack.AddChannel("C2", emulator.Archived)
	b.slack.AddChannel("C3", emulator.NotMember)
	b.slack.AddToken("xoxb-reader", "channels:read")
	with := func(form url.Values, key, value string) url.Values { form.Set(key, value); return form }
	for want, form := range map[string]url.Values{
		"channel_not_found":       text("C9", "x"),
		"is_archived":             text("C2", "x"),
		"not_in_channel":          text("C3", "x"),
		"no_text":                 text("C1", ""),
		"invalid_auth":            with(text("C1", "x"), "token", "xoxb-other"),
		"not_authed":              with(text("C1", "x"), "token", ""),
		"missing_scope":           with(text("C1", "x"), "token", "xoxb-reader"),
		"cannot_reply_to_message": with(text("C1", "x"), "thread_ts", "1.1"),
		"invalid_blocks_format":   with(text("C1", "x"), "blocks", "{}"),
	} {
		if r, a := b.post("chat.postMessage", form); r.StatusCode != 200 || a.OK || a.Error != want {
			t.Errorf("got %d %+v, want %s", r.StatusCode, a, want)
		}
	}
	b.slack.RevokeToken(token)
	if _, a := b.post("chat.postMessage", text("C1", "x")); a.Error != "token_revoked" {
		t.Errorf("a revoked token: %+v", a)
	}
	if len(b.slack.Messages("C1")) != 0 {
		t.Error("a refused message was kept")
	}
}

func TestAuthTest(t *testing.T) {
	b := newBench(t, emulator.Options{})
	if r, a := b.post("auth.test", url.Values{}); !a.OK || r.Header.Get("X-OAuth-Scopes") != "chat:write,channels:history" {
		t.Errorf("got %+v %v", a, r.Header)
	}
	if _, a := b.post("auth.test", url.Values{"token": {"no"}}); a.Error != "invalid_auth" {
		t.Errorf("got %+v", a)
	}
}

// blocksOf returns n sections with so much text each.
func blocksOf(n, size int) string {
	var all []any
	for range n {
		all = append(all, map[string]any{"type": "section", "text": map[string]any{"type": "mrkdwn", "text": strings.Repeat("x", size)}})
	}
	raw, _ := json.Marshal(all)
	return string(raw)
}

func TestLimits(t *testing.T) {
	for _, tc := range []struct{ name, blocks, code, pointer string }{
		{"50 blocks", blocksOf(50, 1), "", ""},
		{"51 blocks", blocksOf(51, 1), "invalid_blocks", "/blocks"},
		{"section of 3,000", blocksOf(1, 3000), "", ""},
		{"section of 3,001", blocksOf(1, 3001), "invalid_blocks", "/blocks/0/text/text"},
		{"empty section", blocksOf(1, 0), "invalid_blocks", "/blocks/0/text"},
		{"section of 1,501 pairs", `[{"type":"section","text":{"type":"mrkdwn","text":"` + strings.Repeat("😀", 1501) + `"}}]`, "invalid_blocks", "/blocks/0/text/text"},
		{"whole message", blocksOf(5, 2900), "msg_blocks_too_long", "/blocks"},
		{"header", `[{"type":"header","text":{"type":"plain_text","text":"` + strings.Repeat("x", 151) + `"}}]`, "invalid_blocks", "/blocks/0/text/text"},
		{"header in mrkdwn", `[{"type":"header","text":{"type":"mrkdwn","text":"x"}}]`, "invalid_blocks", "/blocks/0/text/type"},
		{"11 fields", `[{"type":"section","fields":[` + strings.TrimSuffix(strings.Repeat(`{"type":"mrkdwn","text":"x"},`, 11), ",") + `]}]`, "invalid_blocks", "/blocks/0/fields"},
		{"long field", `[{"type":"section","fields":[{"type":"mrkdwn","text":"` + strings.Repeat("x", 2001) + `"}]}]`, "invalid_blocks", "/blocks/0/fields/0/text"},
		{"11 context elements", `[{"type":"context","elements":[` + strings.TrimSuffix(strings.Repeat(`{"type":"mrkdwn","text":"x"},`, 11), ",") + `]}]`, "invalid_blocks", "/blocks/0/elements"},
		{"block ids", `[{"type":"divider","block_id":"a"},{"type":"divider","block_id":"a"}]`, "invalid_blocks", "/blocks/1/block_id"},
		{"unknown block", `[{"type":"surprise"}]`, "invalid_blocks", "/blocks/0/type"},
		{"empty rich text", `[{"type":"rich_text","elements":[{"type":"rich_text_preformatted","elements":[{"type":"text","text":""}]}]}]`, "invalid_blocks", "/blocks/0/elements/0/elements/0/text"},
		{"section without text", `[{"type":"section"}]`, "invalid_blocks", "/blocks/0"},
	} {
		b := newBench(t, emulator.Options{})
		form := text("C1", "x")
		form.Set("blocks", tc.blocks)
		_, a := b.post("chat.postMessage", form)
		if a.Error != tc.code || tc.pointer != "" && !strings.Contains(strings.Join(a.Metadata.Messages, " "), "[json-pointer:"+tc.pointer+"]") {
			t.Errorf("%s: got %+v, want %q at %s", tc.name, a, tc.code, tc.pointer)
		}
	}
}

// Rich text is counted as if it were escaped: "&" is five.
func TestOwnLimitsAreNarrower(t *testing.T) {
	for _, tc := range []struct {
		blocks string
		bad    bool
	}{
		{blocksOf(2, 2875), false}, // 2 × (2,875 + 125) = 6,000
		{blocksOf(2, 2876), true},
		{blocksOf(16, 1), true},
		{`[{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"` + strings.Repeat("&", 1200) + `"}]}]}]`, true},
	} {
		m := emulator.Message{Text: "x", Blocks: json.RawMessage(tc.blocks)}
		if v := emulator.Check(m, emulator.OwnLimits); (v != nil) != tc.bad {
			t.Errorf("%.60s: %v", tc.blocks, v)
		}
		if v := emulator.Check(m, emulator.SlackLimits); v != nil {
			t.Errorf("%.60s: Slack would take it: %v", tc.blocks, v)
		}
	}
	if v := emulator.Check(emulator.Message{Text: strings.Repeat("x", 601)}, emulator.OwnLimits); len(v) != 1 || v[0].Code != "msg_too_long" {
		t.Errorf("got %v", v)
	}
}

func TestRateLimit(t *testing.T) {
	b := newBench(t, emulator.Options{RateLimit: true})
	b.slack.AddChannel("C2", emulator.Open)
	status := func(channel string) string {
		r, a := b.post("chat.postMessage", text(channel, "x"))
		return fmt.Sprint(r.StatusCode, a.OK, r.Header.Get("Retry-After"))
	}
	for _, step := range []struct {
		after   time.Duration
		channel string
		want    string
		penalty int
	}{
		{0, "C1", "200true", 0},
		{0, "C2", "200true", 0},
		{500 * time.Millisecond, "C1", "429false1", 0},
		{500 * time.Millisecond, "C1", "429false1", 1}, // the turn has come, the penalty is not over
		{500 * time.Millisecond, "C1", "200true", 1},
	} {
		b.now = b.now.Add(step.after)
		if got := strings.ReplaceAll(status(step.channel), " ", ""); got != step.want || b.slack.PenaltyCalls() != step.penalty {
			t.Errorf("%s: got %s with %d penalty calls, want %s with %d", step.channel, got, b.slack.PenaltyCalls(), step.want, step.penalty)
		}
	}
	b.now = b.now.Add(time.Minute)
	b.slack.Script(emulator.TooMany("5"))
	status("C1")
	b.now = b.now.Add(4 * time.Second)
	status("C1")
	if b.slack.PenaltyCalls() != 2 || b.slack.Calls() != 7 {
		t.Errorf("%d penalty calls of %d", b.slack.PenaltyCalls(), b.slack.Calls())
	}
}

func TestScript(t *testing.T) {
	for name, tc := range map[string]struct {
		fault  emulator.Fault
		status int // 0: no answer
		body   string
		kept   int
	}{
		"pass":     {emulator.Pass, 200, `{"channel":"C1"`, 1},
		"down":     {emulator.Unavailable, 503, "<html>", 0},
		"dropped":  {emulator.AcceptAndDrop, 0, "", 1},
		"kept 500": {emulator.AcceptAnd500, 500, "<html>", 1},
		"cut":      {emulator.AcceptAndCut, 200, `{"ok":true,"channel":"C`, 1},
		"empty":    {emulator.EmptyObject, 200, "{}", 0},
		"refused":  {emulator.Refuse("fatal_error"), 200, `{"error":"fatal_error","ok":false}`, 0},
	} {
		b := newBench(t, emulator.Options{})
		b.slack.Script(tc.fault)
		form := text("C1", "x")
		form.Set("token", token)
		r, err := http.PostForm(b.url+"/api/chat.postMessage", form)
		if (err != nil) != (tc.status == 0) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			body, _ := io.ReadAll(r.Body)
			r.Body.Close()
			if r.StatusCode != tc.status || !strings.HasPrefix(string(body), tc.body) {
				t.Errorf("%s: got %d %s", name, r.StatusCode, body)
			}
		}
		if n := len(b.slack.Messages("C1")); n != tc.kept {
			t.Errorf("%s: %d messages kept, want %d", name, n, tc.kept)
		}
		if _, a := b.post("chat.postMessage", text("C1", "y")); !a.OK {
			t.Errorf("%s: the script did not end: %+v", name, a)
		}
	}
}

func TestWebhook(t *testing.T) {
	b := newBench(t, emulator.Options{})
	b.slack.AddWebhook("/services/T/B/x", "C1")
	b.slack.AddWebhook("/services/T/B/old", "C2")
	b.slack.AddChannel("C2", emulator.Archived)
	for _, tc := range []struct{ path, body, want string }{
		{"/services/T/B/x", `{"text":"hi"}`, "200 ok"},
		{"/services/T/B/x", `{"text":""}`, "400 no_text"},
		{"/services/T/B/x", `{`, "400 invalid_payload"},
		{"/services/T/B/gone", `{"text":"hi"}`, "404 no_service"},
		{"/services/T/B/old", `{"text":"hi"}`, "410 channel_is_archived"},
	} {
		r, err := http.Post(b.url+tc.path, "application/json", strings.NewReader(tc.body))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if got := strings.TrimSpace(fmt.Sprint(r.StatusCode, " ", string(body))); got != tc.want {
			t.Errorf("%s %s: got %q, want %q", tc.path, tc.body, got, tc.want)
		}
	}
	if m := b.slack.Messages("C1"); len(m) != 1 || m[0].Text != "hi" {
		t.Errorf("kept %+v", m)
	}
}

func TestOnPost(t *testing.T) {
	var mu sync.Mutex
	var told []string
	b := newBench(t, emulator.Options{OnPost: func(m emulator.Message) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, m.Channel+" "+m.Text)
	}})
	b.post("chat.postMessage", text("C1", "one"))
	b.post("chat.postMessage", text("C9", "refused"))
	b.post("chat.postMessage", text("C1", "two"))
	mu.Lock()
	defer mu.Unlock()
	if fmt.Sprint(told) != "[C1 one C1 two]" {
		t.Errorf("told %v", told)
	}
}

func TestRender(t *testing.T) {
	blocks := `[
	{"type":"header","text":{"type":"plain_text","text":"<Title>"}},
	{"type":"section","text":{"type":"mrkdwn","text":":warning: *<https://ci.example/1?a=1&amp;b=2|order.a>*: 1 &lt; 2 <!here> <@U1> <!subteam^S1> <!date^1744286479^{date_short_pretty} {time}|later>"},
	 "fields":[{"type":"mrkdwn","text":"*Took*\n2 h"}]},
	{"type":"divider"},
	{"type":"rich_text","elements":[
	  {"type":"rich_text_section","elements":[{"type":"text","text":"40 ×","style":{"bold":true}},{"type":"text","text":" node "},{"type":"link","url":"https://x.example","text":"x"},{"type":"emoji","name":"warning"},{"type":"user","user_id":"U2"},{"type":"usergroup","usergroup_id":"S2"},{"type":"broadcast","range":"here"}]},
	  {"type":"rich_text_preformatted","elements":[{"type":"text","text":"<!channel>\nsold out"}]},
	  {"type":"rich_text_list","style":"bullet","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"one"}]}]}]},
	{"type":"context","elements":[{"type":"mrkdwn","text":"by <https://x.example>"}]}]`
	m := emulator.Message{Text: "unseen", Blocks: json.RawMessage(blocks)}
	want := `# <Title>
⚠️ *order.a (https://ci.example/1?a=1&b=2)*: 1 < 2 @here @U1 @S1 2025-04-10 12:01:19 UTC
  *Took*: 2 h
----
*40 ×* node x (https://x.example)⚠️@U2@S2@here
    <!channel>
    sold out
  • one
  | by https://x.example
`
	if got := emulator.Render(m); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := fmt.Sprint(emulator.Mentions(m)); got != "[here U1 S1 U2 S2 here]" {
		t.Errorf("mentions %s", got)
	}
	if got := emulator.Render(emulator.Message{Text: "a &amp; b"}); got != "a & b\n" {
		t.Errorf("got %q", got)
	}
}

func FuzzRender(f *testing.F) {
	f.Add("x", `[{"type":"section","text":{"type":"mrkdwn","text":"<!date^1^x|y>"}}]`)
	f.Add("<", `[{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"date","timestamp":9}]}]}]`)
	f.Add("<!date^>", `[{"type":"header"},{"type":"context"}]`)
	f.Fuzz(func(t *testing.T, text, blocks string) {
		m := emulator.Message{Text: text, Blocks: json.RawMessage(blocks)}
		if !strings.HasSuffix(emulator.Render(m), "\n") && len(emulator.Check(m, emulator.SlackLimits)) == 0 {
			t.Errorf("a message that Slack takes shows nothing: %q %q", text, blocks)
		}
		emulator.Mentions(m)
	})
}

func Example() {
	slack := emulator.New(emulator.Options{OnPost: func(m emulator.Message) { fmt.Print(emulator.Render(m)) }})
	slack.AddToken("xoxb-test", "chat:write")
	slack.AddChannel("C0ONCALL", emulator.Open)
	server := httptest.NewServer(slack)
	defer server.Close()
	answer, err := http.PostForm(server.URL+"/api/chat.postMessage", url.Values{
		"token": {"xoxb-test"}, "channel": {"C0ONCALL"}, "text": {":white_check_mark: <https://ci.example/771|order.a> succeeded"},
	})
	if err == nil {
		answer.Body.Close()
	}
	// Output: ✅ order.a (https://ci.example/771) succeeded
}
