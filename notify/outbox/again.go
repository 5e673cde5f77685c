package outbox

import (
	"context"
	"slices"
	"time"

	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/watcher"
)

// NotifyAgain posts the summary once more, as a message of its own that says so, in the channels
// that the wish names, else where the routes say. Whether the first one stands does not matter; nor
// does how often the wish comes. It takes as long as [Outbox.Notify], and returns its errors.
func (s *Outbox) NotifyAgain(ctx context.Context, c watcher.Completion, a watcher.Again) error {
	targets := s.targets(c.Report)
	if len(a.Channels) > 0 && s.config.Slack != nil {
		targets = s.named(targets, a.Channels)
	}
	stop := s.config.Now().Add(s.config.Timing.Pass)
	return soonest(targets, func(t target) *watcher.RetryError {
		return s.tellOrMove(t, func(t target, others []string, from message.Refusal) (*entry, *watcher.RetryError) {
			o := s.options(t)
			o.Again, o.Refusal, o.Now = a, from, time.Time{} // late it is, as wanted
			e := &entry{key: noteKey("again", a.ID, t.Channel), state: completed}
			return e, s.tell(ctx, delivery{
				render: func() message.Message { return s.summary(ctx, c, o) }, place: place{"again " + a.ID, t.Channel}, entry: e, told: a.At, about: ofWatch(c), others: others,
				log:   s.log.With("watch", c.WatchID, "again", a.ID, "channel", t.Channel),
				whole: func(ctx context.Context, m message.Message) { message.WriteSummary(ctx, s.log, c, m) },
			}, stop)
		})
	})
}

// named returns the targets for these channels, as the watch's own are where it has them.
func (s *Outbox) named(own []target, channels []string) (targets []target) {
	for _, channel := range channels {
		t := target{Target: routes.Target{Channel: channel, Mention: s.config.Mention, Fallbacks: s.plan.Fallbacks(channel)}}
		if i := slices.IndexFunc(own, func(t target) bool { return t.Channel == channel }); i >= 0 {
			t = own[i]
		}
		targets = append(targets, t)
	}
	return targets
}
