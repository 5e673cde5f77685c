package message

import (
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

// missingNote returns "; 1 of them no longer listed"; empty where all are listed.
func missingNote(n watcher.Counts) string {
	if n.Missing <= 0 {
		return ""
	}
	return "; " + words.Number(n.Missing) + " of them no longer listed"
}

// unknownWords is how many statuses that nobody documents are named where items are counted.
const unknownWords = 2

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
	if s := word(string(it.Status), maxWord); s != "" {
		return s
	}
	return "no status"
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

// moment returns a time in UTC, for text in which Slack shows no dates.
func moment(t time.Time) string {
	if t.Year() < 1970 || t.Year() > 9999 {
		return "an unknown time"
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// itemLine returns an item on one line: its name, what is done with it, its status, with how long it has
// lasted where that is known, and what is to be known beside it.
func itemLine(it watcher.Item, lasted string) string {
	status := line(string(it.Status), maxWord)
	switch {
	case it.Missing():
		status += " when seen last"
	case !it.Status.Known():
		status = statusWord(it) + " (not documented)"
	}
	parts := append([]string{shortName(it.ResourceName), line(it.Action, maxWord), status + lasted}, itemMarks(it)...)
	return strings.Join(parts, " · ")
}

// itemLines returns the first of these items, one a line; empty where there is none. more says where the
// others are found.
func itemLines(items []watcher.Item, more func(n int) string) string {
	var lines []string
	for _, it := range items[:min(openItems, len(items))] {
		text := itemLine(it, "")
		if m := line(it.Message, maxShort); m != "" && !it.CountsAs().Ended() {
			text += " · " + m
		}
		lines = append(lines, text)
	}
	if n := len(items) - len(lines); n > 0 {
		lines = append(lines, more(n))
	}
	return strings.Join(lines, "\n")
}

// inCompletion says that so many more are in the completion event.
func inCompletion(watchID string) func(n int) string {
	return func(n int) string {
		return fmt.Sprintf("and %s more: see the completion event of watch %s", words.Number(n), line(watchID, maxPerson))
	}
}

// addUnlisted shows the items that are no longer listed, or that have taken the place of others, but for
// those that the list of open items has.
func addUnlisted(p *page, c watcher.Completion) {
	var missing, instead []watcher.Item
	for _, it := range c.Items {
		switch open := c.Outcome == watcher.TimedOut && !it.CountsAs().Ended(); {
		case open:
		case it.Missing():
			missing = append(missing, it)
		case it.Replaces != "":
			instead = append(instead, it)
		}
	}
	if text := itemLines(missing, inCompletion(c.WatchID)); text != "" {
		p.add(richText(paragraph("No longer listed by ModelArts", ""), preformatted(text)))
	}
	if text := itemLines(instead, inCompletion(c.WatchID)); text != "" {
		p.add(richText(paragraph("Renamed or tried again", ""), preformatted(text)))
	}
}

// took returns how long the order's items took, from the first that began to the last that
// changed. Where the items do not say, it is how long the order was watched.
func took(c watcher.Completion) time.Duration {
	var first, last time.Time
	for _, it := range c.Items {
		began, changed := worked(c, it)
		if began.IsZero() || changed.IsZero() || c.ItemsOmitted > 0 {
			return c.CompletedAt.Sub(c.AcceptedAt)
		}
		if first.IsZero() || began.Before(first) {
			first = began
		}
		if changed.After(last) {
			last = changed
		}
	}
	if d := last.Sub(first); !first.IsZero() && d >= 0 {
		return d
	}
	return c.CompletedAt.Sub(c.AcceptedAt)
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
