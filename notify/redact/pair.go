package redact

import (
	"slices"
	"strings"
)

// A name is what a secret is called where it stands as name=value, name: value, "name": "value" or <name>value</name>.
type name struct {
	ends  string // in lower case, without _ - . and spaces; in the table below one name or several
	whole bool   // the last word is no more than this
	label string
	value valueKind
}

// A valueKind says what can be the value.
type valueKind int

const (
	anything  valueKind = iota // any characters, as in passwords
	notPath                    // as well, but for a path: PWD is a directory
	notProse                   // as well, but for names in a sentence, such as a Kubernetes secret's
	token                      // not a word
	keyID                      // 16 or more letters and digits
	drawn                      // what looks like drawn lots
	login                      // a way to log in, then what it needs
	wholeLine                  // all pairs in the line
)

// names are tried from the last to the first.
var names = eachName([]name{
	{"password passwd passphrase", false, hiddenPassword, anything},
	{"pwd", false, hiddenPassword, notPath},
	{"adminpass userpass", false, hiddenPassword, anything}, // of the ECS API
	{"secret apikey encryptionkey signingkey accountkey", false, hiddenSecret, notProse},
	{"privatekey", false, hiddenPrivateKey, notProse},
	{"secretkey secretaccesskey accesskeysecret", false, hiddenSecretKey, notProse},
	{"sk", true, hiddenSecretKey, notProse},
	{"accesskey accesskeyid", false, hiddenAccessKey, keyID},
	{"ak access", true, hiddenAccessKey, keyID},
	{"credential", false, hiddenAccessKey, keyID}, // X-Amz-Credential
	{"token", false, hiddenToken, token},
	{"jwt", true, hiddenToken, token},
	{"signature", false, hiddenSignature, token},
	{"signatureprovided sig", true, hiddenSignature, token}, // the first in errors of OBS
	{"authorization", false, hiddenCredentials, login},
	{"cookie", false, hiddenCookie, wholeLine},
	{"auth", true, hiddenCredentials, drawn}, // of a registry
	{"key", true, hiddenSecretKey, drawn},
})

func eachName(rows []name) (names []name) {
	for _, n := range rows {
		for ends := range strings.FieldsSeq(n.ends) {
			n.ends = ends
			names = append(names, n)
		}
	}
	return names
}

// lastLetters are those that names end with, small and capital.
var lastLetters = func() (table [256]bool) {
	for _, n := range names {
		last := n.ends[len(n.ends)-1]
		table[last], table[last-'a'+'A'] = true, true
	}
	return table
}()

// pair looks at a sign of so many bytes between a name and a value, and returns where to go on.
func (s *scan) pair(i, length int) int {
	t := s.text
	n, ok := s.named(i)
	if !ok {
		return i + length
	}
	from := i + length
	for from < len(t) && strings.IndexByte("=:>", t[from]) >= 0 {
		from++
	}
	for limit := min(from+4, len(t)); from < limit && (t[from] == ' ' || t[from] == '\t'); {
		from++
	}
	from, to := value(t, from, n.value, t[i] != ':')
	if from >= to {
		return i + length
	}
	return s.hide(from, to, n.label)
}

// named returns the name that ends before the sign at i.
func (s *scan) named(i int) (name, bool) {
	t, end := s.text, i
	for end > s.done && i-end < 4 && strings.IndexByte(" \\\"'`", t[end-1]) >= 0 {
		end--
	}
	if end == s.done || !lastLetters[t[end-1]] {
		return name{}, false
	}
	var plain [lookback]byte
	size, word, start := 0, -1, end
	for start > max(s.done, end-lookback) && classes[t[start-1]]&(alnum|part) != 0 {
		start--
		if classes[t[start]]&alnum != 0 {
			size++
			plain[lookback-size] = t[start] | 0x20 // in lower case; digits have the bit
		} else if word < 0 {
			word = size
		}
	}
	if word < 0 {
		word = size
	}
	if t[i] == '>' && (start == 0 || t[start-1] != '<') {
		return name{}, false
	}
	text := string(plain[lookback-size:])
	for _, n := range slices.Backward(names) {
		if strings.HasSuffix(text, n.ends) && (!n.whole || word == len(n.ends)) {
			return n, true
		}
	}
	return name{}, false
}

// value returns where the secret stands that may begin at i; from and to are equal where there is
// none. What is assigned with = is no prose.
func value(t string, i int, kind valueKind, assigned bool) (from, to int) {
	at, backslashes := i, 0
	for at < len(t) && t[at] == '\\' {
		at++
	}
	quoted := at < len(t) && strings.IndexByte("\"'`", t[at]) >= 0
	if quoted {
		i, backslashes = at+1, at-i
	}
	if labelAt(t[i:]) != "" {
		return i, i
	}
	switch kind {
	case login:
		return afterScheme(t, i)
	case token, keyID, drawn:
		return oneToken(t, i, kind)
	}
	if !quoted {
		return bare(t, i, kind, assigned)
	}
	to = closingQuote(t, i, at, backslashes)
	if harmless(t[i:to]) {
		return i, i
	}
	return i, to
}

