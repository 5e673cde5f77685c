package watcher

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// unknownFields are top-level fields of a record that a later version added under the same schema.
type unknownFields map[string]json.RawMessage

// maxRecord is how large the record of a watch that goes on may be, in bytes, where the server
// takes as much.
const maxRecord = 900 << 10

// plainSchema is the version of most records: the release before reads it, too. See [Watch.Written].
const plainSchema = 1

// EncodeWatch returns the record's JSON. What it keeps of the items shrinks as far as it must so
// that the record of a watch that goes on stays under 900 KiB, and under 7/8 of maxPayload, the
// largest message in bytes that the server takes: first the messages go, then ended items become
// digests, then all, then items that share action and status are counted, at last those that share
// a status. It keeps at most 10,000 missing items one by one. A record whose requests, or whose completion,
// came when the server took larger messages also loses labels, then the requests' other texts but their ids and
// channels, then the oldest of the remembered ids. The record is returned even if it is too large then.
func EncodeWatch(w Watch, maxPayload int) ([]byte, error) {
	encoded, _, err := w.Encode(maxPayload)
	return encoded, err
}

// Encode is [EncodeWatch], and returns the record as [DecodeWatch] would return it, too. The two share what they point to.
func (w Watch) Encode(maxPayload int) (encoded []byte, stored Watch, err error) {
	if w.Completion != nil {
		encoded, err = encodeEnding(w, maxPayload)
		return encoded, w, err
	}
	if encoded, err = w.encode(recordLimit(maxPayload)); err != nil {
		return nil, w, fmt.Errorf("encode record of %s: %w", w.Order, err)
	}
	w.Schema, w.Items, w.Missing = w.Written(), asStored(w.Items, unkept), asStored(w.Missing, func(m MissingItem) MissingItem {
		m.SeenItem = unkept(m.SeenItem)
		return m
	})
	return encoded, w, nil
}

// asStored returns the items as they are read back.
func asStored[T comparable](items []T, stored func(T) T) []T {
	if len(items) == 0 {
		return nil
	}
	first := slices.IndexFunc(items, func(it T) bool { return stored(it) != it })
	if first < 0 {
		return items
	}
	items = slices.Clone(items)
	for i := first; i < len(items); i++ {
		items[i] = stored(items[i])
	}
	return items
}

func unkept(s SeenItem) SeenItem {
	s.Kept = false
	return s
}

// encode returns the record's JSON, and shrinks the record until that is no longer than the limit.
func (w *Watch) encode(limit int) ([]byte, error) {
	if len(w.Missing) > maxMissing {
		w.Missing = counted(w.Missing, byWord)
	}
	encoded, err := w.marshal()
	for _, shrink := range shrinkings {
		if err != nil || len(encoded) <= limit {
			break
		}
		w.Items, w.Missing = slices.Clone(w.seenItems()), slices.Clone(w.Missing)
		shrink(w)
		encoded, err = w.marshal()
	}
	return encoded, err
}

// maxMissing is how many missing items a record keeps one by one.
const maxMissing = 10_000

// shrinkings are the ways to make a record's items smaller, mildest first.
var shrinkings = [...]func(*Watch){
	func(w *Watch) {
		w.eachSeen(func(s *SeenItem) { s.Message = "" })
	},
	func(w *Watch) {
		w.eachSeen(func(s *SeenItem) {
			if s.Status.Ended() {
				*s = s.digested()
			}
		})
	},
	func(w *Watch) {
		w.eachSeen(func(s *SeenItem) { *s = s.digested() })
	},
	func(w *Watch) { w.countSeen(byWord) },
	func(w *Watch) { w.countSeen(byStatus) },
	func(w *Watch) { w.Requests = bare(w.Requests, withoutLabels) },
	func(w *Watch) { w.Requests = bare(w.Requests, withoutTexts) },
	func(w *Watch) { w.Earlier = w.Earlier[len(w.Earlier)/2:] },
	func(w *Watch) { w.Earlier = w.Earlier[len(w.Earlier)/2:] },
	func(w *Watch) { w.Earlier = nil },
}

// recordLimit returns how large the record of a watch that goes on may be, in bytes.
func recordLimit(maxPayload int) int { return min(maxRecord, maxPayload/8*7) }

// encodeEnding encodes the record of a watch whose completion is fixed. It is cut only where it was fixed when
// the server took larger messages.
func encodeEnding(w Watch, maxPayload int) ([]byte, error) {
	encoded, err := w.marshal()
	if limit := maxPayload - eventOverhead/2; err == nil && len(encoded) > limit {
		w.fitEnding(maxPayload)
		encoded, err = w.marshal()
	}
	if err != nil {
		return nil, fmt.Errorf("encode record of %s: %w", w.Order, err)
	}
	return encoded, nil
}

// itemShrinkings is how many of the shrinkings, the first, are of items alone.
const itemShrinkings = 5

// fitEnding cuts a record whose completion is fixed to its size. Where the watch goes on for others, what the record
// keeps for them of the items gives way to the completion, and their labels and texts go last.
func (w *Watch) fitEnding(maxPayload int) {
	if w.size() <= maxPayload/8 { // as nearly all are: less than any part of it may have
		return
	}
	c, limit := *w.Completion, maxPayload-eventOverhead
	w.Completion = nil
	w.Earlier = within(w.Earlier, maxPayload/8)
	w.shrink(shrinkings[:itemShrinkings], limit/4*3-size(c.Requests))
	fit(&c.Report, limit-w.size()-(size(c)-size(c.Report)))
	w.shrink(shrinkings[itemShrinkings:], limit-size(c))
	w.Completion = &c
}

