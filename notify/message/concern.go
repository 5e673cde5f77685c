package message

import (
	"slices"
	"strings"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
	"github.com/slack-go/slack"
)

// Concern returns what people are told of one watch that goes on and at which they should look. It mentions
// nobody. Like [Summarize] it depends on nothing but its arguments, never fails, and keeps Slack's limits.
func Concern(a watcher.OrderAttention, o Options) Message {
	a = redactOrderAttention(a, o.Secrets)
	c := completionOf(a)
	w := concernOf(a)
	name := orUnknown(word(c.OrderName, maxName))
	p := newPage()
	marks := marks(o)
	for _, mark := range marks {
		p.add(mark)
	}
	p.add(section(w.line(link(firstLink(c.Requests), name))))
	if a.Kind == watcher.BrokenRecord {
		p.add(section("", field("Since", date(a.Since)), field("Watch", escape(orUnknown(word(a.WatchID, maxPerson))))))
	} else {
		p.add(section("", field("Since", date(a.Since)), field("Last seen", escape(lastSeen(c))), field("Watching since", date(c.AcceptedAt))))
	}
	p.add(section(w.means))
	if a.Error != nil {
		p.add(richText(paragraph("", "The last error:"), preformatted(errorText(a.Error))))
	}
	if len(w.items) > 0 {
		p.add(richText(paragraph(w.title, ""), preformatted(itemLines(w.items, func(n int) string { return "and " + words.Number(n) + " more" }))))
	}
	if len(w.again) > 0 {
		p.add(richText(paragraph("Publish these again, under a new id", ""), preformatted(requestLines(w.again))))
	}
	do := "*What to do:* " + w.do + " " + command("get", c) + " shows how it is."
	p.add(section(do))
	p.add(concernContext(c))
	text := w.before + name + fit(w.after, maxText-maxName-maxCause-80) + "."
	if by := askers(c.Requests); by != "" {
		text += " Asked for by " + by + "."
	}
	return Message{
		Text: escape(fit(text, maxSentence)), Blocks: p.blocks,
		Brief: append(slices.Clone(marks), section(w.line(escape(name))), section(w.means), section(do)),
	}
}

// completionOf returns the watch as it is so far, in the form that the parts of messages take.
func completionOf(a watcher.OrderAttention) watcher.Completion {
	return watcher.Completion{Report: a.Report}
}

// A concern is how people are told of one kind. means and do are mrkdwn without foreign text; the others are
// not escaped.
type concern struct {
	emoji  string
	before string // stands before the order's name
	after  string
	means  string
	do     string
	title  string            // of the items
	items  []watcher.Item    // that it is about, as far as the event has them
	again  []watcher.Request // that are to be published again
}

// line returns the first line in mrkdwn, given the order's name in it.
func (w concern) line(name string) string {
	return w.emoji + " " + escape(w.before) + "*" + name + "*" + escape(fit(w.after, maxTitle))
}

func concernOf(a watcher.OrderAttention) concern {
	const goesOn = "*The watch goes on* until its deadline"
	switch a.Kind {
	case watcher.Blind:
		return concern{
			emoji: ":warning:", before: "Cannot read order ", after: " since " + clockTime(a.Since) + errorAfter(a.Error),
			means: "*The account is not held for it*: other orders are asked as before. " + goesOn + ", and this order is asked again and again: it need not be requested again.",
			do:    "look at the order in the ModelArts console.",
		}
	case watcher.Vanished:
		items := slices.DeleteFunc(slices.Clone(a.Items), func(it watcher.Item) bool { return !it.Missing() || it.CountsAs().Ended() })
		return concern{
			emoji: ":grey_question:", before: some(items) + " of order ", after: are(items) + " no longer listed by ModelArts" + firstMissing(items),
			means: "It is not known what became of " + them(items) + ". " + goesOn + ", and ends as `timed_out` unless ModelArts lists " + them(items) + ", or what has taken the place, as ended.",
			do:    "look in the ModelArts console what became of " + them(items) + ": what is still there costs money.",
			title: "No longer listed", items: items,
		}
	case watcher.UnknownStatus:
		items := slices.DeleteFunc(slices.Clone(a.Items), func(it watcher.Item) bool { return it.CountsAs().Known() })
		return concern{
			emoji: ":grey_question:", before: some(items) + " of order ", after: has(items) + ", which ModelArts does not document" + messageOf(items),
			means: "*The status counts as not ended*. " + goesOn + ", and ends as `timed_out` unless the status changes.",
			do:    "look in the ModelArts console what the status means for the order.",
			title: "Of a status that is not documented", items: items,
		}
	case watcher.BrokenRecord:
		return concern{
			emoji: ":rotating_light:", before: "Broken record of order ", after: ": the watch is over since " + clockTime(a.Since) + ", and nobody hears how the order ended",
			means: "*The record of the watch cannot be read, or was deleted.* The order itself is not touched by that: it may still be running, and cost money. " +
				"After some minutes the record is moved aside, and the order's next request starts a new watch.",
			do:    again(a.Requests) + " Find out who wrote in the bucket of records, where only orderwatch may write.",
			again: a.Requests,
		}
	}
	return concern{
		emoji: ":warning:", before: "Look at order ", after: ": " + orUnknown(word(a.Reason, maxReason)),
		means: goesOn + ".", do: "look at the order in the ModelArts console.",
	}
}

