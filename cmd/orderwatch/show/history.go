package show

import (
	"fmt"
	"strings"
	"time"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher/history"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// historyTitles are the columns of History.
var historyTitles = []string{"REGION", "ACTIONS", "FROM", "ENDS", "P10", "P50", "P90", "LATE AFTER", "KEY"}

// History returns a table of how long orders take: a line for each key. Nothing is cut: the key is to be handed to the
// command again.
func (p Page) History(h wire.HistoryAnswer) string {
	if len(h.Known) == 0 {
		return "Nothing is known yet of how long orders take: it is learned from orders that end while they are watched.\n"
	}
	rows := [][]string{historyTitles}
	for _, k := range h.Known {
		actions := strings.Join(k.Actions, ", ")
		if actions == "" && k.Phase == "" {
			actions = "all"
		}
		rows = append(rows, []string{
			output.Clean(k.Region), output.Clean(actions), from(k.Phase), fmt.Sprint(k.Ends),
			spanOf(k.P10, k.Ends), spanOf(k.P50, k.Ends), spanOf(k.P90, k.Ends), lateAfter(k.LateAfter), output.Clean(k.Key),
		})
	}
	widths := make([]int, len(historyTitles))
	for _, row := range rows {
		for i, text := range row {
			widths[i] = max(widths[i], output.Width(text))
		}
	}
	var b strings.Builder
	for n, row := range rows {
		for i := range row {
			row[i] = output.Pad(row[i], widths[i])
		}
		line := strings.TrimRight(strings.Join(row, "  "), " ")
		if n == 0 {
			line = p.Paint.Faint(line)
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// from says from when on the durations of a phase are.
func from(phase history.Phase) string {
	switch phase {
	case "":
		return "first item, whole order"
	case history.Asked:
		return "request, no item yet"
	case history.First:
		return "first item"
	case history.Later:
		return "first change"
	}
	return output.Clean(string(phase))
}

// spanOf returns a duration that is known from ten ends on.
func spanOf(d *history.Span, ends int) string {
	switch {
	case d != nil:
		return words.Brief(time.Duration(*d))
	case ends < history.EnoughForRange:
		return "few"
	}
	return ""
}

func lateAfter(d *history.Span) string {
	if d == nil {
		return ""
	}
	return words.Brief(time.Duration(*d))
}
