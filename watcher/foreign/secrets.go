package foreign

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
)

const (
	fragment = 12 // so many bytes of a secret are a secret
	// minSecret is the length in bytes from which a secret is looked for: shorter ones stand in ordinary
	// words.
	minSecret = 8
)

// Secrets hide secrets that are known in texts: each whole one of 8 bytes or more, and each part of one
// of 12 bytes or more. Of a URL, such as a webhook's, the parts are those behind the host. It takes time in
// proportion to the text, however long the secrets are. Secrets do not change: they are safe for concurrent
// use. Nil hides nothing; make others with [NewSecrets].
type Secrets struct {
	instead string
	urls    []string        // each as a whole, the longest first
	short   []string        // those without parts, the longest first
	parts   map[string]bool // of 12 bytes each
}

// NewSecrets returns what hides these secrets. instead is what is shown in place of one. It takes time and
// memory in proportion to the secrets.
func NewSecrets(instead string, secrets ...string) *Secrets {
	r := &Secrets{instead: instead, parts: make(map[string]bool, len(strings.Join(secrets, "")))}
	for _, s := range secrets {
		if path, ok := behindHost(s); ok {
			r.urls, s = append(r.urls, s), path
		}
		switch {
		case len(s) >= fragment:
			for i := range len(s) - fragment + 1 {
				r.parts[s[i:i+fragment]] = true
			}
		case len(s) >= minSecret:
			r.short = append(r.short, s)
		}
	}
	longest := func(a, b string) int { return cmp.Compare(len(b), len(a)) }
	slices.SortFunc(r.urls, longest)
	slices.SortFunc(r.short, longest)
	return r
}

// behindHost returns what a URL has behind its host: the host itself is no secret.
func behindHost(s string) (path string, ok bool) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil {
		return "", false
	}
	_, path, _ = strings.Cut(s, u.Host)
	return path, true
}

// Hide returns the text with each run of bytes that lie in parts of secrets replaced.
func (r *Secrets) Hide(text string) string {
	if r == nil {
		return text
	}
	for _, s := range r.urls {
		text = strings.ReplaceAll(text, s, r.instead)
	}
	if len(r.parts) > 0 {
		text = r.hideParts(text)
	}
	for _, s := range r.short {
		text = strings.ReplaceAll(text, s, r.instead)
	}
	return text
}

func (r *Secrets) hideParts(text string) string {
	var b strings.Builder
	shown, from, to := 0, 0, 0 // text[:shown] is in b, text[from:to] is to be hidden
	flush := func() {
		if to > from {
			b.WriteString(text[shown:from])
			b.WriteString(r.instead)
			shown = to
		}
	}
	for i := range len(text) - fragment + 1 {
		if !r.parts[text[i:i+fragment]] {
			continue
		}
		if i > to {
			flush()
			from = i
		}
		to = i + fragment
	}
	flush()
	if shown == 0 {
		return text
	}
	b.WriteString(text[shown:])
	return b.String()
}
