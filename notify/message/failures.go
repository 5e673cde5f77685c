package message

import (
	"cmp"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// A cause is one group of failed items as people are told of it.
type cause struct {
	message string // verbatim; empty where none was given
	action  string
	count   int
	names   []string // some of the items, at most count
	// pattern is where the message is one sample of several that differ in ids, numbers or times: its words, with an
	// ellipsis in place of those that differ. Nil where all messages are the same.
	pattern []string
	follows bool // it says no more than that another cause had its effect
}

// causes returns the failures, the largest first. Those that differ only in ids, numbers and times are put
// together; those that follow from others come last.
func causes(failures []watcher.Failure) []cause {
	all := make([]cause, 0, len(failures))
	for _, f := range failures {
		names := f.ResourceNames[:min(len(f.ResourceNames), max(f.Count, 0))]
		all = append(all, cause{message: f.Message, action: f.Action, count: max(f.Count, 0), names: names})
	}
	all = alike(together(all, func(i int) string { return shapeOf(all[i]) }))
	markConsequences(all)
	slices.SortStableFunc(all, func(a, b cause) int {
		if a.follows != b.follows {
			return map[bool]int{true: 1, false: -1}[a.follows]
		}
		return cmp.Compare(b.count, a.count)
	})
	return all
}

// together merges the causes of equal action whose messages have the same shape, given by the cause's index. A cause
// without a shape is like no other.
func together(all []cause, shapeOf func(i int) string) []cause {
	type shape struct{ message, action string }
	var merged []cause
	index := make(map[shape]int)
	for i, c := range all {
		key := shape{shapeOf(i), c.action}
		if at, ok := index[key]; ok && (key.message != "" || c.message == merged[at].message) {
			merged[at].take(c)
			continue
		}
		index[key] = len(merged)
		merged = append(merged, c)
	}
	return merged
}

// take adds the items of a cause that is like this one.
func (c *cause) take(other cause) {
	c.count += other.count
	c.names = append(slices.Clip(c.names), other.names...)
	if c.message == other.message && c.pattern == nil {
		return
	}
	if c.pattern == nil {
		c.pattern = strings.Fields(parted(essence(c.message)))
	}
	said := strings.Fields(parted(essence(other.message)))
	for i := range c.pattern {
		if len(said) != len(c.pattern) || said[i] != c.pattern[i] {
			c.pattern[i] = differs(c.pattern[i], len(said) == len(c.pattern))
		}
	}
}

// differs returns what stands in place of a word that is not the same in all messages; where they cannot be compared
// word by word, in place of one that has a digit.
func differs(word string, compared bool) string {
	if !compared && !strings.ContainsFunc(word, unicode.IsNumber) {
		return word
	}
	end := strings.TrimRightFunc(word, func(r rune) bool { return strings.ContainsRune(",;:.)]", r) })
	return "…" + strings.TrimPrefix(word[len(end):], "…")
}

// text returns the cause in a few words: the end of a stack trace, and nothing of one item that is not true of
// the others; empty where no message was given.
func (c cause) text() string {
	if c.pattern != nil {
		return strings.Join(c.pattern, " ")
	}
	return essence(c.message)
}

var (
	causedBy    = regexp.MustCompile(`(?m)^[ \t]*Caused by:?\s+(\S.*)$`)
	frame       = regexp.MustCompile(`\n[ \t]+at \S`)
	consequence = regexp.MustCompile(`(?i)^((the |a )?(resource |node )?(pool|cluster|nodes?|order|resources?)( "?[\w.-]*\d[\w.-]*"?)? )?((was|were|is|are|has been|have been|could|can) )?` +
		`(not (be )?created|rolled back|(creation|create) (has )?failed)( because (of )?(the )?(pool|cluster|nodes?|order)( creation)? (failed|failure|(was|were) not created))?\.?$`)
)

// essence returns the part of a message that says why: of a stack trace its last cause, and no frames; of an error of
// Huawei Cloud in JSON its text.
func essence(message string) string {
	if len(message) > 2*looked {
		message = message[:looked] + message[len(message)-looked:]
	}
	if text := strings.TrimSpace(message); strings.HasPrefix(text, "{") {
		var e struct {
			Message string `json:"error_msg"`
		}
		if json.Unmarshal([]byte(text), &e) == nil && strings.TrimSpace(e.Message) != "" {
			return e.Message
		}
	}
	if strings.Contains(message, "Caused by") { // few: the expression takes longer
		if all := causedBy.FindAllStringSubmatch(message, -1); len(all) > 0 {
			return strings.TrimSpace(all[len(all)-1][1])
		}
	}
	if strings.Contains(message, "Traceback (most recent call last)") {
		trace := strings.TrimSpace(message)
		return trace[strings.LastIndex(trace, "\n")+1:]
	}
	if at := frame.FindStringIndex(message); at != nil && strings.TrimSpace(message[:at[0]]) != "" {
		return strings.TrimSpace(message[:at[0]])
	}
	return message
}

// markConsequences marks the causes that say no more than that something was not created, where others say why.
func markConsequences(all []cause) {
	follows := func(c cause) bool { return consequence.MatchString(strings.TrimSpace(c.message)) }
	if !slices.ContainsFunc(all, func(c cause) bool { return c.message != "" && !follows(c) }) {
		return
	}
	for i := range all {
		all[i].follows = follows(all[i])
	}
}

// shapeOf returns the words of the message without what varies: the names of its own items, and every word that
// is an id, a number, a time or an address.
func shapeOf(c cause) string { return strings.Join(shapeWords(c), " ") }

func shapeWords(c cause) []string {
	s := essence(c.message)
	if len(s) > shapeLength {
		s = s[:shapeLength]
	}
	for _, name := range c.names[:min(len(c.names), inlineNames)] {
		if len(name) > 3 { // a shorter one stands in ordinary words
			s = strings.ReplaceAll(s, name, "#1")
		}
	}
	words := strings.FieldsFunc(parted(s), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !strings.ContainsRune("#._:/+-", r)
	})
	for i, w := range words {
		if isID(w) {
			words[i] = "#"
		}
	}
	return words
}

