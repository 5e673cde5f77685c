package message_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
	blockkit "github.com/slack-go/slack"
)

// TestAlikeTo holds which watches fail alike.
func TestAlikeTo(t *testing.T) {
	t.Parallel()
	failed := func(messages ...string) watcher.Completion {
		var failures []watcher.Failure
		for i, m := range messages {
			failures = append(failures, failure(m, "createNode", 10-i))
		}
		return order(watcher.AllFailed, 0, failures...)
	}
	partly := order(watcher.PartiallyFailed, 3, failure("flavor sold out", "createNode", 1))
	timed, other := order(watcher.TimedOut, 3), order(watcher.TimedOut, 3)
	other.Error = &watcher.ErrorDetail{Code: "ModelArts.50005000", Message: "internal"}
	deleted := order(watcher.AllFailed, 0, failure("flavor sold out", "deleteNode", 10))
	for name, c := range map[string]struct {
		a, b  watcher.Completion
		alike bool
	}{
		"the same":              {failed("flavor sold out"), failed("flavor sold out"), true},
		"some failed":           {failed("flavor sold out"), partly, true},
		"an id differs":         {failed("ECS 7f3c0000 failed"), failed("ECS 9a1d0001 failed"), true},
		"a smaller one differs": {failed("flavor sold out", "a quota"), failed("flavor sold out", "no address"), true},
		"another cause":         {failed("flavor sold out"), failed("quota exceeded"), false},
		"no cause":              {failed(""), failed("quota exceeded"), false},
		"another action":        {failed("flavor sold out"), deleted, false},
		"another outcome":       {failed("flavor sold out"), timed, false},
		"another error":         {timed, other, false},
	} {
		a, _, _ := message.AlikeTo(c.a, nil)
		b, _, _ := message.AlikeTo(c.b, nil)
		if (a == b) != c.alike {
			t.Errorf("%s: %q and %q", name, a, b)
		}
	}
}

// TestAlikeFits holds that the longest and most hostile rows are all on the page, and hide secrets.
func TestAlikeFits(t *testing.T) {
	t.Parallel()
	secrets := message.HideSecrets("planted-secret")
	var rows []message.Row
	var g message.Alike
	for i := range message.AlikeRows {
		c := order(watcher.AllFailed, 0, failure(strings.Repeat("<!channel>&`*planted-secret* ", 200), "createNode", 5000))
		c.WatchID, c.OrderName = "w_"+strings.Repeat("&", 200), fmt.Sprintf("order.%s-%03d-planted-secret", strings.Repeat("<&>", 90), i)
		c.Counts = watcher.Counts{Total: 99999, Failed: 88888}
		var r message.Row
		_, g, r = message.AlikeTo(c, secrets)
		rows = append(rows, r)
	}
	o := message.Options{Links: message.Links{Public: "https://orderwatch.example/x/"}}
	page := g.Page(6, rows, o)
	short := page
	short.Text = "Orders that failed alike" // its own is longer than other messages have
	keepsLimits(t, short, o)
	text := ""
	for _, b := range page.Blocks {
		for _, e := range b.(*blockkit.RichTextBlock).Elements {
			if p, ok := e.(*blockkit.RichTextPreformatted); ok {
				for _, e := range p.Elements {
					if s, ok := e.(*blockkit.RichTextSectionTextElement); ok {
						text += s.Text
					}
				}
			}
		}
	}
	if n := strings.Count(text, "88,888 of 99,999 failed"); n != message.AlikeRows || !strings.HasPrefix(page.Text, "Orders 6 to 55 that failed alike: order.") || strings.Count(page.Text, "[secret]") != message.AlikeRows {
		t.Errorf("%q lists %d rows", page.Text, n)
	}
	root := g.Message(1000, message.Options{Mention: "<!here>"})
	missed := message.Missed([]string{root.Text, root.Text}, "<!here>")
	for _, m := range []message.Message{page, root, missed} {
		if all := fmt.Sprintf("%+v", m) + text; strings.Contains(all, "planted-secret") || strings.Contains(m.Text, "<!") || len(m.Text) > 3900 {
			t.Errorf("%q", m.Text)
		}
	}
	if !strings.HasPrefix(root.Text, "1,000 orders failed alike: ") || !strings.HasPrefix(missed.Text, "2 more since the last ping: 1,000 orders failed alike: ") {
		t.Errorf("%q, %q", root.Text, missed.Text)
	}
}

// TestAlikeRunbook holds that a group's message leads to what is to be done about its cause, and says where it has no thread.
func TestAlikeRunbook(t *testing.T) {
	t.Parallel()
	_, g, _ := message.AlikeTo(order(watcher.AllFailed, 0, failure("flavor sold out in zone a", "createNode", 3)), nil)
	o := message.Options{Runbooks: []message.Runbook{{Cause: "quota", URL: "https://wiki.example/quota"}, {Cause: "sold out", URL: "https://wiki.example/sold-out"}}}
	if shown := emulator.Render(stored(t, g.Message(3, o))); !strings.Contains(shown, "https://wiki.example/sold-out") || strings.Contains(shown, "/quota") || !strings.Contains(shown, "listed in the thread") {
		t.Errorf("%s", shown)
	}
	o.NoThread, o.Code = true, "restricted_action_thread_locked"
	if shown := emulator.Render(stored(t, g.Message(3, o))); strings.Contains(shown, "3 orders") || !strings.Contains(shown, "Slack refuses a thread here (restricted_action_thread_locked)") {
		t.Errorf("%s", shown)
	}
}
