package message

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/history"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// Concern returns what people are told of one watch that goes on and at which they should look. Where the
// order is late, stalled, cannot be read or is near its deadline it mentions whom the options do; otherwise nobody. Like [Summarize] it depends on nothing but its arguments, never fails, and keeps Slack's limits.
func Concern(a watcher.OrderAttention, o Options) Message {
	a = redactOrderAttention(a, o.Secrets)
	c := watcher.Completion{Report: a.Report} // as it is so far, in the form that the parts of messages take
	c.Requests = ownFirst(c.Requests, o.Own)
	w := concernOf(a, o.Now)
	n := notice{
		title: row{emoji(w.emoji), say(" "), strong(w.word), say(w.before), linked(o.orderURL(c), orderName(c)), say(fit(w.after, maxTitle))},
		text:  w.word + w.before + orderName(c) + fit(w.after, maxTitle) + ".",
		facts: []row{fact("Since", when(a.Since)), fact("Seen last", say(lastSeen(c))), fact("Watching since", when(c.AcceptedAt))},
		means: w.means,
		lists: w.lists,
		do:    "*What to do:* " + w.do + " How it is:", command: command(c, "orderwatch", "get"),
		wakes: isCondition(a.Kind) && a.Until.IsZero(),
	}
	if isCondition(a.Kind) && !o.NoThread {
		n.small = foot(c, nil, o, becomesSummary)
	} else {
		n.small = foot(c, nil, o)
	}
	switch {
	case a.Kind == watcher.BrokenRecord:
		n.facts = n.facts[:1]
	case !a.Until.IsZero():
		n.facts, n.do = []row{fact("From", when(a.Since)), fact("To", when(a.Until)), n.facts[1]}, "How it is:"
	case a.Kind == watcher.DeadlineNear:
		n.facts[0] = fact("Watched until", when(a.Deadline()))
		n.do, n.command = "*What to do:* "+w.do+" To go on watching:", goOnCommand(c, a.Deadline())
	}
	if by := askers(c.Requests); by != "" {
		n.text += " Asked for by " + by + "."
	}
	if a.Error != nil {
		n.quote = quoteOf(*a.Error)
	}
	return n.message(o)
}

// A title is the first line of a concern: what is wrong with which order. Its texts are not escaped.
type title struct {
	emoji  string
	word   string // in bold, where the kind has a fixed one
	before string // stands before the order's name
	after  string
}

// A concern is how people are told of one kind. means and do are mrkdwn without foreign text; the others are
// not escaped.
type concern struct {
	title
	means string
	do    string
	lists []list // of what it is about, as far as the event has that
}

func itemList(above string, items []watcher.Item) []list {
	return []list{{above, few(items, len(items), openItems, unlistedLine, andMore)}}
}

// goesOn is what becomes of the watch.
const goesOn = "*The watch goes on* until its deadline"

// concernOf returns how people are told at the time, which is zero where it is not known.
func concernOf(a watcher.OrderAttention, now time.Time) concern {
	if !a.Until.IsZero() {
		return overOf(a)
	}
	if isCondition(a.Kind) {
		return conditionOf(a, now)
	}
	switch a.Kind {
	case watcher.Vanished:
		items := slices.DeleteFunc(slices.Clone(a.Items), func(it watcher.Item) bool { return !it.Missing() || it.CountsAs().Ended() })
		are, them := " is", "it"
		if len(items) > 1 {
			are, them = " are", "them"
		}
		return concern{
			title: title{":grey_question:", "", some(items) + " of order ", are + " no longer listed by ModelArts" + firstMissing(items)},
			means: "It is not known what became of " + them + ". " + goesOn + ", and ends as `timed_out` unless ModelArts lists " + them + ", or what has taken the place, as ended.",
			do:    "look in the ModelArts console what became of " + them + ": what is still there costs money.",
			lists: itemList("No longer listed", items),
		}
	case watcher.UnknownStatus:
		items := slices.DeleteFunc(slices.Clone(a.Items), func(it watcher.Item) bool { return it.CountsAs().Known() })
		return concern{
			title: title{":grey_question:", "", some(items) + " of order ", has(items) + ", which ModelArts does not document" + messageOf(items)},
			means: "*The status counts as not ended*. " + goesOn + ", and ends as `timed_out` unless the status changes.",
			do:    "look in the ModelArts console what the status means for the order.",
			lists: itemList("Of a status that is not documented", items),
		}
	case watcher.BrokenRecord:
		return concern{
			title: title{":rotating_light:", "", "Broken record of order ", ": the watch has been over since " + clockTime(a.Since) + ", and nobody hears how the order ended"},
			means: "*The record of the watch cannot be read, or was deleted.* The order itself is not touched by that: it may still be running, and cost money. " +
				"After some minutes the record is moved aside, and the order's next request starts a new watch.",
			do:    again(a.Requests) + " Find out who wrote in the bucket of records, where only orderwatch may write.",
			lists: []list{{"Publish these again, under a new id", few(a.Requests, len(a.Requests), maxAgain, requestLine, andMore)}},
		}
	}
	return concern{
		title: title{":warning:", "", "Look at order ", ": " + known(a.Reason, maxReason)},
		means: goesOn + ".", do: "look at the order in the ModelArts console.",
	}
}

