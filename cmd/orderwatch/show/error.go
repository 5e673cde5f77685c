package show

import (
	"fmt"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/output"
	"github.com/orderwatch/orderwatch/watcher"
)

// lastError says why the last poll did not work, and what that means.
func (p Page) lastError(w watcher.Snapshot) []string {
	e := w.LastError
	if e == nil {
		return nil
	}
	means := "The poll is tried again."
	switch {
	case e.AccountHeld():
		means = "ModelArts is not asked before that; the deadline still counts."
	case w.State == watcher.Ended:
		means = ""
	case w.ErrorsInARow > 1:
		means = fmt.Sprintf("%d polls in a row ended so; it is tried again.", w.ErrorsInARow)
	}
	return []string{snapshotError(w), means}
}

// snapshotError returns the watch's last error as words. An order of which items were seen is not one that
// ModelArts does not know yet.
func snapshotError(w watcher.Snapshot) string {
	e := *w.LastError
	if shows(w) == "knows" && w.Counts.Total > 0 {
		return "ModelArts no longer knows the order (" + output.Clean(e.Code) + "): " + output.Clean(e.Message)
	}
	return Error(e)
}

// givesUp says when the watch ends if ModelArts goes on not showing the order.
func (p Page) givesUp(w watcher.Snapshot) string {
	switch {
	case w.GivesUpAt.IsZero():
		return ""
	case !w.GivesUpAt.After(p.Now):
		return "at its next poll, unless ModelArts " + shows(w) + " the order then"
	}
	return p.clock(w.GivesUpAt) + ", " + p.in(w.GivesUpAt) + ", unless ModelArts " + shows(w) + " the order by then"
}

// shows returns what ModelArts does not do about an order that it does not show.
func shows(w watcher.Snapshot) string {
	if e := w.LastError; e != nil && e.UnknownOrder() {
		return "knows"
	}
	return "shows"
}

// Error returns the error as words.
func Error(e watcher.ErrorDetail) string {
	text, code := e.Words()
	code, message := output.Clean(code), output.Clean(e.Message)
	switch {
	case code == "":
	case text == "" && e.UnknownOrder():
		text = "ModelArts does not know the order, perhaps not yet (" + code + ")"
	case text == "":
		text = code
	default:
		text += " (" + code + ")"
	}
	if message == "" {
		return text
	}
	return text + ": " + message
}
