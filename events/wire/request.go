package wire

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/oklog/ulid/v2"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/foreign"
)

// maxRequest is the largest body of a request, in bytes.
const maxRequest = 64 << 10

// Rules say which requests are right.
type Rules struct {
	Regions        []string      // the configured ones
	DefaultProject string        // of a request that names none; empty makes project_id required
	TimeoutMax     time.Duration // the longest timeout
	SlackChannels  []string      // the channels that a request may name
	RoutedChannels []string      // those of the routes, in which people can be told again, too
}

// A WatchRequest is a request to watch an order, as a client publishes it. Empty fields take the
// defaults of the installation.
type WatchRequest struct {
	watcher.Order
	Region        string            `json:"region,omitempty"`
	RequestID     string            `json:"request_id"` // required: by it several tries are one request
	RequestedBy   string            `json:"requested_by,omitempty"`
	Link          string            `json:"link,omitempty"`
	Labels        map[string]string `json:"labels,omitempty"`
	ExpectedItems int               `json:"expected_items,omitempty"`
	Timeout       string            `json:"timeout,omitempty"` // a Go duration
	SlackChannel  string            `json:"slack_channel,omitempty"`
}

// Check returns a *[watcher.FieldError] where no installation would take the request. Which regions and
// channels there are, and the longest timeout, only the worker knows.
func (r WatchRequest) Check() error {
	const longest = time.Duration(math.MaxInt64)
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if r.RequestID == "" {
		return &watcher.FieldError{Field: "request_id", Reason: "is required"}
	}
	rules := Rules{Regions: []string{r.Region}, SlackChannels: []string{r.SlackChannel}, TimeoutMax: longest}
	_, err = rules.Decode(Incoming{Body: body})
	return err
}

// Incoming is a message that is perhaps a request.
type Incoming struct {
	Body   []byte
	Header nats.Header
	Stored time.Time // by the server's clock
	// Sequence is its sequence in the stream; 0 where it came as a request of the service.
	Sequence uint64
	// MadeID is the id of the request where nothing in the message names one: the same whenever the
	// message is delivered.
	MadeID string
}

// Delivered returns a message of the stream of requests.
func Delivered(m *nats.Msg) (Incoming, error) {
	meta, err := m.Metadata()
	if err != nil {
		return Incoming{}, fmt.Errorf("read metadata of a request: %w", err)
	}
	sequence, at := meta.Sequence.Stream, meta.Timestamp.UTC().Truncate(time.Millisecond)
	return Incoming{Body: m.Data, Header: m.Header, Sequence: sequence, Stored: at, MadeID: streamID(sequence, at)}, nil
}

// Decode reads a request to watch an order. The error is a *[watcher.FieldError].
func (rules Rules) Decode(m Incoming) (watcher.Ask, error) {
	ask := watcher.Ask{Order: watcher.Order{ProjectID: rules.DefaultProject}}
	ask.Request.ReceivedAt = m.Stored.UTC()
	body, attributes, err := m.unwrap()
	if err != nil {
		return ask, err
	}
	if !utf8.Valid(body) {
		return ask, &watcher.FieldError{Reason: "the body is not UTF-8"}
	}
	if err := rules.decodeFields(body, &ask); err != nil {
		return ask, err
	}
	if err := cmp.Or(missing(ask.Order), ask.Order.Validate()); err != nil {
		return ask, err
	}
	if ask.Request.ID == "" {
		if ask.Request.ID, err = m.defaultID(attributes); err != nil {
			return ask, err
		}
	}
	ask.Request.Trace = m.trace(attributes)
	ask.WatchID = watchID(ask)
	return ask, nil
}

// decodeFields reads the request's fields into ask.
func (rules Rules) decodeFields(body []byte, ask *watcher.Ask) error {
	return eachField(body, "", func(name string, value json.RawMessage) error {
		switch name {
		case "project_id":
			return text(name, value, 64, &ask.ProjectID)
		case "order_name":
			return text(name, value, 128, &ask.Name)
		case "region":
			return rules.region(value, &ask.Region)
		case "request_id":
			return text(name, value, 128, &ask.Request.ID)
		case "requested_by":
			return text(name, value, 200, &ask.Request.RequestedBy)
		case "link":
			return link(value, &ask.Request.Link)
		case "labels":
			return labels(value, &ask.Request.Labels)
		case "expected_items":
			return wholeNumber(name, value, 1, maxExpectedItems, &ask.ExpectedItems)
		case "timeout":
			return rules.timeout(value, &ask.Timeout)
		case "slack_channel":
			return rules.slackChannel(value, &ask.Request.SlackChannel)
		}
		return &watcher.FieldError{Field: show(name), Reason: "is no field of a request; the fields are project_id, order_name, region, request_id, requested_by, link, labels, expected_items, timeout, slack_channel"}
	})
}

