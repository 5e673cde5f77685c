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
	fragment   = 12 // so many bytes of a secret are a secret
)

// clean makes the cloud's text fit to be shown: one line of valid UTF-8 without control or
// invisible characters, without the secrets and parts of them, at most limit bytes.
func clean(s string, limit int, secrets []string) string {
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
	for _, secret := range secrets {
		s = redact(s, secret)
	}
	if len(s) > limit {
		s = cut(s, limit-len("…")) + "…"
	}
	return s
}

// minSecret is the length from which a secret is looked for: shorter ones stand in ordinary words.
const minSecret = 8

// redact replaces the secret, and each part of it of 12 bytes or more.
func redact(s, secret string) string {
	if len(s) < minSecret || len(secret) < minSecret {
		return s
	}
	s = strings.ReplaceAll(s, secret, redacted)
	n := min(len(secret), fragment)
	var b strings.Builder
	for i := 0; i < len(s); {
		end := i + n
		if end > len(s) || !strings.Contains(secret, s[i:end]) {
			b.WriteByte(s[i])
			i++
			continue
		}
		for end < len(s) && strings.Contains(secret, s[i:end+1]) {
			end++
		}
		b.WriteString(redacted)
		i = end
	}
	return b.String()
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
