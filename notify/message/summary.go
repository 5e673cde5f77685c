package message

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
	"github.com/slack-go/slack"
)

// Summarize returns what people are told of a watch that ended. It depends on nothing but its
// arguments, never fails, and keeps Slack's limits whatever the completion holds.
func Summarize(c watcher.Completion, o Options) Message {
	c = withoutSecrets(c, o.Secrets)
	causes := causes(c.Failures)
	h := headlineOf(c, causes)
	m := Message{Text: sentence(c, h, o)}
	if Fails(c.Outcome) {
		m.Mention = o.Mention
	}

	foot := foot(c, causes, o.Now)
	p := newPage()
	for _, b := range foot {
		p.left -= weigh(b)
	}
	marks := marks(o)
	for _, mark := range marks {
		p.add(mark)
	}
	p.add(section(title(c, h, m.Mention, firstLink(c.Requests))))
	if f := fields(c); len(f) > 0 {
		p.add(section("", f...))
	}
	if text := notice(c); text != "" {
		p.add(section(text))
	}
	if e := c.Error; e != nil {
		p.add(richText(paragraph("", "The last error of ModelArts:"), preformatted(errorText(e))))
	}
	if open := openList(c); open != "" {
		p.add(richText(paragraph("Still open", ""), preformatted(open)))
	}
	addUnlisted(p, c)
	if len(causes) > 0 {
		m.Replies, m.File = addFailures(p, c, causes, o)
	}
	m.Blocks = append(p.blocks, foot...)
	m.Brief = append(marks, brief(c, h, m.Mention, causes)...)
	return m
}

// foot returns the blocks that come last: what to do, and the small print.
func foot(c watcher.Completion, causes []cause, now time.Time) []slack.Block {
	small := contextBlock(c, now)
	if text := advice(c, causes); text != "" {
		return []slack.Block{section(text), small}
	}
	return []slack.Block{small}
}

// title returns the first line in mrkdwn.
func title(c watcher.Completion, h headline, mention, address string) string {
	name := "*" + link(address, orUnknown(word(c.OrderName, maxName))) + "*"
	text := h.emoji + " " + h.before + name + escape(fit(h.after, maxTitle))
	if mention != "" {
		text += " " + mention
	}
	return text
}

// sentence returns the message in one plain sentence, with who asked: what a push notification
// shows.
func sentence(c watcher.Completion, h headline, o Options) string {
	text := againPrefix(o) + h.before + orUnknown(word(c.OrderName, maxName)) + fit(h.after, maxText-maxName-maxCause-80) + "."
	if by := askers(c.Requests); by != "" {
		text += " Asked for by " + by + "."
	}
	if note := lateness(c, o.Now); note != "" {
		text += " Delivered " + note + "."
	}
	return escape(fit(text, maxSentence))
}

// brief returns the title and the top causes, without links and rich text.
func brief(c watcher.Completion, h headline, mention string, causes []cause) []slack.Block {
	text := title(c, h, mention, "")
	for i, cause := range causes {
		if i == titleCauses {
			text += fmt.Sprintf("\n• and %s", words.Count(len(causes)-i, "more cause"))
			break
		}
		bold, plain := cause.headBefore(cause.inline())
		text += "\n• " + escape(strings.ReplaceAll(bold+plain, "`", "'")+" · "+orNoMessage(word(cause.message, maxShort)))
	}
	blocks := []slack.Block{section(text)}
	if text := strings.TrimSpace(notice(c) + "\n" + advice(c, causes)); text != "" {
		blocks = append(blocks, section(text))
	}
	return append(blocks, section("All of it: "+escape(inEvent(c))))
}

// inThread returns the brief form for a reply to the whole.
func inThread(brief []slack.Block) []slack.Block {
	last := len(brief) - 1
	return append(slices.Clone(brief[:last]), section("All of it: in the message above."))
}

func orNoMessage(s string) string {
	if s == "" {
		return noMessage
	}
	return s
}

