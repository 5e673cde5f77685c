package foreign

import (
	"cmp"
	"math/bits"
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
	urls    []string // each as a whole, the longest first
	short   []string // those without parts, the longest first
	long    string   // what has parts, one behind the other

	// slots is a hash table of the parts of 12 bytes: where each begins in long, plus one; 0 is free.
	slots []int32
	shift int // a hash's slot is in the bits above
}

// NewSecrets returns what hides these secrets. instead is what is shown in place of one. It takes time and
// memory in proportion to the secrets.
func NewSecrets(instead string, secrets ...string) *Secrets {
	r := &Secrets{instead: instead}
	var long []string
	for _, s := range secrets {
		if path, ok := behindHost(s); ok {
			r.urls, s = append(r.urls, s), path
		}
		switch {
		case len(s) >= fragment:
			long = append(long, s)
		case len(s) >= minSecret:
			r.short = append(r.short, s)
		}
	}
	longest := func(a, b string) int { return cmp.Compare(len(b), len(a)) }
	slices.SortFunc(r.urls, longest)
	slices.SortFunc(r.short, longest)
	r.long = strings.Join(long, "")
	size := bits.Len(uint(4 * len(r.long)))
	r.slots, r.shift = make([]int32, 1<<size), 64-size
	at := 0
	for _, s := range long {
		r.add(s, at)
		at += len(s)
	}
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

// add takes the parts of a secret that begins in long at a place.
func (r *Secrets) add(secret string, at int) {
	var h hash
	for i := range len(secret) - fragment + 1 {
		h = h.of(secret, i)
		if slot, known := r.find(h, secret[i:i+fragment]); !known {
			r.slots[slot] = int32(at + i + 1)
		}
	}
}

// find returns the slot of a part, and whether it is known; the slot is free where it is not. At most a
// quarter of the slots are taken.
func (r *Secrets) find(h hash, part string) (slot int, known bool) {
	for slot = int(h >> r.shift); ; slot = (slot + 1) & (len(r.slots) - 1) {
		at := int(r.slots[slot]) - 1
		if at < 0 {
			return slot, false
		}
		if r.long[at:at+fragment] == part {
			return slot, true
		}
	}
}

// Hide returns the text with each run of bytes that lie in parts of secrets replaced.
func (r *Secrets) Hide(text string) string {
	if r == nil {
		return text
	}
	for _, s := range r.urls {
		text = strings.ReplaceAll(text, s, r.instead)
	}
	if r.long != "" {
		text = r.hideParts(text)
	}
	for _, s := range r.short {
		text = strings.ReplaceAll(text, s, r.instead)
	}
	return text
}

func (r *Secrets) hideParts(text string) string {
	var b strings.Builder
	var h hash
	shown, from, to := 0, 0, 0 // text[:shown] is in b, text[from:to] is to be hidden
	flush := func() {
		if to > from {
			b.WriteString(text[shown:from])
			b.WriteString(r.instead)
			shown = to
		}
	}
	for i := range len(text) - fragment + 1 {
		h = h.of(text, i)
		if _, known := r.find(h, text[i:i+fragment]); !known {
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

// A hash is the one of the 12 bytes that begin at a place in a text. Its upper bits are the good ones.
type hash uint64

const (
	hashBase hash = 0x9E3779B97F4A7C15 // odd, its bits in no order
	hashOut  hash = 0x779023CF069D510D // hashBase to the power of 11: what the first byte has become
)

// of returns the hash at i, which follows the one at i-1.
func (h hash) of(text string, i int) hash {
	if i > 0 {
		return (h-hash(text[i-1])*hashOut)*hashBase + hash(text[i+fragment-1])
	}
	for _, c := range []byte(text[:fragment]) {
		h = h*hashBase + hash(c)
	}
	return h
}
