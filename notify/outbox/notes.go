package outbox

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/watcher"
)

// left returns the channels that are no targets any more, since the configuration has changed, where the watch was
// told of and its end was not: it may say there that the watch is running. What such a channel refuses goes where
// people are told anyway.
func (s *Outbox) left(ctx context.Context, watchID string, targets []routes.Target) (left []routes.Target, retry *watcher.RetryError) {
	if s.config.Slack == nil {
		return nil, nil // there is one channel alone
	}
	retry = s.postings(ctx, "watch", watchID, func(channel string, p posting) {
		named := slices.ContainsFunc(targets, func(t routes.Target) bool { return t.Channel == channel })
		if !named && channel != routes.Webhook && p.Code == "" && !p.untouched() && !p.ended() {
			left = append(left, routes.Target{Channel: channel, Fallbacks: s.plan.Fallbacks(channel, targets[0].Channel), Runbooks: targets[0].Runbooks, Env: targets[0].Env})
		}
	})
	return left, retry
}

// postings hands what is noted of a watch, or of something else of this kind, to f, channel by channel.
func (s *Outbox) postings(ctx context.Context, kind, about string, f func(channel string, p posting)) *watcher.RetryError {
	prefix := noteKey(kind, about, "")
	notes, err := s.config.Notes.Under(ctx, strings.TrimSuffix(prefix, "."))
	for _, key := range slices.Sorted(maps.Keys(notes)) {
		var p posting
		if err = json.Unmarshal(notes[key], &p); err != nil {
			break
		}
		f(strings.TrimPrefix(key, prefix), p)
	}
	if err != nil {
		return soon("read where people were told", err)
	}
	return nil
}

// read takes the note as it is. A result that this process could not note is noted now.
func (s *Outbox) read(ctx context.Context, d *delivery) *watcher.RetryError {
	revision, err := s.readNote(ctx, d.key, &d.posting)
	if err != nil {
		return soon("read what was posted", err)
	}
	d.revision = revision
	unnoted := d.memory.unnoted
	d.memory.unnoted = nil
	if unnoted != nil && d.posting.by(s.id) {
		unnoted.Group = cmp.Or(unnoted.Group, d.posting.Group) // another worker decided that meanwhile
		return s.note(ctx, d, *unnoted)
	}
	return nil
}

// note writes the posting. What could not be written is kept for the next time, where it is a result.
func (s *Outbox) note(ctx context.Context, d *delivery, p posting) *watcher.RetryError {
	d.posting, d.memory.unnoted = p, nil
	revision, err := s.writeNote(ctx, d.key, p, d.revision)
	if err != nil {
		if p.Call == nil {
			d.memory.unnoted = &p
		}
		return soon("note what is posted", err)
	}
	d.revision = revision
	return nil
}

// announce notes that this worker is about to call, if no other worker was quicker. Since when it has the channel says
// whether the call is still in time.
func (s *Outbox) announce(ctx context.Context, d *delivery, since time.Time) *watcher.RetryError {
	now := s.config.Now()
	d.memory.last = refused
	if retry := s.note(ctx, d, d.posting.announcing(d.want, d.memory, s.id, now)); retry != nil {
		return retry
	}
	if s.config.Now().Sub(since) > s.config.Timing.Fresh {
		return soon("note what is posted", errors.New("it took too long"))
	}
	return nil
}

// withdraw notes that the call was not made, or not accepted, so that others need not look for what
// became of it. Where that fails they do.
func (s *Outbox) withdraw(ctx context.Context, d *delivery) {
	if p := d.posting; p.by(s.id) && d.memory.last == refused && !d.memory.doubted {
		p.Call = nil
		s.note(context.WithoutCancel(ctx), d, p)
	}
}

// readNote fills value with what is noted under the key, and leaves it alone where nothing is.
func (s *Outbox) readNote(ctx context.Context, key string, value any) (watcher.Revision, error) {
	text, revision, err := s.config.Notes.Note(ctx, key)
	if err == nil && text != nil {
		err = json.Unmarshal(text, value)
	}
	return revision, err
}

// writeNote notes the value under the key, expecting its last revision.
func (s *Outbox) writeNote(ctx context.Context, key string, value any, last watcher.Revision) (watcher.Revision, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return 0, err
	}
	return s.config.Notes.SetNote(ctx, key, text, last)
}
