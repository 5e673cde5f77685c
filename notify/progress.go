package notify

import (
	"context"
	"errors"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
)

// quietAfter is how long a watch has gone on before people are told while it does.
const quietAfter = time.Minute

// Progress shows how far a watch is, in the channels that want that: a message that wakes nobody, posted
// after a minute, edited at most every 10 s, and turned into the summary by [Slack.Notify]. Its errors
// are those of Notify.
func (s *Slack) Progress(ctx context.Context, g watcher.Progress) error {
	stop := s.config.Now().Add(passLimit)
	return soonest(s.followers(g), func(channel string) *watcher.RetryError {
		if left := quietAfter - s.config.Now().Sub(g.AcceptedAt); left > 0 {
			return &watcher.RetryError{After: min(left, quietAfter), Err: errors.New("post to slack: the watch has just begun")}
		}
		return s.tell(ctx, delivery{
			message: Running(g, s.options()), place: place{g.WatchID, channel}, told: s.config.Now(),
			entry: &entry{key: noteKey("watch", g.WatchID, channel), state: numbered("running", g.Number), changes: true, quiet: true},
			log:   s.log.With("watch", g.WatchID, "channel", channel),
			whole: func(context.Context, Message) {}, // the summary follows
		}, stop)
	})
}

// followers returns the channels that want to know while the watch goes on.
func (s *Slack) followers(g watcher.Progress) []string {
	if !s.config.Progress || s.config.Token == "" {
		return nil
	}
	return s.channels(g.Requests)
}

// Progress does nothing: the log has the end.
func (l *Log) Progress(context.Context, watcher.Progress) error { return nil }

// afterQuiet returns the summary for a message that was posted quietly: since an edit wakes nobody, a
// failure is told in a reply that the channel shows, too.
func (m Message) afterQuiet(p posting, c watcher.Completion) Message {
	if !p.Quiet || !fails(c.Outcome) {
		return m
	}
	reply := Message{Text: m.Text, Blocks: m.Brief, Mention: m.Mention, Broadcast: true}
	m.Replies = append([]Message{reply}, m.Replies...)
	return m
}
