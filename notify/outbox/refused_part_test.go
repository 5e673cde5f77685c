package outbox_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify/outbox"
	"github.com/orderwatch/orderwatch/notify/slack"
	"github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
)

// partBench is a bench whose failures have a fallback, and whose undelivered messages are kept.
func partBench(t *testing.T, change ...func(*config)) (*bench, *kept) {
	t.Helper()
	k := &kept{}
	b := newBench(t, append([]func(*config){func(c *config) {
		c.Undelivered = k
		c.Routes = parsed(t, "rules: [{match: {labels: {env: prod}}, channels: [C0TEAM], fallback: C0SPARE, progress: true}]")
	}}, change...)...)
	b.slack.AddToken(token, "chat:write", "channels:history", slack.ScopeFiles)
	b.slack.AddChannel("C0SPARE", emulator.Open)
	return b, k
}

const lacksDetails = "*Details could not be added here*: Slack refuses them (restricted_action_thread_locked)"

// TestLockedThread holds that a message whose thread is refused stands once, says so, and that an event has all of it
// (M18): whichever worker goes on, and whether Slack lets the message say so or not.
func TestLockedThread(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		failed watcher.Completion
		edit   *emulator.Fault // what the edit meets
		says   bool
	}{
		"replies":                     {order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 40)), nil, true},
		"replies and a file":          {filing(2000, 100), nil, true},
		"the edit's answer is lost":   {order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 40)), &emulator.AcceptAndDrop, true},
		"the edit is refused as well": {order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 40)), new(emulator.Refuse("edit_window_closed")), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, k := partBench(t)
			b.slack.AddChannel("C0TEAM", emulator.Locked)
			if c.edit != nil {
				b.slack.Script(emulator.Pass, emulator.Pass, *c.edit)
			}
			b.settle(c.failed)
			for range 2 {
				b.another().settle(c.failed)
			}
			if over := b.clock.Now().Sub(c.failed.CompletedAt); over > time.Minute {
				t.Errorf("it is over after %s", over)
			}
			root := b.want("C0TEAM", 1)[0]
			if shown := emulator.Render(root); strings.Contains(shown, lacksDetails) != c.says || fmt.Sprint(emulator.Mentions(root)) != "[here]" || c.says && strings.Contains(shown, "in the thread") {
				t.Errorf("shown is\n%s", shown)
			}
			b.want("C0SPARE", 0)
			b.want("C0ONCALL", 0)
			if len(k.all) != 1 || k.all[0].Channel != "C0TEAM" || k.all[0].Code != "restricted_action_thread_locked" || !strings.Contains(k.all[0].Text, "os-node-created-") {
				t.Errorf("kept %+v", k.all)
			}
		})
	}
}

// A reply that was to wake people stands as a message where the thread takes none: it takes the place of the quiet one.
func TestLockedThreadOfAQuietMessage(t *testing.T) {
	t.Parallel()
	b, k := partBench(t)
	b.slack.AddChannel("C0TEAM", emulator.Locked)
	b.runs(2 * time.Minute)
	quiet := b.want("C0TEAM", 1)[0]
	c := order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 3))
	b.settle(c)
	b.another().settle(c)
	root := b.want("C0TEAM", 1)[0]
	if root.TS == quiet.TS || fmt.Sprint(emulator.Mentions(root)) != "[here]" || len(k.all) != 0 {
		t.Errorf("kept %+v; shown is\n%s", k.all, emulator.Render(root))
	}
	b.wantShown(root, "FAILED - all 3 nodes")
	b.want("C0SPARE", 0)
}

// TestUnknownCode holds that a code that nobody knows is met with text alone, once, and then with the fallback (M19).
func TestUnknownCode(t *testing.T) {
	t.Parallel()
	for refusals, in := range []string{"C0TEAM", "C0TEAM", "C0SPARE"} {
		b, k := partBench(t)
		b.slack.Script(repeat(emulator.Refuse("brand_new_error"), refusals)...)
		c := order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 3))
		b.wantDelays(b.settle(c))
		root := b.want(in, 1)[0]
		if alone := len(root.Blocks) == 0; alone != (refusals == 1) {
			t.Errorf("after %d refusals it is text alone: %t", refusals, alone)
		}
		if len(b.slack.Messages("C0TEAM"))+len(b.slack.Messages("C0SPARE")) != 1 || len(k.all) > 0 {
			t.Errorf("after %d refusals %+v is kept", refusals, k.all)
		}
	}
	b, k := partBench(t, func(c *config) {
		c.HTTPClient = &http.Client{Transport: stranger(func(path, _ string) string {
			if strings.HasSuffix(path, "chat.postMessage") {
				return `{"ok":false,"error":"brand_new_error"}`
			}
			return ""
		})}
	})
	c := order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 3))
	b.settle(c)
	if over := b.clock.Now().Sub(c.CompletedAt); len(k.all) != 1 || over < time.Hour || over > 70*time.Minute {
		t.Errorf("kept %+v after %s", k.all, over)
	}
}

// TestRefusedMetadata holds that a message goes without metadata at once (M19).
func TestRefusedMetadata(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"invalid_metadata_schema", "invalid_metadata_format", "metadata_too_large"} {
		b, _ := partBench(t)
		b.slack.Script(emulator.Refuse(code))
		b.wantDelays(b.settle(order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 3))))
		if root := b.want("C0TEAM", 1)[0]; len(root.Metadata) != 0 || len(root.Blocks) == 0 {
			t.Errorf("%s: %+v", code, root)
		}
	}
}

