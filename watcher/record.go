package watcher

import (
	"bytes"
	"encoding/json"
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

// EncodeWatch returns the record's JSON. What it keeps of the items shrinks as far as it must so
// that the record of a watch that goes on stays under 900 KiB, and under 7/8 of maxPayload, the
// largest message in bytes that the server takes: first the messages go, then ended items become
// digests, then all, then only the counts are left.
func EncodeWatch(w Watch, maxPayload int) ([]byte, error) {
	limit := min(maxRecord, maxPayload/8*7)
	encoded, err := w.marshal()
	for _, shrink := range shrinkings {
		if err != nil || len(encoded) <= limit || len(w.Items) == 0 {
			break
		}
		w.Items = shrink(slices.Clone(w.Items))
		encoded, err = w.marshal()
	}
	if err != nil {
		return nil, fmt.Errorf("encode record of %s: %w", w.Order, err)
	}
	return encoded, nil
}

// shrinkings are the ways to make a record's items smaller, mildest first.
var shrinkings = [...]func([]SeenItem) []SeenItem{
	func(seen []SeenItem) []SeenItem {
		for i := range seen {
			seen[i].Message = ""
		}
		return seen
	},
	func(seen []SeenItem) []SeenItem {
		for i := range seen {
			if seen[i].Status.Ended() {
				seen[i] = seen[i].digested()
			}
		}
		return seen
	},
	func(seen []SeenItem) []SeenItem {
		for i := range seen {
			seen[i] = seen[i].digested()
		}
		return seen
	},
	func([]SeenItem) []SeenItem { return nil },
}

func (w Watch) marshal() ([]byte, error) {
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
		return Watch{}, fmt.Errorf("%w: %d, this version reads %d", ErrNewerSchema, w.Schema, SchemaVersion)
	}
	return w, w.check()
}

// decodeUnknown reads a record that has fields that this version does not know.
func (w *Watch) decodeUnknown(encoded []byte) error {
	var version struct {
		Schema int `json:"schema"`
	}
	if err := json.Unmarshal(encoded, &version); err != nil {
		return fmt.Errorf("decode record: %w", err)
	}
	if version.Schema > SchemaVersion {
		return fmt.Errorf("%w: %d, this version reads %d", ErrNewerSchema, version.Schema, SchemaVersion)
	}
	if err := json.Unmarshal(encoded, w); err != nil {
		return fmt.Errorf("decode record: %w", err)
	}
	if err := json.Unmarshal(encoded, &w.unknown); err != nil {
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
	case w.State != Watching && w.State != Ending && w.State != Ended:
		return fmt.Errorf("decode record: state %q is none of %s, %s, %s", w.State, Watching, Ending, Ended)
	case w.State != Watching && w.Completion == nil:
		return fmt.Errorf("decode record: state %s without a completion", w.State)
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
