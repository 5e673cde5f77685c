package notify_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify"
	"github.com/orderwatch/orderwatch/notify/emulator"
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
				b := newBench(t, func(c *notify.Config) {
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

// TestOneBadMessageHoldsNobodyUp holds that others are told in the channel while Slack answers to one
// message with an error that nobody knows.
func TestOneBadMessageHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"brand_new_error", "internal_error"} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(c *notify.Config) {
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
				w := order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 3))
				w.WatchID, w.OrderName, w.CompletedAt = fmt.Sprint("w_", i), fmt.Sprintf("order.pool-%d-x", i), begin.Add(time.Duration(i)*time.Minute)
				c.events = append(c.events, &event{completion: w, due: w.CompletedAt})
			}
			c.run(begin.Add(time.Hour))
			if m := b.slack.Messages("C0ONCALL"); len(m) != 19 {
				t.Fatalf("%d of 19 others told within an hour", len(m))
			}
			last := tsTime(t, b.slack.Messages("C0ONCALL")[18])
			t.Logf("the last was told %s after its end", last.Sub(c.events[19].completion.CompletedAt))
		})
	}
}
