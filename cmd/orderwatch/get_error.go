package main

import (
	"fmt"

	"github.com/orderwatch/orderwatch/watcher"
)

// lastError says why the last poll did not work, and what that means.
func (p page) lastError(w watcher.Snapshot) []string {
	e := w.LastError
	if e == nil {
		return nil
	}
	text, means := snapshotError(w), ""
	switch {
	case e.AccountHeld():
		means = "ModelArts is not asked before that; the deadline still counts."
	case w.State == watcher.Ended:
	case w.ErrorsInARow > 1:
		means = fmt.Sprintf("%d polls in a row ended so; it is tried again.", w.ErrorsInARow)
	default:
		means = "The poll is tried again."
	}
	if means == "" {
		return []string{text}
	}
	return []string{text, means}
}

// snapshotError returns the watch's last error as words. An order of which items were seen is not one that
// ModelArts does not know yet.
func snapshotError(w watcher.Snapshot) string {
	e := *w.LastError
	if shows(w) == "knows" && w.Counts.Total > 0 {
		return "ModelArts no longer knows the order (" + clean(e.Code) + "): " + clean(e.Message)
	}
	return errorText(e)
}

// givesUp says when the watch ends if ModelArts goes on not showing the order.
func (p page) givesUp(w watcher.Snapshot) []string {
	if w.GivesUpAt.IsZero() {
		return nil
	}
	if !w.GivesUpAt.After(p.now) {
		return []string{"at its next poll, unless ModelArts " + shows(w) + " the order then"}
	}
	return []string{p.clock(w.GivesUpAt, "") + ", " + p.in(w.GivesUpAt) + ", unless ModelArts " + shows(w) + " the order by then"}
}

// shows returns what ModelArts does not do about an order that it does not show.
func shows(w watcher.Snapshot) string {
	if e := w.LastError; e != nil && e.UnknownOrder() {
		return "knows"
	}
	return "shows"
}

// errorText returns the error as words.
func errorText(e watcher.ErrorDetail) string {
	text, code := e.Words()
	code, message := clean(code), clean(e.Message)
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