// isCondition reports whether the kind is one of those of which the watch's own message tells.
func isCondition(kind watcher.AttentionKind) bool {
	return kind == watcher.Late || kind == watcher.Stalled || kind == watcher.DeadlineNear || kind == watcher.Blind
}

// conditionOf returns how people are told of an order that is late, that does not move, whose watch ends soon, or else
// that cannot be read.
func conditionOf(a watcher.OrderAttention, now time.Time) concern {
	c := watcher.Completion{Report: a.Report}
	switch a.Kind {
	case watcher.Late:
		return concern{
			title: title{":clock3:", "LATE", " - ", ": not done after " + minutes(a.Since.Sub(a.AcceptedAt)) + ", " + stillOpenOf(c)},
			means: lateFor(a) + usually(a.Usual) + goesOn + ".",
			do:    "look at the order in the ModelArts console if it is needed soon.",
		}
	case watcher.Stalled:
		still := "since " + clockTime(a.Since)
		if now.After(a.Since) {
			still = "for " + minutes(now.Sub(a.Since))
		}
		return concern{
			title: title{":double_vertical_bar:", "STALLED", " - ", ": nothing has moved " + still + ", " + stillOpenOf(c)},
			means: "ModelArts answers, and no item of the order changes. " + usually(a.Usual) + goesOn + ".",
			do:    "look in the ModelArts console what the order waits for.",
		}
	case watcher.DeadlineNear:
		left := a.Deadline().Sub(a.Since)
		if rest := a.Deadline().Sub(now); rest > 0 {
			left = min(left, rest)
		}
		means := "*The watching ends at " + clockTime(a.Deadline()) + "*, and the order does not: nobody hears then how it ends."
		if n := endingAt(a.Requests, a.Deadline()); n < len(a.Requests) {
			means = fmt.Sprintf("*The watching ends at %s for %d of %d requests*, and the order does not; the others go on.", clockTime(a.Deadline()), n, len(a.Requests))
		}
		return concern{
			title: title{":stopwatch:", minutes(left) + " LEFT", " - ", ", " + stillOpenOf(c)},
			means: means,
			do:    "give the watch more time if the order is still wanted.",
		}
	}
	return concern{
		title: title{":warning:", "CANNOT SEE", " - ", " since " + clockTime(a.Since) + errorIn(a.Error) + "; last seen " + lastSeen(c)},
		means: "*Other orders are asked as before.* " + goesOn + ", and this order is asked again and again: it need not be requested again.",
		do:    "look at the order in the ModelArts console.",
	}
}

// lateFor says for whom the order is late: for a request, or, where none says, beside other orders, also where it is no longer
// known how long these took.
func lateFor(a watcher.OrderAttention) string {
	asked := func(r watcher.Request) bool { return !r.LateAt.IsZero() }
	if !slices.ContainsFunc(a.Requests, asked) {
		return "It takes longer than 95 of 100 orders like it that ended. "
	}
	return "A request expected the order to be done by " + clockTime(a.Since) + ". "
}

// usually says how long orders like it take; empty where that is not known.
func usually(u *history.Usual) string {
	if u == nil {
		return ""
	}
	return fmt.Sprintf("Orders like it usually take %s (%d are known). ", words.Between(time.Duration(u.P10), time.Duration(u.P90)), u.Samples)
}

// endingAt returns for how many of the requests the watching ends at the time. What an earlier release wrote does not say.
func endingAt(requests []watcher.Request, at time.Time) (n int) {
	for _, r := range requests {
		if r.Deadline.IsZero() || r.Deadline.Equal(at) {
			n++
		}
	}
	return n
}

// lastSeen returns how far the order was when it was seen last.
func lastSeen(c watcher.Completion) string {
	n := c.Counts
	if n.Total == 0 {
		return "no item so far"
	}
	return words.Number(n.Succeeded+n.Failed) + " of " + words.Count(n.Total, c.Deed().Noun) + " ended" + missingNote(n)
}

