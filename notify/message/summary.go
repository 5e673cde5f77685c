package message

import (
	"cmp"
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
	causes := causes(c.Failures)
	t := titleOf(c, causes)
	m := Message{Text: escape(fit(fallback(c, t, o), maxSentence))}
	if Fails(c.Outcome) {
		m.Mention = o.Mention
	}

	foot := foot(c, causes, o)
	p := newPage()
	for _, b := range foot {
		p.left -= weigh(b)
	}
	marks := marks(o)
	for _, mark := range marks {
		p.add(mark)
	}
	p.add(section(t.line(link(firstLink(c.Requests), orderName(c))) + behind(m.Mention)))
	if f := fields(c); len(f) > 0 {
		p.add(section("", f...))
	}
	if text := warning(c); text != "" {
		p.add(section(text))
	}
	if e := c.Error; e != nil {
		p.addText("", "The last error of ModelArts:", errorText(e))
	}
	addItems(p, c)
	if len(causes) > 0 {
		m.Replies, m.File = addFailures(p, c, causes, o)
	}
	m.Blocks = append(p.blocks, foot...)
	m.Brief = append(marks, brief(c, t, m.Mention, causes)...)
	return m
}

// foot returns the blocks that come last: what to do, and the small print.
func foot(c watcher.Completion, causes []cause, o Options) (blocks []slack.Block) {
	if text := advice(c, causes); text != "" {
		blocks = append(blocks, section(text))
	}
	ended, late := "", lateness(c.CompletedAt, o.Now)
	if len(fields(c)) == 0 { // they say it
		ended = "Ended " + date(c.CompletedAt)
	}
	if late != "" {
		late = "delivered " + late
	}
	return append(blocks, smallPrint(askedBy(c.Requests), labelText(c.Requests), ended, whereText(c), late))
}

// brief returns the title and the top causes, without links and rich text.
func brief(c watcher.Completion, t title, mention string, causes []cause) []slack.Block {
	text := t.line(escape(orderName(c))) + behind(mention)
	for _, line := range causeLines(causes) {
		text += "\n• " + escape(strings.ReplaceAll(line, "`", "'"))
	}
	blocks := []slack.Block{section(text)}
	if text := strings.TrimSpace(warning(c) + "\n" + advice(c, causes)); text != "" {
		blocks = append(blocks, section(text))
	}
	return append(blocks, section("All of it: "+escape(inEvent(c))))
}

// fields returns the facts that stand in two columns.
func fields(c watcher.Completion) []*slack.TextBlockObject {
	lasted := words.Span(c.CompletedAt.Sub(c.AcceptedAt))
	items := field("Items", escape(itemCounts(c)))
	asked := field("Asked", fmt.Sprintf("%s in %s", words.Count(c.Polls, "time"), lasted))
	since, ended := field("Watching since", date(c.AcceptedAt)), field("Ended", date(c.CompletedAt))
	switch c.Outcome {
	case watcher.PartiallyFailed, watcher.AllFailed:
		return []*slack.TextBlockObject{field("Result", strings.ReplaceAll(string(c.Outcome), "_", " ")), items, field("Took", escape(tookText(c))), ended}
	case watcher.TimedOut:
		if c.Counts == (watcher.Counts{}) && c.Error != nil { // the order was never seen
			items = field("Items", "not known")
		}
		return []*slack.TextBlockObject{items, field("Watched", fmt.Sprintf("%s, %s", lasted, words.Count(c.Polls, "poll"))), since, field("Stopped", date(c.CompletedAt))}
	case watcher.OrderNotFound, watcher.OrderRefused:
		if c.Outcome == watcher.OrderNotFound && isGone(c) {
			return []*slack.TextBlockObject{items, asked, since, ended}
		}
		return []*slack.TextBlockObject{field("Region", escape(known(c.Region, maxWord))), field("Project", escape(known(c.ProjectID, maxProject))), asked, ended}
	case watcher.Cancelled:
		if c.Counts.Total > 0 {
			return []*slack.TextBlockObject{items}
		}
	}
	return nil
}

// itemCounts sums the items up, not escaped.
func itemCounts(c watcher.Completion) string {
	n := c.Counts
	text := words.Number(n.Total) + " in all"
	for _, part := range []struct {
		n    int
		word string
	}{
		{n.Succeeded, "succeeded"}, {n.Failed, "failed"}, {n.Processing, "processing" + unknownNote(c.Items)},
		{n.Total - n.Succeeded - n.Failed - n.Processing, "not created yet"},
	} {
		if part.n > 0 {
			text += ", " + words.Number(part.n) + " " + part.word
		}
	}
	return text + missingNote(n)
}

func tookText(c watcher.Completion) string {
	text := words.Span(took(c))
	if name, d := slowest(c); name != "" && len(c.Items) > 1 {
		text += fmt.Sprintf(", slowest %s %s", strings.ReplaceAll(shortName(name), "`", "'"), words.Span(d))
	}
	return text
}

func errorText(e *watcher.ErrorDetail) string {
	text := line(errorCode(e), maxWord)
	if m := excerpt(e.Message, maxExcerpt); m != "" {
		text = strings.TrimPrefix(text+": "+m, ": ")
	}
	return cmp.Or(text, unknown)
}
