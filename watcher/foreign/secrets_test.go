package foreign_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/watcher/foreign"
)

const (
	longSecret  = "0123456789abcdefghijklmnopqrstuvwxyz"
	shortSecret = "hunter2!x" // of 9 bytes
)

func TestSecrets(t *testing.T) {
	hides := foreign.NewSecrets("[redacted]", longSecret, "short", shortSecret, "x"+shortSecret, "", "twelve bytes")
	for text, want := range map[string]string{
		"":                                 "",
		"nothing":                          "nothing",
		"nothing of the kind in this text": "nothing of the kind in this text",

		longSecret:                               "[redacted]",
		"a " + longSecret + " b":                 "a [redacted] b",
		longSecret + longSecret:                  "[redacted]",
		longSecret + "," + longSecret:            "[redacted],[redacted]",
		longSecret[:12]:                          "[redacted]",
		longSecret[:11]:                          longSecret[:11],
		"a" + longSecret[5:17]:                   "a[redacted]",
		"a" + longSecret[5:16]:                   "a" + longSecret[5:16],
		longSecret[24:] + " and":                 "[redacted] and",
		longSecret[:20] + "-" + longSecret[20:]:  "[redacted]-[redacted]",
		longSecret[:20] + "-" + longSecret[26:]:  "[redacted]-" + longSecret[26:],
		longSecret[:13] + longSecret[:12] + " b": "[redacted] b",

		"twelve bytes, eleven bytes": "[redacted], eleven bytes",

		"a " + shortSecret:        "a [redacted]",
		"a x" + shortSecret:       "a [redacted]",
		"a " + shortSecret[:8]:    "a " + shortSecret[:8],
		"short secrets are words": "short secrets are words",
	} {
		if got := hides.Hide(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	for name, none := range map[string]*foreign.Secrets{"none": foreign.NewSecrets("[redacted]"), "nil": nil} {
		if got := none.Hide(longSecret); got != longSecret {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

// A webhook's host is no secret, and stands in many messages.
func TestSecretURL(t *testing.T) {
	const webhook = "https://hooks.slack.com/services/T0AAAA/B0AAAA/abcdefghijklmnop"
	hides := foreign.NewSecrets("[redacted]", webhook, "https://example.com", "https://ann:password@example.com/x")
	for text, want := range map[string]string{
		"post to " + webhook + ".":           "post to [redacted].",
		"look up hooks.slack.com":            "look up hooks.slack.com",
		"https://hooks.slack.com/":           "https://hooks.slack.com/",
		"/services/T0AAAA/B0AAAA/abcdefg":    "[redacted]",
		"//ann:password@example.com refuses": "[redacted] refuses",
	} {
		if got := hides.Hide(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// longTexts are 8 MiB each, beside secrets of 12 KB that are much like them (C20).
func longTexts() map[string]struct{ secret, text string } {
	const size, length = 8 << 20, 12 << 10
	r := rand.New(rand.NewPCG(1, 2))
	drawn := make([]byte, length)
	for i := range drawn {
		drawn[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[r.IntN(64)]
	}
	token := string(drawn)
	return map[string]struct{ secret, text string }{
		"prose":                {token, strings.Repeat("create server failed: no host has room; ", size/40)},
		"the token":            {token, strings.Repeat(token, size/length)},
		"all but its end":      {token, strings.Repeat(token[:length-1]+".", size/length)},
		"parts too short":      {token, strings.Repeat(token[:11]+".", size/12)},
		"one letter":           {strings.Repeat("s", length), strings.Repeat("s", size)},
		"nearly one letter":    {strings.Repeat("s", length), strings.Repeat(strings.Repeat("s", 11)+"t", size/12)},
		"another begins it":    {"b" + strings.Repeat("s", length), strings.Repeat("s", size)},
		"another ends it":      {strings.Repeat("s", length) + "b", strings.Repeat("s", size)},
		"one that repeats":     {strings.Repeat("abcdefgh", length/8), strings.Repeat("abcdefgh", size/8)},
		"one that is the text": {strings.Repeat(token, 100), strings.Repeat(token, size/length)},
	}
}

// Text and secrets that are long and alike are gone through once: C20.
func TestSecretsInLongTexts(t *testing.T) {
	for name, tt := range longTexts() {
		t.Run(name, func(t *testing.T) {
			shown := foreign.NewSecrets("[redacted]", tt.secret).Hide(tt.text)
			for i := 0; i+12 <= len(tt.secret); i += 97 {
				if part := tt.secret[i : i+12]; strings.Contains(shown, part) {
					t.Fatalf("it shows %q", part)
				}
			}
			if name == "prose" || name == "parts too short" || name == "nearly one letter" {
				if shown != tt.text {
					t.Error("it hides what is no secret")
				}
			}
		})
	}
}

// What is hidden is what lies in parts of secrets, found in the simplest way.
func FuzzSecrets(f *testing.F) {
	f.Add(longSecret, shortSecret, "a "+longSecret[:20]+shortSecret+longSecret[3:30])
	f.Add(strings.Repeat("ab", 20), "", strings.Repeat("ab", 9)+"x"+strings.Repeat("ba", 9))
	f.Fuzz(func(t *testing.T, first, second, text string) {
		if len(text) > 2000 || len(first) < 12 || len(second) >= 8 && len(second) < 12 || strings.Contains(first+" "+second, "://") {
			return // of a URL the host is no secret
		}
		if got, want := foreign.NewSecrets("[redacted]", first, second).Hide(text), hiddenSimply(text, first, second); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	})
}

func hiddenSimply(text string, secrets ...string) string {
	covered := make([]bool, len(text))
	for i := range len(text) - 11 {
		for _, s := range secrets {
			if strings.Contains(s, text[i:i+12]) {
				for k := range 12 {
					covered[i+k] = true
				}
			}
		}
	}
	var b strings.Builder
	for i := range len(text) {
		switch {
		case !covered[i]:
			b.WriteByte(text[i])
		case i == 0 || !covered[i-1]:
			b.WriteString("[redacted]")
		}
	}
	return b.String()
}

func BenchmarkSecrets(b *testing.B) {
	for name, tt := range longTexts() {
		b.Run("8 MiB, "+name, func(b *testing.B) {
			hides := foreign.NewSecrets("[redacted]", tt.secret)
			b.SetBytes(int64(len(tt.text)))
			for b.Loop() {
				hides.Hide(tt.text)
			}
		})
	}
	token := longTexts()["the token"].secret
	b.Run("5000 texts of 100 bytes", func(b *testing.B) {
		hides, text := foreign.NewSecrets("[redacted]", token), strings.Repeat("0123456789", 10)
		for b.Loop() {
			for range 5000 {
				hides.Hide(text)
			}
		}
	})
	b.Run("made of 12 KB", func(b *testing.B) {
		for b.Loop() {
			foreign.NewSecrets("[redacted]", token)
		}
	})
}
