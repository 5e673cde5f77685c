package emulator_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify/slack/emulator"
)

// edit returns the form of an update.
func edit(channel, ts, s string) url.Values {
	form := text(channel, s)
	form.Set("ts", ts)
	return form
}

func TestUpdate(t *testing.T) {
	b := newBench(t, emulator.Options{RateLimit: true})
	form := text("C1", "first")
	form.Set("blocks", blocksOf(1, 3))
	_, root := b.post("chat.postMessage", form)
	b.now = b.now.Add(time.Second)
	reply := text("C1", "reply")
	reply.Set("thread_ts", root.TS)
	_, second := b.post("chat.postMessage", reply)

	change := edit("C1", root.TS, "changed")
	change.Set("blocks", blocksOf(1, 5))
	if r, a := b.post("chat.update", change); r.StatusCode != 200 || !a.OK || a.TS != root.TS { // at once: an update takes no turn
		t.Fatalf("got %d %+v", r.StatusCode, a)
	}
	m := b.slack.Messages("C1")
	if len(m) != 2 || m[0].TS != root.TS || m[0].Text != "changed" || !m[0].Edited || emulator.Render(m[0]) != "xxxxx\n(edited)\n" {
		t.Errorf("kept %+v", m)
	}
	if _, a := b.post("chat.update", edit("C1", second.TS, "other")); !a.OK {
		t.Errorf("a reply: %+v", a)
	}
	if m := b.slack.Messages("C1")[1]; m.ThreadTS != root.TS || m.Text != "other" {
		t.Errorf("the reply left its thread: %+v", m)
	}
	if _, a := b.post("chat.update", edit("C1", root.TS, "text alone")); !a.OK {
		t.Errorf("got %+v", a)
	}
	if shown := emulator.Render(b.slack.Messages("C1")[0]); shown != "text alone\n(edited)\n" {
		t.Errorf("a text without blocks shows %q", shown)
	}
	if b.slack.Calls() != 5 {
		t.Errorf("%d calls", b.slack.Calls())
	}
}

func TestUpdateRefusals(t *testing.T) {
	b := newBench(t, emulator.Options{})
	b.slack.AddToken("xoxb-another", "chat:write")
	b.slack.AddToken("xoxb-reader", "channels:read")
	b.slack.AddChannel("C2", emulator.Open)
	_, old := b.post("chat.postMessage", text("C1", "first"))
	_, archived := b.post("chat.postMessage", text("C2", "first"))
	b.slack.AddChannel("C2", emulator.Archived)
	with := func(form url.Values, key, value string) url.Values { form.Set(key, value); return form }
	for _, tc := range []struct {
		want string
		form url.Values
	}{
		{"message_not_found", edit("C1", "1.1", "x")},
		{"message_not_found", edit("C1", "", "x")},
		{"channel_not_found", edit("C9", old.TS, "x")},
		{"is_archived", edit("C2", archived.TS, "x")},
		{"cant_update_message", with(edit("C1", old.TS, "x"), "token", "xoxb-another")},
		{"invalid_auth", with(edit("C1", old.TS, "x"), "token", "xoxb-other")},
		{"missing_scope", with(edit("C1", old.TS, "x"), "token", "xoxb-reader")},
		{"no_text", edit("C1", old.TS, "")},
		{"msg_too_long", edit("C1", old.TS, strings.Repeat("ä", 2001))}, // 4,002 bytes
		{"invalid_blocks", with(edit("C1", old.TS, "x"), "blocks", blocksOf(51, 1))},
	} {
		if r, a := b.post("chat.update", tc.form); r.StatusCode != 200 || a.OK || a.Error != tc.want {
			t.Errorf("got %d %+v, want %s", r.StatusCode, a, tc.want)
		}
	}
	b.slack.Script(emulator.Refuse("edit_window_closed"), emulator.TooMany("5"))
	if _, a := b.post("chat.update", edit("C1", old.TS, "x")); a.Error != "edit_window_closed" {
		t.Errorf("got %+v", a)
	}
	b.post("chat.update", edit("C1", old.TS, "x"))
	if r, _ := b.post("chat.update", edit("C1", old.TS, "x")); r.StatusCode != 429 || b.slack.PenaltyCalls() != 1 {
		t.Errorf("got %d with %d penalty calls", r.StatusCode, b.slack.PenaltyCalls())
	}
	if m := b.slack.Messages("C1"); len(m) != 1 || m[0].Edited || m[0].Text != "first" {
		t.Errorf("a refused update was kept: %+v", m)
	}
	b.now = b.now.Add(5 * time.Second)
	b.slack.Script(emulator.AcceptAnd500)
	b.post("chat.update", edit("C1", old.TS, "kept"))
	if m := b.slack.Messages("C1"); len(m) != 1 || m[0].Text != "kept" {
		t.Errorf("kept %+v", m)
	}
	if _, a := b.post("chat.update", edit("C1", old.TS, strings.Repeat("ä", 2000))); !a.OK {
		t.Errorf("4,000 bytes: %+v", a)
	}
}
