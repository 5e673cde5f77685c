// Package redact hides secrets that nobody told it of in texts that others wrote: passwords, keys, tokens,
// signed addresses, e-mail addresses. It promises to find them by their shape or by the name beside them, to
// leave names, ids, addresses and times alone, and to go through a text once.
//
// Secrets are hidden in three places. What a secret looks like that is not known is decided here; how one is found
// that is known, such as a configured token, in [foreign.Secrets]; which fields of a message are looked through for
// either, in secrets.go of package message.
//
// Read text.go (what stands for a secret, and how a text is gone through), then pair.go (which names are a
// secret's, and what is its value), shape.go (which texts are secrets by themselves) and address.go (passwords in
// URLs, e-mail addresses).
//
// [foreign.Secrets]: https://pkg.go.dev/github.com/orderwatch/orderwatch/watcher/foreign#Secrets
package redact

import "strings"

// Text returns foreign text as people may see it: each secret in it is replaced by a word that says
// what it was, such as [access key], [token] or [password], and each e-mail address by [e-mail].
// It finds a secret by its own shape or by the name beside it. Names, ids, digests, addresses, codes
// and times stay. Where name and value do not tell (secret: default), it rather hides too much.
//
// The whole e-mail address goes, not but a part of it: messages that differ in the address alone
// are one cause, and the event has it.
//
// Give it whole texts: half a secret is not found any more. It takes time in proportion to the
// text, some ns for each byte. Text that was redacted stays as it is.
func Text(text string) string { return hideIn(text, true) }

// TextButAddresses is [Text], but e-mail addresses stay.
func TextButAddresses(text string) string { return hideIn(text, false) }

func hideIn(text string, addresses bool) string {
	if len(text) < shortestSecret {
		return text
	}
	s := scan{text: text, addresses: addresses}
	for i := 0; i < len(text); {
		i = s.next(i)
	}
	if s.done == 0 {
		return text
	}
	s.shown.WriteString(text[s.done:])
	return s.shown.String()
}

// shortestSecret is the length of a@b.io, in bytes; the shortest pair is sk=a1b.
const shortestSecret = 6

// What stands for a secret.
const (
	hiddenAccessKey   = "[access key]"
	hiddenSecretKey   = "[secret key]"
	hiddenPrivateKey  = "[private key]"
	hiddenToken       = "[token]"
	hiddenSecret      = "[secret]"
	hiddenPassword    = "[password]"
	hiddenSignature   = "[signature]"
	hiddenCredentials = "[credentials]"
	hiddenCookie      = "[cookie]"
	hiddenWebhook     = "[webhook]"
	hiddenAddress     = "[e-mail]"
)

var labels = []string{
	hiddenAccessKey, hiddenSecretKey, hiddenPrivateKey, hiddenToken, hiddenSecret, hiddenPassword,
	hiddenSignature, hiddenCredentials, hiddenCookie, hiddenWebhook, hiddenAddress,
}

// A scan goes through a text once, from its start to its end. Each step looks back at most
// lookback bytes, and ahead no further than what it then skips, or a fixed length.
type scan struct {
	text      string
	addresses bool // hide e-mail addresses, too
	shown     strings.Builder
	done      int // so much of the text is in shown
	run       int // where the last run of base64 ends
	at        int // where an @ stands, the first behind the last place where one was looked for
}

// lookback is how far before a value its name is looked for, in bytes.
const lookback = 48

// next looks at what begins at i, and returns where to go on.
func (s *scan) next(i int) int {
	t := s.text
	switch c := t[i]; {
	case classes[c]&alnum != 0:
		return s.word(i)
	case c == '=', c == '>':
		return s.pair(i, 1)
	case c == ':':
		if strings.HasPrefix(t[i:], "://") {
			return s.userinfo(i + len("://"))
		}
		return s.pair(i, 1)
	case c == '@':
		return s.address(i, 1)
	case c == '-':
		return s.privateKey(i)
	case c == '%' && i+2 < len(t) && classes[t[i+1]]&alnum != 0 && classes[t[i+2]]&alnum != 0:
		switch t[i+1 : i+3] {
		case "3D", "3d", "3A", "3a":
			return s.pair(i, 3)
		case "40":
			return s.address(i, 3)
		}
		return i + 3
	case c == '[':
		return i + max(1, len(labelAt(t[i:])))
	}
	return i + 1
}

// hide shows the label in place of text[from:to], and returns where to go on.
func (s *scan) hide(from, to int, label string) int {
	s.shown.WriteString(s.text[s.done:from])
	s.shown.WriteString(label)
	s.done = to
	return to
}

// labelAt returns the label that the text begins with, empty where it begins with none.
func labelAt(text string) string {
	for _, l := range labels {
		if strings.HasPrefix(text, l) {
			return l
		}
	}
	return ""
}

// Classes of bytes, as bits.
const (
	lower = 1 << iota
	upper
	digit
	joiner // + / _ - in base64, beside letters and digits
	inside // = . ~ % in tokens, beside those
	part   // of a quoted or spaced name
)

const (
	letter  = lower | upper
	alnum   = letter | digit
	base64  = alnum | joiner
	inToken = base64 | inside
)

var classes = classTable()

func classTable() (table [256]byte) {
	for c := 'a'; c <= 'z'; c++ {
		table[c], table[c-'a'+'A'] = lower, upper
	}
	for c := '0'; c <= '9'; c++ {
		table[c] = digit
	}
	for _, c := range "+/_-" {
		table[c] = joiner
	}
	for _, c := range "=.~%" {
		table[c] = inside
	}
	for _, c := range "_-. " {
		table[c] |= part
	}
	return table
}

// runOf returns where the run of these classes that begins at i ends, and the classes in it.
func runOf(t string, i int, of byte) (end int, seen byte) {
	for end = i; end < len(t) && classes[t[end]]&of != 0; end++ {
		seen |= classes[t[end]]
	}
	return end, seen
}
