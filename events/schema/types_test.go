package schema_test

import (
	"encoding"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// types are what the program reads and writes as JSON, by the names of the schemas.
var types = map[string]reflect.Type{
	"request":         reflect.TypeFor[wire.WatchRequest](),
	"watch-request":   reflect.TypeFor[wire.WatchRequest](),
	"completed":       reflect.TypeFor[watcher.Completion](),
	"progressed":      reflect.TypeFor[watcher.Progress](),
	"rejected":        reflect.TypeFor[wire.Rejection](),
	"attention":       reflect.TypeFor[watcher.Attention](),
	"watch-response":  reflect.TypeFor[wire.Accepted](),
	"get-request":     reflect.TypeFor[watcher.Order](),
	"get-response":    reflect.TypeFor[watcher.Snapshot](),
	"why-request":     reflect.TypeFor[watcher.Order](),
	"why-response":    reflect.TypeFor[wire.Story](),
	"list-request":    reflect.TypeFor[wire.ListQuery](),
	"list-response":   reflect.TypeFor[wire.ListAnswer](),
	"cancel-request":  reflect.TypeFor[wire.CancelRequest](),
	"cancel-response": reflect.TypeFor[watcher.Snapshot](),
	"poll-request":    reflect.TypeFor[watcher.Order](),
	"poll-response":   reflect.TypeFor[watcher.Snapshot](),
	"service-error":   reflect.TypeFor[wire.ServiceError](),

	"order-attention":   reflect.TypeFor[watcher.OrderAttention](),
	"request-attention": reflect.TypeFor[watcher.RequestAttention](),
	"undelivered":       reflect.TypeFor[watcher.UndeliveredMessage](),
	"again":             reflect.TypeFor[watcher.Again](),
	"renotify-request":  reflect.TypeFor[wire.RenotifyRequest](),
	"renotify-response": reflect.TypeFor[wire.Renotified](),
	"events-request":    reflect.TypeFor[wire.EventsQuery](),
	"events-response":   reflect.TypeFor[wire.EventsAnswer](),
	"history-request":   reflect.TypeFor[wire.HistoryRequest](),
	"history-response":  reflect.TypeFor[wire.HistoryAnswer](),
	"status-request":    reflect.TypeFor[struct{}](),
	"status-response":   reflect.TypeFor[wire.Status](),
}

// TestTypes holds that the schemas have every field of the Go types, of the right type, and no
// other.
func TestTypes(t *testing.T) {
	t.Parallel()
	for _, name := range messages() {
		d := document(t, name)
		asked := name == "request" || strings.HasSuffix(name, "-request")
		if closed := flat(d, d)["additionalProperties"] == false; closed != asked {
			t.Errorf("%s refuses other fields: %t; want %t", name, closed, asked)
		}
		of, ok := types[name]
		if !ok {
			t.Errorf("no type is held against %s", name)
			continue
		}
		holder{t, d, !asked}.hold(name, d, of)
	}
}

// A holder holds a document against a type.
type holder struct {
	*testing.T
	root     object
	required bool // fields that are always written must be required
}

func (h holder) hold(path string, s object, of reflect.Type) {
	if of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	s = flat(h.root, s)
	if of == reflect.TypeFor[json.RawMessage]() && kindOf(s) == "object" { // any one
		return
	}
	if kind := kindOf(s); kind != jsonKind(of) {
		h.Errorf("%s is %s; the type is %s", path, kind, of)
		return
	}
	switch jsonKind(of) {
	case "array":
		h.hold(path+"[]", s["items"].(object), of.Elem())
	case "object":
		if of.Kind() == reflect.Map {
			h.hold(path+"{}", s["additionalProperties"].(object), of.Elem())
			return
		}
		h.holdFields(path, s, of)
	}
}

func (h holder) holdFields(path string, s object, of reflect.Type) {
	fields := make(map[string]field)
	collect(of, fields)
	properties := s["properties"].(object)
	for name := range properties {
		if _, ok := fields[name]; !ok {
			h.Errorf("%s has a field %s; %s has none", path, name, of)
		}
	}
	var written []any
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		property, ok := properties[name].(object)
		if !ok {
			h.Errorf("%s lacks the field %s of %s", path, name, of)
			continue
		}
		if !fields[name].optional {
			written = append(written, name)
		}
		h.hold(path+"."+name, property, fields[name].Type)
	}
	required, _ := s["required"].([]any)
	slices.SortFunc(required, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
	if h.required && !slices.Equal(required, written) {
		h.Errorf("%s requires %v; %s always has %v", path, required, of, written)
	}
}

// A field is one of a type, as JSON has it.
type field struct {
	reflect.Type
	optional bool // it is left out where it is empty
}

func collect(of reflect.Type, fields map[string]field) {
	for f := range of.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			collect(f.Type, fields)
		case name != "-":
			fields[name] = field{f.Type, options != ""}
		}
	}
}

