package message

import (
	"fmt"
	"slices"
	"strings"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
	"github.com/slack-go/slack"
)

// Running returns what people are told of a watch that goes on. It mentions nobody. Like [Summarize] it
// depends on nothing but its arguments, never fails, and keeps Slack's limits.
func Running(g watcher.Progress, o Options) Message {
	c := withoutSecrets(watcher.Completion{Report: g.Report}, o.Secrets)
	how := openCounts(c)
	first := ":hourglass_flowing_sand: *" + link(firstLink(c.Requests), orderName(c)) + "* is running: " + escape(fit(how, maxTitle))
	p := newPage()
	p.add(section(first))
	p.add(section("", field("Items", escape(itemCounts(c))), field("Watching since", date(c.AcceptedAt))))
	changes := slices.Clone(g.Changes)
	slices.Reverse(changes)
	p.addText("Changed last", "", few(changes, len(changes), changesShown,
		func(change watcher.Change) string { return changeLine(change, o) },
		func(n int) string { return fmt.Sprintf("and %s before", words.Number(n)) }))
	p.addText("Failed so far", "", strings.Join(causeLines(causes(c.Failures)), "\n"))
	p.add(smallPrint(askedBy(c.Requests), whereText(c), "this message is edited, and becomes the summary"))
	return Message{Text: escape(fit(orderName(c)+" is running: "+how+".", maxText)), Blocks: p.blocks, Brief: []slack.Block{section(first)}}
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
