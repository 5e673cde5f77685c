package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/slack-go/slack"
)

// How long one Notify takes: no call begins after passLimit, and none takes longer than the HTTP
// client's timeout. A longer wait than maxWait is not slept.
const (
	passLimit = 10 * time.Second
	maxWait   = 2 * time.Second
)

// How long a message is tried that Slack refuses, from the watch's end.
const (
	channelPatience = time.Hour // the bot may yet be invited
	unknownPatience = 24 * time.Hour
)

// Notify posts the summary in every channel that the requests name, but not again where it stands,
// whichever worker posted it. It takes at most 25 s. Every error is a *[watcher.RetryError]. What
// Slack finally refuses is kept in Config.Undelivered, and is done.
func (s *Slack) Notify(ctx context.Context, c watcher.Completion) error {
	var again *watcher.RetryError
	stop := s.config.Now().Add(passLimit)
	for _, channel := range s.channels(c.Requests) {
		if retry := s.deliver(ctx, c, place{c.WatchID, channel}, stop); retry != nil && (again == nil || retry.After < again.After) {
			again = retry
		}
	}
	if again != nil {
		return again
	}
	return nil
}

// channels returns where the summary goes, each channel once, in the requests' order.
func (s *Slack) channels(requests []watcher.Request) []string {
	if s.config.Token == "" {
		return []string{webhookChannel}
	}
	var channels []string
	for _, r := range requests {
		channel := r.SlackChannel
		if channel == "" {
			channel = s.config.Channel
		}
		if !slices.Contains(channels, channel) {
			channels = append(channels, channel)
		}
	}
	if channels == nil {
		channels = []string{s.config.Channel}
	}
	return channels
}

// A delivery is one message on its way to one channel.
type delivery struct {
	message Message
	place   place
	entry   *entry
	receipt *receipt
	lane    *lane
	told    time.Time                            // when what it tells of happened
	about   watcher.UndeliveredMessage           // what it tells of, where it is finally refused
	ended   *watcher.Completion                  // the watch whose end it tells of; nil where it is something else
	log     *slog.Logger                         // says what it is about
	whole   func(ctx context.Context, m Message) // writes a message to the log
}

// completed is the one state of a watch that people are told of.
const completed = "completed"

// deliver posts what is missing of the summary in one channel. nil means that it is done.
func (s *Slack) deliver(ctx context.Context, c watcher.Completion, p place, stop time.Time) *watcher.RetryError {
	return s.tell(ctx, delivery{
		message: s.summary(ctx, c, s.options()), place: p, entry: &entry{key: noteKey("watch", c.WatchID, p.channel), state: completed}, told: c.CompletedAt, about: ofWatch(c), ended: &c,
		log:   s.log.With("watch", c.WatchID, "channel", p.channel),
		whole: func(ctx context.Context, m Message) { writeSummary(ctx, s.log, c, m) },
	}, stop)
}

// tell makes the calls that the delivery lacks, as far as its note says. nil means that it is done.
func (s *Slack) tell(ctx context.Context, d delivery, stop time.Time) *watcher.RetryError {
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
	if retry := d.entry.read(ctx); retry != nil {
		return retry
	}
	retry := s.postOrJoin(ctx, d, stop)
	if retry != nil {
		d.entry.withdraw(ctx)
		return retry
	}
	if d.entry.posting.Done { // otherwise a later state was announced, and is somebody's to tell
		r.told = d.entry.posting.Tells
	}
	return nil
}

// postOrJoin posts the message, or, of a watch that ended well while many messages wait, tells of it in
// the channel's digest.
func (s *Slack) postOrJoin(ctx context.Context, d delivery, stop time.Time) *watcher.RetryError {
	if d.ended == nil {
		return s.post(ctx, d, stop)
	}
	if s.together(d) {
		return s.tellTogether(ctx, d, stop)
	}
	d.message = d.message.afterQuiet(d.entry.posting, *d.ended)
	return s.post(ctx, d, stop)
}

// options returns what messages depend on beside what they tell of.
func (s *Slack) options() Options {
	return Options{Mention: s.config.Mention, Now: s.config.Now(), NoThread: s.config.Token == "", Secrets: s.config.Secrets}
}

// post makes one call after the other until what is to be told stands.
func (s *Slack) post(ctx context.Context, d delivery, stop time.Time) *watcher.RetryError {
	for !d.entry.told(d.message.parts()) {
		retry := d.entry.tooSoon()
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
			retry = s.turn(ctx, d, stop)
		}
		if retry == nil {
			retry = s.call(ctx, d)
		}
		if retry != nil {
			return retry
		}
	}
	return nil
}

