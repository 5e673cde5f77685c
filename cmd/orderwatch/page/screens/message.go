package screens

import (
	"html/template"
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

// Gone returns what a stream ends with whose screen is not there any more: why, in place of when the screen was so, and the
// event at which browsers close the stream for good.
func Gone(title string) []Fragment {
	said := `<span><strong class="bad">` + template.HTMLEscapeString(title) + `</strong>, reload to look again</span>`
	return []Fragment{{"as-of", []byte(said)}, {"gone", []byte("-")}}
}
