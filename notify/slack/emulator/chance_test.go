package emulator_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify/slack/emulator"
)

// TestFaultOfEveryCall holds that each method may meet a fault by chance, and scripts come first.
func TestFaultOfEveryCall(t *testing.T) {
	t.Parallel()
	met := make(map[string]int)
	b := newBench(t, emulator.Options{Fault: func(method string) emulator.Fault {
		met[method]++
		return emulator.Refuse("internal_error")
	}})
	methods := []string{
		"chat.postMessage", "chat.update", "chat.delete", "conversations.history", "conversations.replies", "conversations.info",
		"auth.test", "files.getUploadURLExternal", "files.completeUploadExternal", "files.delete",
	}
	for _, method := range methods {
		if _, a := b.post(method, text("C1", "x")); a.Error != "internal_error" || met[method] != 1 {
			t.Errorf("%s: %+v, asked for %d times", method, a, met[method])
		}
	}
	if n := b.slack.Faults(); n != len(methods) {
		t.Errorf("%d faults counted", n)
	}
	b.slack.Script(emulator.Pass)
	if _, a := b.post("chat.postMessage", text("C1", "x")); !a.OK || b.slack.Faults() != len(methods) {
		t.Errorf("%+v, %d faults", a, b.slack.Faults())
	}
}

// TestCallsTooSoon holds that posts over the rate are counted, those too that meet a fault by which
// they are kept; and calls in a penalty, whatever they meet.
func TestCallsTooSoon(t *testing.T) {
	t.Parallel()
	b := newBench(t, emulator.Options{RateLimit: true, PostEvery: 100 * time.Millisecond})
	b.slack.Script(emulator.AcceptAnd500)
	b.post("chat.postMessage", text("C1", "one"))
	b.now = b.now.Add(99 * time.Millisecond)
	if r, _ := b.post("chat.postMessage", text("C1", "two")); r.StatusCode != http.StatusTooManyRequests || r.Header.Get("Retry-After") != "1" {
		t.Errorf("%s, Retry-After %q", r.Status, r.Header.Get("Retry-After"))
	}
	b.slack.Script(emulator.Unavailable)
	b.post("chat.postMessage", text("C1", "three"))
	if over, penalty := b.slack.OverRate(), b.slack.PenaltyCalls(); over != 1 || penalty != 1 {
		t.Errorf("%d over the rate, %d in the penalty", over, penalty)
	}
	b.now = b.now.Add(time.Second)
	if _, a := b.post("chat.postMessage", text("C1", "four")); !a.OK {
		t.Errorf("%+v", a)
	}
}

// TestAcceptAndHang holds that the message is kept although nobody is answered.
func TestAcceptAndHang(t *testing.T) {
	t.Parallel()
	slack := emulator.New(emulator.Options{})
	slack.AddToken(token, "chat:write")
	slack.AddChannel("C1", emulator.Open)
	server := httptest.NewServer(slack)
	t.Cleanup(server.Close)
	slack.Script(emulator.AcceptAndHang)
	ctx, hangUp := context.WithCancel(t.Context())
	form := url.Values{"token": {token}, "channel": {"C1"}, "text": {"x"}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/api/chat.postMessage", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answered := make(chan error, 1)
	go func() {
		r, err := http.DefaultClient.Do(r)
		if err == nil {
			r.Body.Close()
		}
		answered <- err
	}()
	for len(slack.Messages("C1")) == 0 {
		select {
		case err := <-answered:
			t.Fatalf("answered, and nothing is kept: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	time.AfterFunc(100*time.Millisecond, hangUp) // for so long at the least there is no answer
	if err := <-answered; !errors.Is(err, context.Canceled) {
		t.Errorf("answered: %v", err)
	}
	if n := len(slack.Messages("C1")); n != 1 {
		t.Errorf("%d messages kept", n)
	}
}
