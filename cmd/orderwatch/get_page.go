package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// A page is the sheet that a watch is drawn on.
type page struct {
	now   time.Time // its zone is the one that times are shown in
	width int       // in columns
	paint paint
	all   bool // nothing is summed up
}

// nameWidth is how many columns the names of a watch's properties take.
const nameWidth = 12

// watch returns all that is known of a watch, as lines.
func (p page) watch(w watcher.Snapshot) string {
	var b strings.Builder
	order := w.Order()
	fmt.Fprintf(&b, "%s\n%s\n\n", p.paint.bold(clean(order.String())), p.state(w))
	plain := func(text string) string { return text }
	for _, property := range []property{
		{"asked by", plain, p.asked(w.Requests)},
		{"accepted", plain, []string{p.ago(w.AcceptedAt, "MST") + ", region " + clean(w.Region)}},
		{"deadline", plain, p.deadline(w)},
		{"ended", plain, p.ended(w)},
		{"cancel", p.paint.yellow, p.wish(w)},
		{"polls", plain, p.polls(w)},
		{"overdue", p.paint.red, p.overdue(w)},
		{"last error", p.paint.yellow, p.lastError(w)},
		{"gives up", p.paint.yellow, p.givesUp(w)},
		{"watch", plain, []string{clean(w.WatchID)}},
	} {
		b.WriteString(p.property(property))
	}
	b.WriteString(p.items(w))
	b.WriteString(p.failures(w))
	return b.String()
}

// A property is something known of a watch.
type property struct {
	name   string
	colour func(string) string
	texts  []string // each begins a line; none: it is not shown
}

// property returns the name and, beside it, the texts.
func (p page) property(of property) string {
	var b strings.Builder
	name := of.name
	for _, text := range of.texts {
		for _, line := range paragraph(text, p.width-nameWidth, p.most(6)) {
			b.WriteString(p.paint.faint(pad(name, nameWidth)) + of.colour(line) + "\n")
			name = ""
		}
	}
	return b.String()
}

// most returns how many lines of a text are shown.
func (p page) most(lines int) int {
	if p.all {
		return 1 << 20
	}
	return lines
}

// state says how far the watch is, and what that means for the order.
func (p page) state(w watcher.Snapshot) string {
	word := p.paint.bold("watching")
	long := len("watching")
	if w.State == watcher.Ended {
		word, long = p.paint.outcome(w.Outcome, p.paint.bold(clean(string(w.Outcome)))), width(clean(string(w.Outcome)))
	}
	lines := paragraph(reason(w), p.width-long-2, p.most(6))
	text := word + "  " + strings.Join(lines, "\n"+strings.Repeat(" ", long+2))
	for _, line := range paragraph(advice(w.Outcome, w.Counts), p.width, p.most(6)) {
		text += "\n" + line
	}
	if w.State == watcher.Ended && mayGoOn(w.Outcome) {
		order := w.Order()
		text += "\nTo watch it again:\n  orderwatch watch " + clean(order.String())
	}
	return text
}

// mayGoOn reports whether the order may not have ended, or be another than was meant.
func mayGoOn(o watcher.Outcome) bool { return advice(o, watcher.Counts{}) != "" }

// reason says how far the order is, or why the watch ended.
func reason(w watcher.Snapshot) string {
	switch {
	case w.State == watcher.Ended || w.Counts.Total > 0:
		return clean(w.Reason)
	case w.Polls == 0 && w.LastError == nil:
		return "ModelArts has not been asked yet"
	}
	return "no item seen so far"
}

// advice says what the end of the watch means for the order, and what to do, where that is not
// plain. An order of which items were seen had the right name.
func advice(o watcher.Outcome, c watcher.Counts) string {
	switch o {
	case watcher.TimedOut, watcher.Cancelled:
		return "Only the watching has stopped: the order itself may still be running, and cost money."
	case watcher.OrderNotFound:
		if c.Total > 0 {
			return goneAdvice
		}
		return "Check the order's name, project and region. The name is the one in the answer that created the order, not the billing order id (CS…)."
	case watcher.OrderRefused:
		return "Check the order's name and project, and what the account may do there."
	}
	return ""
}

