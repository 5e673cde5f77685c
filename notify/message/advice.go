package message

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// unknownOrder reports whether the watch ended since ModelArts did not know the order.
func unknownOrder(c watcher.Completion) bool {
	return c.Outcome == watcher.OrderNotFound || c.Outcome == watcher.TimedOut && c.Error != nil && c.Error.UnknownOrder()
}

// unread reports whether the deadline passed while the order could not be read.
func unread(c watcher.Completion) bool {
	return c.Outcome == watcher.TimedOut && c.Error != nil && !unknownOrder(c)
}

// state says what is there now, and what costs money: what must not be overlooked stands in bold.
func state(c watcher.Completion, causes []cause) []row {
	rows := orderState(c, causes)
	if text := othersGoOn(c); text != "" {
		rows = append(rows, row{say(text)})
	}
	return rows
}

// othersGoOn says which watch goes on for the requests that the completion does not answer; nothing where there are none.
func othersGoOn(c watcher.Completion) string {
	if c.RequestsLeft == 0 {
		return ""
	}
	return words.Count(c.RequestsLeft, "other request") + " of this order: watch " + known(c.NextWatchID, maxPerson) + " goes on."
}

// orderState returns what became of the order.
func orderState(c watcher.Completion, causes []cause) []row {
	switch {
	case c.Outcome == watcher.AllFailed && c.Deed().Kind == words.Creates:
		return []row{{strong("Nothing was created, and nothing costs money.")}}
	case c.Outcome == watcher.PartiallyFailed || c.Outcome == watcher.AllFailed:
		return leftBehind(c, causes)
	case unknownOrder(c) && isGone(c):
		reason := cmp.Or(word(c.Reason, maxReason), "the order is gone")
		first, size := utf8.DecodeRuneInString(reason)
		return []row{{say(string(unicode.ToUpper(first)) + reason[size:])}}
	case unread(c) && c.Counts.Total == 0:
		return []row{{strong("Nobody has seen this order:"), say(" it may be running, and cost money." + expectedSentence(c))}}
	case unread(c):
		return append([]row{{strong("The order may be running, and cost money:"), say(" when it was seen last, " + openCounts(c) + ".")}}, leftBehind(c, causes)...)
	case c.Outcome == watcher.TimedOut:
		return append([]row{{strong(stillRuns(c) + ":"), say(" only the watching has stopped. Seen last: " + openCounts(c) + ".")}}, leftBehind(c, causes)...)
	case c.Outcome == watcher.Cancelled:
		seen := ""
		if c.Counts.Total > 0 {
			seen = " Seen last: " + openCounts(c) + "."
		}
		return append([]row{{say(stillRuns(c) + ": only the watching was cancelled." + seen)}}, leftBehind(c, causes)...)
	}
	return nil
}

func expectedSentence(c watcher.Completion) string {
	if c.ExpectedItems == 0 {
		return ""
	}
	return " " + words.Count(c.ExpectedItems, "item") + " expected."
}

