package config

import (
	"fmt"
	"io"
	"strings"
)

// Redacted is what a secret prints as.
const Redacted = "[redacted]"

// A Secret is a text that no log, error or dump may show: fmt, encoding/json and slog print
// [Redacted] for it. The zero value is no secret at all, and prints the same.
type Secret struct {
	// fmt cannot call methods on what lies in an unexported field; there it prints a pointer's
	// address, but would print a string.
	text *string
	file string
}

// NewSecret returns text as a secret; an empty text is none.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{text: &text}
}

// IsSet reports whether there is a secret.
func (s Secret) IsSet() bool { return s.text != nil }

// Reveal returns the secret itself, empty where there is none.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// Current returns the secret as its file holds it now, where it came from one that can be read and is not empty;
// otherwise what it held when it was read first. It is for logins that are made while the process runs.
func (s Secret) Current() string {
	if text, err := readSecretFile(s.file); err == nil && text != "" {
		return text
	}
	return s.Reveal()
}

// readSecretFile returns what the file holds, without the newline at its end.
func readSecretFile(path string) (string, error) {
	content, err := ReadFile(path, maxSecretFile)
	return strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r"), err
}

// File returns the path of the file that the secret was read from, empty where it came from none.
func (s Secret) File() string { return s.file }

// Format prints [Redacted] for every verb and flag.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, Redacted) }

// MarshalText returns [Redacted], for encoding/json and slog.
func (Secret) MarshalText() ([]byte, error) { return []byte(Redacted), nil }
