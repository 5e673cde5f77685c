package outbox

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/notify/slack"
	"github.com/orderwatch/orderwatch/watcher"
)

// historyMargin is how long before a call was announced the channel's history is read, and after the call
// must have ended: clocks differ.
const historyMargin = time.Minute

// noHistory means that this bot may not see what it posted.
var noHistory = &slack.Error{Code: "no_history"}

// reconcile finds out what became of a call without a result. No error means that the part stands, or may be posted.
func (s *Outbox) reconcile(ctx context.Context, d *delivery) *watcher.RetryError {
	if left := s.take(d.key, map[*budget]time.Duration{&s.looks: s.config.Timing.Edit}); left > 0 {
		return retryIn(left, "waiting for a look into the channel's history")
	}
	found, e := s.find(ctx, d)
	switch {
	case e == noHistory, e != nil && e.Class != slack.TokenRefused && s.config.Now().Sub(d.posting.Call.Since) >= s.config.Timing.UnknownPatience:
		d.memory.looked, d.memory.doubted = true, true
		return nil
	case e != nil:
		return s.notFound(d, e)
	case len(found) > 0:
		return s.found(ctx, d, found)
	}
	return s.absent(ctx, d)
}

// find returns the messages in the channel, or in the message's thread, that are the part at hand,
// oldest first.
func (s *Outbox) find(ctx context.Context, d *delivery) ([]slack.Found, *slack.Error) {
	blind := d.channel == routes.Webhook
	s.lane(d.channel, func(l *lane, now time.Time) { blind = blind || now.Before(l.blindTo) })
	if blind {
		return nil, noHistory
	}
	c := d.posting.Call
	look := slack.Look{Channel: d.channel, Since: c.Since.Add(-historyMargin), Until: c.At.Add(s.config.Timing.Stale + historyMargin), Thread: d.stands()}
	all, err := s.config.Slack.History(ctx, look)
	if err == nil {
		return slices.DeleteFunc(all, func(m slack.Found) bool { return !d.is(m) }), nil
	}
	e := slack.Classify(err)
	s.count(e)
	if e.Class != slack.ChannelRefused && !slices.Contains([]string{"missing_scope", "no_permission", "not_allowed_token_type"}, e.Code) {
		return nil, e
	}
	s.lane(d.channel, func(l *lane, now time.Time) { l.blindTo = now.Add(s.config.Timing.Blind) })
	d.log.Warn("slack does not show what was posted: a message may be doubled; give the app the scopes "+slack.ScopeHistoryPublic+" and "+slack.ScopeHistoryPrivate, "code", e.Code)
	return nil, noHistory
}

// is reports whether the message carries the mark, or the file, which can have none.
func (d *delivery) is(m slack.Found) bool {
	if d.isFile(d.part()) && slices.ContainsFunc(m.Files, func(f slack.File) bool { return f.Name == d.message.File.Name }) {
		return true
	}
	return m.Mark != nil && *m.Mark == d.mark()
}

// found notes that the part at hand stands. Of several the first one stays.
func (s *Outbox) found(ctx context.Context, d *delivery, found []slack.Found) *watcher.RetryError {
	first := found[0].TS
	d.log.Info("message found, which was perhaps not posted", "ts", first, "part", d.part())
	if retry := s.remove(ctx, d, found[1:]); retry != nil {
		return retry
	}
	if d.posting.Tells != d.state { // it tells what was before, and is edited now
		return s.note(ctx, d, d.posting.adopting(first))
	}
	return s.accepted(ctx, d, first)
}

// absent lets the part be posted once more where it was twice looked for in vain.
func (s *Outbox) absent(ctx context.Context, d *delivery) *watcher.RetryError {
	now := s.config.Now()
	if d.posting.Call.Absent.IsZero() {
		if retry := s.note(ctx, d, d.posting.absent(now)); retry != nil {
			return retry
		}
	}
	if left := s.config.Timing.LookAgain - now.Sub(d.posting.Call.Absent); left > 0 {
		return retryIn(left, "looking once more whether it was posted")
	}
	d.memory.looked, d.memory.doubted = true, d.memory.last == standing || d.memory.bare // it stands, says Slack, or cannot be found
	return nil
}

// notFound is the delay after an error of a look into a channel. Where Slack answered, it is perhaps about
// this look alone, and others are posted meanwhile.
func (s *Outbox) notFound(d *delivery, e *slack.Error) *watcher.RetryError {
	switch e.Class {
	case slack.TokenRefused:
		return s.pause(e)
	case slack.Ambiguous:
		return s.backOff(d, e)
	}
	delay := max(e.RetryAfter, s.config.Timing.backoff(d.memory.looks))
	d.memory.looks++
	d.memory.notBefore = s.config.Now().Add(delay)
	d.report(e, delay, s.begin(d.channel, e, delay))
	return &watcher.RetryError{After: delay + s.config.Timing.Wait, Err: e}
}

// mark returns what the part at hand is found by. A watch that goes on may have replies of several states.
func (d *delivery) mark() slack.Mark {
	part := d.part()
	if part > 0 && d.goesOn != nil {
		part += rank(d.state)
	}
	return slack.Mark{Message: d.key, Part: part, Generation: d.posting.Generation}
}

// clientID returns the same UUID for each post of the part at hand. Slack does not document what it does
// with it, but may leave out the second.
func (d *delivery) clientID() string {
	mark := d.mark()
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d %s", mark.Message, mark.Part, mark.Generation, d.state))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80 // version 8, made by the application
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// remove deletes what was posted twice. An error says that it may pass the next time; what Slack refuses
// to delete stands.
func (s *Outbox) remove(ctx context.Context, d *delivery, doubles []slack.Found) *watcher.RetryError {
	for _, m := range doubles {
		switch e := slack.Classify(s.config.Slack.Delete(ctx, d.channel, m)); {
		case e == nil:
			d.log.Info("doubled message deleted", "ts", m.TS)
		case e.Class == slack.Ambiguous, e.Class == slack.NotAccepted:
			return s.notFound(d, e)
		default:
			d.log.Warn("a doubled message was not deleted", "ts", m.TS, "err", e)
		}
	}
	return nil
}

// takeBack deletes the message that this worker posted where another one stands in its place. That is so where this
// process slept between its last look at the time and the call: others took it for dead, and posted the message
// meanwhile. The message stays where the note does not name another one.
func (s *Outbox) takeBack(ctx context.Context, d *delivery, ts string) {
	var stands posting
	if _, err := s.readNote(ctx, d.key, &stands); err != nil || stands.TS == "" || stands.TS == ts {
		return
	}
	d.memory.unnoted = nil
	s.remove(ctx, d, []slack.Found{{TS: ts}})
}
