// Package schema holds the contract's messages as JSON Schema 2020-12, one file for each, and as an
// AsyncAPI 3 document.
//
// The files share definitions.json. What this package returns stands alone: no reference leads out
// of it. An AsyncAPI document reads schemas as draft-07, so the files hold only what means the same
// there; beside a reference, titles and descriptions alone.
package schema

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf16"
)

//go:embed *.json
var files embed.FS

// AsyncAPI is the name of the AsyncAPI document.
const AsyncAPI = "asyncapi"

const definitions = "definitions"

// Names returns the names of the documents in alphabetical order: AsyncAPI, and the messages that
// have a schema.
func Names() []string {
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(err) // the directory is part of the program
	}
	var names []string
	for _, entry := range entries {
		if name := strings.TrimSuffix(entry.Name(), ".json"); name != definitions {
			names = append(names, name)
		}
	}
	return names
}

// Title says in one line what the document is about; it is empty where there is none of the name.
func Title(name string) string {
	var d struct {
		Title string `json:"title"`
		Info  struct {
			Title string `json:"title"`
		} `json:"info"`
	}
	_ = json.Unmarshal(file(name), &d) // a test reads them all
	return d.Title + d.Info.Title
}

// Document returns the document as indented JSON that stands alone. The error names those there are.
func Document(name string) ([]byte, error) {
	if !slices.Contains(Names(), name) {
		return nil, fmt.Errorf("there is no schema %q: the names are %s", name, strings.Join(Names(), ", "))
	}
	var out bytes.Buffer
	encoded, err := bundle(name)
	if err == nil {
		err = json.Indent(&out, encoded, "", "  ")
	}
	if err != nil {
		return nil, fmt.Errorf("read schema %s: %w", name, err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// Compact returns a message's schema on one line of ASCII, without titles, descriptions and examples.
// It panics where there is no schema of the name.
func Compact(name string) string {
	var s any
	document, err := bundle(name)
	if err == nil {
		err = json.Unmarshal(document, &s)
	}
	if err != nil {
		panic(err)
	}
	omitTexts(s)
	encoded, err := encode(s)
	if err != nil {
		panic(err)
	}
	return ascii(bytes.TrimSpace(encoded))
}

// ascii returns the JSON with escapes for what a terminal would not show, or would obey.
func ascii(encoded []byte) string {
	var out strings.Builder
	for _, r := range string(encoded) {
		if r < 0x7f {
			out.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&out, `\u%04x`, unit)
		}
	}
	return out.String()
}

// omitTexts leaves out what only people read. A property of one of these names is an object.
func omitTexts(schema any) {
	switch schema := schema.(type) {
	case []any:
		for _, s := range schema {
			omitTexts(s)
		}
	case map[string]any:
		maps.DeleteFunc(schema, func(key string, value any) bool {
			_, isText := value.(string)
			_, isList := value.([]any)
			return (key == "title" || key == "description") && isText || key == "examples" && isList
		})
		for _, s := range schema {
			omitTexts(s)
		}
	}
}

// file returns a document as it is written, empty where there is none of the name.
func file(name string) []byte {
	encoded, _ := files.ReadFile(name + ".json")
	return encoded
}

// encode returns the value's JSON, in which < and > stay what they are.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return out.Bytes(), err
}

var (
	// identity is what says where a schema is: a part of another is there.
	identity = regexp.MustCompile(`(?m)^  "\$(?:schema|id)": .*\n`)
	// reference leads to another file, or to one of the definitions.
	reference = regexp.MustCompile(`"\$ref": "(?:([a-z-]+)\.json)?(?:#/\$defs/([a-z_]+))?"`)
)

// bundle returns the document with all that it refers to.
func bundle(name string) ([]byte, error) {
	place, parts := "#/$defs/", make(map[string]json.RawMessage)
	if name == AsyncAPI {
		place = "#/components/schemas/"
	}
	if err := gather(file(name), place, parts); err != nil {
		return nil, err
	}
	document := redirect(file(name), place)
	switch {
	case name == AsyncAPI:
		return bundleAsyncAPI(document, parts)
	case len(parts) == 0:
		return document, nil
	}
	encoded, err := encode(parts)
	if err != nil {
		return nil, err
	}
	document = bytes.TrimSuffix(bytes.TrimSpace(document), []byte("}"))
	return slices.Concat(document, []byte(`, "$defs": `), encoded, []byte("}")), nil
}

// An asyncAPI is the document with its schemas apart.
type asyncAPI struct {
	Version            json.RawMessage `json:"asyncapi"`
	Info               json.RawMessage `json:"info"`
	DefaultContentType json.RawMessage `json:"defaultContentType"`
	Servers            json.RawMessage `json:"servers"`
	Channels           json.RawMessage `json:"channels"`
	Operations         json.RawMessage `json:"operations"`
	Components         struct {
		Messages json.RawMessage            `json:"messages"`
		Schemas  map[string]json.RawMessage `json:"schemas"`
	} `json:"components"`
}

func bundleAsyncAPI(document []byte, parts map[string]json.RawMessage) ([]byte, error) {
	var d asyncAPI
	strict := json.NewDecoder(bytes.NewReader(document))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&d); err != nil {
		return nil, err
	}
	maps.Copy(d.Components.Schemas, parts)
	return encode(d)
}

// gather adds to parts what the text refers to, and what that refers to, by name. Their references lead to the place.
func gather(text []byte, place string, parts map[string]json.RawMessage) error {
	for _, to := range reference.FindAllSubmatch(text, -1) {
		part := partOf(to)
		if _, ok := parts[part]; ok {
			continue
		}
		schema, err := find(string(to[1]), string(to[2]))
		if err != nil {
			return err
		}
		parts[part] = redirect(schema, place)
		if err := gather(schema, place, parts); err != nil {
			return err
		}
	}
	return nil
}

// partOf returns the name of the part that a match of reference leads to: that of a definition, or else that of
// the file.
func partOf(match [][]byte) string {
	if len(match[2]) > 0 {
		return string(match[2])
	}
	return string(match[1])
}

// find returns a part: a definition, or else the file.
func find(name, definition string) (schema json.RawMessage, err error) {
	if definition == "" {
		schema = identity.ReplaceAll(file(name), nil)
	} else {
		defined, err := allDefinitions()
		if err != nil {
			return nil, err
		}
		schema = defined[definition]
	}
	if len(schema) == 0 {
		return nil, fmt.Errorf("nothing is at %s.json#%s", name, definition)
	}
	return schema, nil
}

// allDefinitions returns what definitions.json defines, by name. A worker looks for many of them when it starts.
var allDefinitions = sync.OnceValues(func() (map[string]json.RawMessage, error) {
	var d struct {
		Defs map[string]json.RawMessage `json:"$defs"`
	}
	err := json.Unmarshal(file(definitions), &d)
	return d.Defs, err
})

// redirect lets the text's references lead to the place.
func redirect(text []byte, place string) []byte {
	return reference.ReplaceAllFunc(text, func(match []byte) []byte {
		return fmt.Appendf(nil, `"$ref": %q`, place+partOf(reference.FindSubmatch(match)))
	})
}
