package notify

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// refused decides what follows an error of a call. nil means to go on at once: with a simpler
// form, anew where nothing can be edited, or not at all where the message was given up.
func (s *Slack) refused(ctx context.Context, d delivery, err error) *watcher.RetryError {
	e := Classify(err)
	now := s.config.Now()
	r := d.receipt
	r.unsure = e.Class == Ambiguous
	if ctx.Err() != nil {
		return interrupted(context.Cause(ctx))
	}
	if r.twin = e.Code == "duplicate_message"; r.twin && r.doubtful {
		return s.doubled(ctx, d)
	}
	age := now.Sub(d.told)
	delay := e.RetryAfter
	switch e.Class {
	case TokenRefused:
		return s.pause(now, e)
	case EditRefused:
		d.log.Warn("slack does not let the message be edited, a new one follows", "code", e.Code, "err", e)
		r.anew, r.form = true, 0
		return nil
	case PayloadRefused:
		if strings.HasPrefix(e.Code, "metadata_") && !r.bare {
			d.log.Warn("slack refuses the message's metadata, it is posted without; it may be doubled", "code", e.Code)
			r.bare = true
			return nil
		}
		if _, forms := d.part(); r.form+1 < len(forms) {
			d.log.Warn("slack refuses the message, a simpler one follows", "code", e.Code, "err", e)
			r.form++
			return nil
		}
		return d.giveUp(ctx, e)
	case ChannelRefused:
		if age >= channelPatience {
			return d.giveUp(ctx, e)
		}
		r.notBefore = now.Add(slowRetry)
		d.report(e, slowRetry, true)
		return &watcher.RetryError{After: slowRetry, Err: e}
	case UnknownCode:
		if age >= unknownPatience {
			return d.giveUp(ctx, e)
		}
	}
	delay, changed := d.lane.fail(now, delay, e.Code)
	d.report(e, delay, changed)
	return &watcher.RetryError{After: delay, Err: e}
}

// doubled deals with a part of which Slack says that it stands, where nobody can look which message it
// is. A thread needs to know: it gets another root.
func (s *Slack) doubled(ctx context.Context, d delivery) *watcher.RetryError {
	if d.entry.part() == 0 && len(d.message.Replies) > 0 {
		d.entry.posting.Generation++
		d.receipt.twin, d.receipt.unsure = false, false
		return nil
	}
	d.receipt.doubtful = false
	return s.accepted(ctx, d, "")
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

// giveUp ends a delivery that Slack finally refuses: the message is kept for people to look at.
func (d delivery) giveUp(ctx context.Context, e *PostError) *watcher.RetryError {
	if retry := d.keep(ctx, e); retry != nil {
		return retry
	}
	return d.entry.end(ctx)
}