// TestArchivedChannel holds that a failure goes to the fallback at once, and a success within the hour (M9).
func TestArchivedChannel(t *testing.T) {
	t.Parallel()
	for _, c := range []watcher.Completion{order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 3)), order(watcher.Succeeded, 3)} {
		for _, known := range []bool{true, false} {
			b, _ := partBench(t, func(c *config) {
				if !known {
					c.Routes = parsed(t, "rules: [{match: {labels: {env: prod}}, channels: [C0NONE], fallback: C0SPARE}]")
				}
			})
			b.slack.AddChannel("C0TEAM", emulator.Archived)
			b.settle(c)
			waited := b.clock.Now().Sub(c.CompletedAt)
			if at := waited < time.Minute; at != (c.Outcome == watcher.AllFailed) || waited > 70*time.Minute {
				t.Errorf("%s, a known channel: %t: it is told after %s", c.Outcome, known, waited)
			}
			b.wantShown(b.want("C0SPARE", 1)[0], "Meant for another channel")
			b.wantLogged("level=ERROR", "nobody expects that to pass")
		}
	}
}

// TestWebhookThatAnswersSomething holds that a webhook's message is told where its answer says ok, and else kept (M17).
func TestWebhookThatAnswersSomething(t *testing.T) {
	t.Parallel()
	for body, code := range map[string]string{
		"ok": "", `{"ok":true}`: "", "<html>please log in</html>": "no_ok", "{}": "no_ok", "brand_new_error": "brand_new_error",
	} {
		for _, beside := range []bool{false, true} { // a token
			k, calls := &kept{}, 0
			hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				calls++
				w.Write([]byte(body))
			}))
			t.Cleanup(hook.Close)
			b := newBench(t, func(c *config) {
				c.Undelivered, c.WebhookURL = k, hook.URL+"/services/T0/B0/x"
				if !beside {
					c.Token, c.Channel = "", ""
				}
			})
			b.slack.AddChannel("C0ONCALL", emulator.Archived)
			c := order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 3))
			b.settle(c)
			over := b.clock.Now().Sub(c.CompletedAt)
			if told := code == ""; told != (len(k.all) == 0) || told && (calls != 1 || over > time.Minute) || !told && (k.all[0].Code != code || over < time.Hour || over > 70*time.Minute || calls > 20) {
				t.Errorf("%s, beside a token: %t: %d calls, over after %s, kept %+v", body, beside, calls, over, k.all)
			}
		}
	}
	for body, code := range map[string]string{"no_service": "no_service", `{"ok":false,"error":"invalid_auth"}`: "invalid_auth"} {
		hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(body)) }))
		t.Cleanup(hook.Close)
		b := newBench(t, func(c *config) { c.Token, c.Channel, c.WebhookURL = "", "", hook.URL+"/services/T0/B0/x" })
		if d := b.notify(order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 3))); d != outbox.DefaultTiming().TokenPause {
			t.Errorf("%s: it waits %s; want it kept until somebody acts", body, d)
		}
		b.wantLogged("level=ERROR", "code="+code)
	}
}

// TestRejectedRequest holds that people are told of a rejected request, once and quietly, in the default channel (M13).
func TestRejectedRequest(t *testing.T) {
	t.Parallel()
	b, k := partBench(t, func(c *config) { c.Secrets = []string{secretKey} })
	a := watcher.RequestAttention{
		Kind: watcher.Rejected, Reason: "timout: is no field of a request; " + secretKey, Field: "timout", RequestID: "build-771", Sender: "*ops* <!channel>",
		Sequence: 7, Received: b.clock.Now().Add(-time.Second),
	}
	for _, worker := range []*bench{b, b.another(), b} {
		worker.settleBy(func() error { return worker.notifier.AttendRequest(t.Context(), a) })
	}
	m := b.want("C0ONCALL", 1)[0]
	shown := emulator.Render(m)
	if len(emulator.Mentions(m)) > 0 || strings.Contains(shown, secretKey) || !strings.Contains(m.Text, "A request was rejected: timout: is no field") || strings.Count(string(m.Blocks), "*ops*") != 1 || !strings.Contains(shown, "timout: is no field") || !strings.Contains(shown, "build-771") || !strings.Contains(shown, "orderwatch events --kind rejected") {
		t.Errorf("shown is\n%s", shown)
	}
	a.Sequence, a.Others = 8, 1499
	b.settleBy(func() error { return b.notifier.AttendRequest(t.Context(), a) })
	if m := b.want("C0ONCALL", 2)[1]; !strings.Contains(m.Text, " Others of this sender since the last message: at least 1,499.") || !strings.Contains(emulator.Render(m), "at least 1,499") {
		t.Errorf("shown is\n%s", emulator.Render(m))
	}
	b.slack.AddChannel("C0ONCALL", emulator.Archived)
	a.Sequence = 9
	b.settleBy(func() error { return b.notifier.AttendRequest(t.Context(), a) })
	if len(k.all) != 1 || k.all[0].Kind != watcher.Rejected {
		t.Errorf("kept %+v", k.all)
	}
}