// parted returns the text with blanks between what is written in Latin letters and digits, such as an id, and in a
// script that has no blanks between words.
func parted(s string) string {
	latin := func(r rune) bool { return r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r)) }
	unspaced := func(r rune) bool {
		return r >= utf8.RuneSelf && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai)
	}
	if strings.IndexFunc(s, unspaced) < 0 {
		return s
	}
	var b strings.Builder
	var before rune
	for _, r := range s {
		if latin(before) && unspaced(r) || unspaced(before) && latin(r) {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
		before = r
	}
	return b.String()
}

// isID reports whether the word is an id, a number, a time or an address: it has a digit, or is of many different
// letters that are all hexadecimal, or no vowels.
func isID(word string) bool {
	if strings.ContainsFunc(word, unicode.IsNumber) {
		return true
	}
	word = strings.TrimRight(word, ".:")
	if len(word) < 6 || strings.ContainsAny(word, "iou") || !lettersOfID.MatchString(word) { // the expression takes longer
		return false
	}
	letters := []rune(word)
	slices.Sort(letters)
	return len(slices.Compact(letters)) >= 4
}

var lettersOfID = regexp.MustCompile(`^([a-f]{8,}|[A-F]{8,}|[a-f]{4,}(-[a-f]{4,})+|[bcdfghjklmnpqrstvwxz]{6,})$`)

// alike merges the causes whose messages differ in one word alone, where that word looks like an id of letters:
// there are several, all of one length, or the same stands around an id.
func alike(all []cause) []cause {
	const several, letters = 5, 4
	type group struct {
		number, length int  // length is -1 where there are several
		ids            bool // the word is an id in others
	}
	groups := make(map[string]group)
	shapes := make([][]string, len(all)) // of each cause, with one word after the other left out
	for i, c := range all {
		said := shapeWords(c)
		if len(said) < 3 || len(said) > maxAlike {
			continue
		}
		for at, w := range said {
			shape := c.action + ": " + strings.Join(said[:at], " ") + " … " + strings.Join(said[at+1:], " ")
			g := groups[shape]
			switch length := utf8.RuneCountInString(w); {
			case w == "#":
				g.ids = true
			case g.length == 0:
				g.length = length
			case g.length != length:
				g.length = -1
			}
			g.number++
			groups[shape] = g
			shapes[i] = append(shapes[i], shape)
		}
	}
	return together(all, func(i int) string {
		for _, shape := range shapes[i] {
			if g := groups[shape]; (g.number >= several || g.ids) && g.length >= letters {
				return shape
			}
		}
		return ""
	})
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
	if c.pattern != nil {
		plain += " · similar messages, one of them:"
	}
	if c.follows {
		plain += " · in consequence:"
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
func nameList(names []string) string { return strings.Join(resources(names), ", ") }

// resources returns the names, each on one line and never empty.
func resources(names []string) []string {
	shown := make([]string, len(names))
	for i, name := range names {
		shown[i] = resource(name)
	}
	return shown
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
