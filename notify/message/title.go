package message

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// A headline is what people read first of a watch: an emoji, a fixed word for what became of it, how many or why,
// the order's name and the environment. Its texts are not escaped.
type headline struct {
	emoji string
	word  string // one of those that package words has
	count string // how many items, or why
	long  string // the same in the title, where there is more to say; empty: count
	cause string // in the sentence for phones alone: the title has it below
	name  string
	url   string // of the order's page or console; empty: it is not linked
	env   string
	last  string // what the sentence ends with
}

// row returns the headline as the first line of a message.
func (h headline) row() row {
	name := dotted(row{linked(h.url, h.name)}, row{say(h.env)})
	return append(row{emoji(h.emoji), say(" "), strong(h.word + dash(cmp.Or(h.long, h.count))), say(" · ")}, name...)
}

// mrkdwn returns the headline for a Slack that refuses rich text.
func (h headline) mrkdwn() string {
	text := h.emoji + " *" + h.word + "*" + escape(dash(cmp.Or(h.long, h.count))+" · "+h.name)
	if h.env != "" {
		text += escape(" · " + h.env)
	}
	return text
}

func dash(count string) string {
	if count == "" {
		return ""
	}
	return " - " + fit(count, maxTitle)
}

// sentence returns the headline for push notifications, search and screen readers. A phone shows its first 60
// characters: so the order's name comes late, and without its middle where it is long.
func (h headline) sentence() string {
	text := h.word
	if h.count != "" {
		text += ": " + fit(h.count, maxCause)
	}
	if h.cause != "" {
		text += ", " + h.cause
	}
	text += " - " + middle(h.name, maxMiddle)
	for _, more := range []string{h.env, h.last} {
		if more != "" {
			text += ", " + more
		}
	}
	return text + "."
}

// middle returns the text without its middle where it has more than limit units.
func middle(s string, limit int) string {
	if units(s) <= limit {
		return s
	}
	return fit(s, limit/2) + fitEnd(s, limit/2)
}

// fallback returns the sentence in place of the blocks, with who asked, and how late the message is. It is not
// escaped.
func fallback(c watcher.Completion, h headline, o Options) string {
	text := h.sentence()
	if by := askers(c.Requests); by != "" {
		text += " Asked for by " + by + "."
	}
	if others := othersGoOn(c); others != "" {
		text += " " + others
	}
	if !o.Again.At.IsZero() {
		text += " Sent again by " + againBy(o) + "."
	}
	if note := lateness(c.CompletedAt, o.Now); note != "" {
		text += " Delivered " + note + "."
	}
	return text
}

// lateness returns "42 min late" where the message comes late.
func lateness(ended, now time.Time) string {
	d := now.Sub(ended)
	if now.IsZero() || d < lateAfter || ended.IsZero() {
		return ""
	}
	return minutes(d) + " late"
}

// minutes returns a duration of minutes as "42 min", and others as [words.Span] does.
func minutes(d time.Duration) string {
	if d < time.Minute || d >= 2*time.Hour {
		return words.Span(d)
	}
	return fmt.Sprintf("%d min", int(d.Minutes()))
}

// emojis are those of the words.
var emojis = map[string]string{
	"DONE": ":white_check_mark:", "PARTLY FAILED": ":warning:", "FAILED": ":red_circle:", "NOT DELETED": ":red_circle:", "NOT DONE": ":hourglass:",
	words.NotKnown: ":hourglass:", "NOT FOUND": ":mag:", "REFUSED": ":no_entry:", "CANCELLED": ":black_square_for_stop:",
}

// headlineOf returns the headline of each outcome.
func headlineOf(c watcher.Completion, causes []cause, o Options) headline {
	h := headline{word: c.Word(), name: orderName(c), url: o.orderURL(c), env: envOf(c.Requests, o.Env)}
	h.emoji = emojis[h.word]
	lasted := words.Span(c.CompletedAt.Sub(c.AcceptedAt))
	switch {
	case c.Outcome == watcher.Succeeded:
		h.count = succeeded(c) + missingNote(c.Counts)
		h.last = tookText(c)
	case c.Outcome == watcher.PartiallyFailed || c.Outcome == watcher.AllFailed:
		h.count, h.cause = failedOf(c), mostly(causes)
		if n := different(causes); n != "" {
			h.count, h.cause = h.count+", "+n, ""
		}
	case unknownOrder(c) && isGone(c):
		h.count = fmt.Sprintf("gone, %s of %s had ended; ModelArts in %s no longer knows it", words.Number(c.Counts.Succeeded+c.Counts.Failed), words.Count(c.Counts.Total, c.Deed().Noun), known(c.Region, maxWord))
	case unknownOrder(c):
		h.count = fmt.Sprintf("ModelArts in %s does not know it, asked for %s", known(c.Region, maxWord), lasted)
	case c.Outcome == watcher.TimedOut && c.Error != nil:
		h.count, h.last = whyUnread(c), "deadline passed"
		h.long = "the deadline passed while " + h.count
	case c.Outcome == watcher.TimedOut:
		h.count = stillOpen(c, lasted)
	case c.Outcome == watcher.OrderRefused:
		h.count = "ModelArts in " + known(c.Region, maxWord) + " refuses it"
		if c.Error != nil {
			h.cause = word(quoteOf(*c.Error).brief(), maxCause)
		}
	case c.Outcome == watcher.Cancelled:
		h.count = cancelReason(c.Reason) + ", after " + lasted
	default:
		h.emoji, h.count = ":grey_question:", known(string(c.Outcome), maxWord)
	}
	return h
}