func jsonKind(of reflect.Type) string {
	if of.Kind() != reflect.Struct && of.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		return "string"
	}
	switch of.Kind() {
	case reflect.Struct:
		if of == reflect.TypeFor[time.Time]() {
			return "string date-time"
		}
		return "object"
	case reflect.Map:
		return "object"
	case reflect.Slice:
		return "array"
	case reflect.Float64:
		return "number"
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "string"
	}
	return "integer"
}

// kindOf returns the type that a schema asks for.
func kindOf(s object) string {
	kind, _ := s["type"].(string)
	if format, ok := s["format"].(string); ok {
		kind += " " + format
	}
	if _, ok := s["enum"]; ok && kind == "" {
		kind = "string"
	}
	return kind
}

// flat returns the schema with what it refers to and what its parts say.
func flat(root, s object) object {
	out := make(object)
	var parts []any
	if to, ok := s["$ref"].(string); ok {
		at := any(root)
		for name := range strings.SplitSeq(strings.TrimPrefix(to, "#/"), "/") {
			at = at.(object)[name]
		}
		parts = append(parts, at)
	}
	all, _ := s["allOf"].([]any)
	for _, part := range append(parts, all...) {
		merge(out, flat(root, part.(object)))
	}
	merge(out, s)
	delete(out, "$ref")
	delete(out, "allOf")
	return out
}

func merge(to, from object) {
	for keyword, value := range from {
		switch keyword {
		case "properties":
			properties, _ := to[keyword].(object)
			both := make(object)
			maps.Copy(both, properties)
			maps.Copy(both, value.(object))
			to[keyword] = both
		case "required":
			required, _ := to[keyword].([]any)
			to[keyword] = append(slices.Clip(required), value.([]any)...)
		default:
			to[keyword] = value
		}
	}
}

// TestWords holds that the schemas have the words of the domain.
func TestWords(t *testing.T) {
	words := func(list ...any) []any { return list }
	var outcomes []any
	for _, outcome := range watcher.Outcomes {
		outcomes = append(outcomes, string(outcome))
	}
	for _, test := range []struct {
		name, field, keyword string
		want                 []any
	}{
		{"completed", "outcome", "enum", outcomes},
		{"get-response", "state", "enum", words("watching", "ended")},
		{"list-request", "state", "enum", words("", "watching", "ended")},
		{"attention", "kind", "examples", words("unreachable", "reachable", "credentials", "held", "released", string(watcher.Overdue), string(watcher.Lost))},
		{"request-attention", "kind", "examples", words(string(watcher.Rejected))},
		{"order-attention", "kind", "examples", words(string(watcher.Blind), string(watcher.Stalled), string(watcher.Late), string(watcher.DeadlineNear), string(watcher.Vanished), string(watcher.UnknownStatus), string(watcher.BrokenRecord))},
		{"attention", "cause", "examples", words("throttled", "login", "permission", "arrears", "unreachable")},
	} {
		d := document(t, test.name)
		s := flat(d, flat(d, d)["properties"].(object)[test.field].(object))
		if got := s[test.keyword]; !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s of %s: %v; want %v", test.field, test.name, got, test.want)
		}
	}
}

// TestWordsOfDefinitions holds the same of the words in what the schemas share.
func TestWordsOfDefinitions(t *testing.T) {
	for _, test := range []struct {
		part, field, keyword string
		want                 []any
	}{
		{"error", "held", "enum", []any{string(watcher.HeldThrottled), string(watcher.HeldLogin), string(watcher.HeldPermission), string(watcher.HeldArrears), string(watcher.HeldUnreachable)}},
		{"item", "taken_for", "examples", []any{watcher.TakenForDeleted}},
	} {
		part := document(t, "order-attention")["$defs"].(object)[test.part].(object)
		s := part["properties"].(object)[test.field].(object)
		if got := s[test.keyword]; !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s of %s: %v; want %v", test.field, test.part, got, test.want)
		}
	}
}
