package message

import (
	"fmt"
	"slices"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
	"github.com/slack-go/slack"
)

// Announce returns what people are told of an account that cannot be asked, or can again. Like
// [Summarize] it depends on nothing but its arguments, never fails, and keeps Slack's limits.
func Announce(a watcher.Attention, o Options) Message {
	m := announce(redactAttention(a, o.Secrets), o)
	m.Blocks, m.Brief = append(marks(o), m.Blocks...), append(marks(o), m.Brief...)
	return m
}

func announce(a watcher.Attention, o Options) Message {
	w := wordingOf(a)
	switch {
	case a.Over():
		return announceEnd(a, w)
	case a.Kind == watcher.Overdue:
		return announceOverdue(a, o)
	case a.Kind == watcher.Lost:
		return announceLost(a, o)
	}
	m := Message{Text: escape(fit(fmt.Sprintf("%s (since %s): %s. No order has failed because of it.", w.stands, clockTime(a.Since), waiting(a)), maxSentence))}
	if a.Cause != watcher.HeldThrottled {
		m.Mention = o.Mention
	}
	title := w.emoji + " *" + escape(w.stands) + "*: " + escape(waiting(a))
	if m.Mention != "" {
		title += " " + m.Mention
	}
	p := newPage()
	p.add(section(title))
	p.add(section("", field("Not asked since", date(a.Since)), field("Waiting", escape(orders(a)+projects(a)))))
	p.add(section(calm))
	addReason(p, a.Reason)
	p.add(section("*What to do:* " + w.do))
	last := "this message is edited when it is over"
	if o.NoThread {
		last = "another message follows when it is over"
	}
	p.add(small(a, last))
	m.Blocks = p.blocks
	m.Brief = []slack.Block{section(title), section(calm), section("*What to do:* " + w.do)}
	return m
}

// announceOverdue returns what people are told of watches that nobody polls.
func announceOverdue(a watcher.Attention, o Options) Message {
	const what = "orderwatch polls them too late or not at all, and no hold of an account says why. *Deadlines still count.* Nothing is lost: they go on when a worker takes them."
	const do = "*What to do:* look whether workers run and are ready (`/readyz`), at the backlog of the consumer `poller` (`nats consumer report ORDER_WAKEUPS`), and at what `orderwatch doctor` says; add workers or raise `ORDERWATCH_CONCURRENCY` where they are busy."
	said := orders(a) + " of project " + projectOf(a) + " not polled when due"
	m := Message{Text: escape(fit(fmt.Sprintf("%s (since %s).", said, clockTime(a.Since)), maxSentence)), Mention: o.Mention}
	title := ":warning: *" + escape(said) + "*"
	if m.Mention != "" {
		title += " " + m.Mention
	}
	p := newPage()
	p.add(section(title))
	p.add(section("", field("Since", date(a.Since)), field("Waiting", escape(orders(a)))))
	p.add(section(what))
	p.add(section(do))
	p.add(slack.NewContextBlock("", mrkdwn(escape(regionOf(a)))))
	m.Blocks = p.blocks
	m.Brief = []slack.Block{section(title), section(what), section(do)}
	return m
}

// announceLost returns what people are told when NATS lost what it had stored.
func announceLost(a watcher.Attention, o Options) Message {
	const said = "NATS lost what orderwatch had stored"
	means, do := lossMeans(a)
	reason := orUnknown(word(a.Reason, maxReason))
	m := Message{Text: escape(fit(said+": "+reason+".", maxSentence))}
	if a.Forgets() || slices.Contains(a.Lost, watcher.LostEvents) {
		m.Mention = o.Mention
	}
	title := ":rotating_light: *" + said + "*: " + escape(reason)
	if m.Mention != "" {
		title += " " + m.Mention
	}
	p := newPage()
	p.add(section(title))
	p.add(section("", field("Since", date(a.Since))))
	p.add(section(means))
	p.add(section(do))
	m.Blocks = p.blocks
	m.Brief = []slack.Block{section(title), section(means), section(do)}
	return m
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

// calm says what the outage means for orders.
const calm = "*No order has failed because of this*, and none that waits needs to be requested again: orderwatch goes on with them by itself when it is over. " +
	"*Deadlines still count*: a watch whose deadline comes first ends as `timed_out`, with a message of its own."

// announceEnd returns what people are told when it is over.
func announceEnd(a watcher.Attention, w wording) Message {
	lasted := "after " + words.Span(a.Until.Sub(a.Since))
	if a.Since.IsZero() || a.Until.IsZero() {
		lasted = "after an unknown time"
	}
	const goOn = "*Nothing needs to be done* for the orders that still wait: orderwatch goes on with them by itself. A watch whose deadline came meanwhile has ended as `timed_out`, with a message of its own that says what to do."
	title := ":white_check_mark: *" + escape(w.over) + "* " + lasted + ": " + escape(waited(a))
	p := newPage()
	p.add(section(title))
	p.add(section("", field("Not asked since", date(a.Since)), field("Asked again", date(a.Until)), field("Waited", escape(orders(a)+projects(a)))))
	p.add(section(goOn))
	addReason(p, a.Reason)
	p.add(small(a, ""))
	return Message{
		Text:   escape(fit(fmt.Sprintf("%s %s: %s and go on by themselves.", w.over, lasted, waited(a)), maxText)),
		Blocks: p.blocks, Brief: []slack.Block{section(title), section(goOn)},
	}
}

// addReason shows what calls met last, where that is known.
func addReason(p *page, reason string) {
	if text := excerpt(reason, maxExcerpt); text != "" {
		p.add(richText(paragraph("", "The last error:"), preformatted(text)))
	}
}

// small returns the small print.
func small(a watcher.Attention, last string) *slack.ContextBlock {
	texts := []slack.MixedElement{mrkdwn(escape(fmt.Sprintf("%s · outage %s", regionOf(a), orUnknown(word(a.Outage(), maxName)))))}
	if last != "" {
		texts = append(texts, mrkdwn(last))
	}
	return slack.NewContextBlock("", texts...)
}

func regionOf(a watcher.Attention) string { return orUnknown(word(a.Region, maxWord)) }

func projectOf(a watcher.Attention) string { return orUnknown(word(a.ProjectID, maxPerson+4)) }

// orders returns how many orders there are.
func orders(a watcher.Attention) string { return words.Count(max(a.WaitingAll, a.Waiting, 0), "order") }

// waiting returns "1 order waits", "1,200 orders wait".
func waiting(a watcher.Attention) string {
	if max(a.WaitingAll, a.Waiting) == 1 {
		return orders(a) + " waits"
	}
	return orders(a) + " wait"
}

func waited(a watcher.Attention) string { return orders(a) + " waited" }

// projects says whose orders they are, as far as one project's event tells.
func projects(a watcher.Attention) string {
	if a.WaitingAll > a.Waiting {
		return " in several projects"
	}
	return " in project " + projectOf(a)
}

func clockTime(t time.Time) string {
	if t.Year() < 1970 || t.Year() > 9999 {
		return "an unknown time"
	}
	return t.UTC().Format("15:04 UTC")
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
			"mend the login of the workers: the last error names it. " +
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
