package emulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Faults, quotas and scripts are read from JSON strictly: a misspelt field or a wrong value is an
// error that names it.

// UnmarshalJSON reads a fault.
func (f *Fault) UnmarshalJSON(b []byte) error {
	*f = Fault{}
	if err := decode(b, f.wire()); err != nil {
		return err
	}
	return f.check()
}

// MarshalJSON writes a fault so that it can be read again.
func (f Fault) MarshalJSON() ([]byte, error) { return json.Marshal(f.wire()) }

type plainFault Fault

func (f *Fault) wire() any {
	return &struct {
		*plainFault
		After *span `json:"after,omitzero"`
		Until *span `json:"until,omitzero"`
		Delay *span `json:"delay,omitzero"`
		Drip  *span `json:"drip,omitzero"`
	}{(*plainFault)(f), (*span)(&f.After), (*span)(&f.Until), (*span)(&f.Delay), (*span)(&f.Drip)}
}

// UnmarshalJSON reads a quota.
func (q *Quota) UnmarshalJSON(b []byte) error {
	*q = Quota{}
	if err := decode(b, q.wire()); err != nil {
		return err
	}
	return q.check()
}

// MarshalJSON writes a quota so that it can be read again.
func (q Quota) MarshalJSON() ([]byte, error) { return json.Marshal(q.wire()) }

type plainQuota Quota

func (q *Quota) wire() any {
	return &struct {
		*plainQuota
		Per *span `json:"per,omitzero"`
	}{(*plainQuota)(q), (*span)(&q.Per)}
}

// UnmarshalJSON reads what is wrong with the rows of a list.
func (f *RowFault) UnmarshalJSON(b []byte) error {
	*f = RowFault{}
	return decode(b, f.wire())
}

// MarshalJSON writes what is wrong with the rows of a list so that it can be read again.
func (f RowFault) MarshalJSON() ([]byte, error) { return json.Marshal(f.wire()) }

type plainRowFault RowFault

func (f *RowFault) wire() any {
	return &struct {
		*plainRowFault
		Early *span `json:"early,omitzero"`
		Late  *span `json:"late,omitzero"`
	}{(*plainRowFault)(f), (*span)(&f.Early), (*span)(&f.Late)}
}

// UnmarshalJSON reads how an order is listed.
func (l *Listing) UnmarshalJSON(b []byte) error {
	*l = Listing{}
	type plainListing Listing
	return decode(b, &struct {
		*plainListing
		EndAfter      *span `json:"end_after"`
		CreatedBefore *span `json:"created_before"`
	}{(*plainListing)(l), (*span)(&l.EndAfter), (*span)(&l.CreatedBefore)})
}

// UnmarshalJSON reads an order's script.
func (o *Order) UnmarshalJSON(b []byte) error {
	*o = Order{}
	type plainOrder Order
	err := decode(b, &struct {
		*plainOrder
		Items       *list[Item]  `json:"items"`
		Count       *count       `json:"count"`
		NotFoundFor *span        `json:"not_found_for"`
		Faults      *list[Fault] `json:"faults"`
	}{(*plainOrder)(o), (*list[Item])(&o.Items), (*count)(&o.Count), (*span)(&o.NotFoundFor), (*list[Fault])(&o.Faults)})
	switch {
	case err != nil:
		return err
	case !slices.Contains([]Spelling{Lower, Camel}, o.Spelling):
		return fmt.Errorf("spelling: %q is none of %q", o.Spelling, []Spelling{Lower, Camel})
	case !slices.Contains([]Timestamps{Integers, Strings, Missing}, o.Timestamps):
		return fmt.Errorf("timestamps: %q is none of %q", o.Timestamps, []Timestamps{Integers, Strings, Missing})
	}
	return nil
}

// UnmarshalJSON reads the script of an item.
func (i *Item) UnmarshalJSON(b []byte) error {
	*i = Item{}
	type plainItem Item
	return decode(b, &struct {
		*plainItem
		AppearAfter *span `json:"appear_after"`
		EndAfter    *span `json:"end_after"`
	}{(*plainItem)(i), (*span)(&i.AppearAfter), (*span)(&i.EndAfter)})
}

// A span is a duration as text: "5s", "1m30s", "never".
type span time.Duration

func (s span) IsZero() bool { return s == 0 }

func (s span) MarshalText() ([]byte, error) {
	if time.Duration(s) == Never {
		return []byte("never"), nil
	}
	return []byte(time.Duration(s).String()), nil
}

func (s *span) UnmarshalText(b []byte) error {
	if string(b) == "never" {
		*s = span(Never)
		return nil
	}
	d, err := time.ParseDuration(string(b))
	if err != nil || d < 0 {
		return fmt.Errorf("%q is no duration such as 5s, 1m30s or never", b)
	}
	*s = span(d)
	return nil
}

// A count is a number, or "seen", "all", "missing".
type count int

func (c *count) UnmarshalJSON(b []byte) error {
	words := map[string]count{`"seen"`: CountSeen, `"all"`: CountAll, `"missing"`: CountMissing}
	if n, ok := words[string(b)]; ok {
		*c = n
		return nil
	}
	n, err := strconv.ParseUint(string(b), 10, 31)
	if err != nil {
		return fmt.Errorf(`count: %s is neither a number nor "seen", "all" or "missing"`, b)
	}
	*c = count(n)
	return nil
}

// A list is read one by one, so that an error says which it is about.
type list[T any] []T

func (l *list[T]) UnmarshalJSON(b []byte) error {
	var raw []json.RawMessage
	noun := strings.ToLower(reflect.TypeFor[T]().Name())
	if err := json.Unmarshal(b, &raw); err != nil {
		return fmt.Errorf("the %ss are no list", noun)
	}
	*l = nil
	for n, r := range raw {
		var t T
		if err := decode(r, &t); err != nil {
			return fmt.Errorf("%s %d: %w", noun, n+1, err)
		}
		*l = append(*l, t)
	}
	return nil
}

// decode reads one JSON value that has nothing unknown in it and nothing behind it.
func decode(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return complaint(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is something behind the JSON")
	}
	return nil
}

// complaint says in a user's words what is wrong with JSON.
func complaint(err error) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		field := e.Field[strings.LastIndex(e.Field, ".")+1:] + ": "
		return errors.New(strings.TrimPrefix(field, ": ") + "must be " + kind(e.Type) + ", not " + e.Value)
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("is no JSON: %w", e)
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errors.New("the JSON is not whole")
	}
	return errors.New(strings.TrimPrefix(err.Error(), "json: "))
}

func kind(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[*span](), t == reflect.TypeFor[span]():
		return `a duration such as "5s"`
	case t.Kind() == reflect.Struct, t.Kind() == reflect.Map:
		return "an object"
	case t.Kind() == reflect.Int, t.Kind() == reflect.Int64:
		return "a whole number"
	case t.Kind() == reflect.Bool:
		return "true or false"
	}
	return "a text"
}
