package outbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify/outbox"
	"github.com/orderwatch/orderwatch/notify/slack"
	"github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
)

const token = "xoxb-planted-token-7d1c"

// A clock stands still until somebody sleeps.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return context.Cause(ctx)
}

// A bench is a notifier in front of the emulator.
type bench struct {
	*testing.T
	clock    *clock
	slack    *emulator.Server
	url      string
	log      *logText
	config   config
	notifier *outbox.Outbox
}

// A logText keeps what was logged.
type logText struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

func newBench(t *testing.T, change ...func(*config)) *bench {
	t.Helper()
	b := &bench{T: t, clock: &clock{now: ended.Add(10 * time.Second)}, log: &logText{}}
	b.slack = emulator.New(emulator.Options{Now: b.clock.Now, RateLimit: true})
	b.slack.AddToken(token, "chat:write")
	b.slack.AddChannel("C0ONCALL", emulator.Open)
	b.slack.AddChannel("C0TEAM", emulator.Open)
	server := httptest.NewServer(b.slack)
	t.Cleanup(server.Close)
	b.url = server.URL
	c := config{Token: token, APIURL: server.URL + "/api/", Config: outbox.Config{
		Channel: "C0ONCALL", Mention: "here", Now: b.clock.Now, Sleep: b.clock.Sleep, Notes: &notes{},
	}}
	for _, f := range change {
		f(&c)
	}
	b.config = c
	var err error
	b.notifier, err = start(slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if strings.Contains(b.log.String(), token) {
			t.Error("the log shows the token")
		}
		if n := b.slack.PenaltyCalls(); n != 0 {
			t.Errorf("%d calls during a 429's penalty", n)
		}
	})
	return b
}

// notify delivers once and returns how long the delivery is to wait, 0 where it is done.
func (b *bench) notify(c watcher.Completion) time.Duration {
	b.Helper()
	return b.delay(b.notifier.Notify(b.Context(), c))
}

// delay returns for how long the error puts a delivery back, 0 where there is none.
func (b *bench) delay(err error) time.Duration {
	b.Helper()
	if err == nil {
		return 0
	}
	if strings.Contains(err.Error(), token) {
		b.Error("the error shows the token")
	}
	var retry *watcher.RetryError
	if !errors.As(err, &retry) || retry.After <= 0 {
		b.Fatalf("error %v is no RetryError with a delay", err)
	}
	return retry.After
}

// settle delivers until it is done, and returns the delays.
func (b *bench) settle(c watcher.Completion) []time.Duration {
	b.Helper()
	return b.settleBy(func() error { return b.notifier.Notify(b.Context(), c) })
}

func (b *bench) settleBy(deliver func() error) []time.Duration {
	b.Helper()
	var delays []time.Duration
	for range 100 {
		d := b.delay(deliver())
		if d == 0 {
			return delays
		}
		delays = append(delays, d)
		b.clock.Sleep(b.Context(), d)
	}
	b.Fatalf("not done after 100 deliveries: %v\n%s", delays, b.log)
	return nil
}

func (b *bench) want(channel string, n int) []emulator.Message {
	b.Helper()
	m := b.slack.Messages(channel)
	if len(m) != n {
		b.Fatalf("%d messages in %s, want %d\n%s", len(m), channel, n, b.log)
	}
	return m
}

func (b *bench) wantDelays(got []time.Duration, want ...time.Duration) {
	b.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		b.Errorf("delays %v, want %v\n%s", got, want, b.log)
	}
}

func twoChannels(c watcher.Completion) watcher.Completion {
	c.Requests = append(c.Requests,
		watcher.Request{ID: "b", SlackChannel: "C0TEAM"},
		watcher.Request{ID: "c", SlackChannel: "C0ONCALL"},
		watcher.Request{ID: "d", SlackChannel: "C0TEAM"})
	return c
}

