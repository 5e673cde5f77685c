package notify

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/slack-go/slack"
	"golang.org/x/time/rate"
)

// What [Slack] needs to see in a channel what it posted there.
const (
	ScopeHistoryPublic  = "channels:history"
	ScopeHistoryPrivate = "groups:history"
)

// messageType is the type of the metadata of every message that is posted.
const messageType = "orderwatch_message"

// historyMargin is how long before a call was announced the channel's history is read, and after the call
// must have ended: clocks differ.
const historyMargin = time.Minute

// settle finds out what became of a call without a result, before another is made. nil means that it
// is settled: the part stands, or may be posted.
func (s *Slack) settle(ctx context.Context, d delivery) *watcher.RetryError {
	e := d.entry
	c := e.posting.Call
	if c == nil || e.mine() && e.receipt.known && !e.receipt.unsure {
		return nil // this process knows that it was not accepted
	}
	stale := s.config.Timing.Stale
	if left := stale - s.config.Now().Sub(c.At); left > 0 && left <= stale+clockWrong && !e.mine() { // later than that a clock was wrong
		return &watcher.RetryError{After: min(left, stale), Err: errors.New("post to slack: another worker is about to")}
	}
	if e.edits() {
		return nil // an edit may be repeated
	}
	if wait := s.lookTurn(); wait > 0 {
		return &watcher.RetryError{After: wait, Err: errors.New("post to slack: waiting for a look into the channel's history")}
	}
	found, err := s.find(ctx, d)
	if errors.Is(err, errNoHistory) || err != nil && Classify(err).Class != TokenRefused && s.config.Now().Sub(c.Since) >= s.config.Timing.UnknownPatience {
		e.receipt.doubtful = true
		return nil
	}
	if err != nil {
		return s.notFound(d, err)
	}
	if len(found) > 0 {
		first := found[0].Timestamp
		d.log.Info("message found, which was perhaps not posted", "ts", first, "part", e.part())
		if retry := s.remove(ctx, d, found[1:]); retry != nil {
			return retry
		}
		if e.posting.Tells != e.state { // it tells what was before, and is edited now
			return e.adopt(ctx, first)
		}
		return s.accepted(ctx, d, first)
	}
	now := s.config.Now()
	if c.Absent.IsZero() {
		c.Absent = now
		if retry := e.note(ctx); retry != nil {
			return retry
		}
	}
	if left := s.config.Timing.LookAgain - now.Sub(c.Absent); left > 0 {
		return &watcher.RetryError{After: left, Err: errors.New("post to slack: looking once more whether it was posted")}
	}
	e.receipt.doubtful = e.receipt.twin || e.receipt.bare // it stands, says Slack, or cannot be found
	return nil
}

// errNoHistory means that this bot may not see what it posted.
var errNoHistory = errors.New("the channel's history cannot be read")

// notFound is the delay after an error of a look into a channel. Where Slack answered, it is perhaps about
// this look alone, and others are posted meanwhile.
func (s *Slack) notFound(d delivery, err error) *watcher.RetryError {
	e := Classify(err)
	if e.Class == TokenRefused {
		return s.pause(s.config.Now(), e)
	}
	if e.Class == Ambiguous {
		return &watcher.RetryError{After: s.stopLane(d, e), Err: e}
	}
	now, t, r := s.config.Now(), s.config.Timing, d.receipt
	delay := max(e.RetryAfter, min(t.BackoffInitial<<min(r.looks, 10), t.BackoffMax))
	r.looks++
	r.notBefore = now.Add(delay)
	d.report(e, delay, s.troubles.begin(now, d.place.channel, e, delay))
	return &watcher.RetryError{After: delay + t.Wait, Err: e}
}

// mark returns the metadata by which the part at hand is found.
func (d delivery) mark() slack.SlackMetadata {
	return slack.SlackMetadata{EventType: messageType, EventPayload: map[string]any{
		"message": d.entry.key, "part": strconv.Itoa(d.entry.part()), "generation": strconv.Itoa(d.entry.posting.Generation),
	}}
}