// overOf returns how people are told that it is over.
func overOf(a watcher.OrderAttention) concern {
	c, lasted := watcher.Completion{Report: a.Report}, minutes(a.Until.Sub(a.Since))
	over := concern{title: title{":arrow_forward:", "GOES ON", " - ", ": moving again after " + lasted + ", " + stillOpenOf(c)}, means: "*An item of the order has changed.* Nothing is to be done."}
	if a.Kind == watcher.Blind {
		over.after, over.means = ": seen again after "+lasted+"; "+lastSeen(c), "*ModelArts answers for the order again.* Nothing is to be done."
	}
	return over
}

// stillOpenOf returns "3 of 20 nodes open".
func stillOpenOf(c watcher.Completion) string {
	n, noun := c.Counts, c.Deed().Noun
	ended := n.Succeeded + n.Failed
	total := max(n.Total, ended+n.Processing)
	switch {
	case total == 0:
		return "no item so far"
	case total == ended:
		return words.Count(ended, noun) + " ended, more are to come"
	}
	return words.Number(total-ended) + " of " + words.Count(total, noun) + " open"
}

// goOnCommand returns the command that gives the watch as much time once more.
func goOnCommand(c watcher.Completion, deadline time.Time) string {
	c.Outcome, c.CompletedAt = watcher.TimedOut, deadline
	return watchCommand(c)
}

// errorIn returns " (message)" on one line.
func errorIn(e *watcher.ErrorDetail) string {
	if e == nil {
		return ""
	}
	q := quoteOf(*e)
	return " (" + word(cmp.Or(q.text, q.code), maxCause) + ")"
}

// some returns how many items there are, as a sentence begins; where the event names none it is one.
func some(items []watcher.Item) string {
	if len(items) <= 1 {
		return "An item"
	}
	return words.Count(len(items), "item")
}

// firstMissing returns ": createNode os-node-2, last seen processing", of the first item.
func firstMissing(items []watcher.Item) string {
	if len(items) == 0 {
		return ""
	}
	it := items[0]
	text := ": " + itemName(it) + ", last seen " + statusWord(it)
	if more := len(items) - 1; more > 0 {
		text += ", " + andMore(more)
	}
	return text
}

// itemName returns what is done with the item, and its name.
func itemName(it watcher.Item) string {
	return strings.TrimPrefix(word(it.Action, maxWord)+" "+word(shortName(it.ResourceName), maxPerson), " ")
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

// messageOf returns "; ModelArts says: message", of the first item that has one.
func messageOf(items []watcher.Item) string {
	for _, it := range items {
		if m := word(it.Message, maxCause); m != "" {
			return "; ModelArts says: " + m
		}
	}
	return ""
}

// again says what is to be done with the requests of a watch whose record cannot be read.
func again(requests []watcher.Request) string {
	if len(requests) == 0 {
		return "no event names who asked for the order: the person or program that did is to publish the request again, under a new id."
	}
	return "publish " + words.Count(len(requests), "request") + " again, under a new id."
}

// requestLine returns "build-771 (gpu-pools)".
func requestLine(r watcher.Request) string {
	text := known(r.ID, maxName)
	if r.Team != "" || word(r.RequestedBy, maxPerson) != "" {
		text += " (" + asker(r) + ")"
	}
	return text
}

// Rejected returns what people are told of a request that was rejected. It mentions nobody, and nothing of the sender's
// is formatted. Like [Summarize] it depends on nothing but its arguments, never fails, and keeps Slack's limits.
func Rejected(a watcher.RequestAttention, o Options) Message {
	hidden := func(s string, limit int) string { return known(hideAll(o.Secrets, s), limit) }
	const said = "A request was rejected"
	sender, reason := hidden(a.Sender, maxPerson), hidden(a.Reason, maxReason)
	text := fmt.Sprintf("%s: %s (sent by %s).", said, reason, sender)
	facts := []row{fact("Sent by", say(sender)), fact("Request", say(hidden(a.RequestID, maxPerson))), fact("Received", when(a.Received))}
	if a.Others > 0 {
		const since, n = "Others of this sender since the last message", "at least "
		text += " " + since + ": " + n + words.Number(a.Others) + "."
		facts = append(facts, fact(since, say(n+words.Number(a.Others))))
	}
	return notice{
		title: bare(":no_entry_sign:", said, ": "+reason), text: text, facts: facts,
		means: "*It started no watch*: nobody is told how that order ends, unless another request names it.",
		do:    "*What to do:* mend the request and publish it again. `orderwatch events --kind rejected` shows it whole.",
		small: []row{{say("what else of this sender is rejected within the hour is in the events, and counted in the next message")}},
	}.message(o)
}
