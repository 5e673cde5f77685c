package outbox_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/notify/slack/emulator"
	"github.com/orderwatch/orderwatch/watcher"
)

// troubles returns what the notifier says of each trouble: channel, class and code.
func (b *bench) troubles() (said []string) {
	for _, t := range b.notifier.Troubles() {
		said = append(said, fmt.Sprintf("%s %s %s", t.Channel, t.Class, t.Code))
	}
	return said
}

func (b *bench) wantTroubles(want ...string) {
	b.Helper()
	if got := b.troubles(); !slices.Equal(got, want) {
		b.Errorf("troubles are %q, want %q\n%s", got, want, b.log)
	}
}

// several returns completions of different watches.
func several(n int) (all []watcher.Completion) {
	for i := range n {
		c := order(watcher.Succeeded, 1)
		c.WatchID = fmt.Sprint("w_", i)
		all = append(all, c)
	}
	return all
}

// TestTroubleOfAChannel holds that a channel that refuses the bot is told of once, however many messages
// wait and however often they are tried, and that it ends with the first message that is taken.
func TestTroubleOfAChannel(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.slack.AddChannel("C0ONCALL", emulator.NotMember)
	all := several(3)
	for range 4 {
		for _, c := range all {
			b.notify(c)
		}
		b.clock.Sleep(t.Context(), 5*time.Minute)
	}
	b.wantTroubles("C0ONCALL channel not_in_channel")
	trouble := b.notifier.Troubles()[0]
	if since := b.clock.Now().Sub(trouble.Since); since < 20*time.Minute || since > 21*time.Minute {
		t.Errorf("it has been so since %s", since)
	}
	if said := trouble.String(); !strings.Contains(said, "for channel C0ONCALL since ") || !strings.Contains(said, "not_in_channel; /invite the app") {
		t.Errorf("it says %q", said)
	}
	if n := strings.Count(b.log.String(), "level=ERROR"); n != 1 {
		t.Errorf("%d errors logged, want one:\n%s", n, b.log)
	}
	b.slack.AddChannel("C0ONCALL", emulator.Open)
	for _, c := range all {
		b.settle(c)
	}
	b.want("C0ONCALL", 3)
	b.wantTroubles()
	b.wantLogged("slack takes messages again")

	b.slack.AddChannel("C0ONCALL", emulator.Archived)
	next := order(watcher.Succeeded, 2)
	next.WatchID, next.CompletedAt = "w_next", b.clock.Now()
	b.notify(next)
	if n := strings.Count(b.log.String(), "level=ERROR"); n != 2 {
		t.Errorf("%d errors logged, want another:\n%s", n, b.log)
	}
}

// TestTroubleEndsByItself holds that a worker does not tell for ever of what it met once: another worker
// may have delivered the message.
func TestTroubleEndsByItself(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.slack.Script(emulator.Unavailable)
	wait := b.notify(order(watcher.Succeeded, 1))
	b.wantTroubles("C0ONCALL ambiguous status_503")
	b.clock.Sleep(t.Context(), 3*wait)
	b.wantTroubles()
}

// TestErrorsAreBounded holds that codes which are not known here make no more than some kinds of errors,
// and that none is strange or long.
func TestErrorsAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	codes := []string{"", "with space", "UPPER", `quote"`, "new\nline", "\u202eevil", strings.Repeat("x", 65)}
	for i := range 100 {
		codes = append(codes, fmt.Sprint("brand_new_", i))
	}
	for i, c := range several(len(codes)) {
		b.slack.Script(emulator.Refuse(codes[i]))
		b.notify(c)
		b.clock.Sleep(t.Context(), time.Hour)
	}
	total := int64(0)
	for _, e := range b.notifier.Errors() {
		total += e.Count
		if len(e.Code) == 0 || len(e.Code) > 64 || strings.ContainsFunc(e.Code, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') && (r < '0' || r > '9') }) {
			t.Errorf("code %q", e.Code)
		}
	}
	if n := len(b.notifier.Errors()); n < 15 || n > 30 || total != int64(len(codes)) {
		t.Errorf("%d kinds of errors, %d in all; want at most 30, and %d", n, total, len(codes))
	}
}

// A prober runs Probe, which stops before each of its waits.
type prober struct {
	*bench
	waits chan time.Duration
	goOn  chan bool
}

func newProber(t *testing.T, channels ...string) *prober {
	p := &prober{waits: make(chan time.Duration), goOn: make(chan bool)}
	p.bench = newBench(t, func(c *config) {
		now := c.Sleep
		c.Sleep = func(ctx context.Context, d time.Duration) error {
			if d < time.Minute {
				return now(ctx, d) // of a post
			}
			select {
			case p.waits <- d:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			select {
			case <-p.goOn:
				return now(ctx, d)
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	})
	ended := make(chan bool)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(ended)
		p.notifier.Probe(ctx, channels...)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return p
}

// look waits until Slack was asked, lets the next look come, and returns when that is to be.
func (p *prober) wantLook(next time.Duration, troubles ...string) {
	p.Helper()
	select {
	case d := <-p.waits:
		if d != next {
			p.Errorf("the next look is in %s, want %s", d, next)
		}
	case <-time.After(3 * time.Minute):
		p.Fatal("Slack is not asked")
	}
	p.wantTroubles(troubles...)
}

// TestProbe holds that people hear of a token or channel that is refused before a message is, once, and
// that it is over when Slack says so, though no message was posted.
func TestProbe(t *testing.T) {
	t.Parallel()
	p := newProber(t, "C0ONCALL", "C0TEAM", "G0SECRET", "C0NONE")
	p.slack.AddChannel("G0SECRET", emulator.NotMember)
	scopes := []string{"chat:write", "channels:read", "channels:history", "groups:history", "files:write"}
	next := func() { p.goOn <- true }

	const none = "C0NONE channel channel_not_found"
	p.wantLook(10 * time.Minute) // with chat:write alone nothing is seen of channels
	p.slack.AddToken(token, scopes...)
	next()
	p.wantLook(time.Minute, none) // the private one cannot be seen
	p.slack.RevokeToken(token)
	next()
	p.wantLook(time.Minute, " token token_revoked", none)
	if d := p.notify(order(watcher.Succeeded, 1)); d != time.Minute || p.slack.Calls() > 0 {
		t.Errorf("put back for %s after %d calls", d, p.slack.Calls())
	}
	next()
	p.wantLook(time.Minute, " token token_revoked", none)
	p.slack.AddToken(token, scopes[1:]...)
	next()
	p.wantLook(time.Minute, " token missing_scope", none)
	p.slack.AddToken(token, append(scopes, "groups:read")...)
	p.slack.AddChannel("C0NONE", emulator.Open)
	next()
	p.wantLook(time.Minute, "G0SECRET channel not_in_channel")
	p.slack.AddChannel("G0SECRET", emulator.Open)
	next()
	p.wantLook(10 * time.Minute)
	if d := p.notify(order(watcher.Succeeded, 1)); d != 0 {
		t.Errorf("put back for %s", d)
	}
	for _, want := range []string{
		"level=WARN msg=\"the Slack app lacks scopes", "scopes=channels:history,files:write,groups:history",
		"code=channel_not_found", "code=token_revoked", "code=missing_scope", "code=not_in_channel",
		"slack takes the token", "slack would take messages of the channel again",
	} {
		if strings.Count(p.log.String(), want) < 1 {
			t.Errorf("not logged: %s", want)
		}
	}
	if n := strings.Count(p.log.String(), "level=ERROR"); n != 4 {
		t.Errorf("%d errors logged, want 4:\n%s", n, p.log)
	}
}