// clientID returns the same UUID for each post of the part at hand. Slack does not document what it does
// with it, but may leave out the second.
func (d delivery) clientID() string {
	mark := d.mark().EventPayload
	sum := sha256.Sum256(fmt.Appendf(nil, "%v %v %v %s", mark["message"], mark["part"], mark["generation"], d.entry.state))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80 // version 8, made by the application
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// is reports whether the message carries the mark, or the file, which can have none.
func (d delivery) is(m slack.Message) bool {
	if d.shows(m) {
		return true
	}
	if m.Metadata.EventType != messageType {
		return false
	}
	for name, value := range d.mark().EventPayload {
		if m.Metadata.EventPayload[name] != value {
			return false
		}
	}
	return true
}

// lookTurn takes a look's turn, or returns how long until there is one.
func (s *Slack) lookTurn() time.Duration { return s.take(s.looks, s.config.Timing.Look) }

// take takes this worker's turn of one in every so long for all workers, or returns how long until there
// is one.
func (s *Slack) take(turns *rate.Limiter, every time.Duration) time.Duration {
	now := s.config.Now()
	turns.SetLimitAt(now, rate.Every(every*time.Duration(s.config.Workers())))
	turn := turns.ReserveN(now, 1)
	wait := turn.DelayFrom(now)
	if wait > 0 {
		turn.CancelAt(now)
	}
	return wait
}

// find returns the messages in the channel, or in the message's thread, that are the part at hand,
// oldest first.
func (s *Slack) find(ctx context.Context, d delivery) (found []slack.Message, err error) {
	if d.place.channel == routes.Webhook || d.lane.blind(s.config.Now()) {
		return nil, errNoHistory
	}
	c := d.entry.posting.Call
	oldest := strconv.FormatInt(c.Since.Add(-historyMargin).Unix(), 10)
	latest := strconv.FormatInt(c.At.Add(s.config.Timing.Stale+historyMargin).Unix(), 10)
	for cursor := ""; ; {
		var messages []slack.Message
		messages, cursor, err = s.history(ctx, d, oldest, latest, cursor)
		if err != nil {
			return nil, s.unread(d, err)
		}
		for _, m := range messages {
			if d.is(m) {
				found = append(found, m)
			}
		}
		if cursor == "" {
			slices.SortFunc(found, func(a, b slack.Message) int { return compareTS(a.Timestamp, b.Timestamp) })
			return found, nil
		}
	}
}

// history returns a page of the channel's messages, or of the thread's.
func (s *Slack) history(ctx context.Context, d delivery, oldest, latest, cursor string) (messages []slack.Message, next string, err error) {
	const page = 50 // messages, of up to 100 KB each
	if d.entry.part() > 0 {
		messages, _, next, err = s.api.GetConversationRepliesContext(ctx, &slack.GetConversationRepliesParameters{
			ChannelID: d.place.channel, Timestamp: d.entry.posting.TS, Cursor: cursor, Limit: page, IncludeAllMetadata: true,
		})
		switch {
		case err == nil && len(messages) == 0: // the root, at least, is there: this was no answer
			err = fmt.Errorf("read the message's thread: %w", ErrNoTimestamp)
		case err != nil && Classify(err).Code == "thread_not_found": // with its root it is gone
			return nil, "", nil
		}
		return messages, next, err
	}
	answer, err := s.api.GetConversationHistoryContext(ctx, &slack.GetConversationHistoryParameters{
		ChannelID: d.place.channel, Oldest: oldest, Latest: latest, Cursor: cursor, Limit: page, IncludeAllMetadata: true,
	})
	if err != nil {
		return nil, "", err
	}
	if !answer.Ok || answer.HasMore && answer.ResponseMetaData.NextCursor == "" { // {} and {"ok":false} are no errors to slack-go
		return nil, "", fmt.Errorf("read the channel's history: %w", ErrNoTimestamp)
	}
	return answer.Messages, answer.ResponseMetaData.NextCursor, nil
}

// unread says what an error of reading a history means: where the bot may not, nobody can look.
func (s *Slack) unread(d delivery, err error) error {
	e := Classify(err)
	s.troubles.count(e)
	if e.Code == "missing_scope" || e.Code == "no_permission" || e.Class == ChannelRefused || e.Code == "not_allowed_token_type" {
		d.lane.shut(s.config.Now().Add(s.config.Timing.Blind))
		d.log.Warn("slack does not show what was posted: a message may be doubled; give the app the scopes "+ScopeHistoryPublic+" and "+ScopeHistoryPrivate, "code", e.Code)
		return errNoHistory
	}
	return e
}

// remove deletes what was posted twice. An error says that it may pass the next time; what Slack refuses
// to delete stands.
func (s *Slack) remove(ctx context.Context, d delivery, doubles []slack.Message) *watcher.RetryError {
	for _, m := range doubles {
		err := s.removeMessage(ctx, d.place.channel, m)
		if err == nil {
			d.log.Info("doubled message deleted", "ts", m.Timestamp)
			continue
		}
		if e := Classify(err); e.Class == Ambiguous || e.Class == NotAccepted {
			return s.notFound(d, e)
		}
		d.log.Warn("a doubled message was not deleted", "ts", m.Timestamp, "err", Classify(err))
	}
	return nil
}

// compareTS compares timestamps of one channel in the order in which Slack gave them.
func compareTS(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }
