package outbox_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
)

// A stranger answers calls in Slack's place, with status 200, where it returns a text.
type stranger func(path, body string) string

func (s stranger) RoundTrip(r *http.Request) (*http.Response, error) {
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(sent))
	if answer := s(r.URL.Path, string(sent)); answer != "" {
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(answer)), Request: r}, nil
	}
	return http.DefaultTransport.RoundTrip(r)
}

// TestNoHistoryIsNoAbsence holds that an answer without messages, which slack-go takes for one, is no
// proof that a message does not stand: neither of a root nor of a reply.
func TestNoHistoryIsNoAbsence(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"{}", `{"ok":false}`} {
		for part, script := range map[string][]emulator.Fault{
			"root":  {emulator.AcceptAndDrop},
			"reply": {emulator.Pass, emulator.AcceptAndDrop},
		} {
			t.Run(answer+", "+part, func(t *testing.T) {
				t.Parallel()
				var looks atomic.Int64
				b := newBench(t, func(c *config) {
					c.HTTPClient = &http.Client{Transport: stranger(func(path, _ string) string {
						if strings.Contains(path, "conversations.") && looks.Add(1) <= 3 {
							return answer
						}
						return ""
					})}
				})
				b.slack.AddToken(token, "chat:write", "channels:history")
				b.slack.Script(script...)
				b.settle(order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 40)))
				if looks.Load() != 4 {
					t.Errorf("%d looks", looks.Load())
				}
				b.want("C0ONCALL", 2)
			})
		}
	}
}

// TestLookThatNeverWorks holds that a message is told, or kept, and nobody held up, where nobody can find out
// what became of it: its root is gone, or Slack answers looks with an error that nobody knows.
func TestLookThatNeverWorks(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{"the root is gone": "", "an unknown code": `{"ok":false,"error":"method_not_supported_for_channel_type"}`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(c *config) {
				c.HTTPClient = &http.Client{Transport: stranger(func(path, _ string) string {
					if strings.HasSuffix(path, "conversations.replies") {
						return answer
					}
					return ""
				})}
			})
			b.slack.AddToken(token, "chat:write", "channels:history")
			first := order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 40))
			b.slack.Script(emulator.Pass, emulator.Unavailable)
			b.notify(first)
			if answer == "" {
				b.deleted(b.want("C0ONCALL", 1)[0].TS)
			}
			begin := b.clock.Now()
			c := &consumer{bench: b, workers: []*bench{b}, events: []*event{{completion: first, due: begin}}}
			for i := range 48 {
				w := order(watcher.Succeeded, 3)
				w.WatchID, w.OrderName, w.CompletedAt = fmt.Sprint("w_", i), fmt.Sprintf("order.pool-%d-x", i), begin.Add(time.Duration(i)*time.Hour)
				c.events = append(c.events, &event{completion: w, due: w.CompletedAt})
			}
			c.run(begin.Add(50 * time.Hour))
			told := 0
			for _, m := range b.slack.Messages("C0ONCALL") {
				var i int
				if _, err := fmt.Sscanf(orderOf(m.Text), "order.pool-%d-x", &i); err != nil {
					continue
				}
				told++
				if late := tsTime(t, m).Sub(c.events[i+1].completion.CompletedAt); late > 10*time.Second {
					t.Errorf("%q was told %s late", m.Text, late)
				}
			}
			if told != 48 || !c.events[0].done {
				t.Errorf("%d of 48 others told; the first is done with: %t", told, c.events[0].done)
			}
		})
	}
}

// TestLongHistory holds that a message is found in a channel full of long ones.
func TestLongHistory(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.slack.AddToken(token, "chat:write", "channels:history")
	c := order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 3))
	b.slack.Script(emulator.AcceptAndDrop)
	b.notify(c)
	for range 150 {
		b.clock.Sleep(t.Context(), time.Second)
		answer, err := http.PostForm(b.url+"/api/chat.postMessage", url.Values{"token": {token}, "channel": {"C0ONCALL"}, "text": {strings.Repeat("可用区资源不足", 1500)}})
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	}
	if d := b.another().settle(c); len(d) > 1 {
		t.Errorf("it waits %v", d)
	}
	b.want("C0ONCALL", 151)
}

