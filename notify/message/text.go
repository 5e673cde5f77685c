package message

import (
	"cmp"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/orderwatch/orderwatch/watcher/foreign"
	"github.com/orderwatch/orderwatch/watcher/words"
)

// line returns foreign text cleaned, as one line of at most limit units.
func line(s string, limit int) string {
	short := foreign.Cut(s, looked)
	text := strings.Join(strings.Fields(foreign.Text(short)), " ")
	if len(short) < len(s) {
		text += "…"
	}
	return fit(text, limit)
}

// looked is how much of either end of a long text is looked at where most of it is left out, in bytes.
// No more is shown than maxResource units, or headLength characters.
const looked = 4096

// lastBytes returns the end of a text, whole characters.
func lastBytes(s string) string {
	from := max(0, len(s)-looked)
	for from > 0 && from < len(s) && !utf8.RuneStart(s[from]) {
		from++
	}
	return s[from:]
}

// word is line for text that stands in mrkdwn, where a backtick would eat the words that follow.
func word(s string, limit int) string {
	return strings.ReplaceAll(line(s, limit), "`", "'")
}

const unknown = "(unknown)"

// known is word, or says that the text is not known where it is empty.
func known(s string, limit int) string { return cmp.Or(word(s, limit), unknown) }

// few returns the first of the values, one on a line, and where there are more what is said of the others. total
// is how many there are, of which all has the first ones.
func few[T any](all []T, total, most int, line func(T) string, more func(n int) string) string {
	var lines []string
	for _, one := range all[:min(most, len(all))] {
		lines = append(lines, line(one))
	}
	if n := total - len(lines); n > 0 {
		lines = append(lines, more(n))
	}
	return strings.Join(lines, "\n")
}

// andMore says that there are so many more, which stand nowhere here.
func andMore(n int) string { return "and " + words.Number(n) + " more" }

// units returns the length of s in UTF-16 units once it is escaped.
func units(s string) int {
	n := 0
	for _, r := range s {
		n += unitsOf(r)
	}
	return n
}

func unitsOf(r rune) int {
	switch {
	case r == '&':
		return len("&amp;")
	case r == '<' || r == '>':
		return len("&lt;")
	case r > 0xFFFF:
		return 2
	}
	return 1
}

// fit returns s cut to at most limit units, whole characters, with an ellipsis where something is missing.
func fit(s string, limit int) string {
	if units(s) <= limit {
		return s
	}
	n := 1 // the ellipsis
	for i, r := range s {
		if n += unitsOf(r); n > limit {
			return strings.TrimRight(s[:i], " ") + "…"
		}
	}
	return s
}

// bothEnds returns foreign text on one line of at most limit units: where it is long its beginning, and a
// third for the words at its end.
func bothEnds(s string, limit int) string {
	text := line(s, looked)
	if units(text) <= limit {
		return text
	}
	end := fitEnd(strings.Join(strings.Fields(foreign.Text(lastBytes(s))), " "), limit/3)
	if _, words, ok := strings.Cut(end, " "); ok {
		end = words
	}
	return fit(text, limit-units(end)-1) + " " + end
}

// shortName returns a resource's name on one line of at most maxPerson units, never empty. It keeps the
// end, which tells one from the other.
func shortName(s string) string { return middled(s, maxPerson) }

// fitEnd returns the end of s, at most limit units.
func fitEnd(s string, limit int) string {
	n := 0
	for i := len(s); i > 0; {
		r, size := utf8.DecodeLastRuneInString(s[:i])
		if n += unitsOf(r); n > limit {
			return s[i:]
		}
		i -= size
	}
	return s
}

// excerpt returns foreign text cleaned, its head and its tail where it is long, at most limit units.
func excerpt(s string, limit int) string {
	first, last, between := s, s, 0
	if len(s) > 2*looked {
		first, last = foreign.Cut(s, looked), lastBytes(s)
		between = utf8.RuneCountInString(s[len(first) : len(s)-len(last)])
	}
	runes := []rune(strings.TrimSpace(foreign.Text(first)))
	end, all := runes, len(runes)
	if between > 0 {
		end = []rune(strings.TrimSpace(foreign.Text(last)))
		all += between + len(end)
	}
	if s := string(runes); all <= headLength+tailLength && units(s) <= limit {
		return s
	}
	const gapUnits = 50
	room := limit - gapUnits
	tail := fitEnd(string(end[max(len(end)-tailLength, 0):]), room*tailLength/(headLength+tailLength))
	head := fit(string(runes[:min(headLength, len(runes))]), room-units(tail))
	head = strings.TrimSuffix(head, "…")
	left := all - utf8.RuneCountInString(head) - utf8.RuneCountInString(tail)
	if left <= 0 {
		return fit(string(runes), limit)
	}
	return fmt.Sprintf("%s\n… %s left out …\n%s", head, words.Count(left, "character"), tail)
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// escape makes text safe for text and mrkdwn. Cut first: an entity must stay whole.
func escape(s string) string { return escaper.Replace(s) }

// moment returns a time in UTC, for text in which Slack shows no dates.
func moment(t time.Time) string { return inUTC(t, "2006-01-02 15:04:05 UTC") }

func clockTime(t time.Time) string { return inUTC(t, "15:04 UTC") }

func inUTC(t time.Time, layout string) string {
	if !dated(t) {
		return "an unknown time"
	}
	return t.UTC().Format(layout)
}

// dated reports whether the time is one that Slack can show.
func dated(t time.Time) bool { return t.Year() >= 1970 && t.Year() <= 9999 }
