package outbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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

// Bounds of a digest.
const (
	digestMost = 1000 // a new one begins after so many watches
)

// A digest is what all workers know of the watches that one message tells of together.
type digest struct {
	Watches []string `json:"watches"` // hashes of their ids, in the order in which they came
	message.Together
	revision watcher.Revision
}

// digestKey returns the key of the note about a channel's digest. Its number counts those that were full.
func (s *Outbox) digestKey(channel string, number int) string {
	window := s.config.Now().UnixNano() / int64(s.config.Timing.Digest)
	return noteKey("digest", fmt.Sprintf("%d-%d", window, number), channel)
}

// place returns which of the digest's watches it is, counted from 1; 0 where it is none.
func (g *digest) place(watchID string) int { return slices.Index(g.Watches, digestHash(watchID)) + 1 }

func digestHash(watchID string) string {
	sum := sha256.Sum256([]byte(watchID))
	return hex.EncodeToString(sum[:8])
}

// readDigest returns what is noted under the key.
func (s *Outbox) readDigest(ctx context.Context, key string) (digest, error) {
	var g digest
	revision, err := s.readNote(ctx, key+".list", &g)
	g.revision = revision
	return g, err
}

// together reports whether the watch is told of in a digest: it is in one already, or it ended well, and
// many messages wait.
func (s *Outbox) together(d delivery) bool {
	p := d.entry.posting
	if p.Digest != "" || p.Done {
		return p.Digest != "" && !p.Done
	}
	return !d.silent && d.place.channel != routes.Webhook && !message.Fails(d.ended.Outcome) && p.TS == "" && p.Call == nil && d.lane.works() && d.lane.waiting(s.config.Now())*min(s.config.Workers(), 2) > stormWaiting
}

// tellTogether tells of the watch in the channel's digest. Its own note says first which one that is, so
// that it is in one alone.
func (s *Outbox) tellTogether(ctx context.Context, d delivery, stop time.Time) *watcher.RetryError {
	own := d.entry
	d.receipt.together = true
	g, retry := s.join(ctx, *d.ended, own, d.place.channel)
	if retry != nil {
		return retry
	}
	key := own.posting.Digest
	told := &entry{key: key, state: numbered("digest", len(g.Watches)), least: numbered("digest", g.place(d.ended.WatchID)), changes: true}
	retry = s.tell(ctx, delivery{
		render: func() message.Message { return g.Message(s.config.Now()) }, place: place{key, d.place.channel}, told: d.told, about: d.about, log: d.log, whole: d.whole,
		entry: told, together: true,
	}, stop)
	if retry != nil {
		return retry
	}
	if code := told.posting.Code; code != "" { // each goes where its own route says
		return d.giveUp(ctx, &slack.Error{Class: slack.ChannelRefused, Code: code})
	}
	return own.end(ctx)
}

// join puts the watch into a digest of the channel, where it is not in one.
func (s *Outbox) join(ctx context.Context, c watcher.Completion, own *entry, channel string) (g digest, retry *watcher.RetryError) {
	for number := 0; ; number++ {
		if own.posting.Digest == "" {
			own.posting.Tells, own.posting.Digest = own.state, s.digestKey(channel, number)
			if retry := own.note(ctx); retry != nil {
				return g, retry
			}
		}
		g, err := s.readDigest(ctx, own.posting.Digest)
		if err == nil && g.place(c.WatchID) == 0 && len(g.Watches) >= digestMost {
			own.posting.Digest = "" // full
			continue
		}
		if err == nil && g.place(c.WatchID) == 0 {
			g.Watches = append(g.Watches, digestHash(c.WatchID))
			g.Add(c, s.secrets)
			err = s.writeDigest(ctx, own.posting.Digest, g)
		}
		if err != nil {
			return g, &watcher.RetryError{After: time.Second, Err: fmt.Errorf("tell in a digest: %w", err)}
		}
		return g, nil
	}
}

func (s *Outbox) writeDigest(ctx context.Context, key string, g digest) error {
	_, err := s.writeNote(ctx, key+".list", g, g.revision)
	return err
}
