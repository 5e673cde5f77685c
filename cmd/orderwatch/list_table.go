package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// A sheet is what a list of watches is drawn on.
type sheet struct {
	now   time.Time
	width int // in columns; 0: nothing is cut
	paint paint
}

// A column is what a list shows of each watch.
type column struct {
	title  string
	text   func(watcher.Snapshot) string
	colour func(watcher.Snapshot, string) string // nil: none
	width  int
}

// leastNote is how many columns a note takes at the least; where there are fewer, it stands below.
const leastNote = 24

// watches returns the table: a line for each watch, and perhaps a note below it where there is no
// room beside it.
func (s sheet) watches(watches []watcher.Snapshot) string {
	if len(watches) == 0 {
		return "No watch is known that fits. orderwatch watch PROJECT/ORDER begins one.\n"
	}
	columns := s.columns(watches)
	widest := 0
	for _, w := range watches {
		widest = max(widest, width(s.note(w)))
	}
	beside := widest
	if s.width > 0 {
		beside = min(widest, s.width-taken(columns)-gap)
	}
	below := beside < min(widest, leastNote)
	var b strings.Builder
	if project := s.shared(watches); project != "" {
		b.WriteString(s.paint.faint("project "+clean(project)) + "\n")
	}
	title := "NOTE"
	if below || widest == 0 {
		title = ""
	}
	b.WriteString(s.paint.faint(tableHead(columns, title)) + "\n")
	for _, w := range watches {
		text := tableLine(columns, w)
		switch note := s.note(w); {
		case note == "":
			text = strings.TrimRight(text, " ")
		case below:
			text = strings.TrimRight(text, " ") + "\n" + s.paint.yellow("  "+shorten(note, s.width-2))
		default:
			text += strings.Repeat(" ", gap) + s.paint.yellow(shorten(note, beside))
		}
		b.WriteString(text + "\n")
	}
	return b.String()
}

// columns returns the columns as wide as they must be. Where there is no room for all, the id of
// the project is cut, then two columns are left out, and then the order's name is cut.
func (s sheet) columns(watches []watcher.Snapshot) []column {
	all := []column{
		{title: "ORDER", text: fullName},
		{title: "STATE", text: stateWord, colour: s.stateColour},
		{title: "ITEMS", text: itemsEnded},
		{title: "FAILED", text: itemsFailed, colour: s.red},
		{title: "AGE", text: s.age},
		{title: "ENDS", text: s.ends},
		{title: "NEXT", text: s.next, colour: s.lateColour},
	}
	if s.shared(watches) != "" {
		all[0].text = orderName
	}
	for i := range all {
		all[i].fit(watches)
	}
	room := func() bool { return s.width == 0 || taken(all) <= s.width }
	if !room() && s.shared(watches) == "" {
		all[0].text = shortName
		all[0].fit(watches)
	}
	for _, title := range []string{"AGE", "NEXT"} {
		if !room() {
			all = slices.DeleteFunc(all, func(c column) bool { return c.title == title })
		}
	}
	if !room() {
		all[0].width = max(all[0].width-taken(all)+s.width, leastOrder)
	}
	return all
}

// leastOrder is how many columns an order's name takes at the least, also where that is too many.
const leastOrder = 20

// fit makes the column as wide as its widest text.
func (c *column) fit(watches []watcher.Snapshot) {
	c.width = width(c.title)
	for _, w := range watches {
		c.width = max(c.width, width(c.text(w)))
	}
}

// taken returns how many columns of the terminal the table's take.
func taken(columns []column) int {
	n := -gap
	for _, c := range columns {
		n += c.width + gap
	}
	return n
}

// tableHead returns the titles, with that of the notes.
func tableHead(columns []column, note string) string {
	titles := make([]string, 0, len(columns)+1)
	for _, c := range columns {
		titles = append(titles, pad(c.title, c.width))
	}
	return strings.TrimRight(strings.Join(append(titles, note), strings.Repeat(" ", gap)), " ")
}

// tableLine returns what the columns show of the watch.
func tableLine(columns []column, w watcher.Snapshot) string {
	var texts []string
	for _, c := range columns {
		text := middle(c.text(w), c.width)
		blanks := strings.Repeat(" ", max(c.width-width(text), 0))
		if c.colour != nil {
			text = c.colour(w, text)
		}
		texts = append(texts, text+blanks)
	}
	return strings.Join(texts, strings.Repeat(" ", gap))
}