func TestSlackPostsOncePerChannelWithItsThread(t *testing.T) {
	b := newBench(t)
	c := twoChannels(order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 40)))
	b.wantDelays(b.settle(c))
	for _, channel := range []string{"C0ONCALL", "C0TEAM"} {
		m := b.want(channel, 2)
		if m[0].ThreadTS != "" || m[1].ThreadTS != m[0].TS {
			t.Errorf("%s: the reply is not in the post's thread: %+v", channel, m)
		}
		if got := emulator.Mentions(m[0]); fmt.Sprint(got) != "[here]" {
			t.Errorf("%s mentions %v", channel, got)
		}
		if shown := emulator.Render(m[0]); !strings.Contains(shown, "@here *What to do:*") {
			t.Errorf("%s shows\n%s", channel, shown)
		}
	}
	b.settle(c) // redelivered because its acknowledgement was lost
	b.want("C0ONCALL", 2)
}

func TestSlackRetryRepeatsNoChannel(t *testing.T) {
	b := newBench(t)
	b.slack.AddChannel("C0TEAM", emulator.NotMember)
	c := twoChannels(order(watcher.Succeeded, 3))
	if d := b.notify(c); d != 5*time.Minute {
		t.Fatalf("put back for %v", d)
	}
	b.want("C0ONCALL", 1)
	b.want("C0TEAM", 0)
	calls := b.slack.Calls()
	if d := b.notify(c); d == 0 || b.slack.Calls() != calls {
		t.Errorf("an early redelivery made a call (delay %v)", d)
	}
	b.slack.AddChannel("C0TEAM", emulator.Open)
	b.clock.Sleep(t.Context(), 5*time.Minute)
	b.settle(c)
	b.want("C0ONCALL", 1)
	b.want("C0TEAM", 1)
}

func TestSlackDelays(t *testing.T) {
	s := time.Second
	for name, tc := range map[string]struct {
		script []emulator.Fault
		want   []time.Duration
		posts  int
	}{
		"429 with Retry-After":         {[]emulator.Fault{emulator.TooMany("7")}, []time.Duration{7 * s}, 1},
		"429 without":                  {[]emulator.Fault{emulator.TooMany("")}, []time.Duration{30 * s}, 1},
		"429 with a fraction":          {[]emulator.Fault{emulator.TooMany("1.5")}, []time.Duration{30 * s}, 1},
		"429 with a date":              {[]emulator.Fault{emulator.TooMany("Wed, 21 Oct 2026 07:28:00 GMT")}, []time.Duration{30 * s}, 1},
		"429 with zero":                {[]emulator.Fault{emulator.TooMany("0")}, []time.Duration{s}, 1},
		"429 with a negative":          {[]emulator.Fault{emulator.TooMany("-3")}, []time.Duration{s}, 1},
		"ratelimited with 200":         {[]emulator.Fault{emulator.Refuse("ratelimited")}, []time.Duration{30 * s}, 1},
		"message_limit_exceeded":       {[]emulator.Fault{emulator.Refuse("message_limit_exceeded")}, []time.Duration{300 * s}, 1},
		"outage":                       {repeat(emulator.Unavailable, 8), []time.Duration{2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 29 * s, 60 * s, 60 * s}, 1},
		"login page":                   {[]emulator.Fault{emulator.HTMLPage}, []time.Duration{2 * s}, 1},
		"{}":                           {[]emulator.Fault{emulator.EmptyObject}, []time.Duration{2 * s}, 1},
		"ok without ts":                {[]emulator.Fault{{Body: `{"ok":true}`}}, []time.Duration{2 * s}, 1},
		"kept, connection closed":      {[]emulator.Fault{emulator.AcceptAndDrop}, []time.Duration{2 * s}, 2},
		"kept, then 500":               {[]emulator.Fault{emulator.AcceptAnd500}, []time.Duration{2 * s}, 2},
		"kept, answer cut":             {[]emulator.Fault{emulator.AcceptAndCut}, []time.Duration{2 * s}, 2},
		"a code that nobody knows yet": {[]emulator.Fault{emulator.Refuse("brand_new_error")}, nil, 1},
		"token revoked":                {[]emulator.Fault{emulator.Refuse("token_revoked")}, []time.Duration{60 * s}, 1},
		"channel":                      {[]emulator.Fault{emulator.Refuse("restricted_action_read_only_channel")}, []time.Duration{300 * s}, 1},
		"payload":                      {[]emulator.Fault{emulator.Refuse("invalid_blocks")}, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.slack.Script(tc.script...)
			b.wantDelays(b.settle(order(watcher.Succeeded, 3)), tc.want...)
			b.want("C0ONCALL", tc.posts)
			if got := b.notifier.PossibleDuplicates(); (got > 0) != strings.Contains(b.log.String(), "possible duplicate") || tc.posts > 1 && got != 1 {
				t.Errorf("%d possible duplicates counted\n%s", got, b.log)
			}
		})
	}
}

