package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/notify/slack"
	"github.com/orderwatch/orderwatch/watcher"
	blockkit "github.com/slack-go/slack"
)

// Notify posts the summary in every channel that the routes name, but not again where it stands,
// whichever worker posted it, and ends what was begun in channels that they named before. No call begins
// after Timing.Pass. Every error is a *[watcher.RetryError].
// What Slack finally refuses is kept in Config.Undelivered, and is done.
func (s *Outbox) Notify(ctx context.Context, c watcher.Completion) error {
	s.newest.take(c.WatchID, math.MaxInt)
	stop := s.config.Now().Add(s.config.Timing.Pass)
	targets := s.targets(c.Report)
	tell := func(t target) *watcher.RetryError { return s.deliver(ctx, c, t, stop) }
	if err := soonest(targets, tell); err != nil {
		return err
	}
	left, retry := s.left(ctx, c.WatchID, targets)
	if retry != nil {
		return retry
	}
	return soonest(left, tell)
}

// A target is a channel, and how people are told of a watch there.
type target struct {
	routes.Target
	left bool // the routes lead there no more: what stands there is ended, and nothing else is told
}

// targets returns where people are told of a watch, each channel once.
func (s *Outbox) targets(r watcher.Report) (all []target) {
	for _, t := range s.plan.Targets(r.ProjectID, r.Requests) {
		all = append(all, target{Target: t})
	}
	return all
}

// soonest tells it everywhere, and returns the error that is to be tried again first.
func soonest(targets []target, tell func(target) *watcher.RetryError) error {
	var again *watcher.RetryError
	for _, t := range targets {
		if retry := tell(t); retry != nil && (again == nil || retry.After < again.After) {
			again = retry
		}
	}
	if again != nil {
		return again
	}
	return nil
}

// A delivery is one message on its way to one channel.
type delivery struct {
	render   func() message.Message
	message  message.Message // what render returns, once it is needed
	place    place
	entry    *entry
	receipt  *receipt
	lane     *lane
	told     time.Time                                    // when what it tells of happened
	about    watcher.UndeliveredMessage                   // what it tells of, where it is finally refused
	ended    *watcher.Completion                          // the watch whose end it tells of; nil where it is something else
	watching string                                       // the watch that goes on, of which it tells; empty where it tells of something else
	silent   bool                                         // it is told only where a message stands that it ends
	together bool                                         // it tells of many watches
	others   []string                                     // the channels that are left to try where this one finally refuses it
	log      *slog.Logger                                 // says what it is about
	whole    func(ctx context.Context, m message.Message) // writes a message to the log
}

// completed is the last state of a watch; those before it begin with running.
const completed = "completed"

// deliver posts what is missing of the summary for the target. nil means that it is done.
func (s *Outbox) deliver(ctx context.Context, c watcher.Completion, t target, stop time.Time) *watcher.RetryError {
	return s.tellOrMove(t, func(t target, others []string, from message.Refusal) (*entry, *watcher.RetryError) {
		o := s.options(t)
		o.Refusal = from
		e := &entry{key: noteKey("watch", c.WatchID, t.Channel), state: completed}
		return e, s.tell(ctx, delivery{
			render: func() message.Message { return s.summary(ctx, c, o) }, place: place{c.WatchID, t.Channel}, entry: e, told: c.CompletedAt, about: ofWatch(c), ended: &c,
			silent: t.left || t.QuietSuccesses && !message.Fails(c.Outcome), others: others,
			log:   s.log.With("watch", c.WatchID, "channel", t.Channel),
			whole: func(ctx context.Context, m message.Message) { message.WriteSummary(ctx, s.log, c, m) },
		}, stop)
	})
}

// tell makes the calls that the delivery lacks, as far as its note says. nil means that it is done.
func (s *Outbox) tell(ctx context.Context, d delivery, stop time.Time) *watcher.RetryError {
	if d.place.channel != routes.Webhook && s.config.Slack == nil { // the note is from when there was a token
		return &watcher.RetryError{After: s.config.Timing.TokenPause, Err: errors.New("post to slack: the message is another channel's, and there is no token any more")}
	}
	r, ok := s.receipts.claim(d.place)
	if !ok {
		return &watcher.RetryError{After: time.Second, Err: errors.New("post to slack: the same message is being posted")}
	}
	defer s.receipts.release(r)
	if r.told == d.entry.state {
		return nil
	}
	d.receipt, d.lane = r, s.lane(d.place.channel)
	d.entry.slack, d.entry.receipt = s, r
	d.lane.wait(d.turn(), s.config.Now())
	retry := s.tellOn(ctx, d, stop)
	if retry != nil && !r.together {
		d.lane.wait(d.turn(), s.config.Now().Add(retry.After))
	} else {
		d.lane.leave(d.turn())
	}
	return retry
}

