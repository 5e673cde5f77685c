// Package foreign makes text fit to be shown that others wrote: the cloud, a requester, a server.
//
// It promises one rule of what people can see ([Visible]), one way to clean a text ([Text], [Line]), and one
// way to hide a secret that is known ([Secrets]). Secrets that nobody knows, but that look like some, are the
// matter of package redact; which fields of a message are looked through is decided in secrets.go of package
// message. Read foreign.go, then secrets.go.
package foreign

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Visible reports whether people can see the character, or it is one of the two joiners that some scripts
// need. Controls are not visible, newlines and tabs among them; nor are formats, such as zero widths, tags
// and those that turn the direction of what follows, nor the separators of lines and paragraphs.
func Visible(r rune) bool {
	if ' ' <= r && r <= '~' { // most characters: the tables take longer
		return true
	}
	const nonJoiner, joiner = '\u200c', '\u200d'
	return r == nonJoiner || r == joiner || !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// escapes matches the terminal escape sequences that colour text and move the cursor. Of others only the
// first character is replaced: they may hold text, of which nothing is to be lost.
var escapes = regexp.MustCompile(`\x1b\[[0-?]*[ -/]*[@-~]`)

// Text returns the text with U+FFFD in place of everything that people cannot see, of terminal escape
// sequences, and of what is no UTF-8. Newlines and tabs stay; what else ends a line becomes a newline.
func Text(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if strings.ContainsRune(s, '\x1b') {
		s = escapes.ReplaceAllString(s, "\uFFFD")
	}
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || Visible(r):
			return r
		case r == '\r' || r == '\u2028' || r == '\u2029':
			return '\n'
		}
		return '\uFFFD'
	}, s)
}

// Line is [Text] on one line: a blank stands for each newline and each tab.
func Line(s string) string { return lineEnds.Replace(Text(s)) }

var lineEnds = strings.NewReplacer("\n", " ", "\t", " ")

// Cut returns at most the first n bytes of the text, whole characters.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:max(n, 0)]
}

// Token returns the text as one token of a subject, of a key or of a file's name: A-Z a-z 0-9 - and _, with _ in
// place of every other character. It is never empty.
func Token(s string) string {
	if s == "" {
		return "_"
	}
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, s)
}

// Short is [Line] with single blanks, cut to at most n characters, with an ellipsis where something is missing.
func Short(s string, n int) string {
	begin := Cut(s, max(utf8.UTFMax*n, maxBlanks))
	text := strings.Join(strings.Fields(Line(begin)), " ")
	if len(begin) == len(s) && utf8.RuneCountInString(text) <= n {
		return text
	}
	runes := []rune(text)
	return strings.TrimRight(string(runes[:min(len(runes), n-1)]), " ") + "…"
}

// maxBlanks is how much of a text is looked at, in bytes, though it were all blanks.
const maxBlanks = 4 << 10
