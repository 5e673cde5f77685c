package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
)

// A field is one that a request may have, and how it is read.
type field struct {
	name string
	read reader
}

// A reader reads a field's value. The error is a *[watcher.FieldError].
type reader func(field string, value json.RawMessage) error

// readFields reads the one JSON object in body, of a kind of request that has such fields and no others.
func readFields(body []byte, kind string, fields ...field) error {
	return eachField(body, "", func(name string, value json.RawMessage) error {
		var names []string
		for _, f := range fields {
			if f.name == name {
				return f.read(name, value)
			}
			names = append(names, f.name)
		}
		if len(names) == 0 {
			return wrong(show(name), "is no field of "+kind+", which has none")
		}
		return wrong(show(name), "is no field of "+kind+"; the fields are "+strings.Join(names, ", "))
	})
}

// eachField calls f for each field of the one JSON object in body. Names are compared exactly,
// and none may come twice. prefix is the path of the object, for errors.
func eachField(body []byte, prefix string, f func(name string, value json.RawMessage) error) error {
	fail := func(reason string) error { return wrong(strings.TrimSuffix(prefix, "."), reason) }
	decoder := json.NewDecoder(bytes.NewReader(body))
	if open, err := decoder.Token(); err != nil {
		return fail(notJSON(err))
	} else if open != json.Delim('{') {
		return fail("must be a JSON object")
	}
	seen := make(map[string]bool)
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return fail(notJSON(err))
		}
		name := token.(string) // the key of an object
		if seen[name] {
			return wrong(prefix+show(name), "comes twice")
		}
		seen[name] = true
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return wrong(prefix+show(name), notJSON(err))
		}
		if err := f(name, value); err != nil {
			return err
		}
	}
	if _, err := decoder.Token(); err != nil {
		return fail(notJSON(err))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fail("goes on after its JSON object")
	}
	return nil
}

func notJSON(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "is not JSON: it ends too early"
	}
	return "is not JSON: " + err.Error()
}

func wrong(field, reason string) error { return &watcher.FieldError{Field: field, Reason: reason} }

// refuseIf returns an error where the field is wrong.
func refuseIf(isWrong bool, field, reason string) error {
	if isWrong {
		return wrong(field, reason)
	}
	return nil
}

// show returns a name from outside, fit to be shown: short, and quoted where it is odd.
func show(name string) string {
	const most = 64
	if len(name) > most {
		name = strings.ToValidUTF8(name[:most], "") + "…"
	}
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == '"' }) || name == "" {
		return fmt.Sprintf("%q", name)
	}
	return name
}

// text reads a text of so many characters at the most. The checks are for one that is not empty.
func text(most int, to *string, checks ...func(field, s string) error) reader {
	return func(field string, value json.RawMessage) error {
		if len(value) == 0 || value[0] != '"' || json.Unmarshal(value, to) != nil {
			return wrong(field, "must be a string")
		}
		if loneSurrogate(value, *to) {
			return wrong(field, `has half a character: \ud800 to \udfff come in pairs`)
		}
		err := checkText(field, *to, most)
		for _, check := range checks {
			if err == nil && *to != "" {
				err = check(field, *to)
			}
		}
		return err
	}
}

// loneSurrogate reports whether decoding put a replacement character where there was none: two
// texts that differ would become the same.
func loneSurrogate(encoded []byte, decoded string) bool {
	return strings.ContainsRune(decoded, utf8.RuneError) &&
		!bytes.ContainsRune(encoded, utf8.RuneError) && !bytes.Contains(bytes.ToLower(encoded), []byte(`\ufffd`))
}

// checkText refuses what people could not read or what would take too much room.
func checkText(field, s string, most int) error {
	n := utf8.RuneCountInString(s)
	switch {
	case !utf8.ValidString(s): // a header's
		return wrong(field, "is not UTF-8")
	case n > most:
		return wrong(field, fmt.Sprintf("has %d characters; at most %d are taken", n, most))
	case strings.ContainsFunc(s, func(r rune) bool { return !foreign.Visible(r) }):
		return wrong(field, "must hold no control or invisible characters")
	}
	return nil
}

func yesOrNo(to *bool) reader {
	return func(field string, value json.RawMessage) error {
		isWrong := json.Unmarshal(value, to) != nil || string(value) == "null"
		return refuseIf(isWrong, field, "must be true or false")
	}
}

// wholeNumber reads a number within bounds.
func wholeNumber(least, most int, to *int) reader {
	return func(field string, value json.RawMessage) error {
		isWrong := json.Unmarshal(value, to) != nil || string(value) == "null" || *to < least || *to > most
		return refuseIf(isWrong, field, fmt.Sprintf("must be a whole number from %d to %d", least, most))
	}
}
