package watcher

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher/foreign"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// things returns "1 node", "2000 nodes", or items. A reason is a field of events, which programs read: its numbers have no
// separators.
func things(n int, d words.Deed) string {
	if n == 1 {
		return "1 " + d.Noun
	}
	return fmt.Sprintf("%d %ss", n, d.Noun)
}

// deed returns what the actions of all items have in common, in words.
func (w *Watch) deed() words.Deed {
	all := byAction(nil, w.seenItems())
	for _, m := range w.Missing {
		all = add(all, m.Action, m.Status, m.count())
	}
	return deed(all, w.Counts, w.ExpectedItems)
}

// open says what keeps the order from being ended.
func open(w Watch) string {
	c, d := w.Counts, w.deed()
	text := fmt.Sprintf("%d of %s ended", c.Succeeded+c.Failed, things(c.Total, d))
	vanished, strange := w.vanished(), w.strange()
	if n := number(w.Missing, func(m *MissingItem) bool { return !m.open() }); n > 0 {
		text += fmt.Sprintf(" (%d no longer listed)", n)
	}
	if going := c.Processing - len(strange) - number(w.Missing, (*MissingItem).open); going > 0 {
		text += fmt.Sprintf(", %d still processing", going)
	}
	if len(strange) > 0 {
		text += fmt.Sprintf(", %d with a status that ModelArts does not document: %s", len(strange), listed(strange, strangeItem))
	}
	if len(vanished) > 0 {
		text += fmt.Sprintf(", %d no longer listed: %s", number(w.Missing, (*MissingItem).open), listed(vanished, vanishedItem))
	}
	if missing := max(c.Total, w.ExpectedItems) - c.seen(); missing > 0 {
		text += fmt.Sprintf(", %d %s", missing, d.Unseen())
	}
	return text
}

// vanished returns the missing items that had not ended.
func (w *Watch) vanished() (open []MissingItem) {
	for _, m := range w.Missing {
		if m.open() {
			open = append(open, m)
		}
	}
	return open
}

// strange returns the listed items whose status the API does not document.
func (w *Watch) strange() (strange []SeenItem) {
	for _, s := range w.Items {
		if !s.Status.Known() {
			strange = append(strange, s)
		}
	}
	return strange
}

// number counts the missing items of a kind.
func number(missing []MissingItem, kind func(*MissingItem) bool) (n int) {
	for i := range missing {
		if kind(&missing[i]) {
			n += missing[i].count()
		}
	}
	return n
}

const namedItems = 3