// fields returns the facts that stand in two columns.
func fields(c watcher.Completion) []*slack.TextBlockObject {
	lasted := words.Span(c.CompletedAt.Sub(c.AcceptedAt))
	switch c.Outcome {
	case watcher.PartiallyFailed, watcher.AllFailed:
		return []*slack.TextBlockObject{
			field("Result", strings.ReplaceAll(string(c.Outcome), "_", " ")),
			field("Items", escape(itemCounts(c))),
			field("Took", escape(tookText(c))),
			field("Ended", date(c.CompletedAt)),
		}
	case watcher.TimedOut:
		return []*slack.TextBlockObject{
			field("Items", escape(itemsSeen(c))),
			field("Watched", fmt.Sprintf("%s, %s", lasted, words.Count(c.Polls, "poll"))),
			field("Watching since", date(c.AcceptedAt)),
			field("Stopped", date(c.CompletedAt)),
		}
	case watcher.OrderNotFound, watcher.OrderRefused:
		if c.Outcome == watcher.OrderNotFound && isGone(c) {
			return []*slack.TextBlockObject{
				field("Items", escape(itemCounts(c))),
				field("Asked", fmt.Sprintf("%s in %s", words.Count(c.Polls, "time"), lasted)),
				field("Watching since", date(c.AcceptedAt)),
				field("Ended", date(c.CompletedAt)),
			}
		}
		return []*slack.TextBlockObject{
			field("Region", escape(orUnknown(word(c.Region, maxWord)))),
			field("Project", escape(orUnknown(word(c.ProjectID, maxPerson+4)))),
			field("Asked", fmt.Sprintf("%s in %s", words.Count(c.Polls, "time"), lasted)),
			field("Ended", date(c.CompletedAt)),
		}
	case watcher.Cancelled:
		if c.Counts.Total > 0 {
			return []*slack.TextBlockObject{field("Items", escape(itemCounts(c)))}
		}
	}
	return nil
}

func field(name, value string) *slack.TextBlockObject {
	return mrkdwn("*" + name + "*\n" + value)
}

// itemsSeen returns the counts, where the order was ever seen.
func itemsSeen(c watcher.Completion) string {
	if c.Counts == (watcher.Counts{}) && c.Error != nil {
		return "not known"
	}
	return itemCounts(c)
}

// itemCounts sums the items up, not escaped.
func itemCounts(c watcher.Completion) string {
	n := c.Counts
	text := words.Number(n.Total) + " in all"
	for _, part := range []struct {
		n    int
		word string
	}{{n.Succeeded, "succeeded"}, {n.Failed, "failed"}, {n.Processing, "processing"}, {n.Total - n.Succeeded - n.Failed - n.Processing, "not created yet"}} {
		if part.n > 0 {
			text += ", " + words.Number(part.n) + " " + part.word
		}
		if part.n > 0 && part.word == "processing" {
			text += unknownNote(c.Items)
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
	return orUnknown(text)
}

// openList returns the first items that had not ended, one a line; empty where there is none. Those that
// are no longer listed come first, then those whose status nobody documents.
func openList(c watcher.Completion) string {
	if c.Outcome != watcher.TimedOut {
		return ""
	}
	open := slices.DeleteFunc(slices.Clone(c.Items), func(it watcher.Item) bool { return it.CountsAs().Ended() })
	slices.SortStableFunc(open, func(a, b watcher.Item) int { return cmp.Compare(strangeness(b), strangeness(a)) })
	var lines []string
	for _, it := range open[:min(openItems, len(open))] {
		lines = append(lines, openLine(c, it))
	}
	if more := c.Counts.Processing - len(lines); len(lines) > 0 && more > 0 {
		lines = append(lines, inCompletion(c.WatchID)(more))
	}
	return strings.Join(lines, "\n")
}

// strangeness says how much an open item wants to be looked at.
func strangeness(it watcher.Item) int {
	switch {
	case it.Missing():
		return 2
	case !it.Status.Known():
		return 1
	}
	return 0
}

// openLine returns an open item on one line. How long it goes on is known only of one that is listed.
func openLine(c watcher.Completion, it watcher.Item) string {
	lasted := ""
	if began, _ := it.Times(c.AcceptedAt, c.CompletedAt); !it.Missing() && !began.IsZero() && c.CompletedAt.After(began) {
		lasted = " for " + words.Span(c.CompletedAt.Sub(began))
	}
	text := itemLine(it, lasted)
	if m := line(it.Message, maxShort); m != "" && !it.Status.Known() {
		text += " · " + m
	}
	return text
}