// goneAdvice is for an order that ModelArts knew and knows no longer.
const goneAdvice = "The order existed, and is gone. Look in the ModelArts console what became of its resources: they may still be there and cost money."

// maxAskers is how many requests are shown one by one.
const maxAskers = 3

// asked says who asked: a line for each request, and how many there are beyond those shown.
func (p page) asked(requests []watcher.Request) (lines []string) {
	shown := len(requests)
	if !p.all {
		shown = min(shown, maxAskers)
	}
	for _, r := range requests[:shown] {
		parts := []string{cmp.Or(clean(r.RequestedBy), "somebody") + " (" + clean(r.ID) + ")"}
		if r.Link != "" {
			parts = append(parts, clean(r.Link))
		}
		for _, name := range slices.Sorted(maps.Keys(r.Labels)) {
			parts = append(parts, clean(name+"="+r.Labels[name]))
		}
		lines = append(lines, strings.Join(parts, " · "))
	}
	if more := requests[shown:]; len(more) > 0 {
		lines = append(lines, fmt.Sprintf("and %s, by %s", words.Count(len(more), "more request"), askers(more)))
	}
	return lines
}

// askers names those who made the requests, most active first.
func askers(requests []watcher.Request) string {
	count := make(map[string]int)
	for _, r := range requests {
		count[cmp.Or(clean(r.RequestedBy), "somebody")]++
	}
	names := slices.SortedFunc(maps.Keys(count), func(a, b string) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a, b))
	})
	const most = 5
	if len(names) > most {
		return fmt.Sprintf("%s and %d others", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

func (p page) wish(w watcher.Snapshot) []string {
	if w.Wish == nil || w.Outcome == watcher.Cancelled {
		return nil // the reason says it
	}
	text := "wanted by " + clean(w.Wish.By)
	if w.Wish.Reason != "" {
		text += " (" + clean(w.Wish.Reason) + ")"
	}
	text += " at " + p.ago(w.Wish.At, "")
	if w.State == watcher.Ended {
		return []string{text + ": it came too late"}
	}
	return []string{text + ": the watch ends at its next step"}
}

func (p page) deadline(w watcher.Snapshot) []string {
	if w.State == watcher.Ended {
		return nil
	}
	return []string{p.clock(w.Deadline, "") + ", " + p.in(w.Deadline)}
}

func (p page) ended(w watcher.Snapshot) []string {
	if w.State != watcher.Ended {
		return nil
	}
	return []string{p.ago(w.CompletedAt, "") + ", " + words.Brief(w.CompletedAt.Sub(w.AcceptedAt)) + " after it was accepted"}
}

// overdueAfter is how late a poll may be before that is worth a word: one that is under way takes
// as long as ModelArts does.
const overdueAfter = 30 * time.Second

func (p page) polls(w watcher.Snapshot) []string {
	text := "none yet"
	if w.Polls > 0 {
		text = fmt.Sprintf("%d, the last %s", w.Polls, p.ago(w.LastPollAt, ""))
	}
	if w.State == watcher.Ended {
		return []string{text}
	}
	switch late := p.now.Sub(w.NextPollAt); {
	case w.NextPollAt.IsZero(), late > overdueAfter:
	case late >= 0:
		text += "; the next is due now"
	default:
		text += "; the next in " + words.Brief(-late)
	}
	return []string{text}
}

func (p page) overdue(w watcher.Snapshot) []string {
	late := p.now.Sub(w.NextPollAt)
	if w.NextPollAt.IsZero() || late <= overdueAfter {
		return nil
	}
	return []string{"the next poll, by " + words.Brief(late) + ": the workers (orderwatch serve) are busy or in trouble; their logs say why"}
}
