package notify

import (
	"context"
	"log/slog"

	"github.com/orderwatch/orderwatch/watcher"
)

// A Log tells the log how a watch ended, where there is no Slack. Each line of the summary is a
// record of its own, with the watch's id: a text with line breaks would be one quoted string in
// slog's text and JSON alike, which nobody can read. INFO for succeeded and cancelled, WARN for
// all else. It is safe for concurrent use.
type Log struct {
	log     *slog.Logger
	secrets []string
}

// NewLog returns a notifier that writes to the log. The secrets are never written.
func NewLog(log *slog.Logger, secrets ...string) *Log {
	return &Log{log: log, secrets: secrets}
}

// Notify writes the summary and always returns nil.
func (l *Log) Notify(ctx context.Context, c watcher.Completion) error {
	writeSummary(ctx, l.log, c, Summarize(c, Options{Secrets: l.secrets}))
	return nil
}

func writeSummary(ctx context.Context, log *slog.Logger, c watcher.Completion, m Message) {
	level := slog.LevelInfo
	if fails(c.Outcome) {
		level = slog.LevelWarn
	}
	for _, l := range m.Lines() {
		log.Log(ctx, level, "summary", "watch", c.WatchID, "text", l)
	}
}
