package message

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
	"github.com/slack-go/slack"
)

// Announce returns what people are told of an account that cannot be asked, or can again. Like
// [Summarize] it depends on nothing but its arguments, never fails, and keeps Slack's limits.
func Announce(a watcher.Attention, o Options) Message {
	a = redactAttention(a, o.Secrets)
	switch {
	case a.Over():
		return endNotice(a).message(o)
	case a.Kind == watcher.Overdue:
		return overdueNotice(a).message(o)
	case a.Kind == watcher.Lost:
		return lostNotice(a).message(o)
	}
	return beginNotice(a, o.NoThread).message(o)
}

// CannotSee returns the line about an account for a channel whose watches wait for it. It mentions nobody. Like
// [Announce] it depends on nothing but its arguments, never fails, and keeps Slack's limits.
func CannotSee(a watcher.Attention, o Options) Message {
	a = redactAttention(a, o.Secrets)
	w := wordingOf(a)
	icon, word, text, last := ":warning:", "CANNOT SEE", " since "+clockTime(a.Since)+" ("+w.stands+"): "+waitingThere(a), ""
	if a.Over() {
		icon, word, text = ":white_check_mark:", "SEEN AGAIN", ": "+w.over
		if lasted := a.Until.Sub(a.Since); lasted > 0 && !a.Since.IsZero() {
			text += " after " + minutes(lasted)
		}
		last = "The orders go on by themselves."
	} else {
		last = "No order has failed because of this; deadlines count. This line is edited when it is over."
	}
	text = fit(text, maxTitle)
	return Message{
		Text:   escape(fit(word+text+".", maxSentence)),
		Blocks: []slack.Block{rich(row{emoji(icon), say(" "), strong(word), say(text + "."), say(" " + last)})},
		Brief:  []slack.Block{section(icon + " *" + word + "*" + escape(text+". "+last))},
	}
}

// waitingThere returns "2 orders of project a wait, last seen 12 of 20 items ended", of the channels that the event names.
func waitingThere(a watcher.Attention) string {
	watches, ended, items := 0, 0, 0
	for _, c := range a.Channels {
		watches, ended, items = watches+c.Watches, ended+c.Ended, items+c.Items
	}
	text := words.Count(min(watches, max(a.Waiting, 1)), "order") + " of project " + projectOf(a) + " wait"
	if watches == 1 {
		text += "s"
	}
	if items > 0 {
		text += ", last seen " + words.Number(ended) + " of " + words.Count(items, "item") + " ended"
	}
	return text
}

// bare returns a title without an order's name.
func bare(name, said, more string) row { return row{emoji(name), say(" "), strong(said), say(more)} }

// beginNotice is for an account that cannot be asked.
func beginNotice(a watcher.Attention, noThread bool) notice {
	w, last := wordingOf(a), "this message is edited when it is over"
	if noThread {
		last = "another message follows when it is over"
	}
	return notice{
		title: bare(w.emoji, w.stands, ": "+waiting(a)),
		text:  fmt.Sprintf("%s (since %s): %s. No order has failed because of it.", w.stands, clockTime(a.Since), waiting(a)),
		wakes: a.Cause != watcher.HeldThrottled,
		facts: []row{fact("Not asked since", when(a.Since)), fact("Waiting", say(orders(a)+projects(a)))},
		means: calm, quote: reasonOf(a), lists: []list{{"orderwatch adds", hintOf(a)}}, do: "*What to do:* " + w.do, small: []row{{say(outageText(a) + " · " + last)}},
	}
}

// overdueNotice is for watches that nobody polls.
func overdueNotice(a watcher.Attention) notice {
	said := orders(a) + " of project " + projectOf(a) + " not polled when due"
	return notice{
		title: bare(":warning:", said, ""), wakes: true, text: fmt.Sprintf("%s (since %s).", said, clockTime(a.Since)),
		facts: []row{fact("Since", when(a.Since)), fact("Waiting", say(orders(a)))},
		means: "orderwatch polls them too late or not at all, and that is not because an account is held. *Deadlines still count.* Nothing is lost: they go on when a worker takes them.",
		do:    "*What to do:* look whether workers run and are ready (`/readyz`), at the backlog of the consumer `poller` (`nats consumer report ORDER_WAKEUPS`), and at what `orderwatch doctor` says; add workers or raise `ORDERWATCH_CONCURRENCY` where they are busy.",
		small: []row{{say(regionOf(a))}},
	}
}

// lostNotice is for what NATS had stored and lost.
func lostNotice(a watcher.Attention) notice {
	const said = "NATS lost what orderwatch had stored"
	means, do := lossMeans(a)
	reason := known(a.Reason, maxReason)
	return notice{
		title: bare(":rotating_light:", said, ": "+reason), text: said + ": " + reason + ".",
		wakes: a.Forgets() || slices.Contains(a.Lost, watcher.LostEvents),
		facts: []row{fact("Since", when(a.Since))},
		means: means, do: do,
	}
}

// lossMeans says what the loss means for orders, and what is to be done. Both are mrkdwn without foreign text.
func lossMeans(a watcher.Attention) (means, do string) {
	const why = "Find out why the store of NATS was empty, or a stream was purged or deleted: its directory must be on a disk that stays."
	const goOn = "*Open watches go on*, and their messages come. "
	switch {
	case a.Forgets():
		return "*No message comes for those orders*, however they end. The orders themselves are not touched by that: they may still be running, and cost money.",
			"*What to do:* publish the requests again; `orderwatch watch --wait` does it by itself where it is still running. " + why
	case slices.Contains(a.Lost, watcher.LostEvents):
		return goOn + "Who follows events, and had not read those, does not get them. Watches that had just ended may have no message here.",
			"*What to do:* look with `orderwatch list` for watches that have ended. " + why
	}
	return goOn + "What stands here from before may not be edited any more, and some may come again.", "*What to do:* nothing for the orders. " + why
}