// eachField calls f for each field of the one JSON object in body. Names are compared exactly,
// and none may come twice. prefix is the path of the object, for errors.
func eachField(body []byte, prefix string, f func(name string, value json.RawMessage) error) error {
	fail := func(reason string) error {
		return &watcher.FieldError{Field: strings.TrimSuffix(prefix, "."), Reason: reason}
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	if open, err := decoder.Token(); err != nil {
		return fail("is not JSON: " + jsonReason(err))
	} else if open != json.Delim('{') {
		return fail("must be a JSON object")
	}
	seen := make(map[string]bool)
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return fail("is not JSON: " + jsonReason(err))
		}
		name := token.(string) // the key of an object
		if seen[name] {
			return &watcher.FieldError{Field: prefix + show(name), Reason: "comes twice"}
		}
		seen[name] = true
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return &watcher.FieldError{Field: prefix + show(name), Reason: "is not JSON: " + jsonReason(err)}
		}
		if err := f(name, value); err != nil {
			return err
		}
	}
	if _, err := decoder.Token(); err != nil {
		return fail("is not JSON: " + jsonReason(err))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fail("goes on after its JSON object")
	}
	return nil
}

func jsonReason(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "it ends too early"
	}
	return err.Error()
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

func text(field string, value json.RawMessage, most int, to *string) error {
	if len(value) == 0 || value[0] != '"' {
		return &watcher.FieldError{Field: field, Reason: "must be a string"}
	}
	if err := json.Unmarshal(value, to); err != nil {
		return &watcher.FieldError{Field: field, Reason: "must be a string"}
	}
	if loneSurrogate(value, *to) {
		return &watcher.FieldError{Field: field, Reason: `has half a character: \ud800 to \udfff come in pairs`}
	}
	return checkText(field, *to, most)
}

// loneSurrogate reports whether decoding put a replacement character where there was none: two
// texts that differ would become the same.
func loneSurrogate(encoded []byte, decoded string) bool {
	return strings.ContainsRune(decoded, utf8.RuneError) &&
		!bytes.ContainsRune(encoded, utf8.RuneError) && !bytes.Contains(bytes.ToLower(encoded), []byte(`\ufffd`))
}

// checkText refuses what people could not read or what would take too much room.
func checkText(field, s string, most int) error {
	if !utf8.ValidString(s) { // a header's
		return &watcher.FieldError{Field: field, Reason: "is not UTF-8"}
	}
	if n := utf8.RuneCountInString(s); n > most {
		return &watcher.FieldError{Field: field, Reason: fmt.Sprintf("has %d characters; at most %d are taken", n, most)}
	}
	if strings.ContainsFunc(s, func(r rune) bool { return !foreign.Visible(r) }) {
		return &watcher.FieldError{Field: field, Reason: "must hold no control or invisible characters"}
	}
	return nil
}

func (rules Rules) region(value json.RawMessage, to *string) error {
	if err := text("region", value, 64, to); err != nil {
		return err
	}
	if *to != "" && !slices.Contains(rules.Regions, *to) {
		return &watcher.FieldError{Field: "region", Reason: "must be one of the configured regions: " + strings.Join(rules.Regions, ", ")}
	}
	return nil
}

func link(value json.RawMessage, to *string) error {
	if err := text("link", value, 2000, to); err != nil {
		return err
	}
	if *to == "" {
		return nil
	}
	u, err := url.Parse(*to)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.ContainsAny(*to, " |<>\"\\") {
		return &watcher.FieldError{Field: "link", Reason: "must be an http or https URL"}
	}
	if u.User != nil {
		return &watcher.FieldError{Field: "link", Reason: "must hold no user or password: it is shown to people"}
	}
	return nil
}

