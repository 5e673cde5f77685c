package message

import (
	"fmt"
	"slices"
	"strings"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
	"github.com/slack-go/slack"
)

// Running returns what people are told of a watch that goes on, and as of when. It mentions nobody. Like [Summarize]
// it depends on nothing but its arguments, never fails, and keeps Slack's limits.
func Running(g watcher.Progress, o Options) Message {
	c := withoutSecrets(watcher.Completion{Report: g.Report}, o.Secrets)
	c.Requests = ownFirst(c.Requests, o.Own)
	h := headline{emoji: ":hourglass_flowing_sand:", word: "RUNNING", count: openCounts(c), name: orderName(c), url: o.orderURL(c), env: envOf(c.Requests, o.Env)}
	asOf := row{}
	if dated(g.At) {
		h.last, asOf = "as of "+clockTime(g.At), row{say("as of "), when(g.At)}
	}
	causes := causes(c.Failures)
	p := newPage()
	p.add(rich(h.row(), asOf))
	changes := slices.Clone(g.Changes)
	slices.Reverse(changes)
	p.addText("Changed last", "", few(changes, len(changes), changesShown,
		func(change watcher.Change) string { return changeLine(change, o) },
		func(n int) string { return fmt.Sprintf("and %s before", words.Number(n)) }))
	p.addText("Failed so far", "", strings.Join(causeLines(causes), "\n"))
	p.add(rich(foot(c, causes, o, row{say("watching since "), when(c.AcceptedAt)}, row{say("this message is edited, and becomes the summary")})...))
	return Message{Text: escape(fit(h.sentence(), maxText)), Blocks: p.blocks, Brief: []slack.Block{section(h.mrkdwn())}}
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
