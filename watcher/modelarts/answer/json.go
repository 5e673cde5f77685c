package answer

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/orderwatch/orderwatch/watcher/foreign"
)

// Answers are read key by key: encoding/json takes the last of two equal keys without a word, and an
// answer that says two things must not pass for one that says one.

// A value is one JSON value that is known to be valid, without white space around it.
type value []byte

var byteOrderMark = []byte("\ufeff")

// Unmarked returns the body without the white space and the byte-order marks in front of it.
func Unmarked(body []byte) []byte {
	for {
		body = bytes.TrimLeft(body, " \t\r\n")
		rest, marked := bytes.CutPrefix(body, byteOrderMark)
		if !marked {
			return body
		}
		body = rest
	}
}

// objectIn returns the JSON object that the body is. Where it is none, the error says what came.
func objectIn(body []byte) (value, error) {
	body = Unmarked(body)
	if len(body) == 0 || body[0] != '{' {
		return nil, errors.New("it is no JSON object: " + instead(body))
	}
	if !json.Valid(body) {
		return nil, json.Unmarshal(body, new(struct{})) // it says where and why
	}
	return value(bytes.TrimRight(body, " \t\r\n")), nil
}

func instead(body []byte) string {
	switch {
	case len(body) == 0:
		return "it came " + withoutBody
	case body[0] == '<':
		return "it came " + asPage
	case bytes.IndexByte(body, 0) >= 0:
		return "it came as UTF-16, or is no text"
	}
	return string(body[:min(len(body), maxScanned)])
}

// members returns the members of an object in their order, also those whose keys stand twice. The
// keys are without quotes and escapes.
func (v value) members() iter.Seq2[[]byte, value] {
	return func(yield func([]byte, value) bool) {
		var key value
		for part := range v.parts() {
			switch {
			case key == nil:
				key = part
			case !yield(key.unquoted(), part):
				return
			default:
				key = nil
			}
		}
	}
}

// parts returns the elements of a list in their order, or by turns the keys and the values of an object.
func (v value) parts() iter.Seq[value] {
	return func(yield func(value) bool) {
		for i := v.next(1); i < len(v)-1; {
			end := v.end(i)
			if !yield(v[i:end]) {
				return
			}
			i = v.next(end)
		}
	}
}

// next returns where the next part begins at i or behind it, or the closing bracket stands.
func (v value) next(i int) int {
	for {
		switch v[i] {
		case ' ', '\n', '\t', '\r', ',', ':':
			i++
		default:
			return i
		}
	}
}

// end returns where the value ends that begins at i.
func (v value) end(i int) int {
	switch v[i] {
	case '"':
		return v.stringEnd(i)
	case '{', '[':
		return v.nestEnd(i)
	}
	for ; i < len(v); i++ { // a number, or a word
		switch v[i] {
		case ',', ']', '}', ' ', '\n', '\t', '\r':
			return i
		}
	}
	return i
}

func (v value) stringEnd(i int) int {
	for i++; v[i] != '"'; i++ {
		if v[i] == '\\' {
			i++
		}
	}
	return i + 1
}

func (v value) nestEnd(i int) int {
	for depth := 0; ; i++ {
		switch v[i] {
		case '"':
			i = v.stringEnd(i) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
}

func (v value) isString() bool { return v[0] == '"' }
func (v value) isObject() bool { return v[0] == '{' }
func (v value) isList() bool   { return v[0] == '[' }
func (v value) isNull() bool   { return v[0] == 'n' }
func (v value) isBool() bool   { return v[0] == 't' || v[0] == 'f' }
func (v value) isNumber() bool { return v[0] == '-' || v[0] >= '0' && v[0] <= '9' }

// isEmpty reports whether the value is an object or a list of nothing.
func (v value) isEmpty() bool {
	return (v.isObject() || v.isList()) && v.next(1) == len(v)-1
}

// unquoted returns what a string says, as valid UTF-8. It may be a part of the value.
func (v value) unquoted() []byte {
	inner, plain := v[1:len(v)-1], true
	for _, c := range inner {
		plain = plain && c != '\\' && c < utf8.RuneSelf
	}
	if plain || bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return inner
	}
	var s string
	if json.Unmarshal(v, &s) != nil { // never: it is valid
		return nil
	}
	return []byte(s)
}

// text returns what people are to see of the value: what a string says, nothing of null, and the
// compact JSON of anything else.
func (v value) text() string {
	switch {
	case v.isString():
		return string(v.unquoted())
	case v.isNull():
		return ""
	case v.isObject(), v.isList():
		return v.compact()
	}
	return string(v)
}

// compact returns the JSON without white space, as valid UTF-8. Its strings have no more escapes than
// they need: a secret is not found where some of its characters are escaped.
func (v value) compact() string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	for i := 0; i < len(v); {
		switch v[i] {
		case ' ', '\n', '\t', '\r':
			i++
		case '"':
			end := v.stringEnd(i)
			if said := v[i:end].unquoted(); bytes.Equal(said, v[i+1:end-1]) {
				b.Write(v[i:end])
			} else {
				_ = e.Encode(string(said)) // a buffer takes all
				b.Truncate(b.Len() - len("\n"))
			}
			i = end
		default:
			b.WriteByte(v[i])
			i++
		}
	}
	return b.String()
}

// How well a key is spelled, the best first.
const (
	documented = 1 + iota // resourceName, the page of 2026-01
	older                 // resourcename, the page of 2025-11
	otherwise             // in any other case
)

// spelling returns how well the key is spelled for a documented name, 0 where it is another name.
func spelling(key []byte, name string) int {
	switch {
	case len(key) != len(name):
		return 0
	case string(key) == name:
		return documented
	case !strings.EqualFold(string(key), name):
		return 0
	case !bytes.ContainsFunc(key, unicode.IsUpper):
		return older
	}
	return otherwise
}

// A field is what an object says under one name: the value of the best spelling, the last one of
// those that are spelled alike. Null says nothing.
type field struct {
	there   bool // there is such a key
	spelled int  // 0: nothing is said
	twice   bool // several are spelled alike
	value   value
}

// takes reports whether the key is the name, and then keeps the value if it is the best so far.
func (f *field) takes(key []byte, name string, v value) bool {
	spelled := spelling(key, name)
	if spelled == 0 {
		return false
	}
	f.there = true
	if !v.isNull() && (f.spelled == 0 || spelled <= f.spelled) {
		f.twice = spelled == f.spelled
		f.spelled, f.value = spelled, v
	}
	return true
}

func (f *field) text() string {
	if f.spelled == 0 {
		return ""
	}
	return f.value.text()
}

// bytes returns the text, at most the first n bytes of it, whole characters. They may be a part of the value.
func (f *field) bytes(n int) []byte {
	switch {
	case f.spelled == 0:
		return nil
	case f.value.isString():
		if text := f.value.unquoted(); len(text) <= n {
			return text
		}
	}
	return []byte(foreign.Cut(f.value.text(), n))
}
