package modelarts

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"
	"sync/atomic"
)

const (
	fragment = 12 // so many bytes of a secret are a secret
	// minSecret is the length from which a secret is looked for: shorter ones stand in ordinary words.
	minSecret = 8
)

// A redactor replaces secrets in texts: each whole one, and each part of one of 12 bytes or more. It
// takes time in proportion to the text, however long the secrets are. It is safe for concurrent use;
// make it with newRedactor.
type redactor struct {
	secrets []string // that it was made of
	short   []string // those that are looked for as a whole, the longest first
	long    string   // the others, one behind the other

	// slots is a hash table of the parts of 12 bytes: where each begins in long, plus one; 0 is free.
	slots []int32
	shift int // a hash's slot is in the bits above
}

// newRedactor takes time and memory in proportion to the secrets.
func newRedactor(secrets []string) *redactor {
	r := &redactor{secrets: slices.Clone(secrets)}
	var long []string
	for _, s := range secrets {
		switch {
		case len(s) >= fragment:
			long = append(long, s)
		case len(s) >= minSecret:
			r.short = append(r.short, s)
		}
	}
	slices.SortFunc(r.short, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
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

// add takes the parts of a secret that begins in long at a place.
func (r *redactor) add(secret string, at int) {
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
func (r *redactor) find(h hash, part string) (slot int, known bool) {
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

// hide returns the text with each run of bytes that lie in parts of secrets replaced by "[redacted]".
func (r *redactor) hide(text string) string {
	if r.long != "" {
		text = r.hideParts(text)
	}
	for _, s := range r.short {
		text = strings.ReplaceAll(text, s, redacted)
	}
	return text
}

func (r *redactor) hideParts(text string) string {
	var b strings.Builder
	var h hash
	shown, from, to := 0, 0, 0 // text[:shown] is in b, text[from:to] is to be hidden
	flush := func() {
		if to > from {
			b.WriteString(text[shown:from])
			b.WriteString(redacted)
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

// A lastRedactor keeps the redactor that was used last: most polls have the secrets of the one before.
type lastRedactor struct{ last atomic.Pointer[redactor] }

// of returns the redactor of these secrets.
func (l *lastRedactor) of(secrets []string) *redactor {
	if r := l.last.Load(); r != nil && slices.Equal(r.secrets, secrets) {
		return r
	}
	r := newRedactor(secrets)
	l.last.Store(r)
	return r
}
