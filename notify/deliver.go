package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// Notify posts the summary in every channel that the requests name, but not again where this
// process knows that it stands. It takes at most 25 s. Every error is a *[watcher.RetryError]. What
// Slack finally refuses goes to the log as a whole, and is done.
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
	edits   string // the ts of the message that it replaces; empty: it is a new one
	place   place
	receipt *receipt
	lane    *lane
	told    time.Time                                     // when what it tells of happened
	log     *slog.Logger                                  // says what it is about
	whole   func(ctx context.Context, m Message)          // writes a message to the log
	begin   func(ctx context.Context) *watcher.RetryError // comes before each call; nil for nothing
}

// deliver posts what is missing of the summary in one channel. nil means that it is done.
func (s *Slack) deliver(ctx context.Context, c watcher.Completion, p place, stop time.Time) *watcher.RetryError {
	r, ok := s.receipts.claim(p)
	if !ok {
		return &watcher.RetryError{After: time.Second, Err: errors.New("post to slack: the same summary is being posted")}
	}
	defer s.receipts.release(r)
	if r.done {
		return nil
	}
	return s.post(ctx, delivery{
		message: Summarize(c, s.options()), place: p, receipt: r, lane: s.lane(p.channel), told: c.CompletedAt,
		log:   s.log.With("watch", c.WatchID, "channel", p.channel),
		whole: func(ctx context.Context, m Message) { writeSummary(ctx, s.log, c, m) },
	}, stop)
}

// options returns what messages depend on beside what they tell of.
func (s *Slack) options() Options {
	return Options{Mention: s.config.Mention, Now: s.config.Now(), NoThread: s.config.Token == "", Secrets: s.config.Secrets}
}

// post makes the calls that the delivery lacks. nil means that it is done.
func (s *Slack) post(ctx context.Context, d delivery, stop time.Time) *watcher.RetryError {
	for !d.receipt.done {
		if retry := s.turn(ctx, d, stop); retry != nil {
			return retry
		}
		if d.begin != nil {
			if retry := d.begin(ctx); retry != nil {
				return retry
			}
		}
		ts, err := s.send(ctx, d)
		if err == nil {
			s.accepted(ctx, d, ts)
			continue
		}
		if retry := s.refused(ctx, d, err); retry != nil {
			return retry
		}
	}
	return nil
}

// turn waits for the channel's next turn. An error says that it does not come soon.
func (s *Slack) turn(ctx context.Context, d delivery, stop time.Time) *watcher.RetryError {
	if retry := s.blocked(ctx, d, stop); retry != nil {
		return retry
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

// edit returns the ts of the message that is edited; empty: a new one is posted.
func (d delivery) edit() string {
	if d.receipt.anew {
		return ""
	}
	return d.edits
}

// part returns the message whose turn it is, and its forms from the richest to text alone.
func (d delivery) part() (Message, [][]slack.Block) {
	m := d.message
	if d.receipt.parts > 0 {
		m = m.Replies[d.receipt.parts-1]
	}
	if len(m.Brief) == 0 {
		return m, [][]slack.Block{m.Blocks, nil}
	}
	return m, [][]slack.Block{m.Blocks, m.Brief, nil}
}

// send makes one call and returns the message's ts.
func (s *Slack) send(ctx context.Context, d delivery) (string, error) {
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
	if blocks != nil || d.edit() != "" { // no block takes away those that a message had
		options = append(options, slack.MsgOptionBlocks(blocks...))
	}
	switch {
	case d.edit() != "":
		options = append(options, slack.MsgOptionUpdate(d.edit()))
	case d.receipt.ts != "":
		options = append(options, slack.MsgOptionTS(d.receipt.ts))
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

// accepted notes that the part is posted.
func (s *Slack) accepted(ctx context.Context, d delivery, ts string) {
	r := d.receipt
	if d.lane.succeed() {
		d.log.Info("slack takes messages again")
	}
	s.mu.Lock()
	s.pausedFor = ""
	s.mu.Unlock()
	if r.ambiguous && d.edit() == "" {
		s.duplicates.Add(1)
		d.log.Warn("possible duplicate: an earlier try may have been posted too", "ts", ts)
	}
	if r.form > 0 {
		d.log.Warn("slack took a shorter form of the message, the whole follows")
		m, _ := d.part()
		d.whole(ctx, m)
	}
	d.log.Debug("message posted", "ts", ts, "part", r.parts)
	if r.parts == 0 {
		r.ts = ts
	}
	d.next()
}

// next turns to the part that follows.
func (d delivery) next() {
	r := d.receipt
	r.parts++
	r.form, r.ambiguous, r.notBefore = 0, false, time.Time{}
	r.done = r.parts > len(d.message.Replies)
}
