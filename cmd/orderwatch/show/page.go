// Package show draws what people see of watches: a page of one or of the installation, a table of many, and, while
// they wait, a screen with a bar for each order. It reads values and returns texts; only a [Screen] writes.
//
// Read page.go first, then
//
//   - clock.go, error.go, items.go, timeline.go: the page's times, last error, items, and bars of time;
//   - meaning.go: what the end of a watch means for the order, what it leaves behind, and how to watch it again;
//   - status.go: the page of the installation; history.go: how long orders take;
//   - story.go: what happened to a watch, and what went wrong;
//   - table.go: which columns a list has, and what is cut where there is no room;
//   - screen.go: what is shown while people wait: lines, and on a terminal bars; bars.go: which bars there is room for,
//     and how they are drawn;
//   - failure.go: what is said when an order failed, or calls for people's attention.
package show

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/history"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// A Page is what a watch, or another thing with properties, is drawn on.
type Page struct {
	Now   time.Time // its zone is the one that times are shown in
	Width int       // in columns
	Paint output.Paint
	Rows  int  // of the terminal that it must fit on, if it can; 0: there is none
	All   bool // nothing is summed up

	folded bool // so that it fits: see [Page.Watch]
}

// nameWidth is how many columns the names of a watch's properties take.
const nameWidth = 12

// Watch returns all that is known of a watch, as lines. Where these are too many for the terminal, items that are alike are
// folded, and how the watch is and why items failed stands first, and last, where people look.
func (p Page) Watch(w watcher.Snapshot) string {
	text := p.head(w) + "\n" + p.properties(w) + p.items(w) + p.failures(w)
	if p.Rows == 0 || p.All || strings.Count(text, "\n") < p.Rows {
		return text
	}
	p.folded = true
	return p.head(w) + p.failures(w) + "\n" + p.properties(w) + p.items(w) + p.closing(w)
}

func (p Page) head(w watcher.Snapshot) string {
	order := w.Order()
	return p.Paint.Bold(output.Clean(order.String())) + "\n" + p.state(w) + "\n"
}

// closing says once more who asked, how the watch is, and why most items failed.
func (p Page) closing(w watcher.Snapshot) string {
	text := output.Times(reason(w), p.Now)
	if len(w.Failures) > 0 && w.Failures[0].Message != "" {
		text += ": " + output.Times(output.Clean(w.Failures[0].Message), p.Now)
	}
	word, indent := p.stateWord(w)
	last := word + "  " + output.Shorten(text, p.Width-indent) + "\n"
	if len(w.Requests) == 0 {
		return last
	}
	first := w.Requests[0]
	who := fmt.Sprintf("%s, asked by %s (%s)", output.Clean(w.OrderName), asker(first), output.Clean(first.ID))
	if more := len(w.Requests) - 1 + w.OtherRequests; more > 0 {
		who += fmt.Sprintf(" and %d more", more)
	}
	return output.Shorten(who, p.Width) + "\n" + last
}

func (p Page) properties(w watcher.Snapshot) string {
	return p.Property("asked by", nil, p.asked(w.Requests, w.OtherRequests)...) +
		p.Property("accepted", nil, p.Ago(w.AcceptedAt)+", region "+output.Clean(w.Region)) +
		p.Property("deadline", nil, p.deadline(w)) +
		p.Property("ready", nil, p.ready(w.ETA)) +
		p.Property(Condition(w), p.Paint.Yellow, p.condition(w)) +
		p.Property("ended", nil, p.ended(w)) +
		p.Property("took", nil, took(w)) +
		p.Property("cancel", p.Paint.Yellow, p.wish(w)) +
		p.Property("polls", nil, p.polls(w)) +
		p.Property("overdue", p.Paint.Red, p.overdue(w)) +
		p.Property("last error", p.Paint.Yellow, p.lastError(w)...) +
		p.Property("troubles", nil, p.troubles(w)...) +
		p.Property("gives up", p.Paint.Yellow, p.givesUp(w)) +
		p.Property("watch", nil, output.Clean(w.WatchID))
}

