package show

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// Story returns what happened to a watch, a line or more for each thing, oldest first.
func (p Page) Story(s wire.Story) string {
	order := s.Watch.Order()
	var b strings.Builder
	b.WriteString(p.Paint.Bold(output.Clean(order.String())) + "\n" + p.state(s.Watch) + "\n" +
		p.Property(Condition(s.Watch), p.Paint.Yellow, p.condition(s.Watch)) + "\n")
	if left := leftOut(s, p.clock(s.UnreadBefore)); left != "" {
		b.WriteString(p.Paint.Faint(strings.Join(output.Paragraph(left, p.Width, p.most(2)), "\n")) + "\n")
	}
	width := 0
	for _, l := range s.Lines {
		width = max(width, output.Width(p.clock(l.At)))
	}
	for _, l := range s.Lines {
		text := output.Times(output.Clean(l.Text), p.Now)
		if !l.Until.IsZero() {
			text += ", until " + p.clock(l.Until)
		}
		if l.Link != "" {
			text += " · " + output.Clean(l.Link)
		}
		at := output.Pad(p.clock(l.At), width) + "  "
		for _, part := range output.Paragraph(text, p.Width-width-2, p.most(4)) {
			b.WriteString(p.Paint.Faint(at) + p.storyColour(l.Kind)(part) + "\n")
			at = strings.Repeat(" ", width+2)
		}
	}
	return b.String()
}

// leftOut says what a story leaves out; empty for nothing.
func leftOut(s wire.Story, before string) string {
	var texts []string
	if s.Omitted > 0 {
		texts = append(texts, words.Count(s.Omitted, "line")+" of changes left out, the oldest")
	}
	if !s.UnreadBefore.IsZero() {
		texts = append(texts, "events before "+before+" were too many to be read")
	}
	return strings.Join(texts, "; ")
}

// storyColour returns the colour of a line of the kind.
func (p Page) storyColour(kind string) func(string) string {
	switch kind {
	case "error", "held", "untold", "cancelled":
		return p.Paint.Yellow
	case "late", "stalled", "blind", "deadline", "vanished", "unknown_status", "record":
		return p.Paint.Yellow
	}
	return func(text string) string { return text }
}

// troubles says what went wrong so far, also where it is over.
func (p Page) troubles(w watcher.Snapshot) (lines []string) {
	t := w.Troubles
	if t == nil {
		return nil
	}
	if t.First != nil && t.Latest != nil {
		text := words.Count(t.FailedPolls, "poll") + " failed, at " + p.Ago(t.First.At) + " (" + output.Clean(t.First.Code) + ")"
		if t.FailedPolls > 1 {
			text = words.Count(t.FailedPolls, "poll") + " failed: the first at " + p.clock(t.First.At) + " (" + output.Clean(t.First.Code) + "), the latest at " + p.Ago(t.Latest.At) + " (" + output.Clean(t.Latest.Code) + ")"
		}
		lines = append(lines, text)
	}
	for _, kind := range slices.Sorted(maps.Keys(t.HeldFor)) {
		lines = append(lines, fmt.Sprintf("%s for %s in all", watcher.HoldKind(kind).Words(), words.Brief(time.Duration(t.HeldFor[kind]))))
	}
	return lines
}
