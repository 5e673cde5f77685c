package schema_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/orderwatch/orderwatch/events/schema"
	"github.com/orderwatch/orderwatch/events/schema/schematest"
)

// object is a part of a document, or a message.
type object = map[string]any

func document(t *testing.T, name string) object {
	t.Helper()
	encoded, err := schema.Document(name)
	if err != nil {
		t.Fatal(err)
	}
	return decoded(t, encoded)
}

func decoded(t *testing.T, encoded []byte) (o object) {
	t.Helper()
	if err := json.Unmarshal(encoded, &o); err != nil {
		t.Fatalf("%v: %s", err, encoded)
	}
	return o
}

// messages are the names of the documents that are schemas.
func messages() []string {
	return slices.DeleteFunc(schema.Names(), func(name string) bool { return name == schema.AsyncAPI })
}

// TestNames holds that there is a document for each message of the contract.
func TestNames(t *testing.T) {
	want := []string{
		"again", "asyncapi", "attention", "cancel-request", "cancel-response", "completed", "events-request", "events-response", "get-request", "get-response", "history-request", "history-response",
		"list-request", "list-response", "order-attention", "poll-request", "poll-response", "progressed", "rejected",
		"renotify-request", "renotify-response", "request-attention", "request",
		"service-error", "status-request", "status-response", "undelivered", "watch-request", "watch-response", "why-request", "why-response",
	}
	if got := schema.Names(); !slices.Equal(got, want) {
		t.Errorf("the names are %v; want %v", got, want)
	}
	for _, name := range want {
		if title := schema.Title(name); title == "" || strings.Contains(title, "\n") {
			t.Errorf("the title of %s is %q", name, title)
		}
	}
	if _, err := schema.Document("complete"); err == nil || !strings.Contains(err.Error(), "completed") {
		t.Errorf("an unknown name gives %v; want the names", err)
	}
}

// keywords are those of JSON Schema that draft-07, which AsyncAPI reads, and 2020-12 understand
// alike, but for a document's own.
var keywords = []string{
	"$ref", "title", "description", "examples", "default", "type", "enum", "const", "format",
	"properties", "required", "additionalProperties", "propertyNames", "maxProperties",
	"items", "minItems", "maxItems", "minLength", "maxLength", "pattern", "minimum", "maximum", "allOf", "oneOf",
}

// eachSchema calls f for the schema and those inside it.
func eachSchema(path string, s object, f func(path string, s object)) {
	f(path, s)
	for _, keyword := range []string{"properties", "$defs"} {
		inside, _ := s[keyword].(object)
		for name, s := range inside {
			eachSchema(path+"/"+keyword+"/"+name, s.(object), f)
		}
	}
	for _, keyword := range []string{"items", "additionalProperties", "propertyNames"} {
		if s, ok := s[keyword].(object); ok {
			eachSchema(path+"/"+keyword, s, f)
		}
	}
	for _, keyword := range []string{"allOf", "oneOf"} {
		inside, _ := s[keyword].([]any)
		for _, s := range inside {
			eachSchema(path+"/"+keyword, s.(object), f)
		}
	}
}

// checkPortable holds that a schema means the same as draft-07 and as 2020-12.
func checkPortable(t *testing.T, own ...string) func(string, object) {
	return func(path string, s object) {
		_, refers := s["$ref"]
		for keyword := range s {
			isText := keyword == "$ref" || keyword == "title" || keyword == "description"
			switch {
			case slices.Contains(own, keyword):
			case !slices.Contains(keywords, keyword):
				t.Errorf("%s has the keyword %s", path, keyword)
			case refers && !isText:
				t.Errorf("%s has %s beside $ref: draft-07 does not read it", path, keyword)
			}
		}
	}
}

// checkDescribed holds that every field is described, there or where its schema is.
func checkDescribed(t *testing.T, root object) func(string, object) {
	return func(path string, s object) {
		fields, _ := s["properties"].(object)
		for name, field := range fields {
			f := flat(root, field.(object))
			if f["description"] == nil && f["title"] == nil {
				t.Errorf("%s has a field %s without a description", path, name)
			}
		}
	}
}

