package outbox

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/notify/slack"
	"github.com/orderwatch/orderwatch/watcher"
)

// A delivery is one message on its way to one channel, and all that is known of it. It is in one worker's hands,
// and belongs to the one call of tell that claimed its memory.
type delivery struct {
	want
	key      string // of the note
	posting  posting
	revision watcher.Revision // of the note
	memory   memory
	stop     time.Time // no call begins after it
}

// edits reports whether the next call changes a message that stands.
func (d *delivery) edits() bool { return d.posting.edits(d.want, d.memory) }

// stands returns the ts of the message whose thread the part at hand is for; empty: it is for the channel.
func (d *delivery) stands() string {
	if d.part() > 0 {
		return d.posting.TS
	}
	return d.thread
}

// part returns which part is at hand.
func (d *delivery) part() int { return d.posting.part(d.state) }

// tell makes the calls that the message lacks, as far as its note says, and returns the note. No error means that
// it is done.
func (s *Outbox) tell(ctx context.Context, w want, stop time.Time) (posting, *watcher.RetryError) {
	if w.channel != routes.Webhook && s.config.Slack == nil { // the note is from when there was a token
		return posting{}, retryIn(s.config.Timing.TokenPause, "the message is another channel's, and there is no token any more")
	}
	m, ok := s.claim(w.key())
	if !ok {
		return posting{}, retryIn(time.Second, "the same message is being posted")
	}
	d := &delivery{want: w, key: w.key(), memory: m, stop: stop}
	defer func() { s.release(d.key, d.memory) }()
	if m.told == w.state && !w.settles && !w.corrects {
		return posting{}, nil
	}
	if m.first {
		d.urgency = urgent
	}
	s.lane(d.channel, func(l *lane, now time.Time) { l.waiters[d.who] = waiter{d.turn(), now} })
	retry := s.pass(ctx, d)
	s.lane(d.channel, func(l *lane, now time.Time) {
		delete(l.waiters, d.who)
		if retry != nil && !d.memory.joined {
			l.waiters[d.who] = waiter{d.turn(), now.Add(retry.After)}
		}
	})
	return d.posting, retry
}

// pass takes the note as it is, and tells what it lacks.
func (s *Outbox) pass(ctx context.Context, d *delivery) *watcher.RetryError {
	if d.memory.unnoted == nil { // while no call can be made, nothing is read and rendered
		if retry := s.held(ctx, d); retry != nil {
			return retry
		}
	}
	if retry := s.read(ctx, d); retry != nil {
		return retry
	}
	if d.posting.Silent && d.ended != nil && !d.silent { // another channel's message comes here
		d.posting = posting{}
	}
	if d.attention != nil && d.posting.Code == "" {
		if tell, retry := s.condition(ctx, d); !tell {
			return retry
		}
	}
	if d.follows {
		d.options.Condition = d.posting.running(*d.goesOn)
		if d.aloud {
			d.options.Condition = d.attention
		}
	}
	if !d.posting.tells(d.want, math.MaxInt) {
		if retry := s.postOrJoin(ctx, d); retry != nil {
			s.withdraw(ctx, d)
			return retry
		}
	}
	if d.posting.Ping != "" && d.owes() {
		if retry := s.settle(ctx, d); retry != nil {
			return retry
		}
	}
	if d.posting.Done && !d.posting.Silent && (d.posting.Ping == "" || !d.quiet) { // otherwise another worker announced a later state, and posts it
		d.memory.told = d.posting.Tells
	}
	return nil
}

// held says why and for how long no call may be made now.
func (s *Outbox) held(ctx context.Context, d *delivery) (retry *watcher.RetryError) {
	s.lane(d.channel, func(l *lane, now time.Time) {
		all, one := s.pausedUntil.Sub(now), max(l.until.Sub(now), d.memory.notBefore.Sub(now))
		if d.goesOn != nil {
			one = max(one, d.memory.quietBefore.Sub(now))
		}
		switch {
		case ctx.Err() != nil:
			retry = soon("post to slack", context.Cause(ctx))
		case now.After(d.stop):
			retry = retryIn(time.Second, "out of time")
		case all > 0:
			retry = retryIn(all, fmt.Sprintf("paused (%s)", s.pausedFor))
		case one > 0:
			retry = retryIn(one, "waiting after an error")
		}
	})
	return retry
}