// Property returns a line for each text, beside the name of what they say; nothing where there is no text.
// A nil colour is none.
func (p Page) Property(name string, colour func(string) string, texts ...string) string {
	var b strings.Builder
	for _, text := range texts {
		for _, line := range output.Paragraph(output.Times(text, p.Now), p.Width-nameWidth, p.most(6)) {
			if colour != nil {
				line = colour(line)
			}
			b.WriteString(p.Paint.Faint(output.Pad(name, nameWidth)) + line + "\n")
			name = ""
		}
	}
	return b.String()
}

// most returns how many lines or things are shown where so many are the most.
func (p Page) most(n int) int {
	if p.All {
		return 1 << 20
	}
	return n
}

// state says how far the watch is, and what that means for the order.
func (p Page) state(w watcher.Snapshot) string {
	word, indent := p.stateWord(w)
	lines := output.Paragraph(output.Times(reason(w), p.Now), p.Width-indent, p.most(6))
	text := word + "  " + strings.Join(lines, "\n"+strings.Repeat(" ", indent))
	if w.State != watcher.Ended {
		return text
	}
	means, command := Next(w.Outcome, w.Report)
	for _, line := range output.Paragraph(means, p.Width, p.most(6)) {
		text += "\n" + line
	}
	if command != "" {
		text += "\nTo watch it again:\n  " + command
	}
	return text
}

// stateWord returns how the watch is, as a word, and how many columns it takes with the gap after it.
func (p Page) stateWord(w watcher.Snapshot) (word string, indent int) {
	if w.State != watcher.Ended {
		return p.Paint.Bold("watching"), len("watching") + 2
	}
	word = output.Clean(string(w.Outcome))
	return Outcome(p.Paint, w.Outcome, p.Paint.Bold(word)), output.Width(word) + 2
}

// Outcome colours a text by how a watch ended.
func Outcome(p output.Paint, o watcher.Outcome, text string) string {
	switch o {
	case watcher.Succeeded:
		return p.Green(text)
	case watcher.Cancelled:
		return p.Yellow(text)
	}
	return p.Red(text)
}

// reason says how far the order is, or why the watch ended.
func reason(w watcher.Snapshot) string {
	switch {
	case w.State == watcher.Ended || w.Counts.Total > 0:
		return output.Clean(w.Reason)
	case w.Polls == 0 && w.LastError == nil:
		return "ModelArts has not been asked yet"
	}
	return "no item seen so far"
}

// maxAskers is how many requests are shown one by one.
const maxAskers = 3

// asked says who asked: a line for each request, and how many there are beyond those shown, and
// of others.
func (p Page) asked(requests []watcher.Request, others int) (lines []string) {
	shown := min(len(requests), p.most(maxAskers))
	for _, r := range requests[:shown] {
		parts := []string{asker(r) + " (" + output.Clean(r.ID) + ")"}
		if r.Link != "" {
			parts = append(parts, output.Clean(r.Link))
		}
		lines = append(lines, strings.Join(append(parts, Labels(r.Labels)...), " · "))
	}
	if more := requests[shown:]; len(more) > 0 {
		lines = append(lines, fmt.Sprintf("and %s, by %s", words.Count(len(more), "more request"), askers(more)))
	}
	if others > 0 {
		lines = append(lines, words.Count(others, "request")+" of others")
	}
	return lines
}

// asker says who made the request.
func asker(r watcher.Request) string {
	return words.Asker(output.Clean(r.Team), output.Clean(r.RequestedBy))
}

// Labels returns labels as they are written on a command line, in the order of their keys.
func Labels(labels map[string]string) (texts []string) {
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		texts = append(texts, output.Clean(key+"="+labels[key]))
	}
	return texts
}

