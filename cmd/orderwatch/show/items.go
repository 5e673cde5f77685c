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
	switch {
	case p.folded:
		var rows []itemRow
		rows, shown = foldAlike(slices.SortedStableFunc(slices.Values(shown), watcher.Item.ByUrgency))
		b.WriteString(p.table(w, rows))
	default:
		if len(shown) > p.most(maxItems) {
			shown = slices.SortedStableFunc(slices.Values(shown), watcher.Item.ByUrgency)[:maxItems]
		}
		rows := make([]itemRow, len(shown))
		for i, it := range shown {
			rows[i].Item = it
		}
		b.WriteString(p.table(w, rows))
	}
	for _, line := range output.Paragraph(hidden(w, shown), p.Width, p.most(3)) {
		b.WriteString(p.Paint.Faint(line) + "\n")
	}
	return b.String()
}

// countItems sums the items up; empty where there is nothing to say.
func countItems(w watcher.Snapshot) string {
	var texts []string
	d := w.Deed()
	if c := w.Counts; c.Total > 0 {
		statuses := countStatuses(c, d)
		if missing := c.Total - c.Failed - c.Processing - c.Succeeded; missing > 0 {
			statuses = append(statuses, fmt.Sprintf("%d %s", missing, d.Unseen()))
		}
		texts = append(texts, words.Count(c.Total, d.Noun)+": "+strings.Join(statuses, ", ")+missingNote(c))
	}
	if text := parts(w.Report); text != "" {
		texts = append(texts, text)
	}
	if w.ExpectedItems > w.Counts.Total {
		texts = append(texts, "the requests expect "+words.Count(w.ExpectedItems, d.Noun))
	}
	return strings.Join(texts, "; ")
}

// missingNote returns ", 1 no longer listed"; empty where ModelArts lists all.
func missingNote(c watcher.Counts) string {
	if c.Missing == 0 {
		return ""
	}
	return fmt.Sprintf(", %d no longer listed", c.Missing)
}

// countStatuses returns "1 failed", "2 processing", "3 succeeded", of which there are any.
func countStatuses(c watcher.Counts, d words.Deed) (texts []string) {
	succeeded, failed := d.Ended()
	for i, n := range [...]int{c.Failed, c.Processing, c.Succeeded} {
		if n > 0 {
			texts = append(texts, fmt.Sprintf("%d %s", n, [...]string{failed, "processing", succeeded}[i]))
		}
	}
	return texts
}

// An itemRow is an item that is shown, and how many like it are not.
type itemRow struct {
	watcher.Item
	more int
}

// likeShown is how many items that are alike are shown, one by one, where they are folded.
const likeShown = 2

// foldAlike returns the rows of a table in which items that are alike are folded, and the items that it stands for: at most
// maxItems rows, and those that succeeded only where there are no others.
func foldAlike(items []watcher.Item) (rows []itemRow, shown []watcher.Item) {
	for len(items) > 0 && len(rows) < maxItems {
		n := 1
		for n < len(items) && alike(items[0], items[n]) {
			n++
		}
		if len(rows) > 0 && items[0].CountsAs() == watcher.Succeed {
			break
		}
		listed := n
		if n > likeShown+1 {
			listed = likeShown
		}
		for _, it := range items[:listed] {
			rows = append(rows, itemRow{Item: it})
		}
		rows[len(rows)-1].more = n - listed
		shown, items = append(shown, items[:n]...), items[n:]
	}
	return rows, shown
}

// alike reports whether two items differ in no more than their names and times.
func alike(a, b watcher.Item) bool {
	plain := func(it watcher.Item) bool { return !it.Missing() && it.TakenFor == "" && it.Replaces == "" }
	return a.Action == b.Action && a.Status == b.Status && a.Message == b.Message && plain(a) && plain(b)
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
	text, cut := strings.Join(countStatuses(left, w.Deed()), ", "), len(w.Items) > len(shown)
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
	text := "\n" + p.Paint.Bold("Why items failed") + "\n"
	most := p.most(maxCauses)
	if p.folded {
		most = maxCausesFolded
	}
	for _, f := range w.Failures[:min(most, len(w.Failures))] {
		text += p.failure(f)
	}
	if more := len(w.Failures) - most; more > 0 {
		text += p.Paint.Faint(fmt.Sprintf("and %s more (--all shows them)", words.Count(more, "message"))) + "\n"
	}
	return text
}

// maxCauses is how many messages of failed items are shown, and maxCausesFolded how many where the page is folded.
const (
	maxCauses       = 8
	maxCausesFolded = 3
)

func (p Page) failure(f watcher.Failure) string {
	head := fmt.Sprintf("%d × ", f.Count)
	text := cmp.Or(output.Times(output.Clean(f.Message), p.Now), "ModelArts gave no message")
	if f.Action != "" {
		text = output.Clean(f.Action) + ": " + text
	}
	nameLines := p.most(2)
	if p.folded {
		nameLines = 1
	}
	indent := "\n" + strings.Repeat(" ", output.Width(head))
	lines := output.Paragraph(text, p.Width-output.Width(head), p.most(6))
	names := output.Paragraph(strings.Join(cleaned(f.ResourceNames), ", "), p.Width-output.Width(head), nameLines)
	text = p.Paint.Red(head) + strings.Join(lines, indent)
	for _, line := range names {
		text += indent + line
	}
	return text + "\n"
}