// tellOn makes the calls that the claimed delivery lacks.
func (s *Outbox) tellOn(ctx context.Context, d delivery, stop time.Time) *watcher.RetryError {
	r := d.receipt
	if r.unnoted == nil { // while no call can be made, nothing is read and rendered
		if retry := s.blocked(ctx, d, stop); retry != nil {
			return retry
		}
	}
	if retry := d.entry.read(ctx); retry != nil {
		return retry
	}
	if d.entry.posting.Silent && d.ended != nil && !d.silent { // another channel's message comes here
		d.entry.posting = posting{}
	}
	if !d.entry.told(math.MaxInt) {
		d.message = d.render()
		if retry := s.postOrJoin(ctx, d, stop); retry != nil {
			d.entry.withdraw(ctx)
			return retry
		}
	}
	if d.entry.posting.Done && !d.entry.posting.Silent { // otherwise another worker announced a later state, and posts it
		r.told = d.entry.posting.Tells
	}
	return nil
}

// postOrJoin posts the message, or, of a watch that ended well while many messages wait, tells of it in
// the channel's digest.
func (s *Outbox) postOrJoin(ctx context.Context, d delivery, stop time.Time) *watcher.RetryError {
	if d.ended != nil && s.together(d) {
		return s.tellTogether(ctx, d, stop)
	}
	if d.watching != "" && d.entry.posting.untouched() {
		if over, retry := s.toldOfTheEnd(ctx, d.watching); over || retry != nil {
			return retry
		}
	}
	return s.post(ctx, d, stop)
}

// options returns what messages depend on beside what they tell of.
func (s *Outbox) options(t target) message.Options {
	return message.Options{Mention: routes.Mention(t.Mention), Now: s.config.Now(), NoThread: t.Channel == routes.Webhook, Secrets: s.secrets}
}

// post makes one call after the other until what is to be told stands.
func (s *Outbox) post(ctx context.Context, d delivery, stop time.Time) *watcher.RetryError {
	whole := d.message
	for {
		if d.message = whole; d.ended != nil && d.entry.posting.Quiet {
			d.message = whole.AfterQuiet(d.ended.Outcome)
		}
		if d.entry.told(d.message.Parts()) {
			return nil
		}
		if d.silent && d.entry.posting.untouched() {
			d.entry.posting.Silent = true
			return d.entry.end(ctx)
		}
		d.receipt.begin(d.entry.state, d.entry.part())
		retry := d.entry.overtaken()
		if retry == nil {
			retry = d.entry.tooSoon()
		}
		if retry == nil {
			retry = s.blocked(ctx, d, stop)
		}
		if retry == nil && d.entry.posting.Call != nil {
			if retry = s.settle(ctx, d); retry == nil && d.entry.posting.Call == nil {
				continue
			}
		}
		if retry == nil && d.lacksUpload() {
			if retry = s.upload(ctx, d); retry == nil && d.lacksUpload() {
				continue // given up
			}
		}
		if retry == nil {
			retry = s.awaitTurn(ctx, d, stop)
		}
		if retry == nil {
			retry = s.call(ctx, d, stop)
		}
		if retry != nil {
			return retry
		}
	}
}

// call announces one call, makes it, and notes what came of it.
func (s *Outbox) call(ctx context.Context, d delivery, stop time.Time) *watcher.RetryError {
	taken, retry := s.step(ctx, d.place.channel, d.turn(), d.entry.edits())
	if retry != nil {
		return retry
	}
	retry = s.blocked(ctx, d, stop) // somebody may have been told to wait meanwhile
	if retry == nil {
		retry = d.entry.announce(ctx)
	}
	if retry != nil {
		s.rest(ctx, taken, nil)
		return retry
	}
	d.receipt.known, d.receipt.unsure = true, true
	ts, err := s.send(ctx, d)
	s.rest(ctx, taken, slack.Classify(err))
	if err == nil {
		return s.accepted(context.WithoutCancel(ctx), d, ts)
	}
	return s.refused(ctx, d, err)
}

// turn returns the message's place among those that wait for the channel.
func (d delivery) turn() turn { return turn{d.told, d.place.about} }

// awaitTurn waits for the channel's next call. An error says that it does not come soon.
func (s *Outbox) awaitTurn(ctx context.Context, d delivery, stop time.Time) *watcher.RetryError {
	if retry := s.blocked(ctx, d, stop); retry != nil {
		return retry
	}
	if d.entry.edits() { // which take no turn of the channel's
		wait := time.Duration(0)
		if d.entry.quiet {
			wait = s.take(s.follows, s.config.Timing.Follow)
		}
		if wait <= 0 {
			wait = s.take(s.edits, s.config.Timing.Edit)
		}
		if wait > 0 {
			return &watcher.RetryError{After: wait, Err: errors.New("post to slack: it takes so many edits a minute")}
		}
		return nil
	}
	p, _, err := s.readPace(ctx, d.place.channel)
	if err != nil {
		return unpaced(err)
	}
	wait, ok := d.lane.reserve(d.turn(), p.Last, s.config.Now(), s.config.Timing.Wait)
	if !ok {
		return &watcher.RetryError{After: wait, Err: errors.New("post to slack: the channel gets one message a second")}
	}
	if wait > 0 {
		if err := s.config.Sleep(ctx, wait); err != nil {
			return interrupted(err)
		}
	}
	return nil
}

