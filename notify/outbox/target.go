package outbox

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/notify/slack"
	"github.com/orderwatch/orderwatch/watcher"
)

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

// tellOrMove tells something in the target's channel, and, where that finally refuses it, in the next
// that is left. The notes remember which ones refused, and which channel got it instead: also one that
// the configuration, which has changed since, no longer names.
func (s *Outbox) tellOrMove(ctx context.Context, t target, w want, stop time.Time) *watcher.RetryError {
	others, from, been := t.Fallbacks, message.Refusal{}, []string{t.Channel}
	for {
		p, retry := s.tell(ctx, w.in(t, others, s.options(t, w, from)), stop)
		if retry != nil || w.quiet || p.Moved == "" || slices.Contains(been, p.Moved) {
			return retry
		}
		from = message.Refusal{Channel: t.Channel, Code: p.Code, Remedy: (&slack.Error{Class: slack.ChannelRefused, Code: p.Code}).Remedy()}
		if next := slices.Index(others, p.Moved); next >= 0 {
			others = others[next+1:]
		}
		t.Channel, been = p.Moved, append(been, p.Moved)
	}
}

// options returns what the message depends on beside what it tells of.
func (s *Outbox) options(t target, w want, from message.Refusal) message.Options {
	o := message.Options{Mention: routes.Mention(t.Mention), Now: s.config.Now(), NoThread: t.Channel == routes.Webhook, Secrets: s.secrets, Refusal: from, Again: w.again}
	if w.kind == "again" {
		o.Now = time.Time{} // late it is, as wanted
	}
	return o
}

// willing returns the first of the channels that are left to try that has not refused the message itself,
// empty where there is none: what two channels refuse may not go from one to the other and back.
func (s *Outbox) willing(ctx context.Context, w want) (channel string, retry *watcher.RetryError) {
	for _, channel := range w.others {
		var p posting
		if _, err := s.readNote(ctx, noteKey(w.kind, w.id, channel), &p); err != nil {
			return "", &watcher.RetryError{After: time.Second, Err: fmt.Errorf("read which channel refused the message: %w", err)}
		}
		if p.Code == "" {
			return channel, nil
		}
	}
	return "", nil
}
