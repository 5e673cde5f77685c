package outbox

import (
	"cmp"
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/notify/slack"
	"github.com/orderwatch/orderwatch/watcher"
)

// A Trouble is why messages wait that Slack does not take from this worker.
type Trouble struct {
	Channel string // whose messages wait; empty: those of all channels
	Class   slack.Class
	Code    string
	Since   time.Time // when it was met first
	Do      string    // what people can do about it, see [slack.Error.Remedy]

	until time.Time // taken for over where it is not met again
}

// String says it to people, in one line.
func (t Trouble) String() string {
	where := "slack takes no messages"
	switch t.Channel {
	case "":
	case routes.Webhook:
		where += " by the webhook"
	default:
		where += " for channel " + t.Channel
	}
	said := where + " since " + t.Since.UTC().Format("15:04 UTC") + ": " + t.Code
	if t.Do != "" {
		said += "; " + t.Do
	}
	return said
}

// Troubles returns what keeps Slack from taking messages at the moment, nothing while it takes them:
// first what concerns all channels, then by channel.
func (s *Outbox) Troubles() []Trouble {
	now := s.config.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.troubles, func(_ string, t Trouble) bool { return !now.Before(t.until) })
	return slices.SortedFunc(maps.Values(s.troubles), func(a, b Trouble) int { return cmp.Compare(a.Channel, b.Channel) })
}

// begin notes that messages of the channel wait so long, or those of all, and reports whether that is
// news. It stands until Slack takes one, or three such waits later: another worker may have told them.
func (s *Outbox) begin(channel string, e *slack.Error, wait time.Duration) bool {
	now := s.config.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	before, since := s.troubles[channel], now
	known := now.Before(before.until)
	if known {
		since = before.Since
	}
	s.troubles[channel] = Trouble{channel, e.Class, labelCode(e.Code), since, e.Remedy(), now.Add(3 * wait)}
	return !known || before.Code != s.troubles[channel].Code
}

// pause stops all calls, and says so once: not for each delivery that waits.
func (s *Outbox) pause(e *slack.Error) *watcher.RetryError {
	wait := s.config.Timing.TokenPause
	s.mu.Lock()
	s.pausedUntil, s.pausedFor = s.config.Now().Add(wait), e.Code
	s.mu.Unlock()
	if s.begin("", e, wait) {
		s.log.Error("slack takes no message, all wait until it does", "code", e.Code, "err", e, "do", e.Remedy())
	}
	return &watcher.RetryError{After: wait, Err: e}
}

// channelRefused says that a channel's messages wait, once: not for each of them.
func (s *Outbox) channelRefused(channel string, e *slack.Error) {
	if s.begin(channel, e, s.config.Timing.Slow) {
		what := "slack refuses the channel: its messages wait, and are tried until an hour after what they tell of"
		if e.Lasts() {
			what = "slack refuses the channel, and nobody expects that to pass: failures go to the next channel at once, others within the hour"
		}
		s.log.Error(what, "channel", channel, "code", e.Code, "err", e, "do", e.Remedy())
	}
}

// taken ends what kept messages of the channel waiting, and reports whether there was anything.
func (s *Outbox) taken(channel string) (ended bool) {
	s.lane(channel, func(l *lane, _ time.Time) {
		waiting := len(s.troubles)
		delete(s.troubles, "")
		delete(s.troubles, channel)
		ended = l.code != "" || len(s.troubles) < waiting
		l.code, l.errors = "", 0
	})
	return ended
}

// Probe asks Slack, at once and then every Timing.Probe, whether it would take messages in these
// channels, until ctx is done: a token that is revoked is found before an order ends. What it finds is in
// [Outbox.Troubles] and, once, in the log. It posts nothing; with a webhook alone there is nothing to ask.
func (s *Outbox) Probe(ctx context.Context, channels ...string) {
	if s.config.Slack == nil {
		return
	}
	for first := true; ; first = false {
		i := s.config.Slack.Inspect(ctx, channels...)
		if ctx.Err() != nil {
			return
		}
		s.probed(i, first)
		every := s.config.Timing.Probe
		if len(s.Troubles()) > 0 {
			every = s.config.Timing.TokenPause
		}
		if s.config.Sleep(ctx, every) != nil {
			return
		}
	}
}