func repeat(f emulator.Fault, n int) []emulator.Fault {
	var all []emulator.Fault
	for range n {
		all = append(all, f)
	}
	return all
}

func TestSlackLongWaitsAreNotSlept(t *testing.T) {
	b := newBench(t, func(c *config) {
		c.Sleep = func(ctx context.Context, d time.Duration) error { // all at once: nobody's turn passes
			if d > 2*time.Second {
				t.Errorf("slept %v in the slot", d)
			}
			return context.Canceled
		}
	})
	var longest time.Duration
	for i := range 5 {
		c := order(watcher.Succeeded, 1)
		c.WatchID = fmt.Sprint("w_", i)
		longest = max(longest, b.notify(c))
	}
	if longest < 2*time.Second {
		t.Errorf("the longest wait is %v", longest)
	}
}

func TestSlackStepsDown(t *testing.T) {
	c := order(watcher.AllFailed, 0, failure("flavor sold out", "createNode", 3))
	for refusals, want := range []string{
		0: "took 11 m 26 s",
		1: "• 3 × createNode",
		2: "@here FAILED: all 3 nodes, flavor sold out - order.pool-5ed5-w4l2n",
	} {
		b := newBench(t)
		b.slack.Script(repeat(emulator.Refuse("msg_blocks_too_long"), refusals)...)
		b.wantDelays(b.settle(c))
		m := b.want("C0ONCALL", 1)
		if shown := emulator.Render(m[0]); !strings.Contains(shown, want) {
			t.Errorf("after %d refusals %q is missing:\n%s", refusals, want, shown)
		}
		if logged := strings.Contains(b.log.String(), "msg=summary"); logged != (refusals > 0) {
			t.Errorf("after %d refusals the whole summary in the log: %v", refusals, logged)
		}
	}
	b := newBench(t)
	b.slack.Script(repeat(emulator.Refuse("invalid_arguments"), 3)...)
	b.wantDelays(b.settle(c))
	b.want("C0ONCALL", 0)
	b.wantLogged("level=ERROR", "msg=summary", "text=\"    flavor sold out\"")
}

func (b *bench) wantLogged(texts ...string) {
	b.Helper()
	for _, text := range texts {
		if !strings.Contains(b.log.String(), text) {
			b.Errorf("the log lacks %q:\n%s", text, b.log)
		}
	}
}

func TestSlackPausesWithoutAToken(t *testing.T) {
	b := newBench(t)
	b.slack.RevokeToken(token)
	var all []watcher.Completion
	for i := range 5 {
		c := order(watcher.Succeeded, 1)
		c.WatchID = fmt.Sprint("w_", i)
		all = append(all, c)
		if d := b.notify(c); d != time.Minute {
			t.Errorf("put back for %v", d)
		}
	}
	if b.slack.Calls() != 1 {
		t.Errorf("%d calls with a token that was refused", b.slack.Calls())
	}
	b.clock.Sleep(t.Context(), time.Minute)
	b.notify(all[0])
	if n := strings.Count(b.log.String(), "level=ERROR"); n != 1 {
		t.Errorf("%d errors logged, want one:\n%s", n, b.log)
	}
	b.wantLogged("token_revoked", "do=")
	b.slack.AddToken(token, "chat:write")
	b.clock.Sleep(t.Context(), time.Minute)
	for _, c := range all {
		b.settle(c)
	}
	b.want("C0ONCALL", 5)
}

func TestSlackHonoursContext(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.slack.Script(emulator.Fault{Delay: time.Minute})
	got := make(chan error)
	go func() { got <- b.notifier.Notify(ctx, order(watcher.Succeeded, 1)) }()
	for b.slack.Calls() == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	select {
	case err := <-got:
		var retry *watcher.RetryError
		if !errors.As(err, &retry) || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	case <-time.After(30 * time.Second): // half of what Slack takes
		t.Fatal("deaf to the context")
	}
	if err := b.notifier.Notify(ctx, order(watcher.Succeeded, 1)); err == nil || b.slack.Calls() != 1 {
		t.Errorf("called with a context that is over: %v", err)
	}
}

