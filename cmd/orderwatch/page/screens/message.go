package screens

import (
	"io"
	"strings"
)

// A MessageView says why there is no screen, and what to do.
type MessageView struct {
	Common
	Lines []string // untrusted
}

// A said is a line, and the command that it ends with.
type said struct{ Text, Command string }

// Said returns the lines with their commands apart.
func (v MessageView) Said() (all []said) {
	for _, line := range v.Lines {
		text, command, ok := strings.Cut(line, ": orderwatch ")
		if ok {
			text, command = text+":", "orderwatch "+command
		}
		all = append(all, said{text, command})
	}
	return all
}

var message = screen("message.html")

// Message writes it.
func Message(w io.Writer, v MessageView) error { return write(w, message, v) }
