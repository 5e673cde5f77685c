package message

import (
	"context"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
	"github.com/slack-go/slack"
)

// Write writes the message and its replies to the log, with the level, what as the record's message, and the text as its
// attribute "text": as one record of several lines where the log is JSON, which programs read; elsewhere as a record for each
// line, since people cannot read a quoted text with line breaks.
func (m Message) Write(ctx context.Context, log *slog.Logger, level slog.Level, what string) {
	lines := m.Lines()
	if _, isJSON := log.Handler().(*slog.JSONHandler); isJSON {
		lines = []string{strings.Join(lines, "\n")}
	}
	for _, l := range lines {
		log.Log(ctx, level, what, "text", l)
	}
}

// WriteSummary writes a summary to the log: INFO for a watch that succeeded or was cancelled, WARN for all else.
func (m Message) WriteSummary(ctx context.Context, log *slog.Logger, c watcher.Completion) {
	level := slog.LevelInfo
	if Fails(c.Outcome) {
		level = slog.LevelWarn
	}
	m.Write(ctx, log.With("watch", c.WatchID), level, "summary")
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

// WriteOrderAttention writes one record of what [Concern] tells: in text the sentence that people would see in Slack.
func WriteOrderAttention(log *slog.Logger, a watcher.OrderAttention, secrets *foreign.Secrets) {
	a = redactOrderAttention(a, secrets)
	w := concernOf(a, time.Time{})
	log = log.With(
		"watch", line(a.WatchID, maxPerson), "project", line(a.ProjectID, maxProject), "order", line(a.OrderName, maxName), "kind", line(string(a.Kind), maxWord),
		"since", a.Since, "text", line(w.word+w.before+known(a.OrderName, maxName)+fit(w.after, maxTitle), maxText), "seen", lastSeen(watcher.Completion{Report: a.Report}),
	)
	if a.Error != nil {
		log = log.With("err", line(quoteOf(*a.Error).brief(), maxText))
	}
	if !a.Until.IsZero() {
		log.Info("what was wrong with a watch that goes on is over", "until", a.Until)
		return
	}
	log = log.With("do", plain(w.do))
	if a.Kind == watcher.DeadlineNear {
		log = log.With("command", goOnCommand(watcher.Completion{Report: a.Report}, a.Deadline()))
	}
	if a.Kind == watcher.BrokenRecord {
		log.Error("broken record: a watch is over, and nobody hears how its order ended")
		return
	}
	log.Warn("a watch that goes on wants to be looked at")
}

// Lines returns the message and its replies as plain text for a log, one entry for each line, none
// empty: links as "text (url)", dates in UTC, failure texts indented, no mention.
func (m Message) Lines() []string {
	var lines []string
	for _, b := range m.Blocks {
		for _, text := range blockTexts(b) {
			for l := range strings.Lines(text) {
				if l = strings.TrimRight(l, " \n"); l != "" {
					lines = append(lines, l)
				}
			}
		}
	}
	for _, r := range m.Replies {
		lines = append(lines, r.Lines()...)
	}
	return lines
}

func blockTexts(b slack.Block) (texts []string) {
	switch b := b.(type) {
	case *slack.RichTextBlock:
		for _, e := range b.Elements {
			text := textOf(e)
			if _, ok := e.(*slack.RichTextPreformatted); ok {
				text = "    " + strings.ReplaceAll(text, "\n", "\n    ")
			}
			texts = append(texts, text)
		}
	case *slack.SectionBlock:
		texts = append(texts, strings.TrimLeft(plain(b.Text.Text), " "))
	}
	return texts
}

var (
	code      = regexp.MustCompile(`(\s*)<([^<>|]*)\|?([^<>]*)>`)
	emojiName = regexp.MustCompile(`^:[a-z_]+: `)
	bold      = regexp.MustCompile(`(^|\s)\*([^*\n]+)\*`)
	unescaper = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&")
)

// plain returns mrkdwn without Slack's codes.
func plain(s string) string {
	s = emojiName.ReplaceAllString(s, "")
	s = bold.ReplaceAllString(s, "$1$2")
	s = code.ReplaceAllStringFunc(s, plainCode)
	return unescaper.Replace(s)
}

// plainCode returns one code in angle brackets, with the space before it, as plain text.
func plainCode(tag string) string {
	parts := code.FindStringSubmatch(tag)
	switch space, target, label := parts[1], parts[2], parts[3]; {
	case strings.HasPrefix(target, "!date^"):
		return space + label
	case strings.HasPrefix(target, "!"), strings.HasPrefix(target, "@"):
		return ""
	default:
		return space + label + " (" + target + ")"
	}
}

// Plain returns [Message.Lines] as one text, cut to at most so many units.
func (m Message) Plain(limit int) string { return fit(strings.Join(m.Lines(), "\n"), limit) }