func TestSlackSummariesAtOnce(t *testing.T) {
	b := newBench(t)
	var wg sync.WaitGroup
	for _, c := range several(8) {
		wg.Go(func() { b.notifier.Notify(t.Context(), c) })
	}
	wg.Wait()
	for _, c := range several(8) {
		b.settle(c)
	}
	b.want("C0ONCALL", 8)
}

func TestWebhook(t *testing.T) {
	const path = "/services/T0/B0/planted-webhook-secret"
	hook := func(url string) func(*config) {
		return func(c *config) { c.Token, c.Channel, c.WebhookURL = "", "", url+path }
	}
	var url string
	b := newBench(t, func(c *config) { url = strings.TrimSuffix(c.APIURL, "/api/"); hook(url)(c) })
	b.slack.AddWebhook(path, "C0ONCALL")
	b.slack.Script(emulator.Unavailable, emulator.Fault{Status: 400, Body: "invalid_payload"})
	c := twoChannels(order(watcher.AllFailed, 0, failure("flavor sold out "+url+path, "createNode", 40)))
	b.wantDelays(b.settle(c), 2*time.Second)
	m := b.want("C0ONCALL", 1) // the webhook's own channel, and no thread
	if shown := emulator.Render(m[0]); strings.Contains(shown, "planted") {
		t.Errorf("the webhook's address is shown:\n%s", shown)
	}

	down := newBench(t, hook("http://127.0.0.1:1"))
	err := down.notifier.Notify(t.Context(), c)
	if err == nil || slack.Classify(err).Class != slack.NotAccepted {
		t.Errorf("got %v", err)
	}
	if strings.Contains(fmt.Sprint(err)+down.log.String()+b.log.String(), "planted") {
		t.Error("an error or the log shows the webhook's address")
	}
}

func TestNewRefusesBadConfig(t *testing.T) {
	good := config{Token: token, Config: outbox.Config{Channel: "C1", Notes: &notes{}}}
	for name, change := range map[string]func(*config){
		"nothing": func(c *config) { c.Token = "" },
		"routes by webhook": func(c *config) {
			c.Token, c.WebhookURL, c.Routes = "", "https://hooks.slack.com/services/planted", parsed(t, "rules: [{channels: [C1]}]")
		},
		"no notes":          func(c *config) { c.Notes = nil },
		"no channel":        func(c *config) { c.Channel = "" },
		"no slash":          func(c *config) { c.APIURL = "https://slack.com/api" },
		"no URL":            func(c *config) { c.APIURL = "slack/" },
		"bad webhook":       func(c *config) { c.Token, c.WebhookURL = "", "planted" },
		"mention":           func(c *config) { c.Mention = "channel" },
		"jitter over the 1": func(c *config) { c.Jitter = 1.5 },
	} {
		c := good
		change(&c)
		_, err := start(slog.New(slog.DiscardHandler), c)
		if err == nil || strings.Contains(err.Error(), "planted") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := start(slog.New(slog.DiscardHandler), good); err != nil {
		t.Error(err)
	}
}

// An impatient gives up its first request after some seconds.
type impatient struct{ was bool }

func (i *impatient) RoundTrip(r *http.Request) (*http.Response, error) {
	if i.was {
		return http.DefaultTransport.RoundTrip(r)
	}
	i.was = true
	ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
	defer cancel()
	return http.DefaultTransport.RoundTrip(r.WithContext(ctx))
}

func TestSlackTimeoutIsAmbiguous(t *testing.T) {
	b := newBench(t, func(c *config) { c.HTTPClient = &http.Client{Transport: new(impatient)} })
	b.slack.Script(emulator.Fault{Delay: time.Minute})
	b.wantDelays(b.settle(order(watcher.Succeeded, 1)), 2*time.Second)
	if b.notifier.PossibleDuplicates() != 1 {
		t.Error("no possible duplicate counted")
	}
}
