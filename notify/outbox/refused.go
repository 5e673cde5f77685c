package outbox

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/orderwatch/orderwatch/notify/slack"
	"github.com/orderwatch/orderwatch/watcher"
)

// failed takes the error of a call: what follows is decided next.
func (s *Outbox) failed(ctx context.Context, d *delivery, e *slack.Error) *watcher.RetryError {
	m := &d.memory
	switch m.last = refused; {
	case e.Code == duplicate:
		m.last = standing
	case e.Class == slack.Ambiguous:
		m.last = unsure
	}
	if m.last == unsure && m.doubted && ctx.Err() == nil { // it stands perhaps three times soon
		s.duplicates.Add(1)
	}
	return s.refuse(ctx, d, e)
}

// refuse lets it be decided what follows the error.
func (s *Outbox) refuse(ctx context.Context, d *delivery, e *slack.Error) *watcher.RetryError {
	if ctx.Err() != nil {
		return soon("post to slack", context.Cause(ctx))
	}
	s.troubles.count(e)
	d.memory.refusal = e
	return nil
}

// follow makes the step that follows a refused call. No error means to go on at once.
func (s *Outbox) follow(ctx context.Context, d *delivery, step step) *watcher.RetryError {
	now, e, m := s.config.Now(), step.err, &d.memory
	switch step.do {
	case giveUp:
		return s.giveUp(ctx, d, e)
	case pauseAll:
		return s.pause(now, e)
	case slow:
		m.notBefore = now.Add(s.config.Timing.Slow)
		s.channelRefused(d.channel, e)
		return &watcher.RetryError{After: s.config.Timing.Slow, Err: e}
	case strip:
		d.log.Warn("slack refuses the message's metadata, it is posted without; it may be doubled", "code", e.Code)
		m.bare = true
	case simplify:
		d.log.Warn("slack refuses the message, a simpler one follows", "code", e.Code, "err", e)
		m.form++
	case replace:
		d.log.Warn("slack does not let the message be edited, a new one follows", "code", e.Code, "err", e)
		s.replace(ctx, d)
	case another:
		d.posting.Generation++
		m.last = refused
	case believe:
		m.doubted = false
		return s.accepted(ctx, d, "")
	default:
		return s.backOff(d, e)
	}
	return nil
}

// backOff leaves the channel alone. A code that is not known perhaps means this message alone: others go first.
func (s *Outbox) backOff(d *delivery, e *slack.Error) *watcher.RetryError {
	delay := s.stopLane(d, e)
	if e.Class == slack.UnknownCode {
		delay += s.config.Timing.Wait
	}
	return &watcher.RetryError{After: delay, Err: e}
}

// stopLane stops the channel's calls after an error that may pass, and returns for how long.
func (s *Outbox) stopLane(d *delivery, e *slack.Error) time.Duration {
	now := s.config.Now()
	delay, changed := d.lane.fail(now, e.RetryAfter, e.Code)
	s.troubles.begin(now, d.channel, e, delay)
	d.report(e, delay, changed)
	return delay
}

// replace lets a new message follow in place of the one that cannot be edited. Nobody needs that one any
// more: it goes where Slack lets it.
func (s *Outbox) replace(ctx context.Context, d *delivery) {
	old := d.posting.TS
	if err := s.config.Slack.Delete(ctx, d.channel, slack.Found{TS: old}); err != nil {
		d.log.Debug("the message that cannot be edited is not deleted", "ts", old, "err", slack.Classify(err))
	}
	d.memory.anew, d.memory.form = old, 0
}

// report logs an error that is tried again: as a warning where it is news.
func (d *delivery) report(e *slack.Error, wait time.Duration, changed bool) {
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
func (s *Outbox) giveUp(ctx context.Context, d *delivery, e *slack.Error) *watcher.RetryError {
	switch {
	case d.digest != "":
		return s.note(ctx, d, d.posting.refused(e.Code, "")) // each watch finds its own way
	case d.quiet:
		return s.note(ctx, d, d.posting.over(d.state)) // the summary follows
	case e.Class != slack.PayloadRefused:
		to, retry := s.willing(ctx, d.want)
		if retry != nil {
			return retry
		}
		if to != "" {
			d.log.Error("slack finally refuses the message, another channel gets it", "code", e.Code, "err", e, "to", to, "do", d.remedy(e))
			return s.note(ctx, d, d.posting.refused(e.Code, to))
		}
	}
	if retry := s.keep(ctx, d, e); retry != nil {
		return retry
	}
	return s.note(ctx, d, d.posting.over(d.state))
}

// maxUndelivered bounds the text of a message that is kept because nobody took it, in units.
const maxUndelivered = 30000

// keep stores what Slack finally refused, and counts it. Where there is no place for that, the log
// has it.
func (s *Outbox) keep(ctx context.Context, d *delivery, e *slack.Error) *watcher.RetryError {
	log := d.log.With("class", e.Class, "code", e.Code, "err", e)
	if s.config.Undelivered == nil {
		s.undelivered.Add(1)
		log.Error("slack finally refuses the message, it follows here", "do", d.remedy(e))
		d.whole(d.log, d.message)
		return nil
	}
	u := d.about
	u.ID, u.Channel, u.ToldAt, u.RefusedAt = d.key, d.channel, d.told.UTC(), s.config.Now().UTC()
	if d.about.Outage != "" { // one note is for all its kinds
		u.ID += "." + string(d.about.Kind)
	}
	u.Code, u.Reason = e.Code, e.Error()
	u.Text = d.message.Plain(maxUndelivered)
	if err := s.config.Undelivered.Keep(ctx, u); err != nil {
		d.memory.notBefore = s.config.Now().Add(s.config.Timing.Keep)
		return &watcher.RetryError{After: s.config.Timing.Keep, Err: fmt.Errorf("keep what slack refuses: %w", err)}
	}
	s.undelivered.Add(1)
	log.Error("slack finally refuses the message, an event has it", "event", u.ID, "do", d.remedy(e))
	return nil
}

// Undelivered returns how many messages Slack finally refused.
func (s *Outbox) Undelivered() int64 { return s.undelivered.Load() }
