package outbox

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
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
	s.count(e)
	d.memory.refusal = e
	return nil
}

// backOff leaves the channel alone after an error that may pass.
func (s *Outbox) backOff(d *delivery, e *slack.Error) *watcher.RetryError {
	var delay time.Duration
	changed := false
	s.lane(d.channel, func(l *lane, now time.Time) { delay, changed = l.fail(now, e, s.config.Timing, s.config.Jitter) })
	s.begin(d.channel, e, delay)
	d.report(e, delay, changed)
	return &watcher.RetryError{After: delay, Err: e}
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

// giveUp ends a delivery that Slack finally refuses: another channel gets the message, or it is kept for
// people to look at.
func (s *Outbox) giveUp(ctx context.Context, d *delivery, e *slack.Error) *watcher.RetryError {
	switch {
	case d.digest != "":
		return s.note(ctx, d, d.posting.refused(e.Code, "")) // each watch finds its own way
	case d.line:
		return s.lineRefused(ctx, d, e)
	case d.quiet, d.posting.Group != nil: // the summary follows, or the group's thread lists it
		return s.note(ctx, d, d.posting.over(d.state))
	case e.Class != slack.PayloadRefused:
		to, retry := s.willing(ctx, d.want)
		if retry != nil {
			return retry
		}
		if to != "" {
			if e.Class == slack.ChannelRefused {
				s.channelRefused(d.channel, e)
			}
			d.log.Error("slack finally refuses the message, another channel gets it", "code", e.Code, "err", e, "to", to, "do", d.remedy(e))
			return s.note(ctx, d, d.posting.refused(e.Code, to))
		}
	}
	if retry := s.keep(ctx, d, e); retry != nil {
		return retry
	}
	return s.note(ctx, d, d.posting.over(d.state))
}

// lineRefused ends a line that the channel finally refuses. What it names stands, and wakes people in another channel.
func (s *Outbox) lineRefused(ctx context.Context, d *delivery, e *slack.Error) *watcher.RetryError {
	others := slices.DeleteFunc(slices.Clone(d.others), func(other string) bool { return other == d.channel })
	if len(others) == 0 {
		d.log.Error("slack finally refuses to wake people for messages that stand, and there is no other channel", "code", e.Code, "err", e, "do", e.Remedy())
		return s.note(ctx, d, d.posting.refused(e.Code, ""))
	}
	d.log.Error("slack finally refuses to wake people for messages that stand, another channel does", "code", e.Code, "err", e, "to", others[0], "do", e.Remedy())
	return s.note(ctx, d, d.posting.refused(e.Code, others[0]))
}

// curtail ends a message that stands, and whose thread Slack finally refuses: an event has all of it, and the message
// says so next.
func (s *Outbox) curtail(ctx context.Context, d *delivery, e *slack.Error) *watcher.RetryError {
	if retry := s.keep(ctx, d, e); retry != nil {
		return retry
	}
	d.memory.doubted = false
	return s.note(ctx, d, d.posting.lacking(d.state, e.Code))
}

// willing returns the first of the channels that are left to try that has not refused the message itself,
// empty where there is none: what two channels refuse may not go from one to the other and back.
func (s *Outbox) willing(ctx context.Context, w want) (channel string, retry *watcher.RetryError) {
	for _, channel := range w.others {
		var p posting
		if _, err := s.readNote(ctx, noteKey(w.kind, w.id, channel), &p); err != nil {
			return "", soon("read which channel refused the message", err)
		}
		if p.Code == "" {
			return channel, nil
		}
	}
	return "", nil
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
	if u.Outage != "" || d.attention != nil { // one note is for all its states
		u.ID += "." + d.state
	}
	u.Code, u.Reason, u.Text = e.Code, e.Error(), d.message.Plain(maxUndelivered)
	if err := s.config.Undelivered.Keep(ctx, u); err != nil {
		d.memory.notBefore = s.config.Now().Add(keepAgain)
		return &watcher.RetryError{After: keepAgain, Err: fmt.Errorf("keep what slack refuses: %w", err)}
	}
	s.undelivered.Add(1)
	log.Error("slack finally refuses the message, an event has it", "event", u.ID, "do", d.remedy(e))
	return nil
}
