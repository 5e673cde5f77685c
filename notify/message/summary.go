package message

import (
	"fmt"
	"strings"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
	"github.com/slack-go/slack"
)

// Summarize returns what people are told of a watch that ended. It depends on nothing but its
// arguments, never fails, and keeps Slack's limits whatever the completion holds.
func Summarize(c watcher.Completion, o Options) Message {
	c = withoutSecrets(c, o.Secrets)
	c.Requests = ownFirst(c.Requests, o.Own)
	causes := causes(c.Failures)
	h := headlineOf(c, causes, o)
	m := Message{Text: escape(fit(fallback(c, h, o), maxSentence))}
	if Fails(c.Outcome) {
		m.Mention = o.Mention
	}

	p := newPage()
	last := append(nextSteps(c, causes, m.Mention), rich(foot(c, causes, o, times(c, o)...)...))
	for _, b := range last {
		p.left -= weigh(b)
	}
	p.most -= len(last)
	marks := marks(o)
	for _, mark := range marks {
		p.add(mark)
	}
	p.add(rich(h.row()))
	if len(causes) > 0 {
		m.Replies, m.File = addFailures(p, c, causes, o)
	}
	p.addRows(state(c, causes)...)
	if e := c.Error; e != nil {
		q := quoteOf(*e)
		p.addText("", q.by, q.excerpt())
	}
	addItems(p, c)
	m.Blocks = append(p.blocks, last...)
	m.Brief = append(marks, brief(c, h, m.Mention, causes)...)
	return m
}

// nextSteps returns the blocks that say what to do, with the mention before them: the command in a block that can be
// copied.
func nextSteps(c watcher.Completion, causes []cause, mention string) (blocks []slack.Block) {
	text, withCommand := advice(c, causes)
	if text = before(mention) + text; strings.TrimSpace(text) == "" {
		return nil
	}
	blocks = append(blocks, section(text))
	if command := watchCommand(c); withCommand && command != "" {
		blocks = append(blocks, slack.NewRichTextBlock("", preformatted(command)))
	}
	return blocks
}

// times returns when the watch ended, how long the order took, and how late the message is.
func times(c watcher.Completion, o Options) []row {
	ended := "ended "
	if !ownEnd(c) {
		ended = "stopped watching "
	}
	all := []row{{say(ended), when(c.CompletedAt)}, {say(tookText(c) + slowestText(c))}}
	if late := lateness(c.CompletedAt, o.Now); late != "" {
		all = append(all, row{strong("delivered " + late)})
	}
	return all
}

// brief returns the headline and the top causes, without links and rich text.
func brief(c watcher.Completion, h headline, mention string, causes []cause) []slack.Block {
	text := h.mrkdwn()
	for _, line := range causeLines(causes) {
		text += "\n• " + escape(strings.ReplaceAll(line, "`", "'"))
	}
	blocks := []slack.Block{section(text)}
	text = ""
	for _, r := range state(c, causes) {
		text += escape(textOf(slack.NewRichTextSection(r.spans()...))) + "\n"
	}
	do, withCommand := advice(c, causes)
	text += before(mention) + do
	if command := watchCommand(c); withCommand && command != "" {
		text += "\n" + escape(command)
	}
	if text = strings.TrimSpace(text); text != "" {
		blocks = append(blocks, section(text))
	}
	return append(blocks, section("All of it: "+escape(inEvent(c))))
}

// tookText says how long ModelArts worked on the order; where its times are not known, how long it was watched.
func tookText(c watcher.Completion) string {
	_, ended := c.Times()
	if took, ok := c.Took(); ok && ownEnd(c) && ended.Before(c.CompletedAt.Add(clocksApart)) {
		return "took " + words.Span(took)
	}
	return "watched for " + words.Span(c.CompletedAt.Sub(c.AcceptedAt))
}

// slowestText names the item that took longest, where there are several.
func slowestText(c watcher.Completion) string {
	if name, d := slowest(c); name != "" && len(c.Items) > 1 && ownEnd(c) {
		return fmt.Sprintf(", slowest %s %s", shortName(name), words.Span(d))
	}
	return ""
}

// ownEnd reports whether the order ended, and not the watch alone.
func ownEnd(c watcher.Completion) bool {
	return c.Outcome == watcher.Succeeded || c.Outcome == watcher.PartiallyFailed || c.Outcome == watcher.AllFailed
}
