package notify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"slices"
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
	// level=INFO msg=summary watch=w_1 text="CANCELLED - after 0 s, by jane · order.pool-5ed5-w4l2n"
	// level=INFO msg=summary watch=w_1 text="The order itself may still be running: only the watching was cancelled."
	// level=INFO msg=summary watch=w_1 text="To watch it again:"
	// level=INFO msg=summary watch=w_1 text="    orderwatch watch --region cn-north-4 p1/order.pool-5ed5-w4l2n"
	// level=INFO msg=summary watch=w_1 text="stopped watching an unknown time · watched for 0 s"
	// level=INFO msg=summary watch=w_1 text="cn-north-4 · project p1 · watch w_1"
}

// TestConfiguredSecrets holds that each configured secret of 8 bytes or more goes, the longest of those that
// begin at one place first, and each part of 12 bytes or more, also out of long texts that are much like them.
func TestConfiguredSecrets(t *testing.T) {
	t.Parallel()
	letters := strings.Repeat("s", 12<<10)
	for name, tt := range map[string]struct {
		secrets       []string
		message, want string
	}{
		"none":              {nil, "disk is full", "disk is full"},
		"an empty one":      {[]string{""}, "disk is full", "disk is full"},
		"one":               {[]string{"planted1"}, "planted1 disk planted1", "[secret] disk [secret]"},
		"a short one":       {[]string{"planted"}, "planted disk", "planted disk"}, // it may be a word
		"a part of one":     {[]string{"planted-in-a-text"}, "planted-in-a disk", "[secret] disk"},
		"two side by side":  {[]string{"planted1", "the disk"}, "the diskplanted1", "[secret][secret]"},
		"one begins other":  {[]string{"planted1", "planted1 disk"}, "a planted1 disk", "a [secret]"},
		"one ends other":    {[]string{"the disk", "planted the disk"}, "a planted the disk", "a [secret]"},
		"they overlap":      {[]string{"planted disk", "disk is full"}, "planted disk is full", "[secret]"},
		"the word for it":   {[]string{"[secret]"}, "a [secret] [secret]", "a [secret] [secret]"},
		"long, and not it":  {[]string{letters + "t", letters + "u"}, "disk " + strings.Repeat("t", longText), "disk ttt"},
		"long, and parts":   {[]string{letters + "t", letters + "u"}, "disk " + strings.Repeat("s", longText), "disk [secret]"},
		"long, and nearly":  {[]string{"t" + letters, "planted1"}, "planted1 " + strings.Repeat(letters[1:]+"t", longText/len(letters)), "[secret] [secret]"},
		"long, many times":  {[]string{letters}, "disk " + strings.Repeat(letters, longText/len(letters)), "disk [secret]"},
		"long, with others": {[]string{"planted1", letters + "t"}, "disk planted1 " + strings.Repeat("s", longText), "disk [secret] [secret]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var written bytes.Buffer
			log := notify.NewLog(slog.New(slog.NewJSONHandler(&written, nil)), tt.secrets...)
			if err := log.Attend(t.Context(), watcher.Attention{Kind: watcher.Overdue, Reason: tt.message}); err != nil {
				t.Fatal(err)
			}
			var got struct{ Reason string }
			if err := json.Unmarshal(written.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(got.Reason, tt.want) {
				t.Errorf("got %.100q, want %q", got.Reason, tt.want)
			}
		})
	}
}

const longText = 8 << 20

func TestLogAttends(t *testing.T) {
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(l *bytes.Buffer) slog.Handler {
			return slog.NewTextHandler(l, &slog.HandlerOptions{ReplaceAttr: withoutTime})
		},
		"json": func(l *bytes.Buffer) slog.Handler {
			return slog.NewJSONHandler(l, &slog.HandlerOptions{ReplaceAttr: withoutTime})
		},
	} {
		var text bytes.Buffer
		l := notify.NewLog(slog.New(handler(&text)), secretKey)
		for _, kind := range []watcher.AttentionKind{watcher.Unreachable, watcher.Reachable} {
			for _, a := range []watcher.Attention{of(kind, "p0"), of(kind, "p1"), of(kind, "p2"), hostileAttention(kind)} {
				if err := l.Attend(t.Context(), a); err != nil {
					t.Error(err)
				}
			}
		}
		if strings.Contains(text.String(), secretKey) {
			t.Errorf("%s: a secret is shown", name)
		}
		slacktest.Golden(t, "log_attention_"+name+".txt", text.String())
	}
}

// of returns the event of a project.
func of(kind watcher.AttentionKind, project string) watcher.Attention {
	a := attention(kind, watcher.HeldLogin)
	a.ProjectID = project
	return a
}

// The log has one record for each watch, kind and beginning, and one for its end.
func TestLogAttendsOrders(t *testing.T) {
	var text bytes.Buffer
	l := notify.NewLog(slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{ReplaceAttr: withoutTime})), secretKey)
	for range 2 {
		for _, kind := range append(slices.Clone(concernKinds), "blind_over", "stalled_over") {
			for _, a := range []watcher.OrderAttention{concern(kind), hostileConcern(kind)} {
				if err := l.AttendOrder(t.Context(), a); err != nil {
					t.Error(err)
				}
			}
		}
	}
	if n := strings.Count(text.String(), "\n"); n != 2*len(concernKinds)+4 {
		t.Errorf("%d records", n)
	}
	if strings.Contains(text.String(), secretKey) || strings.Contains(text.String(), "Zx81Kq92Lm43") {
		t.Error("a secret is shown")
	}
	slacktest.Golden(t, "log_concern.txt", text.String())
}
