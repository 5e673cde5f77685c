package foreign_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/orderwatch/orderwatch/watcher/foreign"
)

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "",
		"flavor sold out":               "flavor sold out",
		"\x1b[2J\x1b[1;31mred\x1b[0m\a": "\uFFFD\uFFFDred\uFFFD\uFFFD",
		"\x1b]0;title\x07":              "\uFFFD]0;title\uFFFD",
		"\x9b31m":                       "\uFFFD31m", // a byte that is no UTF-8
		"\u009b31m\x00a\x7f":            "\uFFFD31m\uFFFDa\uFFFD",
		"two\r\nlines\rand\tone":        "two\nlines\nand\tone",
		"a\u2028line\u2029paragraph":    "a\nline\nparagraph",
		"a\u202egnirts\u2066":           "a\uFFFDgnirts\uFFFD",
		"z\u200bw\u2060\ufeff\u00ad":    "z\uFFFDw\uFFFD\uFFFD\uFFFD",
		"tags\U000E0041\U000E0001":      "tags\uFFFD\uFFFD",
		"库存不足 क्\u200dष می\u200cخواهم": "库存不足 क्\u200dष می\u200cخواهم",
		"👩\u200d👧 e\u0301 😀":           "👩\u200d👧 e\u0301 😀",
		"no UTF-8 \xff\xfe":            "no UTF-8 \uFFFD",
	} {
		if got := foreign.Text(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
		line := strings.NewReplacer("\n", " ", "\t", " ").Replace(want)
		if got := foreign.Line(text); got != line {
			t.Errorf("%q on one line: got %q, want %q", text, got, line)
		}
	}
}

func TestCut(t *testing.T) {
	for _, tt := range []struct {
		text string
		n    int
		want string
	}{
		{"abc", 3, "abc"}, {"abc", 2, "ab"}, {"abc", 0, ""}, {"", 0, ""}, {"aé", 2, "a"}, {"é", 1, ""}, {"a😀b", 4, "a"}, {"a😀b", 5, "a😀"}, {"\x80\x80\x80", 2, ""},
	} {
		if got := foreign.Cut(tt.text, tt.n); got != tt.want {
			t.Errorf("Cut(%q, %d) = %q, want %q", tt.text, tt.n, got, tt.want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("a\x1b[31m\u202e\xff\r\n\u2028")
	f.Fuzz(func(t *testing.T, text string) {
		got := foreign.Text(text)
		hidden := func(r rune) bool { return r != '\n' && r != '\t' && !foreign.Visible(r) }
		if !utf8.ValidString(got) || strings.ContainsFunc(got, hidden) {
			t.Errorf("%q became %q", text, got)
		}
		if again := foreign.Text(got); again != got {
			t.Errorf("%q became %q, and that %q", text, got, again)
		}
		if line := foreign.Line(text); strings.ContainsFunc(line, func(r rune) bool { return !foreign.Visible(r) }) {
			t.Errorf("%q on one line: %q", text, line)
		}
	})
}
