package notify

import (
	"context"
	"encoding/json"

	"github.com/orderwatch/orderwatch/watcher"
)

// readNote fills value with what is noted under the key, and leaves it alone where nothing is.
func (s *Slack) readNote(ctx context.Context, key string, value any) (watcher.Revision, error) {
	text, revision, err := s.config.Notes.Note(ctx, key)
	if err == nil && text != nil {
		err = json.Unmarshal(text, value)
	}
	return revision, err
}

// writeNote notes the value under the key, expecting its last revision.
func (s *Slack) writeNote(ctx context.Context, key string, value any, last watcher.Revision) (watcher.Revision, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return 0, err
	}
	return s.config.Notes.SetNote(ctx, key, text, last)
}
