package show

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// A Table is what a list of watches is drawn on.
type Table struct {
	Now   time.Time // its zone is the one that times are shown in
	Width int       // in columns; 0: nothing is cut
	Paint output.Paint
}

// A column is what a list shows of each watch.
type column struct {
	title string
	text  func(watcher.Snapshot) string
	width int
}

const (
	leastNote  = 24 // columns that a note takes at the least; where there are fewer, it stands below
	leastOrder = 20 // columns that an order's name takes at the least, also where that is too many
)

// Watches returns the table: a line for each watch, and perhaps a note below it where there is no
// room beside it.
func (s Table) Watches(watches []watcher.Snapshot) string {
	if len(watches) == 0 {
		return "No watch is known that fits. orderwatch watch PROJECT/ORDER begins one.\n"
	}
	columns := s.columns(watches)
	widest := 0
	for _, w := range watches {
		widest = max(widest, output.Width(s.note(w)))
	}
	beside := widest
	if s.Width > 0 {
		beside = min(widest, s.Width-taken(columns)-gap)
	}
	below := beside < min(widest, leastNote)
	var b strings.Builder
	if project := s.shared(watches); project != "" {
		b.WriteString(s.Paint.Faint("project "+output.Clean(project)) + "\n")
	}
	titles := line(columns, func(c column) string { return output.Pad(c.title, c.width) })
	if !below && widest > 0 {
		titles += strings.Repeat(" ", gap) + "NOTE"
	}
	b.WriteString(s.Paint.Faint(strings.TrimRight(titles, " ")) + "\n")
	for _, w := range watches {
		text := line(columns, func(c column) string { return s.cell(c, w) })
		switch note := s.note(w); {
		case note == "":
			text = strings.TrimRight(text, " ")
		case below:
			text = strings.TrimRight(text, " ") + "\n" + s.Paint.Yellow("  "+output.Shorten(note, s.Width-2))
		default:
			text += strings.Repeat(" ", gap) + s.Paint.Yellow(output.Shorten(note, beside))
		}
		b.WriteString(text + "\n")
	}
	return b.String()
}

// columns returns the columns as wide as they must be. Where there is no room for all, the id of
// the project is cut, then some columns are left out, and then the order's name is cut.
func (s Table) columns(watches []watcher.Snapshot) []column {
	all := []column{
		{title: "ORDER", text: fullName},
		{title: "STATE", text: State},
		{title: "ITEMS", text: itemsEnded},
		{title: "FAILED", text: itemsFailed},
		{title: "AGE", text: func(w watcher.Snapshot) string { return briefly(s.Now.Sub(w.AcceptedAt)) }},
		{title: "ENDS", text: s.ends},
		{title: "NEXT", text: s.next},
	}
	if slices.ContainsFunc(watches, func(w watcher.Snapshot) bool { return teams(w) != "" }) {
		all = slices.Insert(all, 1, column{title: "TEAM", text: teams})
	}
	if slices.ContainsFunc(watches, func(w watcher.Snapshot) bool { return s.ready(w) != "" }) {
		all = slices.Insert(all, len(all)-1, column{title: "READY", text: s.ready})
	}
	if s.shared(watches) != "" {
		all[0].text = func(w watcher.Snapshot) string { return output.Clean(w.OrderName) }
	}
	for i := range all {
		all[i].fit(watches)
	}
	room := func() bool { return s.Width == 0 || taken(all) <= s.Width }
	if !room() && s.shared(watches) == "" {
		all[0].text = shortName
		all[0].fit(watches)
	}
	for _, title := range []string{"AGE", "NEXT", "READY", "TEAM"} {
		if !room() {
			all = slices.DeleteFunc(all, func(c column) bool { return c.title == title })
		}
	}
	if !room() {
		all[0].width = max(all[0].width-taken(all)+s.Width, leastOrder)
	}
	return all
}

// fit makes the column as wide as its widest text.
func (c *column) fit(watches []watcher.Snapshot) {
	c.width = output.Width(c.title)
	for _, w := range watches {
		c.width = max(c.width, output.Width(c.text(w)))
	}
}

// taken returns how many columns of the terminal the table's take.
func taken(columns []column) int {
	return output.Width(line(columns, func(c column) string { return strings.Repeat(" ", c.width) }))
}

