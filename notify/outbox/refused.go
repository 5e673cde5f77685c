package outbox

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/notify/slack"
	"github.com/orderwatch/orderwatch/watcher"
)

// refused decides what follows an error of a call. nil means to go on at once: with a simpler
// form, anew where nothing can be edited, or not at all where the message was given up.
func (s *Outbox) refused(ctx context.Context, d delivery, err error) *watcher.RetryError {
	e := slack.Classify(err)
	now := s.config.Now()
	r := d.receipt
	r.unsure = e.Class == slack.Ambiguous
	if ctx.Err() != nil {
		return interrupted(context.Cause(ctx))
	}
	s.troubles.count(e)
	if r.twin = e.Code == "duplicate_message"; r.twin && r.doubtful {
		return s.doubled(ctx, d)
	}
	if r.unsure && r.doubtful { // it stands perhaps three times soon
		s.duplicates.Add(1)
	}
	age := now.Sub(d.told)
	switch e.Class {
	case slack.TokenRefused:
		if s.config.Slack != nil && d.place.channel == routes.Webhook { // it is not the token that is refused
			return d.giveUp(ctx, e)
		}
		return s.pause(now, e)
	case slack.EditRefused:
		if !d.entry.edits() {
			return d.giveUp(ctx, &slack.Error{Class: slack.PayloadRefused, Code: e.Code, Detail: e.Detail})
		}
		d.log.Warn("slack does not let the message be edited, a new one follows", "code", e.Code, "err", e)
		s.replace(ctx, d)
		return nil
	case slack.PayloadRefused:
		return d.simplify(ctx, e)
	case slack.ChannelRefused:
		if age >= s.config.Timing.ChannelPatience {
			return d.giveUp(ctx, e)
		}
		r.notBefore = now.Add(s.config.Timing.Slow)
		s.channelRefused(d.place.channel, e)
		return &watcher.RetryError{After: s.config.Timing.Slow, Err: e}
	case slack.UnknownCode:
		if age >= s.config.Timing.UnknownPatience {
			return d.giveUp(ctx, e)
		}
	}
	delay := s.stopLane(d, e)
	if e.Class == slack.UnknownCode { // perhaps it means this message alone: others go first
		delay += s.config.Timing.Wait
	}
	return &watcher.RetryError{After: delay, Err: e}
}

// stopLane stops the channel's calls after an error that may pass, and returns for how long.
func (s *Outbox) stopLane(d delivery, e *slack.Error) time.Duration {
	now := s.config.Now()
	delay, changed := d.lane.fail(now, e.RetryAfter, e.Code)
	s.troubles.begin(now, d.place.channel, e, delay)
	d.report(e, delay, changed)
	return delay
}

// simplify lets a simpler form of the part at hand follow, where there is one.
func (d delivery) simplify(ctx context.Context, e *slack.Error) *watcher.RetryError {
	if strings.HasPrefix(e.Code, "metadata_") && !d.receipt.bare {
		d.log.Warn("slack refuses the message's metadata, it is posted without; it may be doubled", "code", e.Code)
		d.receipt.bare = true
		return nil
	}
	if _, forms := d.part(); d.receipt.form+1 < len(forms) {
		d.log.Warn("slack refuses the message, a simpler one follows", "code", e.Code, "err", e)
		d.receipt.form++
		return nil
	}
	return d.giveUp(ctx, e)
}

// replace lets a new message follow in place of the one that cannot be edited. Nobody needs that one any
// more: it goes where Slack lets it.
func (s *Outbox) replace(ctx context.Context, d delivery) {
	old := d.entry.posting.TS
	if err := s.config.Slack.Delete(ctx, d.place.channel, slack.Found{TS: old}); err != nil {
		d.log.Debug("the message that cannot be edited is not deleted", "ts", old, "err", slack.Classify(err))
	}
	d.receipt.anew, d.receipt.form = old, 0
}

// doubled deals with a part of which Slack says that it stands, where nobody can look which message it
// is. A thread needs to know: it gets another root.
func (s *Outbox) doubled(ctx context.Context, d delivery) *watcher.RetryError {
	if d.entry.part() == 0 && len(d.message.Replies) > 0 {
		d.entry.posting.Generation++
		d.receipt.twin, d.receipt.unsure = false, false
		return nil
	}
	d.receipt.doubtful = false
	return s.accepted(ctx, d, "")
}

// report logs an error that is tried again: as a warning where it is news.
func (d delivery) report(e *slack.Error, wait time.Duration, changed bool) {
	level := slog.LevelDebug
	if changed {
		level = slog.LevelWarn
	}
	d.log.Log(context.Background(), level, "slack does not take the message, it is tried again",
		"class", e.Class, "code", e.Code, "wait", wait, "err", e, "do", e.Remedy())
}

// channelRefused says that a channel's messages wait, once: not for each of them.
func (s *Outbox) channelRefused(channel string, e *slack.Error) {
	if s.troubles.begin(s.config.Now(), channel, e, s.config.Timing.Slow) {
		s.log.Error("slack refuses the channel: its messages wait, and are tried until an hour after what they tell of", "channel", channel, "code", e.Code, "err", e, "do", e.Remedy())
	}
}

// pause stops all calls, and says so once: not for each delivery that waits.
func (s *Outbox) pause(now time.Time, e *slack.Error) *watcher.RetryError {
	s.mu.Lock()
	s.pausedUntil = now.Add(s.config.Timing.TokenPause)
	s.pausedFor = e.Code
	s.mu.Unlock()
	if s.troubles.begin(now, "", e, s.config.Timing.TokenPause) {
		s.log.Error("slack takes no message, all wait until it does", "code", e.Code, "err", e, "do", e.Remedy())
	}
	return &watcher.RetryError{After: s.config.Timing.TokenPause, Err: e}
}

// giveUp ends a delivery that Slack finally refuses: another channel gets the message, or it is kept for
// people to look at.
func (d delivery) giveUp(ctx context.Context, e *slack.Error) *watcher.RetryError {
	switch {
	case d.together:
		return d.entry.refuse(ctx, e.Code, "") // each watch finds its own way
	case d.entry.quiet:
		return d.entry.end(ctx) // the summary follows
	case e.Class != slack.PayloadRefused:
		if to, retry := d.next(ctx); to != "" || retry != nil {
			if retry == nil {
				retry = d.move(ctx, e, to)
			}
			return retry
		}
	}
	if retry := d.keep(ctx, e); retry != nil {
		return retry
	}
	return d.entry.end(ctx)
}
