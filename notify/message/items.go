package message

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

// isGone reports whether ModelArts no longer knows the order, which it knew before.
func isGone(c watcher.Completion) bool { return c.Counts.Total > 0 }

// missingNote returns "; 1 of the 20 no longer listed", whether these have ended or not; empty where all are listed.
func missingNote(n watcher.Counts) string {
	if n.Missing <= 0 {
		return ""
	}
	if n.Total == 1 {
		return "; no longer listed"
	}
	return "; " + words.Number(n.Missing) + " of the " + words.Number(n.Total) + " no longer listed"
}

// unknownNote returns ` (1 “canceled”)`: which of the items that go on have a status that ModelArts does not
// document; empty where none has.
func unknownNote(items []watcher.Item) string {
	counts := make(map[string]int)
	for _, it := range items {
		if !it.CountsAs().Known() {
			counts[statusWord(it)]++
		}
	}
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(counts)) {
		if len(parts) == unknownWords {
			parts = append(parts, "others")
			break
		}
		parts = append(parts, fmt.Sprintf("%s “%s”", words.Number(counts[status]), status))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// statusWord returns the item's status as ModelArts gave it, never empty.
func statusWord(it watcher.Item) string {
	return cmp.Or(word(string(it.Status), maxWord), "no status")
}

// itemMarks returns what is to be known of an item beside its status: that it is no longer listed, and
// since when, what it is taken for, and in whose place it is.
func itemMarks(it watcher.Item) (marks []string) {
	if it.Missing() {
		marks = append(marks, "no longer listed since "+moment(it.MissingSince))
	}
	if it.TakenFor == watcher.TakenForDeleted {
		marks = append(marks, "taken for deleted")
	}
	if it.Replaces != "" {
		marks = append(marks, "in place of "+shortName(it.Replaces))
	}
	return marks
}

// itemLine returns an item on one line: its name, what is done with it, its status, with how long it has
// lasted where that is known, what is to be known beside it, and the message.
func itemLine(it watcher.Item, lasted, message string) string {
	status := line(string(it.Status), maxWord)
	switch {
	case it.Missing():
		status += " when seen last"
	case !it.Status.Known():
		status = statusWord(it) + " (not documented)"
	}
	parts := append([]string{shortName(it.ResourceName), line(it.Action, maxWord), status + lasted}, itemMarks(it)...)
	if m := line(message, maxShort); m != "" {
		parts = append(parts, m)
	}
	return strings.Join(parts, " · ")
}

// unlistedLine returns an item that is no longer listed, or stands in another's place, on one line.
func unlistedLine(it watcher.Item) string {
	if it.CountsAs().Ended() {
		return itemLine(it, "", "")
	}
	return itemLine(it, "", it.Message)
}

// addItems shows the items that had not ended when the watching stopped, those that are no longer listed, and
// those that have taken the place of others: each item once.
func addItems(p *page, c watcher.Completion) {
	var open, missing, instead []watcher.Item
	for _, it := range c.Items {
		switch {
		case c.Outcome == watcher.TimedOut && !it.CountsAs().Ended():
			open = append(open, it)
		case it.Missing():
			missing = append(missing, it)
		case it.Replaces != "":
			instead = append(instead, it)
		}
	}
	inEvent := func(n int) string {
		return fmt.Sprintf("and %s more: see the completion event of watch %s", words.Number(n), line(c.WatchID, maxPerson))
	}
	slices.SortStableFunc(open, func(a, b watcher.Item) int { return cmp.Compare(strangeness(b), strangeness(a)) })
	openLine := func(it watcher.Item) string { return openLine(c, it) }
	if len(open) > 0 {
		p.addText("Still open", "", few(open, c.Counts.Processing, openItems, openLine, inEvent))
	}
	p.addText("No longer listed by ModelArts", "", few(missing, len(missing), openItems, unlistedLine, inEvent))
	p.addText("Renamed or tried again", "", few(instead, len(instead), openItems, unlistedLine, inEvent))
}

// strangeness says how much an open item wants to be looked at.
func strangeness(it watcher.Item) int {
	switch {
	case it.Missing():
		return 2
	case !it.Status.Known():
		return 1
	}
	return 0
}

// openLine returns an open item on one line. How long it goes on is known only of one that is listed.
func openLine(c watcher.Completion, it watcher.Item) string {
	lasted, message := "", ""
	if began, _ := it.Times(c.AcceptedAt, c.CompletedAt); !it.Missing() && !began.IsZero() && c.CompletedAt.After(began) {
		lasted = " for " + words.Span(c.CompletedAt.Sub(began))
	}
	if !it.Status.Known() {
		message = it.Message
	}
	return itemLine(it, lasted, message)
}

// worked returns when work on the item began and ended, or the item changed last; each zero where it is
// not known. What is taken for deleted was so when it was no longer listed.
func worked(c watcher.Completion, it watcher.Item) (began, changed time.Time) {
	if it.TakenFor != "" {
		it.UpdatedAt = it.MissingSince
	}
	return it.Times(c.AcceptedAt, c.CompletedAt)
}

// slowest returns the item that took longest, and how long; an empty name where none says.
func slowest(c watcher.Completion) (name string, longest time.Duration) {
	for _, it := range c.Items {
		began, changed := worked(c, it)
		if began.IsZero() || changed.IsZero() {
			continue
		}
		if d := changed.Sub(began); d > longest {
			name, longest = it.ResourceName, d
		}
	}
	return name, longest
}
