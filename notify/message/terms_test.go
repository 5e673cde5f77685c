package message_test

import (
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/watcher"
)

// TestOthersGoOn holds that people are told which watch goes on for other requests, and nothing of that where none does.
func TestOthersGoOn(t *testing.T) {
	c := watcher.Completion{Outcome: watcher.TimedOut, Report: watcher.Report{WatchID: "w_1", ProjectID: "p", OrderName: "order.pool"}}
	for left, want := range map[int]string{0: "", 1: "1 other request of this order: watch w_2 goes on.", 3: "3 other requests of this order: watch w_2 goes on."} {
		if c.RequestsLeft = left; left > 0 {
			c.NextWatchID = "w_2"
		}
		m := message.Summarize(c, message.Options{})
		text := m.Text + "\n" + strings.Join(m.Lines(), "\n")
		if n := strings.Count(text, "goes on."); want == "" && n > 0 || want != "" && strings.Count(text, want) != 2 {
			t.Errorf("%d left: %s", left, text)
		}
		c.NextWatchID = ""
	}
}
