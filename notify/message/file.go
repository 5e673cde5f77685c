package message

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// Bounds of a file.
const (
	maxFile     = 8 << 20 // bytes; further rows are left out
	roomyFile   = 4 << 20 // bytes that all messages together may have before they are cut
	maxFileText = 8000    // units of one message
	minFileText = 120     // the same, where there are many rows
)

// A File is what a thread has no room for: a CSV of the items that did not succeed.
type File struct {
	Name    string // the same for each file of the watch, and another for another watch: it is found by it
	Title   string
	Text    string // stands beside it, escaped
	Instead string // a reply for a Slack that does not take it, escaped
	Content []byte // the CSV, in UTF-8
}

// fileOf returns the file with every item that failed, as far as the completion names them, and then
// those that have not ended. Long messages keep their heads and tails where there are many. missing
// are the failed items that are not in it.
func fileOf(c watcher.Completion) (f *File, missing int) {
	failed := failedItems(c)
	rows := failed
	for _, it := range c.Items {
		if !it.CountsAs().Ended() {
			rows = append(rows, it)
		}
	}
	content, written := csvOf(rows)
	total := 0
	for _, cause := range c.Failures {
		total += max(cause.Count, 0)
	}
	missing = max(total, len(failed)) - min(written, len(failed))
	name := cmp.Or(line(c.OrderName, maxName), unknown)
	f = &File{
		Name:    "orderwatch-" + foreign.Token(c.WatchID) + ".csv",
		Title:   fit("Failed items of "+name, maxText),
		Text:    escape(fmt.Sprintf("Failed items of %s, all as CSV: %s.", name, words.Count(min(written, len(failed)), "item"))),
		Instead: escape(fmt.Sprintf("The file with the failed items of %s is not here, since Slack did not take it: %s", name, inEvent(c))),
		Content: content,
	}
	if missing > 0 {
		f.Text = escape(fmt.Sprintf("Failed items of %s as CSV: %s. %s not named in the completion event, or did not fit.", name, words.Count(written, "item"), words.Count(missing, "more")))
	}
	return f, missing
}

// failedItems returns the items that failed, and, for those whose items the completion leaves out,
// what its failures tell of them.
func failedItems(c watcher.Completion) (failed []watcher.Item) {
	type key struct{ name, action string }
	listed := make(map[key]int)
	for _, it := range c.Items {
		if it.Status == watcher.Failed {
			failed = append(failed, it)
			listed[key{it.ResourceName, it.Action}]++
		}
	}
	for _, f := range c.Failures {
		for _, name := range f.ResourceNames {
			if k := (key{name, f.Action}); listed[k] > 0 {
				listed[k]--
				continue
			}
			failed = append(failed, watcher.Item{ResourceName: name, Action: f.Action, Status: watcher.Failed, Message: f.Message})
		}
	}
	return failed
}

// csvOf returns the rows as CSV below a row with the columns' names, and how many have room.
func csvOf(rows []watcher.Item) (content []byte, written int) {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	limit := min(max(roomyFile/max(len(rows), 1), minFileText), maxFileText)
	shorten := remembered(func(text string) string { return longText(text, limit) })
	_ = w.Write([]string{"resource_name", "action", "status", "began_at", "updated_at", "message"}) // a buffer takes everything
	for _, it := range rows {
		said := itemMarks(it) // beside the item's status: the columns are those that others read
		if message := shorten(it.Message); message != "" {
			said = append(said, message)
		}
		_ = w.Write([]string{
			cell(line(it.ResourceName, maxResource)), cell(line(it.Action, maxWord)), cell(line(string(it.Status), maxWord)),
			cellTime(it.BeganAt), cellTime(it.UpdatedAt), cell(strings.Join(said, "; ")),
		})
		if w.Flush(); out.Len() > maxFile {
			return out.Bytes(), written + 1
		}
		written++
	}
	w.Flush()
	return out.Bytes(), written
}

// longText returns foreign text cleaned, and as an excerpt where it is longer than the limit in units.
func longText(s string, limit int) string {
	if len(s) <= utf8.UTFMax*limit { // a longer one is longer whatever it is made of
		if s = strings.TrimSpace(foreign.Text(s)); units(s) <= limit {
			return s
		}
	}
	return excerpt(s, limit)
}

// cell returns text that no spreadsheet takes for a formula.
func cell(s string) string {
	if first, _ := utf8.DecodeRuneInString(s); strings.ContainsRune("=+-@\t\r\n＝＋－＠", first) {
		return "'" + s
	}
	return s
}

// cellTime returns a time in UTC, empty where it is not known.
func cellTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
