package notify

import (
	"context"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/slack-go/slack"
)

// NotifyAgain posts the summary once more, as a message of its own that says so, in the channels
// that the wish names, else where the requests say. Whether the first one stands does not matter; nor
// does how often the wish comes. It takes as long as [Slack.Notify], and returns its errors.
func (s *Slack) NotifyAgain(ctx context.Context, c watcher.Completion, a watcher.Again) error {
	channels := a.Channels
	if len(channels) == 0 || s.config.Token == "" {
		channels = s.channels(c.Requests)
	}
	stop := s.config.Now().Add(passLimit)
	return soonest(channels, func(channel string) *watcher.RetryError {
		log := s.log.With("watch", c.WatchID, "again", a.ID, "channel", channel)
		o := s.options()
		o.Again, o.Now = a, time.Time{} // late it is, as wanted
		return s.tell(ctx, delivery{
			message: s.summary(ctx, c, o), place: place{"again " + a.ID, channel}, entry: &entry{key: noteKey("again", a.ID, channel), state: completed},
			told: a.At, about: ofWatch(c), log: log,
			whole: func(ctx context.Context, m Message) { writeSummary(ctx, s.log, c, m) },
		}, stop)
	})
}

// soonest tells it in each channel, and returns the error that is to be tried again first.
func soonest(channels []string, tell func(channel string) *watcher.RetryError) error {
	var again *watcher.RetryError
	for _, channel := range channels {
		if retry := tell(channel); retry != nil && (again == nil || retry.After < again.After) {
			again = retry
		}
	}
	if again != nil {
		return again
	}
	return nil
}

// NotifyAgain writes the summary once more, says who wants it, and always returns nil.
func (l *Log) NotifyAgain(ctx context.Context, c watcher.Completion, a watcher.Again) error {
	writeSummary(ctx, l.log, c, Summarize(c, Options{Secrets: l.secrets, Again: a}))
	return nil
}

// againMark returns the block that says who had the message sent again, and when; nil where nobody did.
func againMark(o Options) *slack.ContextBlock {
	if o.Again.At.IsZero() {
		return nil
	}
	return slack.NewContextBlock("", mrkdwn(":repeat: *Sent again* by "+escape(againBy(o))+" at "+date(o.Again.At)))
}

// againPrefix says so at the beginning of a sentence.
func againPrefix(o Options) string {
	if o.Again.At.IsZero() {
		return ""
	}
	return "Sent again by " + againBy(o) + ": "
}

// againBy names who had the message sent again.
func againBy(o Options) string {
	return orUnknown(word(redactAttention(watcher.Attention{Reason: o.Again.By}, o.Secrets).Reason, maxPerson))
}
