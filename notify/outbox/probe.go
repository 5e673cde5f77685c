package outbox

import (
	"context"
	"slices"
	"strings"

	"github.com/orderwatch/orderwatch/notify/slack"
)

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
	now, e := s.config.Now(), i.Refused
	if e == nil && i.Scopes != nil && !i.Has(slack.ScopePost) {
		e = &slack.Error{Class: slack.TokenRefused, Code: "missing_scope", Detail: "needs the scope " + slack.ScopePost}
	}
	if e != nil {
		s.troubles.count(e)
	}
	switch {
	case e == nil:
		s.tokenTaken()
	case e.Class == slack.TokenRefused:
		s.pause(now, e)
		return
	default:
		if s.troubles.begin(now, "", e, s.config.Timing.TokenPause) {
			s.log.Warn("slack was not reached; messages wait until it is", "code", e.Code, "err", e, "do", e.Remedy())
		}
		return
	}
	if missing := i.Lacks(); first && len(missing) > 0 {
		s.log.Warn("the Slack app lacks scopes that it should have, and works without", "scopes", strings.Join(missing, ","), "do", "give them to the app and install it again; orderwatch doctor says what each is for")
	}
	for _, c := range i.Channels {
		s.channelProbed(i, c)
	}
}

// tokenTaken ends a trouble of the token, or of the way to Slack. Only a message that is taken ends one
// that auth.test does not see.
func (s *Outbox) tokenTaken() {
	seen := func(t Trouble) bool {
		return t.Channel == "" && (t.Class != slack.TokenRefused || slices.Contains(tokenCodes, t.Code))
	}
	if s.troubles.end(seen) {
		s.mu.Lock()
		s.pausedUntil = s.config.Now()
		s.mu.Unlock()
		s.log.Info("slack takes the token; messages go on")
	}
}

// Codes that a look tells of, too.
var (
	tokenCodes   = []string{"not_authed", "invalid_auth", "account_inactive", "token_revoked", "token_expired", "missing_scope"}
	channelCodes = []string{"channel_not_found", "not_in_channel", "is_archived"}
)

// channelProbed begins or ends a trouble of a channel, where the token may see it.
func (s *Outbox) channelProbed(i slack.Inspection, c slack.Channel) {
	if e := i.Refuses(c); e != nil {
		s.channelRefused(c.ID, e)
		return
	}
	seen := func(t Trouble) bool { return t.Channel == c.ID && slices.Contains(channelCodes, t.Code) }
	if c.Err == nil && s.troubles.end(seen) {
		s.log.Info("slack would take messages of the channel again", "channel", c.ID)
	}
}
