// Package schematest judges messages by the schemas that the program prints. It is for tests, and safe
// for concurrent use.
package schematest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/orderwatch/orderwatch/events/schema"
)

// Compile returns the schema of the name, as the program prints it.
func Compile(name string) (*jsonschema.Schema, error) {
	document, err := schema.Document(name)
	if err != nil {
		return nil, err
	}
	return Parse(document)
}

// address is where a document is for those who read it.
const address = "urn:orderwatch:printed"

// Parse returns the schema, which must stand alone. Formats are asserted.
func Parse(document []byte) (*jsonschema.Schema, error) {
	compiler, err := newCompiler(document)
	if err != nil {
		return nil, err
	}
	return compiler.Compile(address)
}

// newCompiler returns a compiler that reads nothing but the document.
func newCompiler(document []byte) (*jsonschema.Compiler, error) {
	content, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	compiler.UseLoader(jsonschema.SchemeURLLoader{})
	return compiler, compiler.AddResource(address, content)
}

// Validate judges a message's JSON.
func Validate(s *jsonschema.Schema, encoded []byte) error {
	content, err := jsonschema.UnmarshalJSON(bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	return s.Validate(content)
}

// A Message is one of the AsyncAPI document. Headers is nil where it has none.
type Message struct{ Headers, Payload *jsonschema.Schema }

// Messages returns the messages of the AsyncAPI document by name.
var Messages = sync.OnceValues(func() (map[string]Message, error) {
	document, d, err := readAsyncAPI()
	if err != nil {
		return nil, err
	}
	compiler, err := newCompiler(document)
	if err != nil {
		return nil, err
	}
	messages := make(map[string]Message)
	for name, m := range d.Components.Messages {
		var compiled Message
		at := address + "#/components/messages/" + name
		if compiled.Payload, err = compiler.Compile(at + "/payload"); err != nil {
			return nil, err
		}
		if m.Headers != nil {
			if compiled.Headers, err = compiler.Compile(at + "/headers"); err != nil {
				return nil, err
			}
		}
		messages[name] = compiled
	}
	return messages, nil
})

// An asyncAPI is what is read of the AsyncAPI document.
type asyncAPI struct {
	Channels   map[string]struct{ Address string }
	Components struct {
		Messages map[string]struct{ Headers json.RawMessage }
	}
}

func readAsyncAPI() (document []byte, d asyncAPI, err error) {
	if document, err = schema.Document(schema.AsyncAPI); err == nil {
		err = json.Unmarshal(document, &d)
	}
	return document, d, err
}

// A kind is one type of events: its data's schema, and the message and its subject as the AsyncAPI
// document has them.
type kind struct {
	data    *jsonschema.Schema
	message Message
	subject *regexp.Regexp
}

// kinds returns the types of events.
var kinds = sync.OnceValues(func() (map[string]kind, error) {
	messages, err := Messages()
	if err != nil {
		return nil, err
	}
	_, d, err := readAsyncAPI()
	if err != nil {
		return nil, err
	}
	types := make(map[string]kind)
	for name, t := range map[string]string{
		"completed":         "io.orderwatch.order.completed.v1",
		"progressed":        "io.orderwatch.order.progressed.v1",
		"rejected":          "io.orderwatch.request.rejected.v1",
		"attention":         "io.orderwatch.attention.v1",
		"order-attention":   "io.orderwatch.order.attention.v1",
		"request-attention": "io.orderwatch.request.attention.v1",
		"again":             "io.orderwatch.slack.renotify.v1",
		"undelivered":       "io.orderwatch.slack.undelivered.v1",
	} {
		data, err := Compile(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		name = strings.Replace(name, "-a", "A", 1) // as it is in the AsyncAPI document
		types[t] = kind{data, messages[name], subjects(d.Channels[name].Address)}
	}
	return types, nil
})

// subjects matches what a channel's address stands for, whatever the configured prefix is. The
// order's name comes last and may hold dots.
func subjects(address string) *regexp.Regexp {
	pattern := strings.NewReplacer(".", `\.`, "{order_name}", `(?P<order_name>.+)`, "{", "(?P<", "}", ">[^.]+)").Replace(address)
	return regexp.MustCompile("^.+" + strings.TrimPrefix(pattern, "orders") + "$")
}

// Event judges an event that orderwatch published: subject, headers, envelope and data, by the
// schema of the data and by the AsyncAPI document.
func Event(subject string, header map[string][]string, body []byte) error {
	types, err := kinds()
	if err != nil {
		return err
	}
	var e struct {
		Type string          `json:"type"`
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return err
	}
	k, ok := types[e.Type]
	if !ok {
		return fmt.Errorf("no schema of events of type %q", e.Type)
	}
	headers := make(map[string]any)
	for name, values := range header {
		headers[name] = strings.Join(values, ",")
	}
	return errors.Join(k.message.Headers.Validate(headers), Validate(k.message.Payload, body), Validate(k.data, e.Data), k.addressed(subject, e.Data))
}

// addressed holds that the subject's tokens are what the data say, but for hashes.
func (k kind) addressed(subject string, data []byte) error {
	tokens := k.subject.FindStringSubmatch(subject)
	if tokens == nil {
		return fmt.Errorf("the subject %s does not match %s", subject, k.subject)
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		return err
	}
	for i, name := range k.subject.SubexpNames() {
		if name != "" && !strings.HasSuffix(name, "_hash") && fields[name] != tokens[i] {
			return fmt.Errorf("the subject %s has %s %q; the data say %v", subject, name, tokens[i], fields[name])
		}
	}
	return nil
}
