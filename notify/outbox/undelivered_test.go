package outbox_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
)

// kept is where is kept what Slack refuses; it fails as often as fails says.
type kept struct {
	fails int
	all   []watcher.UndeliveredMessage
}

func (k *kept) Keep(_ context.Context, m watcher.UndeliveredMessage) error {
	if k.fails--; k.fails >= 0 {
		return errors.New("no answer")
	}
	k.all = append(k.all, m)
	return nil
}

// What a channel refuses for an hour is kept as people would have seen it, without secrets, before it
// is done with. The log has one line of it, and not the message.
func TestUndeliveredIsKept(t *testing.T) {
	t.Parallel()
	k := &kept{fails: 2}
	b := newBench(t, func(c *config) { c.Undelivered, c.Secrets = k, []string{secretKey} })
	b.slack.AddChannel("C0ONCALL", emulator.Archived)
	c := order(watcher.AllFailed, 0, failure("flavor sold out "+secretKey, "createNode", 40))
	delays := b.settle(c)
	if n := len(delays); n < 12 || delays[n-1] != 10*time.Second || delays[n-2] != 10*time.Second {
		t.Errorf("put back for %v", delays)
	}
	if len(k.all) != 1 || b.notifier.Undelivered() != 1 {
		t.Fatalf("%d kept, %d counted", len(k.all), b.notifier.Undelivered())
	}
	m := k.all[0]
	if m.ID != "watch."+c.WatchID+".C0ONCALL" || m.WatchID != c.WatchID || m.ProjectID != c.ProjectID || m.OrderName != c.OrderName || m.Outcome != c.Outcome || m.Channel != "C0ONCALL" || m.Outage != "" {
		t.Errorf("%+v", m)
	}
	if m.Code != "is_archived" || !strings.Contains(m.Reason, "is_archived") || !m.ToldAt.Equal(c.CompletedAt) || m.RefusedAt.Sub(m.ToldAt) < time.Hour {
		t.Errorf("%s %s, told %s, refused %s", m.Code, m.Reason, m.ToldAt, m.RefusedAt)
	}
	if !strings.Contains(m.Text, "FAILED - all 40 nodes") || !strings.Contains(m.Text, "os-node-created-f0039") || strings.Contains(m.Text, secretKey) {
		t.Errorf("the text is\n%s", m.Text)
	}
	log := b.log.String()
	if strings.Count(log, "slack finally refuses") != 1 || strings.Count(log, "level=ERROR") != 2 || !strings.Contains(log, "unarchive the channel") || !strings.Contains(log, "orderwatch renotify "+c.WatchID) || strings.Contains(log, "all 40 items") {
		t.Errorf("the log is\n%s", log)
	}
	if d := b.notify(c); d != 0 || len(k.all) != 1 {
		t.Errorf("redelivered: %v, %d kept", d, len(k.all))
	}
}

// A notice of an outage that is refused is kept as well, under the kind of its event.
func TestUndeliveredNotice(t *testing.T) {
	t.Parallel()
	k := &kept{}
	b := newBench(t, func(c *config) { c.Undelivered = k })
	b.slack.AddChannel("C0ONCALL", emulator.NotMember)
	a := attention(watcher.Unreachable, watcher.HeldLogin)
	b.settleBy(func() error { return b.notifier.Attend(t.Context(), a) })
	if len(k.all) != 1 || k.all[0].Outage != a.Outage() || k.all[0].Kind != watcher.Unreachable || k.all[0].WatchID != "" || !strings.HasSuffix(k.all[0].ID, ".C0ONCALL.unreachable") {
		t.Errorf("%+v", k.all)
	}
}

// A long message that is refused is kept as far as it fits into an event.
func TestUndeliveredIsBounded(t *testing.T) {
	t.Parallel()
	k := &kept{}
	b := newBench(t, func(c *config) { c.Undelivered = k })
	b.slack.Script(repeat(emulator.Refuse("msg_blocks_too_long"), 3)...)
	b.settle(filing(5000, 300))
	if len(k.all) != 1 || len(k.all[0].Text) < 10000 || len(k.all[0].Text) > 40000 || k.all[0].Code != "msg_blocks_too_long" {
		t.Errorf("%d kept", len(k.all))
	}
	if !strings.Contains(b.log.String(), "please report what slack refuses") {
		t.Errorf("the log is\n%s", b.log)
	}
}
