package main

import (
	"testing"
	"time"
)

func TestClean(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"flavor sold out":           "flavor sold out",
		"\x1b[2J\x9b31m\a":          "\uFFFD[2J\uFFFD31m\uFFFD",
		"\x00a\x7f":                 "\uFFFDa\uFFFD",
		"two\nlines\tand a tab":     "two lines and a tab",
		"a\u202egnirts\u2066":       "a\uFFFDgnirts\uFFFD",
		"soft\u00adhyphen\ufeff":    "soft\uFFFDhyphen\uFFFD",
		"库存不足 क्\u200dष":            "库存不足 क्\u200dष",
		"no UTF-8 \xff":             "no UTF-8 \uFFFD",
		"\u2028line\u2029paragraph": "\uFFFDline\uFFFDparagraph",
	} {
		if got := clean(text); got != want {
			t.Errorf("clean(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestShowDuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", 400 * time.Millisecond: "0s", 59500 * time.Millisecond: "1m00s", 12*time.Minute + 5*time.Second: "12m05s",
		2*time.Hour + 5*time.Minute: "2h05m", 47*time.Hour + 59*time.Minute + 59*time.Second: "47h59m",
		48 * time.Hour: "2d00h", 76 * time.Hour: "3d04h", -90 * time.Second: "-1m30s",
	} {
		if got := showDuration(d); got != want {
			t.Errorf("showDuration(%s) = %s, want %s", d, got, want)
		}
	}
}

func TestWidths(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text        string
		n           int
		right, left string
	}{
		{"order.pool-1", 12, "order.pool-1", "order.pool-1"},
		{"order.pool-1", 7, "order.…", "…pool-1"},
		{"库存不足", 5, "库存…", "…不足"},
		{"", 3, "", ""},
	} {
		if got := shorten(tt.text, tt.n); got != tt.right || width(got) > tt.n {
			t.Errorf("shorten(%q, %d) = %q, want %q", tt.text, tt.n, got, tt.right)
		}
		if got := shortenLeft(tt.text, tt.n); got != tt.left || width(got) > tt.n {
			t.Errorf("shortenLeft(%q, %d) = %q, want %q", tt.text, tt.n, got, tt.left)
		}
		if got := pad(shorten(tt.text, tt.n), tt.n); width(got) != tt.n {
			t.Errorf("pad(%q, %d) = %q", tt.text, tt.n, got)
		}
	}
}
