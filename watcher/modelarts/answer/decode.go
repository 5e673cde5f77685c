package answer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
)

const (
	maxItems = 20_000 // in one answer; the largest orders known have hundreds
	maxName  = 256    // bytes of a resource's name, an action or a status
)

var errNeither = errors.New("it has neither count nor items")

// decode reads the body of ShowOrder's 200. It is an order only if it is a JSON object with count or
// items that carries no error; anything else is an error that says what it is instead.
//
// What decides must be what it has to be: items is a list of objects, each status a string, count a
// whole number or a string of one. A count below zero is zero. Null items are left out, but count at
// least their place in the list. A status is trimmed, and the documented words are read in any case;
// missing and null are the empty status. For the rest, missing and null are zero, and a name, an action
// or a message that is no string is its compact JSON. Names, actions and statuses are cut at 256 bytes;
// messages are kept whole. A timestamp that cannot be read or cannot be true is no time.
//
// Keys are read in any case. Where a key stands in several spellings, resourceName goes before
// resourcename, and that before any other; where it is spelled alike twice, the last one counts, but the
// larger count, and two lists of items are an error. Several statuses of one item that differ become one
// word, such as "succeed/processing", which has not ended.
//
// Invalid JSON, anything behind the object and more than 20,000 items are errors.
func decode(body []byte) (Packed, error) {
	count, list, err := told(body, "order")
	if err != nil {
		return Packed{}, err
	}
	p := packer{known: make(map[string]uint16)}
	items, entries, err := itemsIn(&list, p.item)
	if err != nil {
		return Packed{}, err
	}
	if entries > len(items) { // null is a resource that is not told of
		count.n = max(count.n, entries)
	}
	return Packed{count: count.n, texts: string(p.texts), words: p.words, items: items}, nil
}

// told returns the count and the items of an answer, or an error where it is not what it should be.
func told(body []byte, what string) (count count, list field, err error) {
	top, err := objectIn(body)
	if err != nil {
		return count, list, err
	}
	var e errorBody
	for key, v := range top.members() {
		if !count.takes(key, v) && !list.takes(key, "items", v) {
			e.take(key, v)
		}
	}
	if e.spoils() {
		return count, list, errors.New("it is an error, no " + what)
	}
	if !count.there && !list.there {
		return count, list, fmt.Errorf("it is no %s: %w", what, errNeither)
	}
	return count, list, count.err
}

// A count is the API's number of resources, or of orders. Null says nothing.
type count struct {
	there   bool // there is such a key
	spelled int  // 0: nothing is said
	n       int
	err     error
}

// takes reports whether the key is count's, and then takes the value.
func (c *count) takes(key []byte, v value) bool {
	spelled := spelling(key, "count")
	if spelled == 0 {
		return false
	}
	c.there = true
	if v.isNull() {
		return true
	}
	n, err := countOf(v)
	switch {
	case c.spelled == 0, spelled < c.spelled:
		c.spelled, c.n, c.err = spelled, n, err
	case spelled == c.spelled && c.err == nil:
		c.n, c.err = max(c.n, n), err
	}
	return true
}

func countOf(v value) (int, error) {
	number, ok := v, v.isNumber()
	if v.isString() {
		number = bytes.TrimSpace(v.unquoted())
		ok = json.Valid(number) && number.isNumber()
	}
	if ok {
		f, err := strconv.ParseFloat(string(number), 64)
		if err == nil && f == math.Trunc(f) && f <= math.MaxInt32 {
			return int(max(f, 0)), nil
		}
	}
	return 0, fmt.Errorf("its count, %s, is no number of items", foreign.Cut(v.text(), maxQuoted))
}

const maxQuoted = 32

// itemsIn returns the items of the list that are not null, as of reads them, and how many entries the list has. They
// are read one by one, so that a long list of nothing takes no memory.
func itemsIn[T any](list *field, of func(value) (T, error)) (items []T, entries int, err error) {
	switch {
	case list.spelled == 0:
		return nil, 0, nil
	case list.twice:
		return nil, 0, errors.New("it has two lists of items")
	case !list.value.isList():
		return nil, 0, errors.New("its items are no list")
	}
	for v := range list.value.parts() {
		entries++
		switch {
		case entries > maxItems:
			return nil, 0, fmt.Errorf("it has more than %d items", maxItems)
		case v.isNull():
			continue
		case !v.isObject():
			return nil, 0, fmt.Errorf("its item %d, %s, is no object", entries, foreign.Cut(v.text(), maxQuoted))
		}
		item, err := of(v)
		if err != nil {
			return nil, 0, fmt.Errorf("its item %d: %w", entries, err)
		}
		items = append(items, item)
	}
	return items, entries, nil
}

// item packs an item, which is an object.
func (p *packer) item(v value) (packedItem, error) {
	var name, action, began, updated, message field
	var status statusWords
	for key, said := range v.members() {
		switch {
		case name.takes(key, "resourceName", said):
		case action.takes(key, "action", said):
		case began.takes(key, "beginTimestamp", said):
		case updated.takes(key, "updateTimestamp", said):
		case message.takes(key, "message", said):
		case spelling(key, "status") == 0:
		default:
			if err := status.add(said); err != nil {
				return packedItem{}, err
			}
		}
	}
	it := packedItem{began: millis(began.value), updated: millis(updated.value)}
	it.name = p.text(name.bytes(maxName))
	it.message = p.text(message.bytes(math.MaxInt))
	it.action = p.word(action.bytes(maxName))
	it.status = p.word([]byte(status.status()))
	return it, nil
}

// statusWords are the first two different words that an item has for its status.
type statusWords struct {
	words [2]watcher.Status
	n     int
}

func (s *statusWords) add(v value) error {
	if v.isNull() {
		return nil
	}
	if !v.isString() {
		return fmt.Errorf("its status, %s, is no text", foreign.Cut(v.text(), maxQuoted))
	}
	if word := statusOf(v.unquoted()); s.n < len(s.words) && !slices.Contains(s.words[:s.n], word) {
		s.words[s.n] = word
		s.n++
	}
	return nil
}

// status returns the word, or both: those are no documented status, and so it has not ended.
func (s *statusWords) status() watcher.Status {
	if s.n < len(s.words) {
		return s.words[0]
	}
	return watcher.Status(foreign.Cut(string(s.words[0]+"/"+s.words[1]), maxName))
}

// statusOf returns the documented status that the text is, whatever its case and the blanks around
// it, or the text.
func statusOf(text []byte) watcher.Status {
	text = bytes.TrimFunc(text, blank)
	for _, known := range [...]watcher.Status{watcher.Processing, watcher.Succeed, watcher.Failed} {
		if len(text) == len(known) && strings.EqualFold(string(text), string(known)) {
			return known
		}
	}
	return watcher.Status(foreign.Cut(string(text), maxName))
}

// blank reports whether the character shows nothing.
func blank(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
}

// Bounds of a time in milliseconds since 1970.
const (
	year2015  = 1420070400000   // before the API
	year10000 = 253402300800000 // the first that JSON's times cannot tell
)

// millis reads milliseconds since 1970, as a number (the published example) or as a string (the
// published table). Seconds are known by their size. Anything else, and what cannot be true, is 0, no time.
func millis(v value) int64 {
	ms, err := strconv.ParseFloat(string(bytes.Trim(v, `"`)), 64)
	if err != nil {
		return 0
	}
	if ms >= 1e9 && ms < 1e11 {
		ms *= 1000
	}
	if !(ms >= year2015 && ms < year10000) {
		return 0
	}
	return int64(ms)
}