// line returns a line of the table.
func line(columns []column, text func(column) string) string {
	var texts []string
	for _, c := range columns {
		texts = append(texts, text(c))
	}
	return strings.Join(texts, strings.Repeat(" ", gap))
}

// cell returns what the column shows of the watch, filled up with blanks.
func (s Table) cell(c column, w watcher.Snapshot) string {
	text := output.Middle(c.text(w), c.width)
	blanks := strings.Repeat(" ", max(c.width-output.Width(text), 0))
	switch {
	case c.title == "STATE" && w.State == watcher.Ended:
		text = Outcome(s.Paint, w.Outcome, text)
	case c.title == "STATE" && w.Condition != "":
		text = s.Paint.Yellow(text)
	case c.title == "STATE" && w.State == Broken, c.title == "FAILED", c.title == "NEXT" && s.Now.Sub(w.NextPollAt) > overdueAfter:
		text = s.Paint.Red(text)
	}
	return text + blanks
}

// shared returns the project of all watches, where it is one and stands above them: where nothing is
// cut, each order is PROJECT/ORDER, fit to be handed to other commands.
func (s Table) shared(watches []watcher.Snapshot) string {
	if s.Width == 0 {
		return ""
	}
	for _, w := range watches {
		if w.ProjectID != watches[0].ProjectID {
			return ""
		}
	}
	return watches[0].ProjectID
}

func fullName(w watcher.Snapshot) string { return output.Clean(w.ProjectID + "/" + w.OrderName) }

// teams returns whose requests the watch has, by what the server vouches for: "gpu", or "gpu, net"; empty where no
// request names a team.
func teams(w watcher.Snapshot) string {
	var names []string
	for _, r := range w.Requests {
		if name := output.Clean(r.Team); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return output.Shorten(strings.Join(names, ", "), 16)
}

// shortName returns the order with the beginning of its project.
func shortName(w watcher.Snapshot) string {
	return output.Shorten(output.Clean(w.ProjectID), 9) + "/" + output.Clean(w.OrderName)
}

// State returns the outcome of a watch that has ended; of one that goes on how it is: its condition, or else its state.
func State(w watcher.Snapshot) string {
	switch {
	case w.State == watcher.Ended:
		return output.Clean(string(w.Outcome))
	case w.Wish != nil:
		return "cancelling"
	case w.Condition != "":
		return Condition(w)
	}
	return output.Clean(string(w.State))
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

// ends says when the watch ends at the latest, or how long ago it ended.
func (s Table) ends(w watcher.Snapshot) string {
	switch w.State {
	case watcher.Ended:
		return briefly(s.Now.Sub(w.CompletedAt)) + " ago"
	case Broken:
		return ""
	}
	return "in " + words.Brief(max(w.Deadline.Sub(s.Now), 0))
}

// ready says when the order is likely to be ready.
func (s Table) ready(w watcher.Snapshot) string { return readyText(w.ETA, s.Now) }

// next says when the next poll is.
func (s Table) next(w watcher.Snapshot) string {
	left := w.NextPollAt.Sub(s.Now)
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

// briefly returns a duration as [output.Duration] writes it, but its largest unit alone, which keeps the
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

// note says what is wrong: why the last poll did not work, why the watch ended without its order, or why items failed.
func (s Table) note(w watcher.Snapshot) string { return output.Times(s.noteOf(w), s.Now) }

func (s Table) noteOf(w watcher.Snapshot) string {
	switch {
	case w.State == Broken, w.State == watcher.Ended && mayGoOn(w.Outcome):
		return output.Clean(w.Reason)
	case w.State == watcher.Ended:
		texts := notDone(w.Report).texts()
		if w.Cause != "" {
			texts = append(texts, output.Clean(w.Cause))
		}
		return strings.Join(texts, "; ")
	case w.LastError != nil && w.GivesUpAt.After(s.Now):
		return "gives up in " + words.Brief(w.GivesUpAt.Sub(s.Now)) + ": " + snapshotError(w)
	case w.LastError != nil:
		return snapshotError(w)
	case w.Counts.Missing > 0:
		return words.Count(w.Counts.Missing, w.Deed().Noun) + " no longer listed"
	}
	return output.Clean(w.Cause)
}

// Broken is the state that is shown of a watch whose record cannot be read.
const Broken = watcher.State("broken")
