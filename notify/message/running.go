package message

import (
	"fmt"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// changesShown is how many changes a message about a watch that goes on shows.
const changesShown = 5

// Running returns what people are told of a watch that goes on. It mentions nobody. Like [Summarize] it
// depends on nothing but its arguments, never fails, and keeps Slack's limits.
func Running(g watcher.Progress, o Options) Message {
	c := withoutSecrets(watcher.Completion{Report: g.Report}, o.Secrets)
	name := orUnknown(word(c.OrderName, maxName))
	how := openCounts(c)
	title := ":hourglass_flowing_sand: *" + link(firstLink(c.Requests), name) + "* is running: " + escape(fit(how, maxTitle))
	p := newPage()
	p.add(section(title))
	p.add(section("", field("Items", escape(itemCounts(c))), field("Watching since", date(c.AcceptedAt))))
	if text := changeList(g.Changes, o.Secrets); text != "" {
		p.add(richText(paragraph("Changed last", ""), preformatted(text)))
	}
	if causes := causes(c.Failures); len(causes) > 0 {
		p.add(richText(paragraph("Failed so far", ""), preformatted(failureList(causes))))
	}
	p.add(runningContext(c))
	return Message{Text: escape(fit(name+" is running: "+how+".", maxText)), Blocks: p.blocks, Brief: []slack.Block{section(title)}}
}

// changeList returns the last changes, one a line.
func changeList(changes []watcher.Change, secrets *foreign.Secrets) string {
	var lines []string
	for _, c := range slices.Backward(changes) {
		if len(lines) == changesShown {
			lines = append(lines, fmt.Sprintf("and %s before", words.Number(len(changes)-changesShown)))
			break
		}
		text := fmt.Sprintf("%s · %s · %s", shortName(secrets.Hide(c.ResourceName)), line(hideAll(secrets, c.Action), maxWord), line(hideAll(secrets, string(c.To)), maxWord))
		if m := line(hideAll(secrets, c.Message), maxShort); m != "" {
			text += " · " + m
		}
		lines = append(lines, text)
	}
	return strings.Join(lines, "\n")
}

// failureList returns the largest causes, one a line.
func failureList(causes []cause) string {
	var lines []string
	for i, c := range causes {
		if i == titleCauses {
			lines = append(lines, fmt.Sprintf("and %s", words.Count(len(causes)-i, "more cause")))
			break
		}
		bold, plain := c.headBefore(c.inline())
		lines = append(lines, bold+plain+" · "+orNoMessage(line(c.message, maxShort)))
	}
	return strings.Join(lines, "\n")
}

func runningContext(c watcher.Completion) *slack.ContextBlock {
	var elements []slack.MixedElement
	if asked := askedBy(c.Requests); asked != "" {
		elements = append(elements, mrkdwn(asked))
	}
	elements = append(elements, mrkdwn(whereText(c)), mrkdwn("this message is edited, and becomes the summary"))
	return slack.NewContextBlock("", elements...)
}
