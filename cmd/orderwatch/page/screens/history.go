package screens

import "io"

// A HistoryView is what the screen History shows.
type HistoryView struct {
	Common
}

var history = screen("history.html")

// History writes the screen.
func History(w io.Writer, v HistoryView) error { return write(w, history, v) }

// HistoryBody returns its fragments.
func HistoryBody(v HistoryView) ([]Fragment, error) { return fragments(history, v, "history") }