// probed takes what Slack said.
func (s *Outbox) probed(i slack.Inspection, first bool) {
	e := i.Refused
	if e == nil && i.Scopes != nil && !i.Has(slack.ScopePost) {
		e = &slack.Error{Class: slack.TokenRefused, Code: "missing_scope", Detail: "needs the scope " + slack.ScopePost}
	}
	if e != nil {
		s.count(e)
		if e.Class == slack.TokenRefused {
			s.pause(e)
		} else if s.begin("", e, s.config.Timing.TokenPause) {
			s.log.Warn("slack was not reached; messages wait until it is", "code", e.Code, "err", e, "do", e.Remedy())
		}
		return
	}
	if s.seenOver("", tokenCodes) {
		s.mu.Lock()
		s.pausedUntil = s.config.Now()
		s.mu.Unlock()
		s.log.Info("slack takes the token; messages go on")
	}
	if missing := i.Lacks(); first && len(missing) > 0 {
		s.log.Warn("the Slack app lacks scopes that it should have, and works without", "scopes", strings.Join(missing, ","), "do", "give them to the app and install it again; orderwatch doctor says what each is for")
	}
	for _, c := range i.Channels {
		if e := i.Refuses(c); e != nil {
			s.channelRefused(c.ID, e)
		} else if c.Err == nil && s.seenOver(c.ID, channelCodes) {
			s.log.Info("slack would take messages of the channel again", "channel", c.ID)
		}
	}
}

// Codes that a look tells of, too.
var (
	tokenCodes   = []string{"not_authed", "invalid_auth", "account_inactive", "token_revoked", "token_expired", "missing_scope"}
	channelCodes = []string{"channel_not_found", "not_in_channel", "is_archived"}
)

// seenOver ends the trouble of a channel, or of all, that a look has seen to be over: one with such a code, or of the
// way to Slack. Only a message that is taken ends another one. It reports whether there was one.
func (s *Outbox) seenOver(channel string, codes []string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.troubles[channel]
	unreached := channel == "" && t.Class != slack.TokenRefused
	if ok = ok && (unreached || slices.Contains(codes, t.Code)); ok {
		delete(s.troubles, channel)
	}
	return ok
}

// An ErrorCount is how often Slack answered with an error.
type ErrorCount struct {
	Class slack.Class
	Code  string // at most 64 of a-z, 0-9 and _; otherCode where that is not so, or codes are too many
	Count int64
}

// Errors returns how often each error was met. There are few, whatever Slack says.
func (s *Outbox) Errors() (all []ErrorCount) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for kind, n := range s.met {
		kind.Count = n
		all = append(all, kind)
	}
	slices.SortFunc(all, func(a, b ErrorCount) int {
		return cmp.Or(cmp.Compare(a.Class, b.Class), cmp.Compare(a.Code, b.Code))
	})
	return all
}

// What is told apart: codes of Slack's form, and of those that are not known here so many.
const (
	otherCode     = "other"
	maxOtherCodes = 20
)

var label = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)

// count counts an error, whatever becomes of it.
func (s *Outbox) count(e *slack.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind := ErrorCount{Class: e.Class, Code: labelCode(e.Code)}
	if _, known := s.met[kind]; !known && e.Class == slack.UnknownCode {
		if s.others >= maxOtherCodes {
			kind.Code = otherCode
		} else {
			s.others++
		}
	}
	s.met[kind]++
}

// labelCode returns a code that has the form of Slack's.
func labelCode(code string) string {
	if label.MatchString(code) {
		return code
	}
	return otherCode
}
