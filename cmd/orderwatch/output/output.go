// Package output writes what a command has to say: texts in columns, colours, and JSON in lines, all fit
// for a terminal, also where others wrote what is shown.
//
// Read output.go first (what -o chooses, and how JSON is escaped), then text.go (how many columns a text takes, and how
// it is cut), paragraph.go (how it is broken into lines), terminal.go (how wide the output is), number.go (times and
// sizes) and paint.go (when there are colours). Which columns a list has is decided in table.go of package show.
package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// A Format is the value of the flag -o.
type Format string

// The formats.
const (
	AsText Format = "text" // for people; it may change
	AsJSON Format = "json" // for programs: a JSON object in each line
)

func (f *Format) String() string { return string(*f) }

// Set takes the flag's value.
func (f *Format) Set(text string) error {
	switch *f = Format(text); *f {
	case AsText, AsJSON:
		return nil
	}
	return fmt.Errorf("must be %s or %s", AsText, AsJSON)
}

// Type names the value in the help.
func (*Format) Type() string { return "format" }

// JSON writes the value as one line that is fit for a terminal.
func JSON(w io.Writer, value any) error {
	encoded, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = w.Write(JSONLine(encoded))
	return err
}

// JSONLine returns JSON that others wrote as one line that is fit for a terminal. What is no JSON becomes
// one line, too.
func JSONLine(encoded []byte) []byte {
	var b bytes.Buffer
	if json.Compact(&b, encoded) != nil {
		b.Reset()
		b.Write(bytes.ReplaceAll(encoded, []byte("\n"), []byte(" ")))
	}
	b.WriteByte('\n')
	return escapeJSON(b.Bytes())
}

// escapeJSON returns a line of JSON with the same values, in which what could move the cursor, hide or turn
// what others say is escaped. Such characters stand in strings alone; its end is no such character.
func escapeJSON(line []byte) []byte {
	if !bytes.ContainsFunc(line, func(r rune) bool { return r != '\n' && harmful(r) }) {
		return line
	}
	escaped := make([]byte, 0, len(line)+len(line)/8)
	for _, r := range string(line) { // what is no UTF-8 comes as U+FFFD
		switch high, low := utf16.EncodeRune(r); {
		case r == '\n' || !harmful(r):
			escaped = utf8.AppendRune(escaped, r)
		case high != unicode.ReplacementChar:
			escaped = fmt.Appendf(escaped, `\u%04x\u%04x`, high, low)
		default:
			escaped = fmt.Appendf(escaped, `\u%04x`, r)
		}
	}
	return escaped
}

// harmful reports whether a terminal may do something else with the character than show it. U+FFFD stands
// for bytes that are no text.
func harmful(r rune) bool {
	return r == unicode.ReplacementChar || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs)
}
