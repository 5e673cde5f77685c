package show

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// Status returns all that a status of the installation says, as lines.
func (p Page) Status(s wire.Status) string {
	text := ""
	if s.Workers != nil {
		text = p.Property("workers", nil, presentWorkers(*s.Workers))
	}
	text += p.Property("accounts", p.heldColour(s.Held), p.held(s.Held)...)
	text += p.Property("lists", p.Paint.Yellow, p.unlisted(s.Unlisted)...)
	text += p.rates(s.Rates)
	if s.Watches != nil {
		text += p.watches(*s.Watches)
	}
	if s.People != nil {
		text += p.Property("untold", nil, p.untold(*s.People)...) + p.Property("slack", p.Paint.Yellow, cleaned(s.People.Troubles)...)
	}
	return text + p.Property("not seen", p.Paint.Yellow, cleaned(s.NotLookedAt)...)
}

// colourIf returns the colour where it is wanted, or else none.
func colourIf(wanted bool, colour func(string) string) func(string) string {
	if wanted {
		return colour
	}
	return nil
}

func presentWorkers(w wire.WorkerCount) string {
	var versions []string
	told := 0
	for _, version := range slices.Sorted(maps.Keys(w.Versions)) {
		told += w.Versions[version]
		versions = append(versions, fmt.Sprintf("%d of version %s", w.Versions[version], output.Clean(version)))
	}
	if rest := w.Present - told; rest > 0 {
		versions = append(versions, fmt.Sprintf("%d of an earlier release", rest))
	}
	return fmt.Sprintf("%d: %s", w.Present, strings.Join(versions, ", "))
}

// heldColour is red where orders of an account are not seen.
func (p Page) heldColour(held []wire.HeldAccount) func(string) string {
	if slices.ContainsFunc(held, func(h wire.HeldAccount) bool { return h.Kind.Stops() }) {
		return p.Paint.Red
	}
	return colourIf(len(held) > 0, p.Paint.Yellow)
}

func (p Page) held(held []wire.HeldAccount) (lines []string) {
	if len(held) == 0 {
		return []string{"none is held"}
	}
	for _, h := range held {
		what := "region " + output.Clean(h.Region)
		if h.ProjectID != "" {
			what += ", project " + output.Clean(h.ProjectID)
		}
		lines = append(lines, fmt.Sprintf("%s, since %s: %s", what, p.Ago(h.Since), output.Clean(h.Why)))
	}
	return append(lines, "ModelArts is asked again by itself; deadlines still count.")
}

func (p Page) unlisted(all []wire.Unlisted) (lines []string) {
	for _, u := range all {
		lines = append(lines, fmt.Sprintf("region %s, project %s: the list of its orders is of no use, and is not tried again before %s: %s",
			output.Clean(u.Region), output.Clean(u.ProjectID), p.clock(u.Until), output.Clean(u.Why)))
	}
	if len(all) > 0 {
		lines = append(lines, "Orders there are polled as without it.")
	}
	return lines
}

// rates says how many polls are wanted and allowed.
func (p Page) rates(all []wire.Rate) string {
	var lines []string
	late := false
	for _, r := range all {
		line := fmt.Sprintf("region %s: %g polls a second are wanted, %g are allowed", output.Clean(r.Region), r.Wanted, r.Allowed)
		if !r.UsedUpSince.IsZero() {
			late = true
			line += fmt.Sprintf("; polls are late by %s, since %s", output.Clean(r.Late), p.Ago(r.UsedUpSince))
		}
		lines = append(lines, line)
	}
	return p.Property("rate", colourIf(late, p.Paint.Yellow), lines...)
}

// watches says how many watches there are, how many are late, and whether all their records can be read.
func (p Page) watches(w wire.WatchCount) string {
	open, late := fmt.Sprintf("%d watched, %d ending", w.Watching, w.Ending), "none"
	if !w.All {
		open += "; there was no time to read all records"
	}
	if w.Overdue+w.Stuck > 0 {
		late = fmt.Sprintf("%d not polled for more than their interval and a minute; %d ending for over a minute", w.Overdue, w.Stuck)
	}
	var records []string
	if w.Unreadable > 0 {
		records = append(records, words.Count(w.Unreadable, "record")+" cannot be read")
	}
	if w.Newer > 0 {
		records = append(records, words.Count(w.Newer, "record")+" of a later release, which that reads")
	}
	return p.Property("watches", nil, open) +
		p.Property("overdue", colourIf(w.Overdue+w.Stuck > 0, p.Paint.Yellow), late) +
		p.Property("records", colourIf(w.Unreadable > 0, p.Paint.Red), records...)
}

func (p Page) untold(u wire.Untold) (lines []string) {
	waiting := "nothing waits to be told"
	if u.Waiting > 0 {
		waiting = words.Count(u.Waiting, "event") + " that people are still to be told of"
	}
	if u.Waiting > 0 && !u.Since.IsZero() {
		waiting += ", the first since " + p.Ago(u.Since)
	}
	lines = append(lines, waiting)
	if u.Undelivered > 0 {
		lines = append(lines, words.Count(u.Undelivered, "message")+" that Slack finally refused: orderwatch events --kind undelivered")
	}
	return lines
}

// cleaned returns texts as they are fit for a terminal.
func cleaned(texts []string) (all []string) {
	for _, text := range texts {
		all = append(all, output.Clean(text))
	}
	return all
}
