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

// A storm is when more than stormWaiting messages wait for a channel, as after an outage. One of several
// workers sees a part of them, so half as many are enough for it. Watches that need nobody's attention are
// then told together, in a digest; failures are told one by one as always.
const stormWaiting = 30

// digestMost bounds a digest: a new one begins after so many watches.
const digestMost = 1000

// A digest is what all workers know of the watches that one message tells of together.
type digest struct {
	Watches []string `json:"watches"` // hashes of their ids, in the order in which they came
	message.Together
}

// joins reports whether the watch is told of in a digest: it is in one already, or it ended well, and
// many messages wait.
func (s *Outbox) joins(d *delivery) (joins bool) {
	p := d.posting
	if p.Digest != "" || p.Done {
		return p.Digest != "" && !p.Done
	}
	if d.silent || d.channel == routes.Webhook || message.Fails(d.ended.Outcome) || p.TS != "" || p.Call != nil {
		return false
	}
	workers := s.config.Workers()
	s.lane(d.channel, func(l *lane, now time.Time) {
		l.forget(now.Add(-s.config.Timing.Stale))
		joins = l.storms(workers)
	})
	return joins
}

// tellTogether tells of the watch in the channel's digest. Its own note says first which one that is, so
// that it is in one alone.
func (s *Outbox) tellTogether(ctx context.Context, d *delivery) *watcher.RetryError {
	s.stepAside(d)
	g, place, retry := s.join(ctx, d)
	if retry != nil {
		return retry
	}
	w := want{
		digest: d.posting.Digest, who: d.posting.Digest, channel: d.channel, told: d.told, about: d.about, log: d.log, whole: d.whole, urgency: calm,
		state: numbered("digest", len(g.Watches)), least: numbered("digest", place),
		render: func(message.Options) message.Message { return g.Message(s.config.Now()) },
	}
	told, retry := s.tell(ctx, w, d.stop)
	if retry != nil {
		return retry
	}
	if told.Code != "" && rank(told.Shows) < place { // each goes where its own route says
		d.message = d.render(d.options)
		return s.giveUp(ctx, d, &slack.Error{Class: slack.ChannelRefused, Code: told.Code})
	}
	return s.note(ctx, d, d.posting.over(d.state))
}

// join puts the watch into a digest of the channel, where it is not in one. It returns its place there, from 1 on.
func (s *Outbox) join(ctx context.Context, d *delivery) (g digest, place int, retry *watcher.RetryError) {
	watch := hash(d.ended.WatchID)
	for full := 0; ; full++ {
		if d.posting.Digest == "" {
			window := s.config.Now().UnixNano() / int64(s.config.Timing.Digest)
			p := d.posting
			p.Tells, p.Digest = d.state, noteKey("digest", fmt.Sprintf("%d-%d", window, full), d.channel)
			if retry := s.note(ctx, d, p); retry != nil {
				return g, 0, retry
			}
		}
		g, list := digest{}, d.posting.Digest+".list"
		revision, err := s.readNote(ctx, list, &g)
		place := slices.Index(g.Watches, watch) + 1
		if err == nil && place == 0 && len(g.Watches) >= digestMost {
			d.posting.Digest = "" // full
			continue
		}
		if err == nil && place == 0 {
			g.Watches = append(g.Watches, watch)
			g.Add(*d.ended, d.options)
			place = len(g.Watches)
			_, err = s.writeNote(ctx, list, g, revision)
		}
		if err != nil {
			return g, 0, soon("tell in a digest", err)
		}
		return g, place, nil
	}
}