// stillRuns says what may still be running: "3 nodes may still be created and cost money".
func stillRuns(c watcher.Completion) string {
	var parts []string
	for _, a := range byDeed(c) {
		if d := words.Action(a.Action); a.Processing > 0 && len(parts) < deedsShown {
			parts = append(parts, words.Count(a.Processing, d.Noun)+" "+d.IfOpen(a.Processing))
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "The order itself may still be running")
}

// leftBehind says of each action what its failure left behind, and in a second line what its success did: of all that was
// created in one sentence.
func leftBehind(c watcher.Completion, causes []cause) []row {
	var failed, succeeded, created []string
	made, all := 0, byDeed(c)
	for _, a := range all {
		d := words.Action(a.Action)
		if a.Failed > 0 && len(failed) < deedsShown {
			failed = append(failed, failedSubject(c, a, causes)+" "+d.IfFailed(a.Failed)+".")
		}
		switch subject := succeededSubject(a, all); {
		case a.Succeeded <= 0:
		case d.Kind == words.Creates && made == 0:
			created, made = []string{subject}, a.Succeeded
		case d.Kind == words.Creates:
			created, made = append(created, strings.ToLower(subject[:1])+subject[1:]), made+a.Succeeded
		case len(succeeded) < deedsShown:
			succeeded = append(succeeded, subject+" "+d.IfSucceeded(a.Succeeded)+".")
		}
	}
	if made > 0 {
		sentence := strings.Join(created, " and ") + " " + words.Action("createNode").IfSucceeded(made)
		if ownEnd(c) {
			sentence += ": " + map[bool]string{true: "use it or release it", false: "use them or release them"}[made == 1]
		}
		succeeded = append([]string{sentence + "."}, succeeded...)
	}
	return slices.DeleteFunc([]row{{strong(strings.Join(failed, " "))}, {say(strings.Join(succeeded, " "))}}, func(r row) bool { return len(r.spans()) == 0 })
}

// failedSubject names what failed where that is little, and counts it otherwise.
func failedSubject(c watcher.Completion, a watcher.ActionCounts, causes []cause) string {
	var names []string
	for _, cause := range causes {
		if documented(cause.action) == a.Action {
			names = append(names, cause.names[:min(len(cause.names), inlineNames+1)]...)
		}
	}
	if len(names) == a.Failed && fitting(names, maxInline) == len(names) && len(names) <= inlineNames {
		list := nameList(names)
		if last := strings.LastIndex(list, ", "); last > 0 {
			list = list[:last] + " and " + list[last+2:]
		}
		return list
	}
	d := words.Action(a.Action)
	if a.Failed == a.Total && a.Total > 1 && d.Kind != words.Creates {
		return "All " + words.Count(a.Failed, d.Noun)
	}
	return words.Count(a.Failed, d.Noun)
}

// succeededSubject counts what succeeded: "The pool", "The other 3 nodes", "All 3 nodes"; without an article where
// other actions are of such resources, too.
func succeededSubject(a watcher.ActionCounts, all []watcher.ActionCounts) string {
	noun := words.Action(a.Action).Noun
	alone := !slices.ContainsFunc(all, func(b watcher.ActionCounts) bool { return b.Action != a.Action && words.Action(b.Action).Noun == noun })
	article := "The "
	switch {
	case !alone || a.Total > a.Succeeded+a.Failed:
		return words.Count(a.Succeeded, noun)
	case a.Failed > 0:
		article += "other "
	case a.Succeeded > 1:
		article = "All "
	}
	if a.Succeeded == 1 {
		return article + noun
	}
	return article + words.Count(a.Succeeded, noun)
}

// advice says, in mrkdwn, what is likely and what to do next. It holds no foreign text. Where a command follows, it
// ends in a colon.
func advice(c watcher.Completion, causes []cause) (text string, command bool) {
	switch {
	case unknownOrder(c) && isGone(c):
		return "*What to do:* look in the ModelArts console what became of the order's resources: they may still be there and cost money.", false
	case unknownOrder(c):
		return "*Likely causes*\n" +
			"• the name is not the order's `orderName` (order.pool-…), but for example a billing order id (CS…)\n" +
			"• the order belongs to another project or region\n" +
			"• the request came long before the order was made\n" +
			"*What to do:* take the name from the answer that created the order (label `os.modelarts/order.name`, or `orderName`), and check project and region. To watch the order again:", true
	case unread(c):
		return "*What to do:* " + readAgain(*c.Error) + " To watch the order again then:", true
	}
	switch c.Outcome {
	case watcher.PartiallyFailed, watcher.AllFailed:
		return "*What to do:* " + remedy(causes) + doAgain(c) + ". The order has ended: nothing is tried again.", false
	case watcher.TimedOut:
		if c.Counts.Missing > 0 {
			return "*What to do:* look in the ModelArts console what became of what is no longer listed. A new watch would know nothing of it.", false
		}
		return "*What to do:* look at the order in the ModelArts console. To go on watching it:", true
	case watcher.OrderRefused:
		return "*Likely causes*\n" +
			"• the project is not one of this region, or the name is malformed\n" +
			"• the account that asks may not read orders of this project\n" +
			"*What to do:* correct project and name, or give the account read access to ModelArts in this project. To watch the order again:", true
	case watcher.Cancelled:
		return "To watch it again:", true
	}
	return "", false
}

// remedy depends on whether the cloud said why.
func remedy(causes []cause) string {
	if slices.ContainsFunc(causes, func(c cause) bool { return line(c.message, maxWord) != "" }) {
		return "remove the cause, then "
	}
	return "ModelArts did not say why: look at what failed in its console, then "
}

// doAgain says what is to be done again of an order of which all or some failed. A whole order that was to create a
// pool, and did, is not to be ordered again: that makes a second pool.
func doAgain(c watcher.Completion) string {
	poolIsThere := slices.ContainsFunc(c.ByAction(), func(a watcher.ActionCounts) bool { return a.Action == "createPool" && a.Succeeded > 0 })
	var all []string
	for _, a := range c.ByAction() {
		if a.Failed == 0 {
			continue
		}
		d := words.Action(a.Action)
		do := "repeat what failed"
		switch {
		case d.Kind == words.Creates && poolIsThere:
			do = "order what is missing for the pool that is there: the whole order again would make a second pool"
		case d.Kind == words.Creates && c.Outcome == watcher.AllFailed && c.Deed().Kind == words.Creates:
			do = "order it again"
		case d.Kind == words.Creates:
			do = "order again what is missing, and no more"
		case d.Kind == words.Deletes:
			do = "delete again what still exists"
		case a.Action == "renew":
			do = "renew again what is not renewed"
		}
		if !slices.Contains(all, do) {
			all = append(all, do)
		}
	}
	slices.SortStableFunc(all, func(a, b string) int { return len(a) - len(b) }) // what has a clause of its own is last
	return cmp.Or(strings.Join(all, "; "), "repeat what failed")
}

// whyUnread says why an order could not be read until its deadline.
func whyUnread(c watcher.Completion) string {
	where := "ModelArts in " + known(c.Region, maxWord)
	e := *c.Error
	_, code := e.Words()
	switch {
	case e.Held == watcher.HeldThrottled:
		return where + " throttled orderwatch"
	case e.Held == watcher.HeldLogin:
		return where + " refused orderwatch's login"
	case e.Held == watcher.HeldPermission:
		return "orderwatch lacked a permission for " + where
	case e.Held == watcher.HeldArrears:
		return "the account was frozen or in arrears"
	case e.Held != watcher.HeldUnreachable && e.AccountHeld():
		return "orderwatch might not ask " + where
	case e.Held != watcher.HeldUnreachable && code != "":
		return where + " answered with an error, " + word(code, maxWord)
	}
	return where + " could not be reached"
}

// readAgain says what has to happen before an order can be read again.
func readAgain(e watcher.ErrorDetail) string {
	text := "nothing for this order until ModelArts answers again."
	switch e.Held {
	case watcher.HeldLogin:
		text = "mend the login of the workers."
	case watcher.HeldPermission:
		text = "give the account of the workers read access to ModelArts in this project."
	case watcher.HeldArrears:
		text = "pay what is due, or ask Huawei Cloud's support why the account is frozen."
	}
	if e.AccountHeld() {
		text += " That has a message of its own."
	}
	return text
}

// A quote is what somebody said of a call that failed. Its texts are foreign.
type quote struct {
	by   string // who said it, as a title
	code string // the API's; empty where it gave none
	text string
}

const (
	saidByUs = "ModelArts gave no reason. orderwatch noted:"
	asNoted  = "The last error, as orderwatch noted it:"
)

var (
	preambles = regexp.MustCompile(`^([^;]{0,100}; no call before [0-9TZ:.+-]+: )?(HTTP \d{3}(, read as \d{3})?: )?`)
	ofNetwork = regexp.MustCompile(`(?i)\b(dial |lookup |EOF|connection re|no whole answer|i/o timeout|tls:|x509:|no route to host|proxyconnect|broken pipe|network is )`)
)

// quoteOf returns who said what: ModelArts, word for word, where it said something.
func quoteOf(e watcher.ErrorDetail) quote {
	_, code := e.Words()
	if e.Said != "" {
		return quote{"ModelArts said:", code, e.Said}
	}
	text := strings.TrimPrefix(preambles.ReplaceAllString(e.Message, ""), code+": ")
	switch {
	case strings.Contains(text, "a proxy answered"):
		return quote{"ModelArts said nothing: a proxy did.", "", text}
	case ofNetwork.MatchString(text):
		return quote{"ModelArts said nothing. The network:", "", text}
	case code == "":
		said, _ := e.Words()
		return quote{saidByUs, "", cmp.Or(text, said)}
	}
	return quote{asNoted, code, text}
}

// brief returns the quote in a line, the code last: it is of no use to people who are woken.
func (q quote) brief() string {
	if q.code == "" || q.text == "" {
		return q.text + q.code
	}
	return fmt.Sprintf("%s (%s)", q.text, q.code)
}

// excerpt returns the quote as it is shown below its title.
func (q quote) excerpt() string {
	text := line(q.code, maxWord)
	if m := excerpt(q.text, maxExcerpt); m != "" {
		text = strings.TrimPrefix(text+": "+m, ": ")
	}
	return cmp.Or(text, unknown)
}
