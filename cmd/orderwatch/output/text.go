package output

import (
	"github.com/mattn/go-runewidth"

	"github.com/orderwatch/orderwatch/watcher/foreign"
)

// Clean returns a text from outside as one line that is fit for a terminal.
func Clean(text string) string { return foreign.Line(text) }

// cells measures text as terminals show it in any locale: ambiguous characters, such as the
// ellipsis, take one column.
var cells = &runewidth.Condition{StrictEmojiNeutral: true}

// Width returns how many columns of a terminal the text takes.
func Width(text string) int {
	if isPlain(text) {
		return len(text)
	}
	return cells.StringWidth(text)
}

// isPlain reports whether each byte of the text is a character of one column. Most texts are plain, and measured
// far sooner so.
func isPlain(text string) bool {
	for i := range len(text) {
		if text[i] < 0x20 || text[i] > 0x7e {
			return false
		}
	}
	return true
}

// Shorten returns a text of at most n columns, with an ellipsis where something is missing.
func Shorten(text string, n int) string { return cells.Truncate(text, n, "…") }

// ShortenLeft returns the end of a text, of at most n columns, with an ellipsis where something is
// missing.
func ShortenLeft(text string, n int) string {
	if more := Width(text) - n; more > 0 {
		return cells.TruncateLeft(text, more+Width("…"), "…")
	}
	return text
}

// Pad returns the text filled up with blanks to n columns.
func Pad(text string, n int) string { return cells.FillRight(text, n) }

// Middle returns a name of at most n columns, with an ellipsis in its middle where something is
// missing: the ends tell names apart.
func Middle(name string, n int) string {
	if Width(name) <= n {
		return name
	}
	tail := (n - 1) / 2
	runes := []rune(name)
	for tail > 0 && Width(string(runes[len(runes)-min(tail, len(runes)):])) > (n-1)/2 {
		tail--
	}
	return cells.Truncate(name, n-1-(n-1)/2, "") + "…" + string(runes[len(runes)-tail:])
}
