package notify

import (
	"context"
	"log/slog"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// refused decides what follows an error of a call. nil means to go on at once: with a simpler
// form, anew where nothing can be edited, or not at all where the message was given up.
func (s *Slack) refused(ctx context.Context, d delivery, err error) *watcher.RetryError {
	e := Classify(err)
	now := s.config.Now()
	r := d.receipt
	r.ambiguous = r.ambiguous || e.Class == Ambiguous
	if ctx.Err() != nil {
		return interrupted(context.Cause(ctx))
	}
	age := now.Sub(d.told)
	delay := e.RetryAfter
	switch e.Class {
	case TokenRefused:
		return s.pause(now, e)
	case EditRefused:
		d.log.Warn("slack does not let the message be edited, a new one follows", "code", e.Code, "err", e)
		r.anew, r.form, r.ambiguous = true, 0, false
		return nil
	case PayloadRefused:
		if _, forms := d.part(); r.form+1 < len(forms) {
			d.log.Warn("slack refuses the message, a simpler one follows", "code", e.Code, "err", e)
			r.form++
			return nil
		}
		d.giveUp(ctx, e)
		return nil
	case ChannelRefused:
		if age >= channelPatience {
			d.giveUp(ctx, e)
			return nil
		}
		r.notBefore = now.Add(slowRetry)
		d.report(e, slowRetry, true)
		return &watcher.RetryError{After: slowRetry, Err: e}
	case UnknownCode:
		if age >= unknownPatience {
			d.giveUp(ctx, e)
			return nil
		}
	}
	delay, changed := d.lane.fail(now, delay, e.Code)
	d.report(e, delay, changed)
	return &watcher.RetryError{After: delay, Err: e}
}

// report logs an error that is tried again: as a warning where it is news.
func (d delivery) report(e *PostError, wait time.Duration, changed bool) {
	level := slog.LevelDebug
	if changed {
		level = slog.LevelWarn
	}
	d.log.Log(context.Background(), level, "slack does not take the message, it is tried again",
		"class", e.Class, "code", e.Code, "wait", wait, "err", e)
}

// pause stops all calls, and says so once: not for each delivery that waits.
func (s *Slack) pause(now time.Time, e *PostError) *watcher.RetryError {
	s.mu.Lock()
	s.pausedUntil = now.Add(tokenPause)
	news := s.pausedFor != e.Code
	s.pausedFor = e.Code
	s.mu.Unlock()
	if news {
		s.log.Error("slack takes no message, all wait", "code", e.Code, "err", e, "do", remedies(e.Code))
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

// giveUp ends a delivery that Slack finally refuses: the whole message goes to the log.
func (d delivery) giveUp(ctx context.Context, e *PostError) {
	d.log.Error("slack finally refuses the message, it follows here",
		"class", e.Class, "code", e.Code, "err", e, "do", "check the channel ID, and invite the app into the channel")
	d.whole(ctx, d.message)
	d.receipt.done = true
}