// lastSeen returns how far the order was when it was seen last.
func lastSeen(c watcher.Completion) string {
	n := c.Counts
	if n.Total == 0 {
		return "no item so far"
	}
	return words.Number(n.Succeeded+n.Failed) + " of " + words.Count(n.Total, "item") + " ended" + missingNote(n)
}

// errorAfter returns ": CODE: message" on one line.
func errorAfter(e *watcher.ErrorDetail) string {
	if e == nil {
		return ""
	}
	if text := word(errorText(e), maxCause); text != "" {
		return ": " + text
	}
	return ""
}

// some returns how many items there are, as a sentence begins; where the event names none it is one.
func some(items []watcher.Item) string {
	if len(items) <= 1 {
		return "An item"
	}
	return words.Count(len(items), "item")
}

func them(items []watcher.Item) string {
	if len(items) <= 1 {
		return "it"
	}
	return "them"
}

func are(items []watcher.Item) string {
	if len(items) <= 1 {
		return " is"
	}
	return " are"
}

// firstMissing returns ": createNode os-node-2, last seen processing", of the first item.
func firstMissing(items []watcher.Item) string {
	if len(items) == 0 {
		return ""
	}
	it := items[0]
	text := ": " + itemName(it) + ", last seen " + statusWord(it)
	if more := len(items) - 1; more > 0 {
		text += ", and " + words.Number(more) + " more"
	}
	return text
}

// itemName returns what is done with the item, and its name.
func itemName(it watcher.Item) string {
	name := word(shortName(it.ResourceName), maxPerson)
	if action := word(it.Action, maxWord); action != "" {
		return action + " " + name
	}
	return name
}

// has returns ` (createNode os-node-2) has the status “canceled”`, of the first item.
func has(items []watcher.Item) string {
	switch len(items) {
	case 0:
		return " has a status"
	case 1:
		return " (" + itemName(items[0]) + ") has the status “" + statusWord(items[0]) + "”"
	}
	return " have statuses such as “" + statusWord(items[0]) + "”"
}

// messageOf returns ": message", of the first item that has one.
func messageOf(items []watcher.Item) string {
	for _, it := range items {
		if m := word(it.Message, maxCause); m != "" {
			return ": " + m
		}
	}
	return ""
}

// command returns a command about the order, in mrkdwn.
func command(verb string, c watcher.Completion) string {
	order := orUnknown(word(c.ProjectID, maxPerson+4)) + "/" + orUnknown(word(c.OrderName, maxName))
	return "`orderwatch " + verb + " " + escape(order) + "`"
}

func concernContext(c watcher.Completion) *slack.ContextBlock {
	var texts []slack.MixedElement
	for _, text := range []string{askedBy(c.Requests), labelText(c.Requests), whereText(c)} {
		if text != "" {
			texts = append(texts, mrkdwn(text))
		}
	}
	return slack.NewContextBlock("", texts...)
}

// maxAgain is how many requests are named that are to be published again.
const maxAgain = 20

// again says what is to be done with the requests of a watch whose record cannot be read.
func again(requests []watcher.Request) string {
	if len(requests) == 0 {
		return "no event names who asked for the order: whoever did is to publish the request again, under a new id."
	}
	return "publish " + words.Count(len(requests), "request") + " again, under a new id."
}

// requestLines names requests, one on a line.
func requestLines(requests []watcher.Request) string {
	var lines []string
	for _, r := range requests[:min(len(requests), maxAgain)] {
		text := orUnknown(word(r.ID, maxName))
		if by := word(r.RequestedBy, maxPerson); by != "" {
			text += " (" + by + ")"
		}
		lines = append(lines, text)
	}
	if more := len(requests) - maxAgain; more > 0 {
		lines = append(lines, "and "+words.Number(more)+" more")
	}
	return strings.Join(lines, "\n")
}
