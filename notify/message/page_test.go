package message_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestPageIsLinked holds that each message about an order leads to the order's page, below a base path or by a template,
// and to the console where there is no page.
func TestPageIsLinked(t *testing.T) {
	t.Parallel()
	c := order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 2))
	a := concern(watcher.Stalled)
	for public, want := range map[string]string{
		"https://orderwatch.example":          "(https://orderwatch.example/orders/" + c.ProjectID + "/" + c.OrderName + ")",
		"https://orderwatch.example/x/y/":     "(https://orderwatch.example/x/y/orders/" + c.ProjectID + "/" + c.OrderName + ")",
		"https://pages.example/{order}":       "(https://pages.example/" + c.OrderName + ")",
		"":                                    "(https://console.example/" + c.OrderName + ")",
		"https://" + strings.Repeat("x", 480): "(https://console.example/" + c.OrderName + ")",
	} {
		o := message.Options{Links: message.Links{Public: public, Console: "https://console.example/{order}"}}
		var g message.Together
		g.Add(c, o)
		for name, m := range map[string]message.Message{
			"ended": message.Summarize(c, o), "running": message.Running(watcher.Progress{Report: c.Report}, o),
			"attention": message.Concern(a, o), "digest": g.Message(ended),
		} {
			keepsLimits(t, m, o)
			if shown := emulator.Render(stored(t, m)); !strings.Contains(shown, c.OrderName+" "+want) {
				t.Errorf("%s with %q: no %s in\n%s", name, public, want, shown)
			}
		}
	}
}

// TestRowsAreLinked holds that the rows of a group lead to the watches' pages as far as there is room, and that no row is
// lost for it.
func TestRowsAreLinked(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		public string
		rows   int
		linked func(n int) bool
		has    string
	}{
		{"https://orderwatch.example/x/", 10, func(n int) bool { return n == 10 }, "order.pool-9 (https://orderwatch.example/x/watches/w_00000000000000000000000009)  w_00000000000000000000000009  2 of 3 failed"},
		{"https://pages.example/{watch}", 10, func(n int) bool { return n == 10 }, "order.pool-0 (https://pages.example/w_00000000000000000000000000)  w_"},
		{"https://orderwatch.example/" + strings.Repeat("x", 200), message.AlikeRows, func(n int) bool { return n > 5 && n < 20 }, "\n    order.pool-49  w_00000000000000000000000049  2 of 3 failed"},
		{"https://pages.example/{order}/{watch}", 10, func(n int) bool { return n == 0 }, "order.pool-0  w_"},
		{"", message.AlikeRows, func(n int) bool { return n == 0 }, "order.pool-49  w_"},
	} {
		var rows []message.Row
		for i := range tt.rows {
			rows = append(rows, message.Row{Watch: fmt.Sprintf("w_%026d", i), Order: fmt.Sprintf("order.pool-%d", i), Said: "2 of 3 failed"})
		}
		o := message.Options{Links: message.Links{Public: tt.public}}
		m := message.Alike{Ended: "failed alike"}.Page(1, rows, o)
		m.Text = "Orders that failed alike" // its own is longer than other messages have
		keepsLimits(t, m, o)
		shown := emulator.Render(stored(t, m))
		if n := strings.Count(shown, "(https://"); !tt.linked(n) || !strings.Contains(shown, tt.has) || strings.Count(shown, "2 of 3 failed") != tt.rows {
			t.Errorf("%q: %d links in\n%s", tt.public, n, shown)
		}
	}
}