// postOrJoin posts the message, or, of a watch that ended well while many messages wait, tells of it in
// the channel's digest. What no longer matters is not posted.
func (s *Outbox) postOrJoin(ctx context.Context, d *delivery) *watcher.RetryError {
	if d.ended != nil && s.joins(d) {
		return s.tellTogether(ctx, d)
	}
	if d.ended != nil {
		if group, retry := s.groups(ctx, d); retry != nil {
			return retry
		} else if group {
			return s.tellAlike(ctx, d)
		}
	}
	if d.watching != "" && d.posting.untouched() {
		if over, retry := s.toldOfTheEnd(ctx, d.watching); over || retry != nil {
			return retry
		}
	}
	return s.deliver(ctx, d, d.render(d.options))
}

// toldOfTheEnd reports whether people were told how the watch ended, in whatever channel.
func (s *Outbox) toldOfTheEnd(ctx context.Context, watch string) (over bool, retry *watcher.RetryError) {
	retry = s.postings(ctx, "watch", watch, func(_ string, p posting) { over = over || p.ended() })
	return over, retry
}

// deliver makes one step after the other until the message stands.
func (s *Outbox) deliver(ctx context.Context, d *delivery, whole message.Message) *watcher.RetryError {
	for {
		d.message = d.inForm(whole, d.options)
		d.memory.begin(d.state, d.part())
		step := s.next(d.posting, d.memory, d.want, moment{s.config.Now(), s.held(ctx, d), s.id, s.config.Slack != nil, s.config.Timing})
		if step.do == done {
			return nil
		}
		d.memory.refusal = nil
		if retry := s.carryOut(ctx, d, step); retry != nil {
			return retry
		}
	}
}

// inForm returns the message as it is to stand by now: without the thread that Slack refuses, or after one that was
// perhaps posted while the watch went on. Where that one cannot be edited another takes its place, which wakes people
// itself.
func (d *delivery) inForm(whole message.Message, o message.Options) message.Message {
	anew := d.posting.TS != "" && d.posting.TS == d.memory.anew
	switch {
	case d.posting.Lacks != "":
		o.NoThread, o.Code = true, d.posting.Lacks
		return d.render(o)
	case d.ended != nil && d.posting.Group != nil: // which wakes people
		return whole
	case d.ended != nil && d.posting.Quiet && !anew:
		return whole.AfterQuiet(d.ended.Outcome)
	case d.aloud && d.posting.TS != "" && !anew && d.posting.Woke != d.state:
		return whole.Aloud()
	}
	return whole
}

// carryOut makes one step. An error ends the pass.
func (s *Outbox) carryOut(ctx context.Context, d *delivery, step step) *watcher.RetryError {
	e, m := step.err, &d.memory
	switch step.do {
	case wait:
		return step.retry
	case silence:
		d.posting.Silent = d.posting.Group == nil
		return s.note(ctx, d, d.posting.over(d.state))
	case reconcile:
		return s.reconcile(ctx, d)
	case upload:
		return s.upload(ctx, d)
	case post, edit:
		return s.call(ctx, d)
	case giveUp:
		return s.giveUp(ctx, d, e)
	case pauseAll:
		return s.pause(e)
	case slow:
		until := &m.notBefore
		if d.goesOn != nil { // how the watch ends does not wait for that
			until = &m.quietBefore
		}
		*until = s.config.Now().Add(s.config.Timing.Slow)
		s.channelRefused(d.channel, e)
		return &watcher.RetryError{After: s.config.Timing.Slow, Err: e}
	case backOff:
		return s.backOff(d, e)
	case strip:
		d.log.Warn("slack refuses the message's metadata, it is posted without; it may be doubled", "code", e.Code)
		m.bare = true
	case simplify:
		d.log.Warn("slack refuses the message, a simpler one follows", "code", e.Code, "err", e)
		m.form++
	case plain:
		_, forms := d.want.part(d.part())
		d.log.Warn("slack refuses the message with a code that is not known, text alone follows", "code", e.Code, "err", e)
		m.form = len(forms) - 1
	case curtail:
		return s.curtail(ctx, d, e)
	case leave:
		d.log.Warn("slack does not let the message say that its thread lacks something; an event has all", "code", e.Code, "err", e)
		return s.note(ctx, d, d.posting.over(d.state))
	case replace:
		return s.replace(ctx, d, e)
	case another:
		d.posting.Generation++
		m.last = refused
	case believe:
		m.doubted = false
		return s.accepted(ctx, d, "")
	}
	return nil
}