// Bounds of a request's labels.
const (
	maxLabels     = 32
	maxLabelKey   = 64
	maxLabelValue = 256
)

func labels(value json.RawMessage, to *map[string]string) error {
	*to = make(map[string]string)
	return eachField(value, "labels.", func(key string, value json.RawMessage) error {
		if len(*to) == maxLabels {
			return &watcher.FieldError{Field: "labels", Reason: fmt.Sprintf("has more than %d pairs", maxLabels)}
		}
		if key == "" {
			return &watcher.FieldError{Field: "labels", Reason: "has an empty key"}
		}
		if err := checkText("labels", key, maxLabelKey); err != nil {
			return err
		}
		var s string
		if err := text("labels."+key, value, maxLabelValue, &s); err != nil {
			return err
		}
		(*to)[key] = s
		return nil
	})
}

// maxExpectedItems is the most items that a request may wait for.
const maxExpectedItems = 10000

// wholeNumber reads a number within bounds.
func wholeNumber(field string, value json.RawMessage, least, most int, to *int) error {
	if err := json.Unmarshal(value, to); err != nil || string(value) == "null" || *to < least || *to > most {
		return &watcher.FieldError{Field: field, Reason: fmt.Sprintf("must be a whole number from %d to %d", least, most)}
	}
	return nil
}

func (rules Rules) timeout(value json.RawMessage, to *time.Duration) error {
	var s string
	if err := text("timeout", value, 64, &s); err != nil {
		return err
	}
	var err error
	if *to, err = time.ParseDuration(s); err != nil || *to < time.Second || *to > rules.TimeoutMax {
		return &watcher.FieldError{Field: "timeout", Reason: fmt.Sprintf("must be a duration from 1s to %s, such as 90m", rules.TimeoutMax)}
	}
	return nil
}

func (rules Rules) slackChannel(value json.RawMessage, to *string) error {
	if err := text("slack_channel", value, 64, to); err != nil {
		return err
	}
	if *to != "" && !slices.Contains(rules.SlackChannels, *to) {
		return &watcher.FieldError{Field: "slack_channel", Reason: "must be the ID of a channel that the configuration allows"}
	}
	return nil
}

// defaultID returns the id of a request that names none: the same whenever it is delivered.
func (m Incoming) defaultID(a attributes) (string, error) {
	if id := m.Header.Get(nats.MsgIdHdr); id != "" {
		return id, checkText(nats.MsgIdHdr, id, 128)
	}
	if a != nil {
		return a.id()
	}
	return m.MadeID, nil
}

// streamID returns the id of a request that is the message with this sequence, and names none.
func streamID(sequence uint64, stored time.Time) string {
	return fmt.Sprintf("seq-%d-%d", sequence, stored.UnixMilli())
}

// RequestID returns the id of what is perhaps a request, as far as it can be read.
func (m Incoming) RequestID() string {
	if id := m.peek("request_id"); id != "" {
		return id
	}
	_, attributes, err := m.unwrap()
	if err != nil {
		attributes = nil
	}
	if id, err := m.defaultID(attributes); err == nil {
		return id
	}
	return m.MadeID
}

// orderName returns the order that is perhaps meant, as far as it can be read.
func (m Incoming) orderName() string { return m.peek("order_name") }

// peek returns a field of what is perhaps a request, where it is a short and readable text.
func (m Incoming) peek(field string) string {
	body, _, _ := m.unwrap() // what could be read of it
	var fields map[string]json.RawMessage
	if len(body) > maxRequest || json.Unmarshal(body, &fields) != nil {
		return ""
	}
	var s string
	if text(field, fields[field], 128, &s) != nil {
		return ""
	}
	return s
}

// watchID returns the id of the watch that the request starts, if it does: a ULID, the same
// whenever the request is delivered.
func watchID(ask watcher.Ask) string {
	sum := sha256.Sum256([]byte(ask.Key() + "\x00" + ask.Request.ID + "\x00" + ask.Request.ReceivedAt.Format(time.RFC3339Nano)))
	var id ulid.ULID
	_ = id.SetTime(ulid.Timestamp(ask.Request.ReceivedAt)) // fails after the year 10889
	_ = id.SetEntropy(sum[:10])                            // ten bytes are right
	return "w_" + id.String()
}
