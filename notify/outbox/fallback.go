package outbox

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/notify/slack"
	"github.com/orderwatch/orderwatch/watcher"
)

// tellOrMove tells something in the target's channel, and, where that finally refuses it, in the next
// that is left. The notes remember which ones refused, and which channel got it instead: also one that
// the configuration, which has changed since, no longer names.
func (s *Outbox) tellOrMove(t target, tell func(t target, others []string, from message.Refusal) (*entry, *watcher.RetryError)) *watcher.RetryError {
	others, from, been := t.Fallbacks, message.Refusal{}, []string{t.Channel}
	for {
		e, retry := tell(t, others, from)
		moved := e.posting.Moved
		if retry != nil || moved == "" || slices.Contains(been, moved) {
			return retry
		}
		from = message.Refusal{Channel: t.Channel, Code: e.posting.Code, Remedy: (&slack.Error{Class: slack.ChannelRefused, Code: e.posting.Code}).Remedy()}
		if next := slices.Index(others, moved); next >= 0 {
			others = others[next+1:]
		}
		t.Channel, been = moved, append(been, moved)
	}
}

// move notes that the channel finally refused the message, and that it goes to the next one.
func (d delivery) move(ctx context.Context, e *slack.Error, to string) *watcher.RetryError {
	d.log.Error("slack finally refuses the message, another channel gets it", "code", e.Code, "err", e, "to", to, "do", d.remedy(e))
	return d.entry.refuse(ctx, e.Code, to)
}

// next returns the first of the channels that are left to try that has not refused the message itself,
// empty where there is none: what two channels refuse may not go from one to the other and back.
func (d delivery) next(ctx context.Context) (channel string, retry *watcher.RetryError) {
	about := strings.TrimSuffix(d.entry.key, d.place.channel)
	for _, channel := range d.others {
		var p posting
		if _, err := d.entry.slack.readNote(ctx, about+channel, &p); err != nil {
			return "", &watcher.RetryError{After: time.Second, Err: fmt.Errorf("read which channel refused the message: %w", err)}
		}
		if p.Code == "" {
			return channel, nil
		}
	}
	return "", nil
}
