package notify

import (
	"context"
	"log/slog"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
)

// A Log tells the log how a watch ended, and of accounts that cannot be asked, where there is no
// Slack. Each line of the summary is a
// record of its own, with the watch's id: a text with line breaks would be one quoted string in
// slog's text and JSON alike, which nobody can read. INFO for succeeded and cancelled, WARN for
// all else. It is safe for concurrent use.
type Log struct {
	log      *slog.Logger
	secrets  *foreign.Secrets
	receipts receipts
}

// NewLog returns a notifier that writes to the log. The secrets are never written.
func NewLog(log *slog.Logger, secrets ...string) *Log {
	return &Log{log: log, secrets: HideSecrets(secrets...), receipts: receipts{known: make(map[place]*receipt)}}
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

// Attend writes one line for each outage, and one for its end, and always returns nil.
func (l *Log) Attend(_ context.Context, a watcher.Attention) error {
	r, ok := l.receipts.claim(place{a.Outage(), string(a.Kind)})
	if !ok {
		return nil // it is being written
	}
	defer l.receipts.release(r)
	if r.told != "" {
		return nil
	}
	r.told = string(a.Kind)
	a = redactAttention(a, l.secrets)
	if a.Kind == watcher.Lost {
		l.log.Error("NATS lost what orderwatch had stored", "since", a.Since, "reason", line(a.Reason, maxReason))
		return nil
	}
	if a.Kind == watcher.Overdue {
		l.log.Warn("watches are not polled when they are due", "project", projectOf(a), "since", a.Since, "waiting", a.Waiting, "reason", line(a.Reason, maxReason))
		return nil
	}
	log := l.log.With("region", regionOf(a), "cause", line(string(a.Cause), maxWord), "since", a.Since, "waiting", max(a.WaitingAll, a.Waiting), "outage", line(a.Outage(), maxName), "reason", line(a.Reason, maxReason))
	if a.Over() {
		log.Info("modelarts is asked again: orders go on by themselves", "until", a.Until)
		return nil
	}
	log.Warn("modelarts is not asked: orders wait, deadlines count", "do", plain(wordingOf(a).do))
	return nil
}

// AttendOrder writes one record for each watch, kind and beginning, and always returns nil.
func (l *Log) AttendOrder(_ context.Context, a watcher.OrderAttention) error {
	r, ok := l.receipts.claim(place{attentionID(a), string(a.Kind)})
	if !ok {
		return nil // it is being written
	}
	defer l.receipts.release(r)
	if r.told != "" {
		return nil
	}
	r.told = string(a.Kind)
	if a.Kind == watcher.BrokenRecord {
		l.log.Error("broken record: a watch is over, and nobody hears how its order ended", concernAttrs(redactOrderAttention(a, l.secrets))...)
		return nil
	}
	l.log.Warn("a watch that goes on wants to be looked at", concernAttrs(redactOrderAttention(a, l.secrets))...)
	return nil
}

// concernAttrs returns what a record says of it: in text the sentence that people would see in Slack.
func concernAttrs(a watcher.OrderAttention) []any {
	c, w := completionOf(a), concernOf(a)
	attrs := []any{
		"watch", line(a.WatchID, maxPerson), "project", line(a.ProjectID, maxPerson+4), "order", line(a.OrderName, maxName), "kind", line(string(a.Kind), maxWord),
		"since", a.Since, "text", line(w.before+orUnknown(word(a.OrderName, maxName))+fit(w.after, maxTitle), maxText), "seen", lastSeen(c),
	}
	if a.Error != nil {
		attrs = append(attrs, "err", line(errorText(a.Error), maxText))
	}
	return append(attrs, "do", plain(w.do))
}

// writeConcern writes what Slack did not take.
func writeConcern(ctx context.Context, log *slog.Logger, m Message) {
	for _, l := range m.Lines() {
		log.Log(ctx, slog.LevelWarn, "notice", "text", l)
	}
}

// writeNotice writes what Slack did not take.
func writeNotice(ctx context.Context, log *slog.Logger, a watcher.Attention, m Message) {
	level := slog.LevelInfo
	if a.Kind == watcher.Unreachable {
		level = slog.LevelWarn
	}
	for _, l := range m.Lines() {
		log.Log(ctx, level, "notice", "text", l)
	}
}
