package notify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// A storm is when more than stormWaiting messages wait for a channel, as after an outage. One of several
// workers sees a part of them, so half as many are enough for it. Watches that need nobody's attention are
// then told together, in a digest; failures are told one by one as always.
const stormWaiting = 30

// Bounds of a digest.
const (
	digestMost  = 1000 // a new one begins after so many watches
	digestNames = 40   // so many orders are named
)

// A digest is what all workers know of the watches that one message tells of together.
type digest struct {
	Watches   []string  `json:"watches"` // hashes of their ids, in the order in which they came
	Names     []string  `json:"names"`   // of the first orders, redacted and bounded
	Succeeded int       `json:"succeeded"`
	Cancelled int       `json:"cancelled"`
	First     time.Time `json:"first"` // when the first of them ended
	revision  watcher.Revision
}

// digestKey returns the key of the note about a channel's digest. Its number counts those that were full.
func (s *Slack) digestKey(channel string, number int) string {
	window := s.config.Now().UnixNano() / int64(s.config.Timing.Digest)
	return noteKey("digest", fmt.Sprintf("%d-%d", window, number), channel)
}

// place returns which of the digest's watches it is, counted from 1; 0 where it is none.
func (g *digest) place(watchID string) int { return slices.Index(g.Watches, digestHash(watchID)) + 1 }

func digestHash(watchID string) string {
	sum := sha256.Sum256([]byte(watchID))
	return hex.EncodeToString(sum[:8])
}

// add adds a watch to the digest.
func (g *digest) add(c watcher.Completion) {
	g.Watches = append(g.Watches, digestHash(c.WatchID))
	name := orUnknown(word(c.OrderName, maxPerson))
	if c.Outcome == watcher.Cancelled {
		name += " (cancelled)"
		g.Cancelled++
	} else {
		g.Succeeded++
	}
	if len(g.Names) < digestNames {
		g.Names = append(g.Names, name)
	}
	if g.First.IsZero() || c.CompletedAt.Before(g.First) {
		g.First = c.CompletedAt
	}
}

// message returns the digest as people see it.
func (g *digest) message(now time.Time) Message {
	var parts []string
	if g.Succeeded > 0 {
		parts = append(parts, words.Count(g.Succeeded, "order")+" succeeded")
	}
	if g.Cancelled > 0 {
		parts = append(parts, words.Count(g.Cancelled, "watch")+" cancelled")
	}
	said := strings.Join(parts, ", ")
	why := "Too many messages waited for this channel, so these are told together. Failures have messages of their own."
	names := strings.Join(g.Names, ", ")
	if more := len(g.Watches) - len(g.Names); more > 0 {
		names += fmt.Sprintf(" and %s more: see the completion events", words.Number(more))
	}
	title := ":package: *" + escape(said) + "*"
	p := newPage()
	p.add(section(title + "\n" + why))
	p.add(richText(preformatted(names)))
	small := "The first ended " + date(g.First)
	if note := lateness(watcher.Completion{CompletedAt: g.First}, now); note != "" {
		small += ", delivered " + note
	}
	p.add(slack.NewContextBlock("", mrkdwn(small)))
	return Message{Text: escape(fit(said+", told together.", maxText)), Blocks: p.blocks, Brief: []slack.Block{section(title)}}
}

// readDigest returns what is noted under the key.
func (s *Slack) readDigest(ctx context.Context, key string) (digest, error) {
	var g digest
	revision, err := s.readNote(ctx, key+".list", &g)
	g.revision = revision
	return g, err
}

// together reports whether the watch is told of in a digest: it is in one already, or it ended well, and
// many messages wait.
func (s *Slack) together(d delivery) bool {
	p := d.entry.posting
	if p.Digest != "" || p.Done {
		return p.Digest != "" && !p.Done
	}
	return !d.silent && d.place.channel != routes.Webhook && !fails(d.ended.Outcome) && p.TS == "" && p.Call == nil && d.lane.works() && d.lane.waiting(s.config.Now())*min(s.config.Workers(), 2) > stormWaiting
}

// tellTogether tells of the watch in the channel's digest. Its own note says first which one that is, so
// that it is in one alone.
func (s *Slack) tellTogether(ctx context.Context, d delivery, stop time.Time) *watcher.RetryError {
	own := d.entry
	d.receipt.together = true
	g, retry := s.join(ctx, *d.ended, own, d.place.channel)
	if retry != nil {
		return retry
	}
	key := own.posting.Digest
	told := &entry{key: key, state: numbered("digest", len(g.Watches)), least: numbered("digest", g.place(d.ended.WatchID)), changes: true}
	retry = s.tell(ctx, delivery{
		render: func() Message { return g.message(s.config.Now()) }, place: place{key, d.place.channel}, told: d.told, about: d.about, log: d.log, whole: d.whole,
		entry: told, together: true,
	}, stop)
	if retry != nil {
		return retry
	}
	if code := told.posting.Code; code != "" { // each goes where its own route says
		return d.giveUp(ctx, &PostError{Class: ChannelRefused, Code: code})
	}
	return own.end(ctx)
}

// join puts the watch into a digest of the channel, where it is not in one.
func (s *Slack) join(ctx context.Context, c watcher.Completion, own *entry, channel string) (g digest, retry *watcher.RetryError) {
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
			g.add(withoutSecrets(c, s.secrets))
			err = s.writeDigest(ctx, own.posting.Digest, g)
		}
		if err != nil {
			return g, &watcher.RetryError{After: time.Second, Err: fmt.Errorf("tell in a digest: %w", err)}
		}
		return g, nil
	}
}

func (s *Slack) writeDigest(ctx context.Context, key string, g digest) error {
	_, err := s.writeNote(ctx, key+".list", g, g.revision)
	return err
}
