package show

import (
	"fmt"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// Widths of the table's columns.
const (
	gap          = 2  // between two columns
	minNameWidth = 8  // of an item's name, where there is little room
	maxNameWidth = 44 // of an item's name, where there is much
	maxWordWidth = 12 // of an action or a status
	minBar       = 20
	maxBar       = 72
	tookWidth    = 6
)

// An itemTable shows items with a bar of time for each, on an axis that they share.
type itemTable struct {
	Page
	axis                     axis
	names, actions, statuses int // widths
}

// table returns the items as a table.
func (p Page) table(w watcher.Snapshot, rows []itemRow) string {
	if len(rows) == 0 {
		return ""
	}
	t := p.tableFor(w, rows)
	var b strings.Builder
	b.WriteString(p.Paint.Faint(t.row("ITEM", "ACTION", output.Pad("STATUS", t.statuses), p.ruler(t.axis), "TIME")) + "\n")
	for _, it := range rows {
		colour := p.colourOf(it.CountsAs())
		status := output.Pad(output.Shorten(output.Clean(string(it.Status)), t.statuses), t.statuses)
		bar, took := t.axis.bar(it.Item)
		b.WriteString(t.row(output.Clean(it.ResourceName), output.Clean(it.Action), colour(status), colour(bar), took) + "\n")
		for _, line := range output.Paragraph(p.marks(it.Item), p.Width-2*gap, p.most(2)) {
			b.WriteString(strings.Repeat(" ", 2*gap) + p.Paint.Yellow(line) + "\n")
		}
		message := it.Message
		if it.Status == watcher.Failed {
			message = "" // those that share a message are shown together
		}
		for _, line := range output.Paragraph(output.Times(output.Clean(message), p.Now), p.Width-2*gap, p.most(2)) {
			b.WriteString(strings.Repeat(" ", 2*gap) + line + "\n")
		}
		if it.more > 0 {
			b.WriteString(p.Paint.Faint(fmt.Sprintf("and %d more like these, %s", it.more, output.Clean(string(it.Status)))) + "\n")
		}
	}
	return b.String()
}

// marks says what is to be known of an item beside its status; empty where that is nothing.
func (p Page) marks(it watcher.Item) string {
	var marks []string
	if it.Missing() {
		marks = append(marks, "no longer listed since "+p.clock(it.MissingSince)+", shown as seen last")
	}
	if it.TakenFor == watcher.TakenForDeleted {
		marks = append(marks, "taken for deleted")
	}
	if it.Replaces != "" {
		marks = append(marks, "in place of "+output.Clean(it.Replaces))
	}
	return strings.Join(marks, ", ")
}

// tableFor returns a table that has room for the items.
func (p Page) tableFor(w watcher.Snapshot, items []itemRow) itemTable {
	t := itemTable{Page: p, names: output.Width("ITEM"), actions: output.Width("ACTION"), statuses: output.Width("STATUS")}
	for _, it := range items {
		t.names = max(t.names, output.Width(output.Clean(it.ResourceName)))
		t.actions = max(t.actions, output.Width(output.Clean(it.Action)))
		t.statuses = max(t.statuses, output.Width(output.Clean(string(it.Status))))
	}
	t.actions, t.statuses = min(t.actions, maxWordWidth), min(t.statuses, maxWordWidth)
	room := p.Width - t.actions - t.statuses - tookWidth - 4*gap
	t.names = max(min(t.names, maxNameWidth, room-minBar), minNameWidth)
	t.axis = axisOf(w, p.Now)
	t.axis.columns = min(max(room-t.names, minBar), maxBar)
	return t
}

// row returns a line of the table. Status and bar are as wide as they are to be.
func (t itemTable) row(name, action, status, bar, took string) string {
	columns := []string{output.Pad(output.Middle(name, t.names), t.names), output.Pad(output.Shorten(action, t.actions), t.actions), status, bar, took}
	return strings.TrimRight(strings.Join(columns, strings.Repeat(" ", gap)), " ")
}

func (p Page) colourOf(s watcher.Status) func(string) string {
	switch s {
	case watcher.Succeed:
		return p.Paint.Green
	case watcher.Failed:
		return p.Paint.Red
	}
	return p.Paint.Yellow
}

// An axis is the time that the bars share.
type axis struct {
	from, to        time.Time // equal where no item says when it began
	live            bool      // to is now
	columns         int
	accepted, until time.Time // when the watch was accepted, and when it ended, or now: see [watcher.Item.Times]
}

// axisOf returns the time from when the first of the items began to now, or to when the last
// ended.
func axisOf(w watcher.Snapshot, now time.Time) axis {
	a := axis{live: w.State != watcher.Ended, accepted: w.AcceptedAt, until: w.CompletedAt}
	if a.live {
		a.to, a.until = now, now
	}
	for _, it := range w.Items {
		began, end := a.times(it)
		if began.IsZero() {
			continue
		}
		if a.from.IsZero() || began.Before(a.from) {
			a.from = began
		}
		if end.After(a.to) && !a.live {
			a.to = end
		}
	}
	if a.from.IsZero() || a.to.Before(a.from) {
		a.to = a.from
	}
	return a
}

// times returns when the item's bar begins, zero where that is not known, and when it ends: of an item that
// has not ended when the watch did, or now, or when the item was listed no longer.
func (a axis) times(it watcher.Item) (began, end time.Time) {
	began, updated := it.Times(a.accepted, a.until)
	switch {
	case it.Status.Ended():
		return began, updated
	case it.Missing():
		return began, it.MissingSince
	}
	return began, a.until
}

// bar returns the item's bar, filled up with blanks, and how long the item took so far.
func (a axis) bar(it watcher.Item) (bar, took string) {
	began, end := a.times(it)
	mark := ">"
	switch status := it.CountsAs(); {
	case status == watcher.Failed:
		mark = "x"
	case status == watcher.Succeed:
		mark = ""
	case it.Missing():
		mark = "?"
	}
	if began.IsZero() || end.Before(began) {
		return strings.Repeat(" ", a.columns), ""
	}
	first, last := a.column(began), a.column(end)
	line := strings.Repeat("━", last-first+1-len(mark)) + mark
	return output.Pad(strings.Repeat(" ", first)+line, a.columns), words.Brief(end.Sub(began))
}

// column returns where on the axis a time is, from 0.
func (a axis) column(t time.Time) int {
	span := a.to.Sub(a.from)
	if span <= 0 {
		return 0
	}
	share := float64(t.Sub(a.from)) / float64(span)
	return int(min(max(share, 0), 1) * float64(a.columns-1))
}

// ruler returns the axis with the times of its ends.
func (p Page) ruler(a axis) string {
	if a.to.Equal(a.from) && !a.live || a.from.IsZero() {
		return strings.Repeat(" ", a.columns)
	}
	from, to := a.from.In(p.Now.Location()), a.to.In(p.Now.Location())
	if text := a.line(p.clock(a.from), p.clock(a.to)); text != "" {
		return text
	}
	if text := a.line(from.Format(time.TimeOnly), to.Format(time.TimeOnly+" MST")); text != "" { // the last names the zone of both
		return text
	}
	if text := a.line(from.Format("15:04"), to.Format("15:04 MST")); text != "" {
		return text
	}
	return output.Pad(output.Shorten(p.clock(a.from), a.columns), a.columns)
}

// line returns the axis with these times at its ends; empty where there is no room.
func (a axis) line(from, to string) string {
	if a.live {
		to = "now"
	}
	line := a.columns - output.Width(from) - output.Width(to) - 2
	if line < 0 {
		return ""
	}
	return from + " " + strings.Repeat("─", line) + " " + to
}