// closingQuote returns where the quoted text ends that begins at i: at the next quote like the one
// at first, unless more backslashes make it a part of the text, or with the line.
func closingQuote(t string, i, first, backslashes int) int {
	run := 0
	for ; i < len(t) && t[i] != '\n'; i++ {
		if t[i] == '\\' {
			run++
			continue
		}
		if t[i] == t[first] && (run < backslashes || run%(2*backslashes+2) == backslashes) {
			return i - run
		}
		run = 0
	}
	return i
}

// bare returns where a secret stands without quotes.
func bare(t string, i int, kind valueKind, assigned bool) (from, to int) {
	if kind == wholeLine {
		return restOfLine(t, i)
	}
	if i == len(t) || !assigned && (t[i] == '{' || t[i] == '[') || kind == notPath && t[i] == '/' {
		return i, i
	}
	end := i
	for end < len(t) && t[end] > ' ' && strings.IndexByte("\"'`<>", t[end]) < 0 {
		end++
	}
	text := strings.TrimRight(t[i:end], ",;.)]}")
	if harmless(text) || !assigned && prose(text, t[i+len(text):], kind) {
		return i, i
	}
	return i, i + len(text)
}

// restOfLine returns the rest of the line where there is a pair in it.
func restOfLine(t string, i int) (from, to int) {
	if !strings.Contains(t[i:min(i+4*lookback, len(t))], "=") {
		return i, i
	}
	if end := strings.IndexByte(t[i:], '\n'); end >= 0 {
		return i, i + end
	}
	return i, len(t)
}

// prose reports whether the text is a word of a sentence: "password: must have 8 characters".
func prose(text, after string, kind valueKind) bool {
	for i := range len(text) {
		c := text[i]
		if classes[c]&letter == 0 && c < 0x80 && (kind != notProse || strings.IndexByte("-./", c) < 0) {
			return false
		}
	}
	after = after[:min(len(after), lookback)]
	if !strings.HasPrefix(after, " ") {
		return false
	}
	next, _, _ := strings.Cut(strings.TrimLeft(after, " "), " ")
	return next != "" && !strings.ContainsAny(next, ":=\n")
}

// harmless reports whether a value is none.
func harmless(text string) bool {
	if len(text) > len("undefined") {
		return strings.Trim(text, "*.") == ""
	}
	switch strings.ToLower(strings.Trim(text, "*.,:;!?<>()[]{}")) {
	case "", "null", "nil", "none", "true", "false", "undefined", "empty", "missing", "required",
		"invalid", "expired", "incorrect", "wrong", "unknown", "denied", "redacted", "hidden", "masked", "not":
		return true
	}
	return false
}

// oneToken returns where a token, a key's id or drawn lots stand.
func oneToken(t string, i int, kind valueKind) (from, to int) {
	const enough = 256 // decides; so a text of nothing but names takes no longer than another
	limit := min(i+enough, len(t))
	to = i
	seen := byte(0)
	for to < limit && inValue[t[to]] {
		seen |= classes[t[to]]
		to++
	}
	n := to - i
	switch {
	case kind == token && (n >= 8 && seen&letter != 0 && seen&digit != 0 || n >= 32):
	case kind == keyID && n >= 16 && seen&letter != 0 && (seen&digit != 0 || seen&lower == 0):
	case kind == drawn && n >= 16 && (seen&alnum == alnum || seen&alnum == 0) && random(t[i:to]):
	default:
		return i, i
	}
	for to < len(t) && inValue[t[to]] {
		to++
	}
	return i, i + len(strings.TrimRight(t[i:to], "."))
}

// inValue tells which bytes can be a part of a token, whatever its format.
var inValue = func() (table [256]bool) {
	for c := range table {
		table[c] = c > ' ' && strings.IndexByte("\"'`<>&,;()[]{}\\|", byte(c)) < 0
	}
	return table
}()

// afterScheme returns where the credentials stand after "Bearer", "Basic" and the like.
func afterScheme(t string, i int) (from, to int) {
	end, _ := runOf(t, i, alnum)
	switch strings.ToLower(t[i:end]) {
	case "bearer", "basic", "digest", "negotiate", "token", "apikey", "obs", "aws":
	default:
		return oneToken(t, i, drawn)
	}
	for i = end; i < len(t) && t[i] == ' '; {
		i++
	}
	return oneToken(t, i, token)
}