// endNotice is for an account that can be asked again.
func endNotice(a watcher.Attention) notice {
	lasted, over := "after "+words.Span(a.Until.Sub(a.Since)), wordingOf(a).over
	if a.Since.IsZero() || a.Until.IsZero() {
		lasted = "after an unknown time"
	}
	before := reasonOf(a)
	before.by = "Before that, " + strings.Replace(before.by, "The last", "the last", 1)
	return notice{
		title: bare(":white_check_mark:", over, " "+lasted+": "+orders(a)+" waited"),
		text:  fmt.Sprintf("%s %s: %s and go on by themselves.", over, lasted, orders(a)+" waited"),
		facts: []row{fact("Not asked since", when(a.Since)), fact("Asked again", when(a.Until)), fact("Waited", say(orders(a)+projects(a)))},
		means: "*Nothing needs to be done* for the orders that still wait: orderwatch goes on with them by itself. A watch whose deadline came meanwhile has ended as `timed_out`, with a message of its own that says what to do.",
		quote: before, small: []row{{say(outageText(a))}},
	}
}

// calm says what the outage means for orders.
const calm = "*No order has failed because of this*, and none that waits needs to be requested again: orderwatch goes on with them by itself when it is over. " +
	"*Deadlines still count*: a watch whose deadline comes first ends as `timed_out`, with a message of its own."

// reasonOf returns what calls met last, and who said it. An event of the release before does not tell ModelArts' words
// from orderwatch's.
func reasonOf(a watcher.Attention) quote {
	q := quoteOf(watcher.ErrorDetail{Code: a.Code, Message: a.Reason, Said: a.Said, Held: a.Cause})
	if a.Reason == "" || q.by == saidByUs {
		q.by, q.text = asNoted, a.Reason
	}
	return q
}

// hintOf returns what orderwatch adds to what ModelArts said, such as which login is refused; empty where that stands in
// the quote.
func hintOf(a watcher.Attention) string {
	if a.Said == "" {
		return ""
	}
	before, after, _ := strings.Cut(a.Reason, a.Said)
	hint := cmp.Or(after, before) // all of it where the words are not found
	return excerpt(strings.ReplaceAll(strings.Trim(hint, " ()"), ") (", "; "), maxExcerpt)
}

// outageText says which outage it is.
func outageText(a watcher.Attention) string {
	return fmt.Sprintf("%s · outage %s", regionOf(a), known(a.Outage(), maxName))
}

func regionOf(a watcher.Attention) string { return known(a.Region, maxWord) }

func projectOf(a watcher.Attention) string { return known(a.ProjectID, maxProject) }

// orders returns how many orders there are.
func orders(a watcher.Attention) string { return words.Count(max(a.WaitingAll, a.Waiting, 0), "order") }

// waiting returns "1 order waits", "1,200 orders wait".
func waiting(a watcher.Attention) string {
	if max(a.WaitingAll, a.Waiting) == 1 {
		return orders(a) + " waits"
	}
	return orders(a) + " wait"
}

// projects says whose orders they are, as far as one project's event tells.
func projects(a watcher.Attention) string {
	if a.WaitingAll > a.Waiting {
		return " in several projects"
	}
	return " in project " + projectOf(a)
}

// A wording is how people are told of one cause. Only do is mrkdwn; the others are not escaped.
type wording struct {
	emoji  string
	stands string
	over   string
	do     string // holds no foreign text
}

func wordingOf(a watcher.Attention) wording {
	where := "ModelArts in " + regionOf(a)
	switch a.Cause {
	case watcher.HeldThrottled:
		return wording{":hourglass:", where + " throttles orderwatch", where + " no longer throttles orderwatch",
			"lower `ORDERWATCH_MODELARTS_RATE`, find out who else asks much with the same account, or ask Huawei Cloud for a higher quota."}
	case watcher.HeldLogin:
		return wording{":no_entry:", where + " refuses orderwatch's login", where + " takes orderwatch's login again",
			"mend the login of the workers, which is named above. " +
				"Check that it is not expired, disabled or of another account, and that the workers' clocks are right. " +
				"A login that is locked after wrong tries opens some minutes after the last one; the workers leave it alone meanwhile."}
	case watcher.HeldPermission:
		return wording{":no_entry:", "orderwatch lacks a permission for " + where, "orderwatch has its permission for " + where + " again",
			"give the user or agency that the workers log in as read access to ModelArts orders in these projects, and check that its token belongs to the project."}
	case watcher.HeldArrears:
		project := "Project " + projectOf(a) + " in " + regionOf(a)
		return wording{":no_entry:", project + " is frozen or in arrears", project + " is no longer frozen or in arrears",
			"pay what is due in Huawei Cloud's billing centre, or ask its support why the account is frozen."}
	case watcher.HeldUnreachable:
		return wording{":warning:", where + " cannot be reached", where + " can be reached again",
			"look at Huawei Cloud's status page for the region, and from a worker's host at the way there: DNS, proxy, firewall, certificates, and the address in `ORDERWATCH_MODELARTS_ENDPOINT`."}
	}
	return wording{":warning:", where + " is not asked", where + " is asked again", "look at the workers' log."}
}