// shrink makes what an ending record keeps for the watch that follows as small as the limit, as far as these go.
func (w *Watch) shrink(by []func(*Watch), limit int) {
	if len(w.Requests) == 0 {
		return
	}
	for _, shrink := range by {
		if w.size() <= limit {
			return
		}
		w.Items, w.Missing = slices.Clone(w.seenItems()), slices.Clone(w.Missing)
		shrink(w)
	}
}

// eachSeen calls f with each item that the record keeps.
func (w *Watch) eachSeen(f func(*SeenItem)) {
	for i := range w.Items {
		f(&w.Items[i])
	}
	for i := range w.Missing {
		f(&w.Missing[i].SeenItem)
	}
}

func byWord(s SeenItem) word { return word{s.Action, s.Status} }

// byStatus knows the documented statuses only, and no action.
func byStatus(s SeenItem) word {
	if s.Status.Ended() {
		return word{"", s.Status}
	}
	return word{"", Processing}
}

// countSeen keeps of the items only how many share a word.
func (w *Watch) countSeen(by func(SeenItem) word) {
	listed := make([]MissingItem, len(w.Items))
	for i, s := range w.Items {
		listed[i].SeenItem = s
	}
	w.Items, w.Missing = nil, counted(w.Missing, by)
	for _, m := range counted(listed, by) {
		w.Items = append(w.Items, m.SeenItem)
	}
}

// counted returns one item for all that share a word: they are missing as long as the one that vanished last.
func counted(items []MissingItem, by func(SeenItem) word) (all []MissingItem) {
	type key struct {
		word
		deleted bool
	}
	index := make(map[key]int)
	for _, m := range items {
		k := key{by(m.SeenItem), m.Deleted}
		i, ok := index[k]
		if !ok {
			index[k] = len(all)
			m.SeenItem = SeenItem{Action: k.action, Status: k.status, N: m.count()}
			all = append(all, m)
			continue
		}
		one := &all[i]
		one.N += m.count()
		one.Since, one.Answers, one.Count = max(one.Since, m.Since), min(one.Answers, m.Answers), min(one.Count, m.Count)
	}
	return all
}

func (w Watch) marshal() ([]byte, error) {
	w.Schema = w.Written()
	encoded, err := json.Marshal(w)
	if err != nil || len(w.unknown) == 0 {
		return encoded, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(encoded, &fields); err != nil {
		return nil, err
	}
	maps.Copy(fields, w.unknown)
	return json.Marshal(fields)
}

// DecodeWatch reads a record. Unknown top-level fields are kept for [EncodeWatch]. The error is
// [ErrNewerSchema] where a later version wrote the record; it must then be left alone.
func DecodeWatch(encoded []byte) (Watch, error) {
	var w Watch
	strict := json.NewDecoder(bytes.NewReader(encoded))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&w); err != nil {
		w = Watch{}
		if err := w.decodeUnknown(encoded); err != nil {
			return Watch{}, err
		}
	}
	if w.Schema > SchemaVersion {
		return Watch{}, newerSchema(w.Schema)
	}
	return w, w.check()
}

func newerSchema(schema int) error {
	return fmt.Errorf("%w: %d, this version reads %d", ErrNewerSchema, schema, SchemaVersion)
}

// decodeUnknown reads a record that has fields that this version does not know.
func (w *Watch) decodeUnknown(encoded []byte) error {
	var version struct {
		Schema int `json:"schema"`
	}
	err := json.Unmarshal(encoded, &version)
	if err == nil && version.Schema > SchemaVersion {
		return newerSchema(version.Schema)
	}
	if err == nil {
		err = json.Unmarshal(encoded, w)
	}
	if err == nil {
		err = json.Unmarshal(encoded, &w.unknown)
	}
	if err != nil {
		return fmt.Errorf("decode record: %w", err)
	}
	for _, name := range fieldNames(reflect.TypeFor[Watch]()) {
		delete(w.unknown, name)
	}
	return nil
}

func fieldNames(t reflect.Type) (names []string) {
	for field := range t.Fields() {
		switch name, _, _ := strings.Cut(field.Tag.Get("json"), ","); {
		case field.Anonymous:
			names = append(names, fieldNames(field.Type)...)
		case name != "":
			names = append(names, name)
		}
	}
	return names
}

// check refuses what cannot be a record, so that nothing is done for it.
func (w *Watch) check() error {
	switch {
	case w.Schema < 1:
		return fmt.Errorf("decode record: schema %d; the first is 1", w.Schema)
	case w.Wakeup < 1:
		return fmt.Errorf("decode record: wake-up number %d; the first is 1", w.Wakeup)
	case w.State != Watching && w.State != Ending && w.State != Ended:
		return fmt.Errorf("decode record: state %q is none of %s, %s, %s", w.State, Watching, Ending, Ended)
	case w.State != Watching && w.Completion == nil:
		return fmt.Errorf("decode record: state %s without a completion", w.State)
	case w.State == Watching && len(w.Requests) == 0 && w.Completion == nil:
		return errors.New("decode record: neither a request nor a completion")
	case w.ID == "":
		return fmt.Errorf("decode record: no watch_id")
	}
	return w.Validate()
}

// size returns the length of the record's JSON in bytes.
func (w Watch) size() int {
	n := size(w)
	for name, value := range w.unknown {
		n += len(name) + len(value) + len(`"":,`)
	}
	return n
}
