package output

import (
	"io"
	"os"
)

// A Paint colours texts, or leaves them as they are where it is false.
type Paint bool

// PaintFor returns how to colour what is written to w: on terminals alone, and nowhere where NO_COLOR
// is set (https://no-color.org).
func PaintFor(w io.Writer) Paint {
	return Paint(IsTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb")
}

func (p Paint) in(code, text string) string {
	if !p || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// These return the text in bold, faint, or in a colour.

func (p Paint) Bold(text string) string   { return p.in("1", text) }
func (p Paint) Faint(text string) string  { return p.in("2", text) }
func (p Paint) Red(text string) string    { return p.in("31", text) }
func (p Paint) Green(text string) string  { return p.in("32", text) }
func (p Paint) Yellow(text string) string { return p.in("33", text) }