// shared returns the project of all watches, where it is one and stands above them: where nothing is
// cut, each order is PROJECT/ORDER, fit to be handed to other commands.
func (s sheet) shared(watches []watcher.Snapshot) string {
	if s.width == 0 {
		return ""
	}
	for _, w := range watches {
		if w.ProjectID != watches[0].ProjectID {
			return ""
		}
	}
	return watches[0].ProjectID
}

func fullName(w watcher.Snapshot) string { return clean(w.ProjectID + "/" + w.OrderName) }

func orderName(w watcher.Snapshot) string { return clean(w.OrderName) }

// shortName returns the order with the beginning of its project.
func shortName(w watcher.Snapshot) string {
	return shorten(clean(w.ProjectID), 9) + "/" + clean(w.OrderName)
}

// stateWord returns the outcome of a watch that has ended, its state otherwise.
func stateWord(w watcher.Snapshot) string {
	switch {
	case w.State == watcher.Ended:
		return clean(string(w.Outcome))
	case w.Wish != nil:
		return "cancelling"
	}
	return clean(string(w.State))
}

func (s sheet) stateColour(w watcher.Snapshot, text string) string {
	switch w.State {
	case watcher.Ended:
		return s.paint.outcome(w.Outcome, text)
	case brokenState:
		return s.paint.red(text)
	}
	return text
}

func (s sheet) red(_ watcher.Snapshot, text string) string { return s.paint.red(text) }

func (s sheet) lateColour(w watcher.Snapshot, text string) string {
	if s.now.Sub(w.NextPollAt) > overdueAfter {
		return s.paint.red(text)
	}
	return text
}

// itemsEnded returns "3/4".
func itemsEnded(w watcher.Snapshot) string {
	return fmt.Sprintf("%d/%d", w.Counts.Succeeded+w.Counts.Failed, max(w.Counts.Total, w.ExpectedItems))
}

func itemsFailed(w watcher.Snapshot) string {
	if w.Counts.Failed == 0 {
		return ""
	}
	return fmt.Sprint(w.Counts.Failed)
}

func (s sheet) age(w watcher.Snapshot) string { return briefly(s.now.Sub(w.AcceptedAt)) }

// ends says when the watch ends at the latest, or how long ago it ended.
func (s sheet) ends(w watcher.Snapshot) string {
	switch w.State {
	case watcher.Ended:
		return briefly(s.now.Sub(w.CompletedAt)) + " ago"
	case brokenState:
		return ""
	}
	return "in " + words.Brief(max(w.Deadline.Sub(s.now), 0))
}

// next says when the next poll is.
func (s sheet) next(w watcher.Snapshot) string {
	left := w.NextPollAt.Sub(s.now)
	switch {
	case w.State == watcher.Ended || w.NextPollAt.IsZero():
		return ""
	case left >= time.Second:
		return words.Brief(left)
	case left > -overdueAfter:
		return "now"
	}
	return "late"
}

// briefly returns a duration as [showDuration] writes it, but its largest unit alone, which keeps the
// table narrow; 0s where it is negative.
func briefly(d time.Duration) string {
	const day = 24 * time.Hour
	switch d = max(d, 0); {
	case d >= 2*day:
		return fmt.Sprintf("%dd", d/day)
	case d >= time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d >= time.Minute:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// note says what is wrong: why the last poll did not work, or why the watch ended without its order.
func (s sheet) note(w watcher.Snapshot) string {
	switch {
	case w.State == brokenState, w.State == watcher.Ended && mayGoOn(w.Outcome):
		return clean(w.Reason)
	case w.State != watcher.Ended && w.LastError != nil && w.GivesUpAt.After(s.now):
		return "gives up in " + words.Brief(w.GivesUpAt.Sub(s.now)) + ": " + snapshotError(w)
	case w.State != watcher.Ended && w.LastError != nil:
		return snapshotError(w)
	case w.State != watcher.Ended && w.Counts.Missing > 0:
		return words.Count(w.Counts.Missing, "item") + " no longer listed"
	}
	return ""
}

// middle returns a name of at most n columns, with an ellipsis in its middle where something is
// missing: the ends tell names apart.
func middle(name string, n int) string {
	if width(name) <= n {
		return name
	}
	tail := (n - 1) / 2
	runes := []rune(name)
	for tail > 0 && width(string(runes[len(runes)-min(tail, len(runes)):])) > (n-1)/2 {
		tail--
	}
	return cells.Truncate(name, n-1-(n-1)/2, "") + "…" + string(runes[len(runes)-tail:])
}
