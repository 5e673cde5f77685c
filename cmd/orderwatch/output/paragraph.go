package output

import (
	"strings"
	"unicode/utf8"
)

// Paragraph breaks a text into lines of at most columns, between words where it can, and into at most
// most lines, the last with an ellipsis where something is missing. The empty text has no line.
func Paragraph(text string, columns, most int) (lines []string) {
	columns = max(columns, 10)
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && (len(word) > len(line)+longest*columns || Width(line)+1+Width(word) > columns) {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimLeft(line+" "+word, " ")
		for len(lines) <= most && (len(line) > longest*columns || Width(line) > columns) {
			first := beginning(line, columns)
			lines, line = append(lines, first), line[len(first):]
		}
		if len(lines) > most {
			break
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	if len(lines) > most {
		lines = lines[:most]
		lines[most-1] = cells.Truncate(lines[most-1], columns-2, "") + " …"
	}
	return lines
}

// longest is how many bytes a column takes at the most: what piles up more on it is broken.
const longest = 16

// beginning returns the part of a text that takes at most so many columns.
func beginning(text string, columns int) string {
	n := min(len(text), longest*columns)
	for n < len(text) && n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return cells.Truncate(text[:n], columns, "")
}
