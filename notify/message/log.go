package message

import (
	"context"
	"log/slog"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
)

// Write writes the message and its replies to the log, a record for each line. Each has the level, what as its
// message, and the line as its attribute "text".
func Write(ctx context.Context, log *slog.Logger, level slog.Level, what string, m Message) {
	for _, l := range m.Lines() {
		log.Log(ctx, level, what, "text", l)
	}
}

// WriteSummary writes a summary to the log: INFO for a watch that succeeded or was cancelled, WARN for all else.
func WriteSummary(ctx context.Context, log *slog.Logger, c watcher.Completion, m Message) {
	level := slog.LevelInfo
	if Fails(c.Outcome) {
		level = slog.LevelWarn
	}
	Write(ctx, log.With("watch", c.WatchID), level, "summary", m)
}

// WriteAttention writes one record of what [Announce] tells.
func WriteAttention(log *slog.Logger, a watcher.Attention, secrets *foreign.Secrets) {
	a = redactAttention(a, secrets)
	switch a.Kind {
	case watcher.Lost:
		log.Error("NATS lost what orderwatch had stored", "since", a.Since, "reason", line(a.Reason, maxReason))
		return
	case watcher.Overdue:
		log.Warn("watches are not polled when they are due", "project", projectOf(a), "since", a.Since, "waiting", a.Waiting, "reason", line(a.Reason, maxReason))
		return
	}
	log = log.With("region", regionOf(a), "cause", line(string(a.Cause), maxWord), "since", a.Since, "waiting", max(a.WaitingAll, a.Waiting), "outage", line(a.Outage(), maxName), "reason", line(a.Reason, maxReason))
	if a.Over() {
		log.Info("modelarts is asked again: orders go on by themselves", "until", a.Until)
		return
	}
	log.Warn("modelarts is not asked: orders wait, deadlines count", "do", plain(wordingOf(a).do))
}

// WriteOrderAttention writes one record of what [Concern] tells.
func WriteOrderAttention(log *slog.Logger, a watcher.OrderAttention, secrets *foreign.Secrets) {
	attrs := concernAttrs(redactOrderAttention(a, secrets))
	if a.Kind == watcher.BrokenRecord {
		log.Error("broken record: a watch is over, and nobody hears how its order ended", attrs...)
		return
	}
	log.Warn("a watch that goes on wants to be looked at", attrs...)
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
