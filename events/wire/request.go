package wire

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/oklog/ulid/v2"

	"github.com/orderwatch/orderwatch/watcher"
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
	Timeout       string            `json:"timeout,omitempty"`    // a Go duration
	LateAfter     string            `json:"late_after,omitempty"` // a Go duration
	SlackChannel  string            `json:"slack_channel,omitempty"`
	Progress      bool              `json:"progress,omitempty"` // the client follows what changes, and not the end alone
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
		return wrong("request_id", "is required")
	}
	rules := Rules{Regions: []string{r.Region}, SlackChannels: []string{r.SlackChannel}, TimeoutMax: longest}
	_, err = rules.Decode(Incoming{Body: body})
	return err
}

// Incoming is a message that is perhaps a request.
type Incoming struct {
	Team   string // whose it is, of its subject alone; empty: the operator's
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
func (n Names) Delivered(m *nats.Msg) (Incoming, error) {
	meta, err := m.Metadata()
	if err != nil {
		return Incoming{}, fmt.Errorf("read metadata of a request: %w", err)
	}
	sequence, at := meta.Sequence.Stream, meta.Timestamp.UTC().Truncate(time.Millisecond)
	return Incoming{Team: n.TeamOf(m.Subject), Body: m.Data, Header: m.Header, Sequence: sequence, Stored: at, MadeID: fmt.Sprintf("seq-%d-%d", sequence, at.UnixMilli())}, nil
}

var teamName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// CheckTeam refuses what is neither a team's name, 1 to 64 of A-Z a-z 0-9 _ -, nor empty, as the operator's is. The error
// is a *[watcher.FieldError].
func CheckTeam(team string) error {
	return refuseIf(team != "" && !teamName.MatchString(team), "", "the last token of the subject is no team's name: those are 1 to 64 of A-Z a-z 0-9 _ -")
}

// Decode reads a request to watch an order. The error is a *[watcher.FieldError].
func (rules Rules) Decode(m Incoming) (watcher.Ask, error) {
	ask := watcher.Ask{Order: watcher.Order{ProjectID: rules.DefaultProject}}
	ask.Request.Team, ask.Request.ReceivedAt = m.Team, m.Stored.UTC()
	if err := CheckTeam(m.Team); err != nil {
		return ask, err
	}
	body, attributes, err := m.unwrap()
	if err != nil {
		return ask, err
	}
	if !utf8.Valid(body) {
		return ask, wrong("", "the body is not UTF-8")
	}
	lateAfter := time.Duration(0)
	if err := rules.decodeFields(body, &ask, &lateAfter); err != nil {
		return ask, err
	}
	if lateAfter > 0 {
		ask.Request.LateAt = ask.Request.ReceivedAt.Add(lateAfter)
	}
	if err := checkOrder(ask.Order); err != nil {
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

// decodeFields reads the request's fields into ask, and after how long it is late.
func (rules Rules) decodeFields(body []byte, ask *watcher.Ask, lateAfter *time.Duration) error {
	return readFields(body, "a request",
		field{"project_id", text(64, &ask.ProjectID)},
		field{"order_name", text(128, &ask.Name)},
		field{"region", text(64, &ask.Region, rules.isRegion)},
		field{"request_id", text(maxRequestID, &ask.Request.ID)},
		field{"requested_by", text(200, &ask.Request.RequestedBy)},
		field{"link", text(2000, &ask.Request.Link, isLink)},
		field{"labels", labels(&ask.Request.Labels)},
		field{"expected_items", wholeNumber(1, maxExpectedItems, &ask.ExpectedItems)},
		field{"timeout", rules.duration(&ask.Timeout)},
		field{"late_after", rules.duration(lateAfter)},
		field{"slack_channel", text(64, &ask.Request.SlackChannel, rules.isChannel)},
		field{"progress", yesOrNo(&ask.Request.Progress)},
	)
}

func (rules Rules) isRegion(field, s string) error {
	return refuseIf(!slices.Contains(rules.Regions, s), field, "must be one of the configured regions: "+strings.Join(rules.Regions, ", "))
}

func (rules Rules) isChannel(field, s string) error {
	return refuseIf(!slices.Contains(rules.SlackChannels, s), field, "must be the ID of a channel that the configuration allows")
}

func isLink(field, s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.ContainsAny(s, " |<>\"\\") {
		return wrong(field, "must be an http or https URL")
	}
	return refuseIf(u.User != nil, field, "must hold no user or password: it is shown to people")
}

// Bounds of a request's labels.
const (
	maxRequestID  = 128
	maxLabels     = 32
	maxLabelKey   = 64
	maxLabelValue = 256
)

func labels(to *map[string]string) reader {
	return func(field string, value json.RawMessage) error {
		*to = make(map[string]string)
		return eachField(value, field+".", func(key string, value json.RawMessage) error {
			switch {
			case len(*to) == maxLabels:
				return wrong(field, fmt.Sprintf("has more than %d pairs", maxLabels))
			case key == "":
				return wrong(field, "has an empty key")
			}
			var s string
			err := cmp.Or(checkText(field, key, maxLabelKey), text(maxLabelValue, &s)(field+"."+key, value))
			(*to)[key] = s
			return err
		})
	}
}

// maxExpectedItems is the most items that a request may wait for.
const maxExpectedItems = 10000

func (rules Rules) duration(to *time.Duration) reader {
	return func(field string, value json.RawMessage) error {
		var s string
		if err := text(64, &s)(field, value); err != nil {
			return err
		}
		var err error
		*to, err = time.ParseDuration(s)
		return refuseIf(err != nil || *to < time.Second || *to > rules.TimeoutMax, field, fmt.Sprintf("must be a duration from 1s to %s, such as 90m", rules.TimeoutMax))
	}
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

// RequestID returns the id of what is perhaps a request, as far as it can be read.
func (m Incoming) RequestID() string {
	_, attributes, err := m.unwrap()
	if err != nil {
		attributes = nil
	}
	id, err := m.defaultID(attributes)
	if err != nil {
		id = m.MadeID
	}
	return cmp.Or(m.peek("request_id"), id)
}

// Sender returns who sent what is perhaps a request: the team that the server vouches for, or else, as far as that can be
// read, requested_by, or a CloudEvent's source.
func (m Incoming) Sender() string {
	if m.Team != "" {
		return "team " + show(m.Team)
	}
	_, attributes, _ := m.unwrap()
	source := attributes["source"]
	if checkText("source", source, 128) != nil {
		source = ""
	}
	return cmp.Or(m.peek("requested_by"), source)
}

// peek returns a field of what is perhaps a request, where it is a short and readable text.
func (m Incoming) peek(field string) string {
	body, _, _ := m.unwrap() // what could be read of it
	var fields map[string]json.RawMessage
	if len(body) > maxRequest || json.Unmarshal(body, &fields) != nil {
		return ""
	}
	var s string
	if text(128, &s)(field, fields[field]) != nil {
		return ""
	}
	return s
}

// watchID returns the id of the watch that the request starts, if it does: a ULID, the same
// whenever the request is delivered.
func watchID(ask watcher.Ask) string {
	seed := ask.Key() + "\x00" + ask.Request.ID + "\x00" + ask.Request.ReceivedAt.Format(time.RFC3339Nano)
	if ask.Request.Team != "" { // another team's request is another one
		seed += "\x00" + ask.Request.Team
	}
	sum := sha256.Sum256([]byte(seed))
	var id ulid.ULID
	_ = id.SetTime(ulid.Timestamp(ask.Request.ReceivedAt)) // fails after the year 10889
	_ = id.SetEntropy(sum[:10])                            // ten bytes are right
	return "w_" + id.String()
}
