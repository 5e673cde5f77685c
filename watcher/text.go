package watcher

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// cut returns at most n bytes of s, whole characters, with an ellipsis where something is missing.
func cut(s string, n int) string {
	const ellipsis = "…"
	if len(s) <= n {
		return s
	}
	n -= len(ellipsis)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + ellipsis
}

// valid returns s with U+FFFD where it is no UTF-8.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// plural returns "1 item", "2 items".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// span returns a duration as people write it: 2h, 1h30m, 45s.
func span(d time.Duration) string {
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
