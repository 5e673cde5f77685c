package outbox_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify/outbox"
	"github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
)

// A handover is a watch whose quiet message a person deletes, and which two workers tell of in turns.
type handover struct {
	*bench
	ended   watcher.Completion
	running watcher.Progress
}

// startHandover posts the quiet message, and lets the channel have had another message just now: a new one
// in place of the deleted one waits for its turn.
func startHandover(t *testing.T, items int) *handover {
	b := newBench(t, func(c *config) {
		c.Timing, c.Progress = outbox.DefaultTiming(), true
		c.Timing.Wait = 0
	})
	b.slack.AddToken(token, "chat:write", "channels:history")
	h := &handover{bench: b, ended: order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", items))}
	h.running = watcher.Progress{Report: h.ended.Report, Number: 1}
	h.settleBy(h.tellsMore(b))
	h.deleted(h.want("C0ONCALL", 1)[0].TS)
	h.clock.Sleep(t.Context(), time.Minute)
	return h
}

func (h *handover) tellsMore(worker *bench) func() error {
	return func() error { return worker.notifier.Progress(h.Context(), h.running) }
}

// busy posts another message, so that the channel has no turn for a second.
func (h *handover) busy() {
	other := order(watcher.Succeeded, 3)
	other.WatchID, other.OrderName = "w_other", "order.other"
	h.settle(other)
}

// deleted deletes a message, as a person does.
func (b *bench) deleted(ts string) {
	b.Helper()
	answer, err := http.PostForm(b.url+"/api/chat.delete", url.Values{"token": {token}, "channel": {"C0ONCALL"}, "ts": {ts}})
	if err != nil {
		b.Fatal(err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || !strings.Contains(string(text), `"ok":true`) {
		b.Fatalf("%s (%v)", text, err)
	}
}

// wantOne holds that one message tells of the order, with its end.
func (h *handover) wantOne() (root emulator.Message) {
	h.Helper()
	n := 0
	for _, m := range h.slack.Messages("C0ONCALL") {
		if m.ThreadTS == "" && strings.Contains(m.Text, h.ended.OrderName) {
			n, root = n+1, m
		}
	}
	if n != 1 || !strings.Contains(root.Text, "failed") {
		h.Errorf("%d messages tell of the order, the last one %q", n, root.Text)
	}
	return root
}

// TestReplacedByAnother holds that a worker that could not edit a deleted message edits the one that
// another worker has posted in its place meanwhile.
func TestReplacedByAnother(t *testing.T) {
	h := startHandover(t, 3)
	h.busy()
	h.running.Number = 2
	h.clock.Sleep(t.Context(), h.delay(h.tellsMore(h.bench)()))
	other := h.another()
	other.settleBy(h.tellsMore(other))
	h.clock.Sleep(t.Context(), 20*time.Second)
	h.settle(h.ended)
	h.wantOne()
}

// TestRepliedToAnother holds that replies go into the thread of the message that another worker posted.
func TestRepliedToAnother(t *testing.T) {
	h := startHandover(t, 40)
	h.busy()
	h.clock.Sleep(t.Context(), h.notify(h.ended))
	h.another().notify(h.ended) // the root alone
	h.clock.Sleep(t.Context(), 2*time.Second)
	h.settle(h.ended)
	root := h.wantOne()
	for _, m := range h.slack.Messages("C0ONCALL") {
		if strings.Contains(m.Text, "Failed items") && m.ThreadTS != root.TS {
			t.Errorf("%q stands in the thread %q; want %q", m.Text, m.ThreadTS, root.TS)
		}
	}
}

// TestReplacedWakesOnce holds that what is posted in place of a quiet message wakes people once.
func TestReplacedWakesOnce(t *testing.T) {
	h := startHandover(t, 3)
	h.settle(h.ended)
	h.wantOne()
	h.want("C0ONCALL", 1)
}

// TestEditRefusedLeavesOneMessage holds that nothing goes on saying that an order runs.
func TestEditRefusedLeavesOneMessage(t *testing.T) {
	b := newBench(t, func(c *config) { c.Progress = true })
	c := order(watcher.Succeeded, 3)
	b.settleBy(func() error {
		return b.notifier.Progress(t.Context(), watcher.Progress{Report: c.Report, Number: 1})
	})
	b.slack.Script(emulator.Refuse("edit_window_closed"))
	b.clock.Sleep(t.Context(), time.Minute)
	b.settle(c)
	b.wantShown(b.want("C0ONCALL", 1)[0], "succeeded")
}

// TestFormIsOfItsPart holds that a part is posted whole though the part before it was refused: by this
// worker, which gave it up, or which another one has overtaken.
func TestFormIsOfItsPart(t *testing.T) {
	bad := emulator.Refuse("invalid_blocks")
	t.Run("given up", func(t *testing.T) {
		b := newBench(t, func(c *config) { c.Progress = true })
		c := order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 3))
		b.slack.Script(bad, bad, bad)
		b.settleBy(func() error {
			return b.notifier.Progress(t.Context(), watcher.Progress{Report: c.Report, Number: 1})
		})
		b.settle(c)
		if m := b.want("C0ONCALL", 1); len(m[0].Blocks) == 0 {
			t.Error("the summary is text alone")
		}
	})
	t.Run("overtaken", func(t *testing.T) {
		h := startHandover(t, 40)
		h.ended.WatchID = "w_next" // nothing stands of it
		h.slack.Script(bad, emulator.Pass, bad)
		h.notify(h.ended) // refused once
		h.busy()
		h.clock.Sleep(t.Context(), 2*time.Second)
		h.notify(h.ended) // and again
		h.clock.Sleep(t.Context(), 2*time.Second)
		h.another().notify(h.ended) // the root alone
		h.clock.Sleep(t.Context(), 2*time.Second)
		h.settle(h.ended)
		h.wantOne()
	})
}

// TestReplyWithoutItsRoot holds that a reply is kept whose root is gone: nowhere else would it make sense.
func TestReplyWithoutItsRoot(t *testing.T) {
	k := &kept{}
	b := newBench(t, func(c *config) { c.Undelivered = k })
	b.slack.Script(emulator.Pass, emulator.Refuse("message_not_found"))
	b.settle(order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 40)))
	b.want("C0ONCALL", 1)
	if len(k.all) != 1 || k.all[0].Code != "message_not_found" {
		t.Errorf("kept %+v", k.all)
	}
}