// blocked says why and for how long no call may be made now.
func (s *Outbox) blocked(ctx context.Context, d delivery, stop time.Time) *watcher.RetryError {
	now := s.config.Now()
	if ctx.Err() != nil {
		return interrupted(context.Cause(ctx))
	}
	if now.After(stop) {
		return &watcher.RetryError{After: time.Second, Err: errors.New("post to slack: out of time")}
	}
	s.mu.Lock()
	paused, code := s.pausedUntil.Sub(now), s.pausedFor
	s.mu.Unlock()
	if paused > 0 {
		return &watcher.RetryError{After: paused, Err: fmt.Errorf("post to slack: paused (%s)", code)}
	}
	if wait := max(d.lane.paused(now), d.receipt.notBefore.Sub(now)); wait > 0 {
		return &watcher.RetryError{After: wait, Err: errors.New("post to slack: waiting after an error")}
	}
	return nil
}

func interrupted(err error) *watcher.RetryError {
	return &watcher.RetryError{After: time.Second, Err: fmt.Errorf("post to slack: %w", err)}
}

// part returns the message whose turn it is, and its forms from the richest to text alone.
func (d delivery) part() (message.Message, [][]blockkit.Block) {
	m := d.message
	if d.isFile() {
		return message.Message{Text: m.File.Instead}, [][]blockkit.Block{nil, nil} // the file, or text alone
	}
	if part := d.entry.part(); part > 0 {
		m = m.Replies[part-1]
	}
	if len(m.Brief) == 0 {
		return m, [][]blockkit.Block{m.Blocks, nil}
	}
	return m, [][]blockkit.Block{m.Blocks, m.Brief, nil}
}

// send makes one call and returns the message's ts.
func (s *Outbox) send(ctx context.Context, d delivery) (ts string, err error) {
	switch {
	case d.isFile() && d.receipt.form == 0:
		return s.share(ctx, d)
	case d.place.channel != routes.Webhook:
		return s.config.Slack.Post(ctx, d.post())
	case s.config.Webhook == nil: // the note is from when there was one
		return "", &slack.Error{Class: slack.ChannelRefused, Code: "no_webhook"}
	}
	return s.config.Webhook.Post(ctx, d.post())
}

// post returns the part at hand, in the form whose turn it is.
func (d delivery) post() slack.Post {
	m, forms := d.part()
	p := slack.Post{Channel: d.place.channel, Text: m.Text, Blocks: forms[d.receipt.form], Broadcast: m.Broadcast, ID: d.clientID()}
	if p.Blocks == nil && m.Mention != "" {
		p.Text = m.Mention + " " + p.Text
	}
	if mark := d.mark(); !d.receipt.bare {
		p.Mark = &mark
	}
	switch {
	case d.entry.edits():
		p.Edit = d.entry.posting.TS
	case d.entry.part() > 0:
		p.Thread = d.entry.posting.TS
	}
	return p
}

// accepted notes that the part at hand stands.
func (s *Outbox) accepted(ctx context.Context, d delivery, ts string) *watcher.RetryError {
	r := d.receipt
	failed := d.lane.succeed()
	if s.troubles.taken(d.place.channel) || failed {
		d.log.Info("slack takes messages again")
	}
	if r.doubtful {
		s.duplicates.Add(1)
		d.log.Warn("possible duplicate: an earlier try may have been posted too", "ts", ts)
	}
	if r.form > 0 {
		d.log.Warn("slack took a shorter form of the message, the whole follows")
		m, _ := d.part()
		d.whole(ctx, m)
	}
	d.log.Debug("message posted", "ts", ts, "part", d.entry.part())
	r.accepted()
	root := d.entry.part() == 0 && !d.entry.edits()
	retry := d.entry.stands(ctx, ts, d.message.Parts())
	if retry != nil && root && errors.Is(retry, watcher.ErrConflict) {
		s.takeBack(ctx, d, ts)
	}
	return retry
}

// takeBack deletes the message that this worker posted where another one stands in its place. That is so where this
// process slept between its last look at the time and the call: others took it for dead, and posted the message
// meanwhile. The message stays where the note does not name another one.
func (s *Outbox) takeBack(ctx context.Context, d delivery, ts string) {
	var stands posting
	if _, err := s.readNote(ctx, d.entry.key, &stands); err != nil || stands.TS == "" || stands.TS == ts {
		return
	}
	d.receipt.unnoted = nil
	s.remove(ctx, d, []slack.Found{{TS: ts}})
}
