package message

import (
	"fmt"
	"slices"
	"strings"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
	"github.com/slack-go/slack"
)

// Running returns what people are told of a watch that goes on, and as of when, with the condition of the options. It
// mentions whom the options do, where there is a condition that is not over. Like [Summarize] it depends on nothing but
// its arguments, never fails, and keeps Slack's limits.
func Running(g watcher.Progress, o Options) Message {
	c := withoutSecrets(watcher.Completion{Report: g.Report}, o.Secrets)
	c.Requests = ownFirst(c.Requests, o.Own)
	h := headline{emoji: ":hourglass_flowing_sand:", word: "RUNNING", count: openCounts(c), name: orderName(c), url: o.orderURL(c), env: envOf(c.Requests, o.Env)}
	asOf := row{}
	if dated(g.At) {
		h.last, asOf = "as of "+clockTime(g.At), row{say("as of "), when(g.At)}
	}
	if g.ETA != nil && !g.ETA.Few() {
		asOf = dotted(asOf, row{say("likely ready between "), when(g.ETA.From), say(" and "), when(g.ETA.To)})
	}
	causes := causes(c.Failures)
	p := newPage()
	for _, mark := range marks(o) {
		p.add(mark)
	}
	m := Message{Text: escape(fit(h.sentence(), maxSentence)), Brief: append(marks(o), section(h.mrkdwn()))}
	if o.Condition == nil {
		p.add(rich(h.row(), asOf))
	} else {
		m = m.withCondition(p, c, h, asOf, o)
	}
	changes := slices.Clone(g.Changes)
	slices.Reverse(changes)
	p.addText("Changed last", "", few(changes, len(changes), changesShown,
		func(change watcher.Change) string { return changeLine(change, o) },
		func(n int) string { return fmt.Sprintf("and %s before", words.Number(n)) }))
	p.addText("Failed so far", "", strings.Join(causeLines(causes), "\n"))
	p.add(rich(foot(c, causes, o, row{say("watching since "), when(c.AcceptedAt)}, becomesSummary)...))
	m.Blocks = p.blocks
	return m
}

// becomesSummary says what becomes of the message of a watch that goes on.
var becomesSummary = row{say("this message is edited, and becomes the summary")}

// withCondition writes the headline with the condition below it, which comes first in the sentence for phones.
func (m Message) withCondition(p *page, c watcher.Completion, h headline, asOf row, o Options) Message {
	a := redactOrderAttention(*o.Condition, o.Secrets)
	w := concernOf(a, o.Now)
	if a.Until.IsZero() {
		m.Mention = o.Mention
	}
	w.after = fit(w.after, maxTitle)
	m.Text = w.word + w.before + h.name + w.after
	if h.last != "" {
		m.Text += "; " + h.last
	}
	m.Text = escape(fit(m.Text+".", maxSentence))
	means := before(m.Mention) + w.means
	if w.do != "" {
		means += " *What to do:* " + w.do
	}
	p.add(rich(h.row(), row{emoji(w.emoji), say(" "), strong(w.word), say(w.after)}, asOf))
	p.add(section(means))
	if command := goOnCommand(c, a.Deadline()); a.Kind == watcher.DeadlineNear && command != "" {
		p.add(slack.NewRichTextBlock("", preformatted(command)))
		means += "\n" + escape(command)
	}
	m.Brief = append(m.Brief, section(w.emoji+" *"+w.word+"*"+escape(w.after)), section(means))
	return m
}

// changeLine returns a change on one line.
func changeLine(c watcher.Change, o Options) string {
	hide := func(text string) string { return hideAll(o.Secrets, text) }
	text := fmt.Sprintf("%s · %s · %s", shortName(o.Secrets.Hide(c.ResourceName)), line(hide(c.Action), maxWord), line(hide(string(c.To)), maxWord))
	if m := line(hide(c.Message), maxShort); m != "" {
		text += " · " + m
	}
	return text
}