// replace deletes the message that cannot become what is to be told, where Slack lets it: nobody needs it any more. A new one
// follows, unless a group tells of the watch.
func (s *Outbox) replace(ctx context.Context, d *delivery, e *slack.Error) *watcher.RetryError {
	d.posting.Shows = ""                                           // nobody is to believe that what is deleted stands
	if retry := s.announce(ctx, d, s.config.Now()); retry != nil { // another worker perhaps edited it meanwhile
		return retry
	}
	d.log.Warn("slack does not let the message become what is to be told, another one tells it", "code", e.Code, "err", e)
	m := &d.memory
	m.anew, m.form, d.posting.Parts = d.posting.TS, 0, 0
	if !d.leads && d.posting.Ping != pingOwed { // a line named the message that is gone; a group wakes people once
		d.posting.Ping = ""
	}
	if err := s.config.Slack.Delete(ctx, d.channel, slack.Found{TS: m.anew}); err != nil {
		d.log.Debug("the message that cannot be edited is not deleted", "ts", m.anew, "err", slack.Classify(err))
	}
	return nil
}

// call waits for its turn, announces one call, makes it, and notes what came of it.
func (s *Outbox) call(ctx context.Context, d *delivery) *watcher.RetryError {
	retry := s.awaitTurn(ctx, d)
	if retry == nil {
		retry = s.held(ctx, d) // somebody may have been told to wait meanwhile
	}
	if retry != nil {
		return retry
	}
	p, revision, retry := s.takeSlot(ctx, d)
	if retry != nil {
		return retry
	}
	retry = s.held(ctx, d) // or now
	if retry == nil {
		retry = s.mayWake(ctx, d)
	}
	if retry == nil {
		retry = s.announce(ctx, d, p.Busy.Add(-s.config.Timing.Fresh-s.config.Timing.Call))
	}
	if retry != nil {
		s.rest(ctx, d, p, revision, nil)
		return retry
	}
	d.memory.last = unsure
	ts, err := s.send(ctx, d)
	s.rest(ctx, d, p, revision, slack.Classify(err))
	if err == nil {
		return s.accepted(context.WithoutCancel(ctx), d, ts)
	}
	return s.failed(ctx, d, slack.Classify(err))
}

// send makes one call and returns the message's ts.
func (s *Outbox) send(ctx context.Context, d *delivery) (ts string, err error) {
	switch {
	case d.isFile(d.part()) && d.memory.form == 0:
		return s.share(ctx, d)
	case d.channel != routes.Webhook:
		return s.config.Slack.Post(ctx, d.post())
	case s.config.Webhook == nil: // the note is from when there was one
		return "", &slack.Error{Class: slack.ChannelRefused, Code: "no_webhook"}
	}
	return s.config.Webhook.Post(ctx, d.post())
}

// post returns the part at hand, in the form whose turn it is.
func (d *delivery) post() slack.Post {
	m, forms := d.want.part(d.part())
	p := slack.Post{Channel: d.channel, Text: m.Text, Blocks: forms[d.memory.form], Broadcast: m.Broadcast, ID: d.clientID()}
	if p.Blocks == nil && m.Mention != "" {
		p.Text = m.Mention + " " + p.Text
	}
	if mark := d.mark(); !d.memory.bare {
		p.Mark = &mark
	}
	switch {
	case d.edits():
		p.Edit = d.posting.TS
	default:
		p.Thread = d.stands()
	}
	return p
}

// accepted notes that the part at hand stands.
func (s *Outbox) accepted(ctx context.Context, d *delivery, ts string) *watcher.RetryError {
	if s.taken(d.channel) {
		d.log.Info("slack takes messages again")
	}
	if d.memory.doubted {
		s.duplicates.Add(1)
		d.log.Warn("possible duplicate: an earlier try may have been posted too", "ts", ts)
	}
	part := d.part()
	if d.memory.form > 0 {
		d.log.Warn("slack took a shorter form of the message, the whole follows")
		m, _ := d.want.part(part)
		d.whole(d.log, m)
	}
	d.log.Debug("message posted", "ts", ts, "part", part)
	root := part == 0 && !d.edits()
	d.memory.accept()
	retry := s.note(ctx, d, d.posting.standing(d.want, ts, s.config.Now()))
	if retry != nil && root && errors.Is(retry, watcher.ErrConflict) {
		s.takeBack(ctx, d, ts)
	}
	return retry
}
