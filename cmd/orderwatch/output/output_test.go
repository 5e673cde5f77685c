package output

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestClean(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"flavor sold out":           "flavor sold out",
		"\x1b[2J\x9b31m\a":          "\uFFFD\uFFFD31m\uFFFD",
		"\x00a\x7f":                 "\uFFFDa\uFFFD",
		"two\nlines\tand a tab":     "two lines and a tab",
		"a\u202egnirts\u2066":       "a\uFFFDgnirts\uFFFD",
		"soft\u00adhyphen\ufeff":    "soft\uFFFDhyphen\uFFFD",
		"库存不足 क्\u200dष":            "库存不足 क्\u200dष",
		"no UTF-8 \xff":             "no UTF-8 \uFFFD",
		"\u2028line\u2029paragraph": " line paragraph",
	} {
		if got := Clean(text); got != want {
			t.Errorf("Clean(%q) = %q, want %q", text, got, want)
		}
	}
}

// TestJSON holds that JSON has nothing raw that a terminal obeys, and keeps its values.
func TestJSON(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"flavor sold out", "库存不足", "\x00\x1b[2J\x7f\u0080\u009b31m\u009f", "a\u202egnirts\u2066\u2069\u200e\u200f\u061c", "z\u200bw\u200c\u200dj\u2060\ufeff\u00ad",
		"\u2028\u2029", "\U000e0041\U000e0001\U000f0000\ue000\ufff9", "two\nlines\r\ttab", `\u009b \\u202e "`, "\\\u009b", "\ufffd", "😀 <&>",
	} {
		var b bytes.Buffer
		if err := JSON(&b, map[string]string{text: text}); err != nil {
			t.Fatal(err)
		}
		if line := strings.TrimSuffix(b.String(), "\n"); strings.ContainsFunc(line, harmful) || line == b.String() {
			t.Errorf("%q is printed as %q", text, b.String())
		}
		var got map[string]string
		if err := json.Unmarshal(b.Bytes(), &got); err != nil || got[text] != text {
			t.Errorf("%q became %q, %v", text, got, err)
		}
	}
}

// TestJSONLine holds that an event is one line, without anything raw that a terminal obeys, whoever wrote it.
func TestJSONLine(t *testing.T) {
	t.Parallel()
	for encoded, want := range map[string]string{
		"{\n \"a\": \"\u009b31m\u202e\u200b\x7f\" }": `{"a":"\u009b31m\u202e\u200b\u007f"}` + "\n",
		"{\"a\":\"\xff\x9b\"}":                       `{"a":"\ufffd\ufffd"}` + "\n",
		"{\"a\":\"\U000e0041\"}":                     `{"a":"\udb40\udc41"}` + "\n",
		"no JSON\n\x1b[2J\u202e":                     `no JSON \u001b[2J\u202e` + "\n",
	} {
		if got := string(JSONLine([]byte(encoded))); got != want {
			t.Errorf("%q is printed as %q, want %q", encoded, got, want)
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
		if got := Shorten(tt.text, tt.n); got != tt.right || Width(got) > tt.n {
			t.Errorf("Shorten(%q, %d) = %q, want %q", tt.text, tt.n, got, tt.right)
		}
		if got := ShortenLeft(tt.text, tt.n); got != tt.left || Width(got) > tt.n {
			t.Errorf("ShortenLeft(%q, %d) = %q, want %q", tt.text, tt.n, got, tt.left)
		}
		if got := Pad(Shorten(tt.text, tt.n), tt.n); Width(got) != tt.n {
			t.Errorf("Pad(%q, %d) = %q", tt.text, tt.n, got)
		}
	}
}

// TestTimes holds how the times in sentences of others are written.
func TestTimes(t *testing.T) {
	now := time.Date(2025, 4, 10, 14, 0, 0, 0, time.FixedZone("CEST", 2*60*60))
	for text, want := range map[string]string{
		"no call before 2025-04-10T12:01:05Z: 429":                        "no call before 14:01:05 CEST: 429",
		"since 2025-04-09T23:00:00.5+02:00, and again":                    "since 2025-04-09 23:00:00 CEST, and again",
		"2025-04-10T12:01:05Z":                                            "14:01:05 CEST",
		"https://ci.example/2025-04-10T12:01:05Z?at=2025-04-10T12:01:05Z": "https://ci.example/2025-04-10T12:01:05Z?at=2025-04-10T12:01:05Z",
		"2025-04-10T32:01:05Z is no time":                                 "2025-04-10T32:01:05Z is no time",
		"no time":                                                         "no time",
	} {
		if got := Times(text, now); got != want {
			t.Errorf("%q: %q; want %q", text, got, want)
		}
	}
}
