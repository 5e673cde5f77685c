package modelarts

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxMessage = 300 // bytes of a message
	maxCode    = 128 // bytes of an error's code or a request id
	maxScanned = 4 << 10
)

// clean makes the cloud's text fit to be shown: one line of valid UTF-8 without control or
// invisible characters, without the secrets and parts of them, at most limit bytes.
func clean(s string, limit int, secrets []string) string {
	return newRedactor(secrets).clean(s, limit)
}

// clean does the same.
func (r *redactor) clean(s string, limit int) string {
	s = strings.ToValidUTF8(cut(s, maxScanned), "\uFFFD")
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), unicode.IsSpace(r):
			return ' '
		case unicode.Is(unicode.Cf, r): // direction marks, zero widths
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	s = r.hide(s)
	if len(s) > limit {
		s = cut(s, limit-len("…")) + "…"
	}
	return s
}

// cut returns at most limit bytes of s, and no part of a character.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
