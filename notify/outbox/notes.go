package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/notify/routes"
	"github.com/orderwatch/orderwatch/watcher"
)

// A watch is told of in the channels that the configuration names, which may change while the watch goes
// on. The notes say in which other channels it was told of before.

// left returns the channels that are no targets any more, where the watch was told of and its end was not:
// it may say there that the watch is running. What such a channel refuses goes where people are told
// anyway.
func (s *Outbox) left(ctx context.Context, watchID string, targets []target) (left []target, retry *watcher.RetryError) {
	if s.config.Slack == nil {
		return nil, nil // there is one channel alone
	}
	retry = s.postings(ctx, watchID, func(channel string, p posting) {
		named := slices.ContainsFunc(targets, func(t target) bool { return t.Channel == channel })
		if !named && channel != routes.Webhook && p.Code == "" && !p.untouched() && !p.ended() {
			left = append(left, target{routes.Target{Channel: channel, Fallbacks: s.plan.Fallbacks(channel, targets[0].Channel)}, true})
		}
	})
	return left, retry
}

// toldOfTheEnd reports whether people were told how the watch ended, in whatever channel.
func (s *Outbox) toldOfTheEnd(ctx context.Context, watchID string) (over bool, retry *watcher.RetryError) {
	retry = s.postings(ctx, watchID, func(_ string, p posting) { over = over || p.ended() })
	return over, retry
}

// ended reports whether all is told of how the watch ended.
func (p posting) ended() bool { return p.Done && p.Tells == completed }

// postings hands what is noted of a watch to f, channel by channel.
func (s *Outbox) postings(ctx context.Context, watchID string, f func(channel string, p posting)) *watcher.RetryError {
	prefix := noteKey("watch", watchID, "")
	notes, err := s.config.Notes.Under(ctx, strings.TrimSuffix(prefix, "."))
	for _, key := range slices.Sorted(maps.Keys(notes)) {
		var p posting
		if err = json.Unmarshal(notes[key], &p); err != nil {
			break
		}
		f(strings.TrimPrefix(key, prefix), p)
	}
	if err != nil {
		return &watcher.RetryError{After: time.Second, Err: fmt.Errorf("read where the watch was told of: %w", err)}
	}
	return nil
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
