package notify

import (
	"context"
	"log/slog"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// refused decides what follows an error of a call. nil means to go on at once: with a simpler
// form, or not at all where the summary was given up.
func (s *Slack) refused(ctx context.Context, d delivery, err error) *watcher.RetryError {
	e := Classify(err)
	now := s.config.Now()
	r := d.receipt
	r.ambiguous = r.ambiguous || e.Class == Ambiguous
	if ctx.Err() != nil {
		return interrupted(context.Cause(ctx))
	}
	age := now.Sub(d.completion.CompletedAt)
	delay := e.RetryAfter
	switch e.Class {
	case TokenRefused:
		return s.pause(now, e)
	case PayloadRefused:
		if _, forms := d.part(); r.form+1 < len(forms) {
			s.log.Warn("slack refuses the message, a simpler one follows", "watch", d.place.watch, "channel", d.place.channel, "code", e.Code, "err", e)
			r.form++
			return nil
		}
		s.giveUp(ctx, d, e)
		return nil
	case ChannelRefused:
		if age >= channelPatience {
			s.giveUp(ctx, d, e)
			return nil
		}
		r.notBefore = now.Add(slowRetry)
		s.report(d, e, slowRetry, true)
		return &watcher.RetryError{After: slowRetry, Err: e}
	case UnknownCode:
		if age >= unknownPatience {
			s.giveUp(ctx, d, e)
			return nil
		}
	}
	delay, changed := d.lane.fail(now, delay, e.Code)
	s.report(d, e, delay, changed)
	return &watcher.RetryError{After: delay, Err: e}
}

// report logs an error that is tried again: as a warning where it is news.
func (s *Slack) report(d delivery, e *PostError, wait time.Duration, changed bool) {
	level := slog.LevelDebug
	if changed {
		level = slog.LevelWarn
	}
	s.log.Log(context.Background(), level, "slack does not take the summary, it is tried again",
		"watch", d.place.watch, "channel", d.place.channel, "class", e.Class, "code", e.Code, "wait", wait, "err", e)
}

// pause stops all calls, and says so once: not for each delivery that waits.
func (s *Slack) pause(now time.Time, e *PostError) *watcher.RetryError {
	s.mu.Lock()
	s.pausedUntil = now.Add(tokenPause)
	news := s.pausedFor != e.Code
	s.pausedFor = e.Code
	s.mu.Unlock()
	if news {
		s.log.Error("slack takes no message, the summaries wait", "code", e.Code, "err", e, "do", remedies(e.Code))
	}
	return &watcher.RetryError{After: tokenPause, Err: e}
}

// remedies says what to do about an error of the token or workspace.
func remedies(code string) string {
	switch code {
	case "missing_scope", "no_permission", "not_allowed_token_type":
		return "give the Slack app the bot scope chat:write, install it again, and configure its bot token (xoxb-…)"
	case "team_access_not_granted", "ekm_access_denied", "access_denied", "two_factor_setup_required":
		return "ask the workspace's administrators to admit the app"
	case "status_404":
		return "check the API's URL, or make a new webhook: this one is gone"
	}
	return "make a new bot token or webhook for the Slack app and configure it"
}

// giveUp ends a delivery that Slack finally refuses: the whole summary goes to the log.
func (s *Slack) giveUp(ctx context.Context, d delivery, e *PostError) {
	s.log.Error("slack finally refuses the summary, it follows here", "watch", d.place.watch, "channel", d.place.channel,
		"class", e.Class, "code", e.Code, "err", e, "do", "check the channel ID, and invite the app into the channel")
	writeSummary(ctx, s.log, d.completion, d.message)
	d.receipt.done = true
}