// TestStoppedAtTheAnswer holds that a worker that stops when Slack has answered notes what it answered.
func TestStoppedAtTheAnswer(t *testing.T) {
	t.Parallel()
	work, stop := context.WithCancel(t.Context())
	b := newBench(t, func(c *config) {
		c.HTTPClient = &http.Client{Transport: stopsAfter{"chat.postMessage", stop}}
		c.Notes = untilDone{c.Notes}
	})
	c := order(watcher.Succeeded, 3)
	if err := b.notifier.Notify(work, c); err != nil {
		t.Error(err)
	}
	if d := b.another().settle(c); len(d) > 0 {
		t.Errorf("another worker waits %v", d)
	}
	b.want("C0ONCALL", 1)
}

// TestAsleepBeforeThePost holds that a worker that slept between its last look at the time and its call deletes what
// it posted: another worker took it for dead, and posted the message meanwhile.
func TestAsleepBeforeThePost(t *testing.T) {
	t.Parallel()
	var slept atomic.Bool
	var sleeper *bench
	c := order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 3))
	sleeper = newBench(t, func(config *config) {
		config.HTTPClient = &http.Client{Transport: stranger(func(path, _ string) string {
			if strings.HasSuffix(path, "chat.postMessage") && slept.CompareAndSwap(false, true) {
				sleeper.another().settle(c)
				sleeper.clock.Sleep(t.Context(), time.Minute)
			}
			return ""
		})}
	})
	sleeper.slack.AddToken(token, "chat:write", "channels:history")
	sleeper.notify(c)
	stands := sleeper.want("C0ONCALL", 1)[0]
	if d := sleeper.settle(c); len(d) > 0 {
		t.Errorf("it waits %v", d)
	}
	if again := sleeper.want("C0ONCALL", 1)[0]; again.TS != stands.TS {
		t.Errorf("the message %s stands, and not %s", again.TS, stands.TS)
	}
}

// A stopsAfter lets a worker stop when the answer of a method has been read.
type stopsAfter struct {
	method string
	stop   func()
}

func (s stopsAfter) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && strings.HasSuffix(r.URL.Path, s.method) {
		answer.Body = closing{answer.Body, s.stop}
	}
	return answer, err
}

type closing struct {
	io.ReadCloser
	then func()
}

func (c closing) Close() error {
	c.then()
	return c.ReadCloser.Close()
}

// untilDone are notes that a worker that has stopped cannot write.
type untilDone struct{ watcher.Notes }

func (n untilDone) SetNote(ctx context.Context, key string, text []byte, last watcher.Revision) (watcher.Revision, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	return n.Notes.SetNote(ctx, key, text, last)
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

// TestFormIsOfItsPart holds that a summary is posted whole though the message before it was refused and given up.
func TestFormIsOfItsPart(t *testing.T) {
	b := newBench(t, func(c *config) { c.Progress = true })
	c := order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 3))
	b.slack.Script(repeat(emulator.Refuse("invalid_blocks"), 3)...)
	b.settleBy(func() error {
		return b.notifier.Progress(t.Context(), watcher.Progress{Report: c.Report, Number: 1})
	})
	b.settle(c)
	if m := b.want("C0ONCALL", 1); len(m[0].Blocks) == 0 {
		t.Error("the summary is text alone")
	}
}

// TestOneBadMessageHoldsNobodyUp holds that others are told in the channel while Slack answers to one
// message with an error that nobody knows.
func TestOneBadMessageHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"brand_new_error", "internal_error"} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(c *config) {
				c.HTTPClient = &http.Client{Transport: stranger(func(path, body string) string {
					if strings.HasSuffix(path, "chat.postMessage") && strings.Contains(body, "order.pool-0-x") {
						return fmt.Sprintf(`{"ok":false,"error":%q}`, code)
					}
					return ""
				})}
			})
			b.slack.AddToken(token, "chat:write", "channels:history")
			begin := b.clock.Now()
			c := &consumer{bench: b, workers: []*bench{b}}
			for i := range 20 {
				w := order(watcher.AllFailed, 0, failure("flavor sold out in "+strings.Repeat("z", i+1), "createNode", 3))
				w.WatchID, w.OrderName, w.CompletedAt = fmt.Sprint("w_", i), fmt.Sprintf("order.pool-%d-x", i), begin.Add(time.Duration(i)*time.Minute)
				c.events = append(c.events, &event{completion: w, due: w.CompletedAt})
			}
			c.run(begin.Add(time.Hour))
			m := slices.DeleteFunc(b.slack.Messages("C0ONCALL"), isLine)
			if len(m) != 19 {
				t.Fatalf("%d of 19 others told within an hour", len(m))
			}
			last := tsTime(t, m[18])
			t.Logf("the last was told %s after its end", last.Sub(c.events[19].completion.CompletedAt))
		})
	}
}