// Fails reports whether the outcome is one to wake somebody for.
func Fails(o watcher.Outcome) bool {
	return slices.Contains([]watcher.Outcome{
		watcher.PartiallyFailed, watcher.AllFailed, watcher.TimedOut, watcher.OrderNotFound, watcher.OrderRefused,
	}, o)
}

// succeeded returns "1 pool and 12 nodes created, 3 nodes deleted".
func succeeded(c watcher.Completion) string {
	type part struct{ done, nouns string }
	var parts []part
	sums := c.ByAction()
	if len(sums) > deedsShown {
		return words.Count(c.Counts.Succeeded, "item") + " done"
	}
	for _, a := range sums {
		d := words.Action(a.Action)
		if a.Succeeded <= 0 {
			continue
		}
		noun := words.Count(a.Succeeded, d.Noun)
		if i := slices.IndexFunc(parts, func(p part) bool { return p.done == d.Done }); i >= 0 {
			parts[i].nouns += " and " + noun
			continue
		}
		parts = append(parts, part{d.Done, noun})
	}
	var said []string
	for _, p := range parts {
		said = append(said, p.nouns+" "+p.done)
	}
	if len(said) == 0 {
		return "no item"
	}
	return strings.Join(said, ", ")
}

// failedOf returns "all 40 nodes", "41 of 1,200 items". Where a part failed it counts what had the actions of that
// part: of a pool with 3 nodes, one of which failed, "1 of 3 nodes".
func failedOf(c watcher.Completion) string {
	n, noun := c.Counts, c.Deed().Noun
	switch {
	case n.Failed >= n.Total && n.Failed == 1:
		return "its only " + noun
	case n.Failed >= n.Total:
		return "all " + words.Count(n.Failed, noun)
	}
	var actions []string
	failed, total := 0, 0
	for _, a := range c.ByAction() {
		if a.Failed > 0 {
			actions, failed, total = append(actions, a.Action), failed+a.Failed, total+a.Total
		}
	}
	if own := words.Actions(actions...).Noun; failed == n.Failed && own != words.Actions().Noun {
		noun, n.Total = own, total
	}
	return words.Number(n.Failed) + " of " + words.Count(n.Total, noun)
}

// ownCauses returns the causes that do not follow from others.
func ownCauses(causes []cause) []cause {
	for i, c := range causes { // those that follow are last
		if c.follows {
			return causes[:i]
		}
	}
	return causes
}

// largest returns the largest cause, and of how many items it and all causes are.
func largest(causes []cause) (first cause, count, all int) {
	own := ownCauses(causes)
	for _, c := range own {
		all += c.count
	}
	if len(own) == 0 {
		return cause{}, 0, 0
	}
	return own[0], own[0].count, all
}

// different returns "300 different causes" where none of them is that of most items.
func different(causes []cause) string {
	if _, count, all := largest(causes); 2*count < all {
		return words.Count(len(ownCauses(causes)), "different cause")
	}
	return ""
}

// mostly returns the cause of most items.
func mostly(causes []cause) string {
	first, count, all := largest(causes)
	if all == 0 {
		return ""
	}
	text := noMessage
	if m := word(first.text(), looked); m != "" {
		text = bothEnds(m, maxCause)
	}
	if count < all {
		text += fmt.Sprintf(" (%s of %s)", words.Number(count), words.Number(all))
	}
	return text
}

// stillOpen says what a deadline came before.
func stillOpen(c watcher.Completion, lasted string) string {
	n, noun := c.Counts, c.Deed().Noun
	seen := n.Succeeded + n.Failed + n.Processing
	text := fmt.Sprintf("%s of %s open after %s", words.Number(n.Processing), words.Count(max(n.Total, seen), noun), lasted)
	switch {
	case seen == 0:
		text = "no item appeared in " + lasted
	case n.Processing == 1 && n.Total == 1:
		text = fmt.Sprintf("its only %s open after %s", noun, lasted)
	case n.Processing == 0:
		text = fmt.Sprintf("%s ended, more were to come, after %s", words.Count(seen, noun), lasted)
	}
	if n.Failed > 0 {
		text += ", " + words.Number(n.Failed) + " failed"
	}
	return text + expectedNote(c) + missingNote(n)
}

// expectedNote returns ", 5 expected, 3 came" where fewer items came than a request expects.
func expectedNote(c watcher.Completion) string {
	came := c.Counts.Succeeded + c.Counts.Failed + c.Counts.Processing
	if c.ExpectedItems <= came {
		return ""
	}
	return fmt.Sprintf(", %s expected, %s came", words.Number(c.ExpectedItems), words.Number(came))
}

// openCounts says how far the order is or was.
func openCounts(c watcher.Completion) string {
	n, noun := c.Counts, c.Deed().Noun
	ended := n.Succeeded + n.Failed
	seen := ended + n.Processing
	if seen == 0 {
		return "no item so far" + expectedNote(c)
	}
	text := fmt.Sprintf("%s of %s ended", words.Number(ended), words.Count(max(n.Total, seen), noun))
	if n.Failed > 0 {
		_, failed := c.Deed().Ended()
		text += " (" + words.Number(n.Failed) + " " + failed + ")"
	}
	if n.Processing > 0 {
		text += fmt.Sprintf(", %s still processing", words.Number(n.Processing)) + unknownNote(c.Items)
	}
	switch missing := n.Total - seen; {
	case missing > 0:
		text += ", " + words.Number(missing) + " " + c.Deed().Unseen()
	case n.Processing == 0 && c.Outcome == "" && expectedNote(c) == "":
		text += ", checking whether more appear"
	}
	return text + expectedNote(c) + missingNote(n)
}

// cancelReason returns the reason, which says who cancelled.
func cancelReason(reason string) string {
	return cmp.Or(strings.TrimPrefix(word(reason, maxReason/2), "cancelled "), "nobody said by whom")
}