// listed names the first items, and says how many more there are.
func listed[I any](items []I, name func(I) string) string {
	var names []string
	for _, it := range items[:min(len(items), namedItems)] {
		names = append(names, name(it))
	}
	text := strings.Join(names, "; ")
	if more := len(items) - len(names); more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

// label names an item in a sentence.
func (s SeenItem) label() string {
	if name := strings.TrimSpace(s.Action + " " + s.ResourceName); name != "" {
		return name
	}
	return "an item without a name"
}

func strangeItem(s SeenItem) string {
	text := s.label() + " has the status " + strconv.Quote(string(s.Status))
	if s.Status == "" {
		text = s.label() + " has no status"
	}
	if s.Message != "" {
		text += " (" + cut(s.Message, maxSeenMessage/2) + ")"
	}
	return text
}

func vanishedItem(m MissingItem) string {
	return m.label() + ", last seen " + cmp.Or(string(m.Status), "without a status") + ", missing since " + moment(fromMillis(m.Since))
}

// moment writes a time for people.
func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func timeoutReason(w Watch) string {
	after := "after " + words.Compact(w.Deadline.Sub(w.AcceptedAt)) + ": "
	switch c := w.Counts; {
	case w.LastError != nil && c.seen() > 0:
		return after + fmt.Sprintf("%s; when the order was last seen, %s", w.LastError.text(), open(w))
	case w.LastError != nil:
		return after + w.LastError.text()
	case c.seen() == 0:
		return after + "no item ever appeared"
	}
	return after + open(w)
}

// conditionReason says how the watch is.
func conditionReason(w Watch, c condition, now time.Time) string {
	var text string
	switch c.kind {
	case Blind:
		text = fmt.Sprintf("this order has not been readable since %s (%s: %s)", moment(w.Blind), w.LastError.Code, w.LastError.Message)
	case Stalled:
		text = "no item has changed since " + moment(c.since)
	case Late:
		text = fmt.Sprintf("the order has taken longer since %s than 95 of 100 orders like it that ended", moment(c.since))
		if !w.expectedBy().IsZero() {
			text = fmt.Sprintf("the order was expected to end by %s, %s after the watch began", moment(c.since), words.Compact(c.since.Sub(w.AcceptedAt)))
		}
	case DeadlineNear:
		next := w.NextDeadline()
		these, others := parted(w.Requests, w.overdue(next))
		of := ""
		if len(others) > 0 {
			of = fmt.Sprintf(" for %d of %d requests", len(these), len(w.Requests))
		}
		text = fmt.Sprintf("the watch ends%s in %s, at %s", of, words.Compact(next.Sub(now)), moment(next))
	}
	switch {
	case w.Counts.seen() == 0:
		return text + "; no item has been seen"
	case w.LastError != nil:
		return text + "; when it was last seen, " + open(w)
	}
	return text + "; " + open(w)
}

// overReason says that what people were told of is over, after so long.
func overReason(w Watch, kind AttentionKind, after time.Duration) string {
	text := "an item has changed, after none had for "
	if kind == Blind {
		text = "this order is answered again, after it was not readable for "
	}
	return text + words.Compact(after) + "; " + open(w)
}

func notFoundReason(w Watch, now time.Time) string {
	if w.Counts.seen() == 0 {
		return "the API did not know the order for " + words.Compact(now.Sub(w.NotFoundSince))
	}
	seen := "before"
	if !w.ListedAt.IsZero() { // it is where a worker of the release before saw it last
		seen = "until " + moment(w.ListedAt)
	}
	return fmt.Sprintf("the order was seen %s and is gone since %s: %s", seen, moment(w.Gone), open(w))
}

// ownReason says how an order ended whose items have all ended.
func ownReason(w Watch) string {
	d := w.deed()
	succeeded, failed := d.Ended()
	n, text, counts := w.Counts.Failed, failed, func(m *MissingItem) bool { return m.Status == Failed }
	if n == 0 {
		n, text, counts = w.Counts.Succeeded, succeeded, func(m *MissingItem) bool { return !m.Deleted }
	}
	var notes []string
	if missing := number(w.Missing, counts); missing > 0 {
		notes = append(notes, ofAll(missing, n)+"no longer listed")
	}
	if deleted := number(w.Missing, func(m *MissingItem) bool { return m.Deleted }); deleted > 0 {
		all := n
		if w.Counts.Failed > 0 { // they are none of those
			all = 0
		}
		notes = append(notes, ofAll(deleted, all)+"no longer listed since "+moment(w.deletedSince())+", taken for deleted")
	} else if !w.Gone.IsZero() {
		notes = append(notes, "ModelArts lists none since "+moment(w.Gone))
	}
	reason := fmt.Sprintf("%d of %s %s", n, things(w.Counts.Total, d), text)
	if len(notes) > 0 {
		reason += " (" + strings.Join(notes, "; ") + ")"
	}
	return reason
}

// ofAll returns how many of n there are; nothing where it is all of them.
func ofAll(some, n int) string {
	if some == n {
		return ""
	}
	return fmt.Sprintf("%d ", some)
}

// deletedSince returns when the last of the items vanished that are taken for deleted.
func (w *Watch) deletedSince() (since time.Time) {
	for _, m := range w.Missing {
		if m.Deleted {
			since = later(since, fromMillis(m.Since))
		}
	}
	return since
}

func (e *ErrorDetail) text() string {
	return "polling did not work (" + e.Code + ": " + e.Message + ")"
}

func (wish *Wish) text() string {
	text := "cancelled by " + words.Asker(wish.Team, wish.By)
	if wish.Reason != "" {
		text += ": " + wish.Reason
	}
	return text
}

// cut returns at most n bytes of s, whole characters, with an ellipsis where something is missing.
func cut(s string, n int) string {
	const ellipsis = "…"
	if len(s) <= n {
		return s
	}
	return foreign.Cut(s, n-len(ellipsis)) + ellipsis
}

// valid returns s with U+FFFD where it is no UTF-8.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