// call announces one call, makes it, and notes what came of it.
func (s *Slack) call(ctx context.Context, d delivery) *watcher.RetryError {
	if retry := d.entry.announce(ctx); retry != nil {
		return retry
	}
	d.receipt.known, d.receipt.unsure = true, true
	ts, err := s.send(ctx, d)
	if err == nil {
		return s.accepted(ctx, d, ts)
	}
	return s.refused(ctx, d, err)
}

// turn waits for the channel's next turn. An error says that it does not come soon.
func (s *Slack) turn(ctx context.Context, d delivery, stop time.Time) *watcher.RetryError {
	if retry := s.blocked(ctx, d, stop); retry != nil {
		return retry
	}
	if wait := s.editTurn(d); wait > 0 {
		return &watcher.RetryError{After: wait, Err: errors.New("post to slack: it takes so many edits a minute")}
	}
	wait, ok := d.lane.reserve(s.config.Now(), &d.receipt.turn, maxWait)
	if !ok {
		return &watcher.RetryError{After: wait, Err: errors.New("post to slack: the channel gets one message a second")}
	}
	if wait > 0 {
		if err := s.config.Sleep(ctx, wait); err != nil {
			return interrupted(err)
		}
	}
	return s.blocked(ctx, d, stop) // somebody may have been told to wait meanwhile
}

// blocked says why and for how long no call may be made now.
func (s *Slack) blocked(ctx context.Context, d delivery, stop time.Time) *watcher.RetryError {
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
func (d delivery) part() (Message, [][]slack.Block) {
	m := d.message
	if d.isFile() {
		return Message{Text: m.File.Instead}, [][]slack.Block{nil, nil} // the file, or text alone
	}
	if part := d.entry.part(); part > 0 {
		m = m.Replies[part-1]
	}
	if len(m.Brief) == 0 {
		return m, [][]slack.Block{m.Blocks, nil}
	}
	return m, [][]slack.Block{m.Blocks, m.Brief, nil}
}

// send makes one call and returns the message's ts.
func (s *Slack) send(ctx context.Context, d delivery) (string, error) {
	if d.isFile() && d.receipt.form == 0 {
		return s.share(ctx, d)
	}
	m, forms := d.part()
	blocks, text := forms[d.receipt.form], m.Text
	if blocks == nil && m.Mention != "" {
		text = m.Mention + " " + text
	}
	if s.config.Token == "" {
		return "", s.sendWebhook(ctx, text, blocks)
	}
	options := []slack.MsgOption{
		slack.MsgOptionText(text, false), slack.MsgOptionDisableLinkUnfurl(), slack.MsgOptionDisableMediaUnfurl(),
	}
	edits := d.entry.edits()
	if blocks != nil || edits { // no block takes away those that a message had
		options = append(options, slack.MsgOptionBlocks(blocks...))
	}
	if !d.receipt.bare {
		options = append(options, slack.MsgOptionMetadata(d.mark()))
	}
	switch {
	case edits:
		options = append(options, slack.MsgOptionUpdate(d.entry.posting.TS))
	case d.entry.part() > 0:
		options = append(options, slack.MsgOptionTS(d.entry.posting.TS))
	}
	if m.Broadcast {
		options = append(options, slack.MsgOptionBroadcast())
	}
	if !edits {
		options = append(options, slack.UnsafeMsgOptionEndpoint(s.config.APIURL+"chat.postMessage", func(v url.Values) { v.Set("client_msg_id", d.clientID()) }))
	}
	_, ts, _, err := s.api.SendMessageContext(ctx, d.place.channel, options...)
	if err == nil && ts == "" {
		err = ErrNoTimestamp
	}
	return ts, err
}

func (s *Slack) sendWebhook(ctx context.Context, text string, blocks []slack.Block) error {
	unfurl := false
	m := &slack.WebhookMessage{Text: text, UnfurlLinks: &unfurl, UnfurlMedia: &unfurl}
	if blocks != nil {
		m.Blocks = &slack.Blocks{BlockSet: blocks}
	}
	return slack.PostWebhookCustomHTTPContext(ctx, s.config.WebhookURL, s.config.HTTPClient, m)
}

// accepted notes that the part at hand stands.
func (s *Slack) accepted(ctx context.Context, d delivery, ts string) *watcher.RetryError {
	r := d.receipt
	if d.lane.succeed() {
		d.log.Info("slack takes messages again")
	}
	s.mu.Lock()
	s.pausedFor = ""
	s.mu.Unlock()
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
	return d.entry.stands(ctx, ts, d.message.parts())
}