// askers names those who made the requests, most active first.
func askers(requests []watcher.Request) string {
	count := make(map[string]int)
	for _, r := range requests {
		count[asker(r)]++
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

func (p Page) wish(w watcher.Snapshot) string {
	if w.Wish == nil || w.Outcome == watcher.Cancelled {
		return "" // the reason says it
	}
	text := "wanted by " + asker(watcher.Request{Team: w.Wish.Team, RequestedBy: w.Wish.By})
	if w.Wish.Reason != "" {
		text += " (" + output.Clean(w.Wish.Reason) + ")"
	}
	text += " at " + p.Ago(w.Wish.At)
	if w.State == watcher.Ended {
		return text + ": it came too late"
	}
	return text + ": the watch ends at its next step"
}

func (p Page) deadline(w watcher.Snapshot) string {
	if w.State == watcher.Ended {
		return ""
	}
	text, last := p.clock(w.Deadline)+", "+p.in(w.Deadline), w.Deadline
	for _, r := range w.Requests {
		if r.Deadline.After(last) {
			last = r.Deadline
		}
	}
	if last.After(w.Deadline) {
		text += "; for the last request " + p.clock(last)
	}
	return text
}

// Condition returns, as a word, how a watch is that goes on, where people should know something of it.
func Condition(w watcher.Snapshot) string {
	if w.Condition == watcher.DeadlineNear {
		return "ends soon"
	}
	return output.Shorten(output.Clean(string(w.Condition)), nameWidth-1)
}

// condition says since when the watch is so, and what that means; empty where there is nothing to say.
func (p Page) condition(w watcher.Snapshot) string {
	means, order := "", w.Order()
	switch w.Condition {
	case "":
		return ""
	case watcher.Blind:
		means = ": the order cannot be seen, and what stands here is as it was seen last"
	case watcher.Stalled:
		means = ": ModelArts answers, and no item has changed since"
	case watcher.Late:
		means = ": it takes longer than was expected"
	case watcher.DeadlineNear:
		means = ": to go on watching, orderwatch watch " + output.Clean(order.String())
	}
	return "since " + p.Ago(w.ConditionSince) + means
}

// ready says when the order is likely to be ready; empty where nothing is known of how long orders take.
func (p Page) ready(eta *history.Estimate) string {
	switch {
	case eta == nil:
		return ""
	case eta.Few():
		return fmt.Sprintf("few known: %s like it ended, %d are needed to say", words.Count(eta.Samples, "order"), history.EnoughForRange)
	}
	return fmt.Sprintf("likely %s, between %s and %s, by %s like it", readyText(eta, p.Now), p.clock(eta.From), p.clock(eta.To), words.Count(eta.Samples, "order"))
}

// readyText returns "in 4 to 11 min"; empty where it is not known when the order is likely to be ready.
func readyText(eta *history.Estimate, now time.Time) string {
	if eta == nil || eta.Few() {
		return ""
	}
	return "in " + words.Between(eta.From.Sub(now), max(eta.To.Sub(now), time.Second))
}

func (p Page) ended(w watcher.Snapshot) string {
	if w.State != watcher.Ended {
		return ""
	}
	return p.Ago(w.CompletedAt) + ", " + watched(w.CompletedAt.Sub(w.AcceptedAt))
}

// took says how long ModelArts worked on the order, where that is known.
func took(w watcher.Snapshot) string {
	d, ok := w.Took()
	if w.State != watcher.Ended || !ok {
		return ""
	}
	return words.Brief(d) + ", by ModelArts' own times"
}

// overdueAfter is how late a poll may be before that is worth a word: one that is under way takes
// as long as ModelArts does.
const overdueAfter = 30 * time.Second

func (p Page) polls(w watcher.Snapshot) string {
	text := "none yet"
	if w.Polls > 0 {
		text = fmt.Sprintf("%d, the last %s", w.Polls, p.Ago(w.LastPollAt))
	}
	switch late := p.Now.Sub(w.NextPollAt); {
	case w.State == watcher.Ended, w.NextPollAt.IsZero(), late > overdueAfter:
		return text
	case late >= 0:
		return text + "; the next is due now"
	case !w.NextWanted.IsZero():
		return text + "; the next in " + words.Brief(-late) + ": it was due " + p.clock(w.NextWanted) + ", and ORDERWATCH_MODELARTS_RATE is used up"
	default:
		return text + "; the next in " + words.Brief(-late)
	}
}

func (p Page) overdue(w watcher.Snapshot) string {
	late := p.Now.Sub(w.NextPollAt)
	if w.NextPollAt.IsZero() || late <= overdueAfter {
		return ""
	}
	return "the next poll, by " + words.Brief(late) + ": the workers (orderwatch serve) are busy or in trouble; their logs say why"
}
