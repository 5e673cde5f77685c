// Package notify tells the log how watches ended and which accounts cannot be asked, where there is no Slack:
// [Log] is a [watcher.Notifier]. What it writes is made by package message; with Slack, package outbox is in its
// place.
package notify

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/orderwatch/orderwatch/notify/message"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
)

// A Log tells the log what people are told. A summary is one record in a log of JSON, and elsewhere a record for each of its
// lines, each with the watch's id. INFO for succeeded and cancelled, WARN for all else. It is safe for concurrent use.
type Log struct {
	log     *slog.Logger
	secrets *foreign.Secrets

	mu   sync.Mutex
	told map[string]bool // what needs no second record
}

// NewLog returns a notifier that writes to the log. The secrets are never written.
func NewLog(log *slog.Logger, secrets ...string) *Log {
	return &Log{log: log, secrets: message.HideSecrets(secrets...), told: make(map[string]bool)}
}

// Notify writes the summary and always returns nil.
func (l *Log) Notify(ctx context.Context, c watcher.Completion) error {
	message.Summarize(c, message.Options{Secrets: l.secrets}).WriteSummary(ctx, l.log, c)
	return nil
}

// NotifyAgain writes the summary once more, says who wants it, and always returns nil.
func (l *Log) NotifyAgain(ctx context.Context, c watcher.Completion, a watcher.Again) error {
	message.Summarize(c, message.Options{Secrets: l.secrets, Again: a}).WriteSummary(ctx, l.log, c)
	return nil
}

// Progress does nothing: the log has the end.
func (l *Log) Progress(context.Context, watcher.Progress) error { return nil }

// ProgressIsUnread lets a worker that has a Log not even read the events that say what changed.
func (l *Log) ProgressIsUnread() {}

// Attend writes one record for each outage, and one for its end, and always returns nil.
func (l *Log) Attend(_ context.Context, a watcher.Attention) error {
	if l.first(a.Outage() + " " + string(a.Kind)) {
		message.WriteAttention(l.log, a, l.secrets)
	}
	return nil
}

// AttendOrder writes one record for each watch, kind and beginning, and one for its end, and always returns nil.
func (l *Log) AttendOrder(_ context.Context, a watcher.OrderAttention) error {
	if a.ToldOf == "" && l.first(fmt.Sprint(a.WatchID, " ", a.Kind, " ", a.Since.UnixMilli(), " ", a.Until.IsZero())) {
		message.WriteOrderAttention(l.log, a, l.secrets)
	}
	return nil
}

// AttendRequest does nothing, and always returns nil: the log has each rejection.
func (l *Log) AttendRequest(context.Context, watcher.RequestAttention) error { return nil }

// maxTold bounds what is remembered as written. What is forgotten may be written again.
const maxTold = 10000

// first reports whether this was not written before.
func (l *Log) first(what string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.told[what] {
		return false
	}
	if len(l.told) >= maxTold {
		clear(l.told)
	}
	l.told[what] = true
	return true
}
