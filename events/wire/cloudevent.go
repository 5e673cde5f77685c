package wire

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/orderwatch/orderwatch/watcher"
)

// typeWatch is the type of a request that is a CloudEvent.
const typeWatch = "io.orderwatch.order.watch.v1"

// attributes are what a CloudEvent says of itself, by their names; the data is none. A request may be one, in structured
// mode (the body is the whole event) or in binary mode (the body is the data, and the attributes are headers that begin
// with ce-): CloudEvents 1.0, its JSON format and its protocol binding for NATS.
type attributes map[string]string

// unwrap returns the request in the message, and the attributes of the CloudEvent that carries it; nil where none does.
func (m Incoming) unwrap() (body []byte, a attributes, err error) {
	if len(m.Body) > maxRequest {
		return m.Body, nil, wrong("", fmt.Sprintf("the body has %d bytes; at most %d are taken", len(m.Body), maxRequest))
	}
	contentType, err := m.one("Content-Type")
	if err != nil {
		return m.Body, nil, err
	}
	if kind, ok := strings.CutPrefix(strings.ToLower(contentType), "application/cloudevents"); ok {
		if kind, _, _ = strings.Cut(kind, ";"); strings.TrimSpace(kind) != "+json" {
			return m.Body, nil, wrong("Content-Type", "must be application/cloudevents+json for a CloudEvent in structured mode")
		}
		body, a, err = structured(m.Body)
	} else {
		body = m.Body
		if a, err = m.binary(); a != nil {
			a["datacontenttype"] = contentType
		}
	}
	if err == nil && a != nil {
		err = a.check()
	}
	return body, a, err
}

// structured reads a CloudEvent in structured mode.
func structured(event []byte) (data []byte, a attributes, err error) {
	a = make(attributes)
	data = event // so long as none is found
	given := 0
	err = eachField(event, "", func(name string, value json.RawMessage) error {
		switch name {
		case "data":
			data, given = value, given+1
			return nil
		case "data_base64":
			given++
			var encoded string
			if json.Unmarshal(value, &encoded) != nil {
				return wrong(name, "must be a string")
			}
			data, err = base64.StdEncoding.DecodeString(encoded)
			return refuseIf(err != nil, name, "must be base64")
		}
		return a.set(name, value)
	})
	return data, a, cmp.Or(err,
		refuseIf(given == 0, "data", "is required: the request"),
		refuseIf(given == 2, "data", "comes twice, also as data_base64"))
}

// set reads an attribute. One that is no text is none that matters here.
func (a attributes) set(name string, value json.RawMessage) error {
	if !attributeName.MatchString(name) {
		return wrong(show(name), "is no attribute of a CloudEvent: their names are of a-z 0-9; a request is its data")
	}
	var s *string
	if err := json.Unmarshal(value, &s); err != nil && slices.Contains(requiredAttributes, name) {
		return wrong(name, "must be a string")
	} else if err == nil && s != nil {
		a[name] = *s
	}
	return nil
}

var (
	attributeName      = regexp.MustCompile(`^[a-z0-9]+$`)
	requiredAttributes = []string{"specversion", "type", "source", "id"}
)

// binary returns the attributes of a CloudEvent in binary mode; nil where the message is none.
func (m Incoming) binary() (a attributes, err error) {
	for name := range m.Header {
		attribute, ok := strings.CutPrefix(strings.ToLower(name), "ce-")
		if !ok {
			continue
		}
		value, err := m.one(name)
		if err != nil {
			return nil, err
		}
		if value, err = url.PathUnescape(value); err != nil {
			return nil, wrong(show(name), "must be percent-encoded")
		}
		if a == nil {
			a = make(attributes)
		}
		a[attribute] = value
	}
	return a, nil
}

// one returns the header, whose name may be written in any case, empty where there is none.
func (m Incoming) one(name string) (string, error) {
	var found []string
	for key, values := range m.Header {
		if strings.EqualFold(key, name) {
			found = append(found, values...)
		}
	}
	if len(found) > 1 {
		return "", wrong(show(name), "comes twice")
	}
	return strings.Join(found, ""), nil
}

// check refuses an event that is no request.
func (a attributes) check() error {
	for _, name := range requiredAttributes {
		if a[name] == "" {
			return wrong(name, "is required in a CloudEvent")
		}
	}
	media, _, err := mime.ParseMediaType(cmp.Or(a["datacontenttype"], "application/json"))
	isJSON := err == nil && (media == "application/json" || strings.HasSuffix(media, "+json"))
	return cmp.Or(
		refuseIf(strings.ContainsAny(a["source"], " \t"), "source", "must be a URI reference, which holds no blank"),
		refuseIf(a["specversion"] != "1.0", "specversion", "must be 1.0"),
		refuseIf(a["type"] != typeWatch, "type", "must be "+typeWatch),
		refuseIf(!isJSON, "datacontenttype", "must be application/json"),
	)
}

// id returns the id of the request that names none.
func (a attributes) id() (string, error) {
	const most = 128
	id := a["source"] + " " + a["id"]
	if err := checkText("id", id, most); err != nil {
		return "", wrong("id", fmt.Sprintf("must, with source, have at most %d readable characters where there is no request_id", most-1))
	}
	return id, nil
}

// trace returns the trace context of the message's headers, or, where they have none, of the CloudEvent. What is no
// trace context is left out, and no error.
func (m Incoming) trace(a attributes) watcher.Trace {
	parent, err := m.one("traceparent")
	state, errState := m.one("tracestate")
	if err != nil || errState != nil || parent == "" {
		parent, state = a["traceparent"], a["tracestate"]
	}
	if !traceparent.MatchString(parent) || strings.Contains(parent, "-00000000000000000000000000000000-") {
		return watcher.Trace{}
	}
	if !tracestate.MatchString(state) {
		state = ""
	}
	return watcher.Trace{Parent: parent, State: state}
}

// What https://www.w3.org/TR/trace-context/ allows; of later versions the part that this one has.
var (
	traceparent = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)
	tracestate  = regexp.MustCompile(`^[ -~]{1,512}$`)
)
