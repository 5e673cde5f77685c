package screens

import "io"

// A MessageView says why there is no screen, and what to do.
type MessageView struct {
	Common
	Lines []string // untrusted
}

var message = screen("message.html")

// Message writes it.
func Message(w io.Writer, v MessageView) error { return write(w, message, v) }
