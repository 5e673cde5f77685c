package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"
	"github.com/spf13/cobra"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
)

// An outputFormat is the value of the flag -o.
type outputFormat string

const (
	textOutput outputFormat = "text" // for people; it may change
	jsonOutput outputFormat = "json" // for programs: a JSON object in each line
)

func (f *outputFormat) String() string { return string(*f) }

// Set takes the flag's value.
func (f *outputFormat) Set(text string) error {
	switch *f = outputFormat(text); *f {
	case textOutput, jsonOutput:
		return nil
	}
	return fmt.Errorf("must be %s or %s", textOutput, jsonOutput)
}

// Type names the value in the help.
func (*outputFormat) Type() string { return "format" }

// outputFlag adds the flag -o to the command.
func outputFlag(c *cobra.Command) *outputFormat {
	format := textOutput
	c.Flags().VarP(&format, "output", "o", "text for people, or json for programs: one object in each line")
	completeFlag(c, "output", string(textOutput), string(jsonOutput))
	return &format
}

// completeFlag lets shells complete the flag with these values.
func completeFlag(c *cobra.Command, flag string, values ...string) {
	if err := c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // there is no such flag
	}
}

// printJSON writes the value as one line that is fit for a terminal.
func printJSON(w io.Writer, value any) error {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(value); err != nil {
		return err
	}
	_, err := w.Write(escapeJSON(b.Bytes()))
	return err
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

// A paint colours texts, or leaves them as they are where it is false.
type paint bool

// paintFor returns how to colour what is written to w: on terminals alone, and nowhere where NO_COLOR
// is set (https://no-color.org).
func paintFor(w io.Writer) paint {
	return paint(isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb")
}

func (p paint) in(code, text string) string {
	if !p || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p paint) bold(text string) string   { return p.in("1", text) }
func (p paint) faint(text string) string  { return p.in("2", text) }
func (p paint) red(text string) string    { return p.in("31", text) }
func (p paint) green(text string) string  { return p.in("32", text) }
func (p paint) yellow(text string) string { return p.in("33", text) }

// outcome colours a text by how a watch ended.
func (p paint) outcome(o watcher.Outcome, text string) string {
	switch o {
	case watcher.Succeeded:
		return p.green(text)
	case watcher.Cancelled:
		return p.yellow(text)
	}
	return p.red(text)
}

// clean returns a text from outside as one line that is fit for a terminal.
func clean(text string) string { return foreign.Line(text) }

// cells measures text as terminals show it in any locale: ambiguous characters, such as the
// ellipsis, take one column.
var cells = &runewidth.Condition{StrictEmojiNeutral: true}

// width returns how many columns of a terminal the text takes.
func width(text string) int { return cells.StringWidth(text) }

// shorten returns a text of at most n columns, with an ellipsis where something is missing.
func shorten(text string, n int) string { return cells.Truncate(text, n, "…") }

// shortenLeft returns the end of a text, of at most n columns, with an ellipsis where something is
// missing.
func shortenLeft(text string, n int) string {
	if more := width(text) - n; more > 0 {
		return runewidth.TruncateLeft(text, more+width("…"), "…")
	}
	return text
}

// pad returns the text filled up with blanks to n columns.
func pad(text string, n int) string { return cells.FillRight(text, n) }

// showTime returns a time as people read it, in the local zone; a dash for the zero time.
func showTime(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.Local().Format(time.DateTime)
}
