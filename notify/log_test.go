package notify_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/notify"
	"github.com/orderwatch/orderwatch/notify/slack/slacktest"
	"github.com/orderwatch/orderwatch/watcher"
)

func TestLog(t *testing.T) {
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler {
			return slog.NewTextHandler(b, &slog.HandlerOptions{ReplaceAttr: withoutTime})
		},
		"json": func(b *bytes.Buffer) slog.Handler {
			return slog.NewJSONHandler(b, &slog.HandlerOptions{ReplaceAttr: withoutTime})
		},
	} {
		var b bytes.Buffer
		l := notify.NewLog(slog.New(handler(&b)), secretKey)
		for _, c := range []watcher.Completion{order(watcher.Succeeded, 3), hostile()} {
			if err := l.Notify(t.Context(), c); err != nil {
				t.Error(err)
			}
		}
		if strings.Contains(b.String(), secretKey) || strings.Contains(b.String(), fakeKey) || !strings.Contains(b.String(), "[access key]") {
			t.Errorf("%s: a secret is shown, or what it was is not said", name)
		}
		slacktest.Golden(t, "log_"+name+".txt", b.String())
	}
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

func ExampleLog() {
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	c := watcher.Completion{Outcome: watcher.Cancelled}
	c.WatchID, c.OrderName, c.Reason = "w_1", "order.pool-5ed5-w4l2n", "cancelled by jane"
	c.Region, c.ProjectID = "cn-north-4", "p1"
	notify.NewLog(log).Notify(context.Background(), c)
	// Output:
	// level=INFO msg=summary watch=w_1 text="Stopped watching order.pool-5ed5-w4l2n after 0 s: cancelled by jane"
	// level=INFO msg=summary watch=w_1 text="The order itself may still be running: only the watching was cancelled."
	// level=INFO msg=summary watch=w_1 text="To watch it again, publish the request again, with another `request_id`."
	// level=INFO msg=summary watch=w_1 text="  Ended at an unknown time"
	// level=INFO msg=summary watch=w_1 text="  cn-north-4 · project p1 · watch w_1"
}
