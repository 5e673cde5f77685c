package message

import (
	"cmp"
	"slices"
	"strings"
	"unicode"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// A cause is one group of failed items as people are told of it.
type cause struct {
	message string // verbatim; empty where none was given
	action  string
	count   int
	names   []string // some of the items, at most count
	similar bool     // message is one sample of several that differ in ids, numbers or times
}

// causes returns the failures, the largest first. Where there are many, those that differ only in
// ids, numbers and times are put together.
func causes(failures []watcher.Failure) []cause {
	all := make([]cause, 0, len(failures))
	for _, f := range failures {
		names := f.ResourceNames[:min(len(f.ResourceNames), max(f.Count, 0))]
		all = append(all, cause{message: f.Message, action: f.Action, count: max(f.Count, 0), names: names})
	}
	if len(all) > maxGroups {
		all = together(all)
	}
	slices.SortStableFunc(all, func(a, b cause) int { return cmp.Compare(b.count, a.count) })
	return all
}

// together merges the causes of equal action whose messages have the same shape.
func together(all []cause) []cause {
	type shape struct{ message, action string }
	var merged []cause
	index := make(map[shape]int)
	for _, c := range all {
		key := shape{shapeOf(c), c.action}
		if i, ok := index[key]; ok {
			m := &merged[i]
			m.similar = m.similar || m.message != c.message
			m.count += c.count
			m.names = append(slices.Clip(m.names), c.names...)
			continue
		}
		index[key] = len(merged)
		merged = append(merged, c)
	}
	return merged
}

// shapeOf returns the words of the message without what varies: the names of its own items, and
// every word with a digit in it, so ids, numbers, times and addresses.
func shapeOf(c cause) string {
	s := c.message
	if len(s) > shapeLength {
		s = s[:shapeLength]
	}
	for _, name := range c.names[:min(len(c.names), inlineNames)] {
		if name != "" {
			s = strings.ReplaceAll(s, name, "#1")
		}
	}
	words := strings.FieldsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !strings.ContainsRune("#._:/+-", r)
	})
	for i, w := range words {
		if strings.ContainsFunc(w, unicode.IsNumber) {
			words[i] = "#"
		}
	}
	return strings.Join(words, " ")
}

const noMessage = "no failure message given"

// head returns "40 ×" and " createNode · a, b, c +37", with so many names.
func (c cause) head(names int) (bold, plain string) {
	plain = cmp.Or(line(c.action, maxWord), "unknown action")
	if shown := c.names[:names]; len(shown) > 0 {
		plain += " · " + nameList(shown)
		if c.count > len(shown) {
			plain += " +" + words.Number(c.count-len(shown))
		}
	}
	return words.Number(c.count) + " ×", " " + plain
}

// headBefore is head where the message follows.
func (c cause) headBefore(names int) (bold, plain string) {
	bold, plain = c.head(names)
	if c.similar {
		plain += " · similar messages, one of them:"
	}
	return bold, plain
}

// causeLines returns the largest causes, one on a line.
func causeLines(causes []cause) (lines []string) {
	for i, c := range causes {
		if i == titleCauses {
			return append(lines, "and "+words.Count(len(causes)-i, "more cause"))
		}
		bold, plain := c.headBefore(c.inline())
		lines = append(lines, bold+plain+" · "+cmp.Or(line(c.message, maxShort), noMessage))
	}
	return lines
}

// nameList returns the names, each whole, with commas between them.
func nameList(names []string) string {
	shown := make([]string, len(names))
	for i, name := range names {
		shown[i] = resource(name)
	}
	return strings.Join(shown, ", ")
}

// resource returns a resource's name on one line, never empty.
func resource(name string) string { return cmp.Or(line(name, maxResource), "(no name)") }

// inline returns how many of the names the message itself shows.
func (c cause) inline() int {
	names := c.names[:min(inlineNames, len(c.names))]
	return fitting(names, maxInline)
}

// fitting returns how many of the names a list of so many units has room for.
func fitting(names []string, left int) int {
	const comma = 2
	for i, name := range names {
		if left -= units(resource(name)) + comma; left < 0 {
			return i
		}
	}
	return len(names)
}
