package show

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// maxItems is how many items are shown one by one; of more, those that failed or go on come first.
const maxItems = 25

// items returns a line that counts the items, and a table of them with a bar of time for each.
func (p Page) items(w watcher.Snapshot) string {
	var b strings.Builder
	if lines := output.Paragraph(countItems(w), p.Width, p.most(3)); len(lines) > 0 {
		b.WriteString("\n" + p.Paint.Bold(strings.Join(lines, "\n")) + "\n")
	}
	shown := w.Items
	if len(shown) > maxItems && !p.All {
		shown = urgent(shown)[:maxItems]
	}
	if len(shown) > 0 {
		b.WriteString(p.table(w, shown))
	}
	for _, line := range output.Paragraph(hidden(w, shown), p.Width, p.most(3)) {
		b.WriteString(p.Paint.Faint(line) + "\n")
	}
	return b.String()
}

// countItems sums the items up; empty where there is nothing to say.
func countItems(w watcher.Snapshot) string {
	expected := ""
	if w.ExpectedItems > w.Counts.Total {
		expected = "the requests expect " + words.Count(w.ExpectedItems, "item")
	}
	c := w.Counts
	switch {
	case c.Total == 0:
		return expected
	case expected != "":
		expected = "; " + expected
	}
	text := countStatuses(c)
	if missing := c.Total - c.Failed - c.Processing - c.Succeeded; missing > 0 {
		text = strings.TrimPrefix(fmt.Sprintf("%s, %d not created yet", text, missing), ", ")
	}
	return words.Count(c.Total, "item") + ": " + text + missingNote(c) + expected
}

// missingNote returns ", 1 no longer listed"; empty where ModelArts lists all.
func missingNote(c watcher.Counts) string {
	if c.Missing == 0 {
		return ""
	}
	return fmt.Sprintf(", %d no longer listed", c.Missing)
}

// countStatuses returns "1 failed, 2 processing, 3 succeeded"; empty where there is none.
func countStatuses(c watcher.Counts) string {
	var parts []string
	for _, part := range []struct {
		n    int
		what string
	}{{c.Failed, "failed"}, {c.Processing, "processing"}, {c.Succeeded, "succeeded"}} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	return strings.Join(parts, ", ")
}

// urgent returns the items, those first at which people should look: failed; not ended and no longer
// listed; of an unknown status; going on; succeeded.
func urgent(items []watcher.Item) []watcher.Item {
	rank := func(it watcher.Item) int {
		switch status := it.CountsAs(); {
		case status == watcher.Failed:
			return 0
		case status == watcher.Succeed:
			return 4
		case it.Missing():
			return 1
		case !status.Known():
			return 2
		}
		return 3
	}
	items = slices.Clone(items)
	slices.SortStableFunc(items, func(a, b watcher.Item) int { return cmp.Compare(rank(a), rank(b)) })
	return items
}

// hidden counts the items that are not shown.
func hidden(w watcher.Snapshot, shown []watcher.Item) string {
	left := w.Counts
	for _, it := range shown {
		switch it.CountsAs() {
		case watcher.Succeed:
			left.Succeeded--
		case watcher.Failed:
			left.Failed--
		default:
			left.Processing--
		}
	}
	text, cut := countStatuses(left), len(w.Items) > len(shown)
	switch {
	case text == "":
		return ""
	case cut && w.ItemsOmitted > 0:
		return fmt.Sprintf("and %s (--all shows them, but %d whose names are not kept)", text, w.ItemsOmitted)
	case cut:
		return "and " + text + " (--all shows them)"
	}
	return "and " + text + " (their names are not kept: there are too many)"
}

// failures returns why items failed: those together that share a message.
func (p Page) failures(w watcher.Snapshot) string {
	if len(w.Failures) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\n" + p.Paint.Bold("Why items failed") + "\n")
	for i, f := range w.Failures {
		if i == maxCauses && !p.All {
			b.WriteString(p.Paint.Faint(fmt.Sprintf("and %s more (--all shows them)", words.Count(len(w.Failures)-i, "message"))) + "\n")
			break
		}
		b.WriteString(p.failure(f))
	}
	return b.String()
}

// maxCauses is how many messages of failed items are shown.
const maxCauses = 8

func (p Page) failure(f watcher.Failure) string {
	head := fmt.Sprintf("%d × ", f.Count)
	text := cmp.Or(output.Clean(f.Message), "ModelArts gave no message")
	if f.Action != "" {
		text = output.Clean(f.Action) + ": " + text
	}
	indent := "\n" + strings.Repeat(" ", output.Width(head))
	lines := output.Paragraph(text, p.Width-output.Width(head), p.most(6))
	names := output.Paragraph(cleanList(f.ResourceNames), p.Width-output.Width(head), p.most(2))
	all := p.Paint.Red(head) + strings.Join(lines, indent)
	if len(names) > 0 {
		all += indent + strings.Join(names, indent)
	}
	return all + "\n"
}

// cleanList returns the names as one text.
func cleanList(names []string) string {
	cleaned := make([]string, len(names))
	for i, name := range names {
		cleaned[i] = output.Clean(name)
	}
	return strings.Join(cleaned, ", ")
}