// TestDocuments holds that each schema is one of 2020-12 that stands alone, is described, and is
// the same for those who read draft-07.
func TestDocuments(t *testing.T) {
	t.Parallel()
	for _, name := range messages() {
		if _, err := schematest.Compile(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		d := document(t, name)
		if id, _ := d["$id"].(string); !strings.HasSuffix(id, "/events/schema/"+name+".json") || d["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
			t.Errorf("%s has $id %v, $schema %v", name, d["$id"], d["$schema"])
		}
		eachSchema(name, d, checkDescribed(t, d))
		eachSchema(name, d, checkPortable(t, "$schema", "$id", "$defs"))
	}
}

// maxMetadata is how large a schema may be that the service announces, in bytes.
const maxMetadata = 9 << 10

// TestCompact holds that the one-line form fits into the service's metadata and onto a terminal,
// and judges as the printed one does.
func TestCompact(t *testing.T) {
	t.Parallel()
	for _, name := range messages() {
		line := schema.Compact(name)
		if len(line) > maxMetadata || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%s has %d bytes on its line: %.200q", name, len(line), line)
		}
		if _, err := schematest.Parse([]byte(line)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	short, err := schematest.Parse([]byte(schema.Compact("completed")))
	if err != nil {
		t.Fatal(err)
	}
	for _, golden := range goldens(t) {
		e := decoded(t, golden.body)
		isCompletion := e["type"] == "io.orderwatch.order.completed.v1"
		if err := short.Validate(e["data"]); (err == nil) != isCompletion {
			t.Errorf("%s: %v", golden.name, err)
		}
	}
}

// A golden is an event that a file shows.
type golden struct {
	name, subject string
	body          []byte
}

const (
	project = "6f5da086876d4cd084d36f8bd3346036"
	order   = project + ".order.pool-5ed5-w4l2n"
)

// goldens returns the events that testdata and MESSAGES.md show.
func goldens(t *testing.T) []golden {
	t.Helper()
	paths, err := filepath.Glob("../testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	list := []golden{{"MESSAGES.md", "orders.completed.partially_failed." + order, page(t, "<!-- completion -->\n```json\n", "```")}}
	for _, path := range paths {
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		subject := "orders.rejected"
		switch decoded(t, body)["type"] {
		case "io.orderwatch.order.completed.v1":
			subject = "orders.completed.partially_failed." + order
		case "io.orderwatch.order.progressed.v1":
			subject = "orders.progress." + order
		case "io.orderwatch.order.attention.v1":
			subject = "orders.attention.vanished." + order
		}
		list = append(list, golden{filepath.Base(path), subject, body})
	}
	return list
}

// page returns what stands in MESSAGES.md between two texts.
func page(t *testing.T, after, before string) []byte {
	t.Helper()
	text, err := os.ReadFile("../MESSAGES.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), after)
	part, _, ends := strings.Cut(rest, before)
	if !found || !ends {
		t.Fatalf("MESSAGES.md has nothing between %q and %q", after, before)
	}
	return []byte(part)
}

// later are the fields that events of earlier releases lack.
var later = []string{"actions", "expected_items", "order_began_at", "order_ended_at", "detected_after", "detected_by", "settled_after", "links"}

// TestGoldens holds the events that testdata and MESSAGES.md show against the schemas, and that events
// which are wrong in one place are found out.
func TestGoldens(t *testing.T) {
	t.Parallel()
	header := map[string][]string{"Content-Type": {"application/cloudevents+json"}}
	list := goldens(t)
	if len(list) < 6 {
		t.Fatalf("%d events; testdata has five, and MESSAGES.md one", len(list))
	}
	for _, g := range list {
		if err := schematest.Event(g.subject, header, g.body); err != nil {
			t.Errorf("%s: %v", g.name, err)
		}
		if schematest.Event(g.subject, nil, g.body) == nil || schematest.Event("orders.completed.failed.x.y", header, g.body) == nil {
			t.Errorf("%s passes without headers, or on another subject", g.name)
		}
		for field := range decoded(t, g.body)["data"].(object) {
			for what, spoil := range map[string]func(object){
				"without":           func(data object) { delete(data, field) },
				"with a wrong type": func(data object) { data[field] = []any{object{}} },
			} {
				e := decoded(t, g.body)
				spoil(e["data"].(object))
				body, err := json.Marshal(e)
				if err != nil {
					t.Fatal(err)
				}
				passes := schematest.Event(g.subject, header, body) == nil
				if optional := what == "without" && slices.Contains(later, field); passes != optional {
					t.Errorf("%s %s %s passes: %t", g.name, what, field, passes)
				}
			}
		}
	}
}

var fieldRow = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|")

// TestRequestPage holds that the table of MESSAGES.md names the fields of the request schema, and that its
// example is a request.
func TestRequestPage(t *testing.T) {
	var named []string
	for _, row := range fieldRow.FindAllSubmatch(page(t, "| field | default | meaning |", "\n\n"), -1) {
		named = append(named, string(row[1]))
	}
	fields := slices.Sorted(maps.Keys(document(t, "request")["properties"].(object)))
	if slices.Sort(named); !slices.Equal(named, fields) {
		t.Errorf("the table has %v; the schema has %v", named, fields)
	}
	request, err := schematest.Compile("request")
	if err != nil {
		t.Fatal(err)
	}
	if err := schematest.Validate(request, page(t, "where the workers have a default project:\n\n```json\n", "```")); err != nil {
		t.Error(err)
	}
}

// TestText holds that the pattern of texts lets all characters pass but those that requests may not
// have.
func TestText(t *testing.T) {
	t.Parallel()
	text := document(t, "request")["$defs"].(object)["text"].(object)
	pattern := regexp.MustCompile(text["pattern"].(string))
	for r := rune(0); r <= unicode.MaxRune; r++ {
		hidden := unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) && r != '\u200c' && r != '\u200d'
		if isCharacter := r < 0xd800 || r > 0xdfff; isCharacter && pattern.MatchString(string(r)) == hidden {
			t.Errorf("%U passes: %t", r, hidden)
		}
	}
}
