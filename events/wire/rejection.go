package wire

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/watcher"
)

// maxRejectedBody is how much of a rejected message the event carries, in bytes.
const maxRejectedBody = 8 << 10

// A Rejection is the data of an orders.rejected event: why a message is no request.
type Rejection struct {
	Reason    string    `json:"reason"`
	Field     string    `json:"field"` // empty where the whole body is meant
	RequestID string    `json:"request_id"`
	Sequence  uint64    `json:"stream_sequence"`
	Received  time.Time `json:"received_at"`
	Body      string    `json:"body"`
	Encoding  string    `json:"body_encoding"` // text or base64
	Truncated bool      `json:"body_truncated"`
}

// RejectedEvent returns the message that says why another is no request, at the time. For the same message its id
// is the same.
func (n Names) RejectedEvent(m Incoming, why *watcher.FieldError, at time.Time) (*nats.Msg, error) {
	body, encoding, truncated := excerpt(m.Body)
	r := Rejection{
		Reason: why.Error(), Field: why.Field, RequestID: m.RequestID(),
		Sequence: m.Sequence, Received: m.Stored.UTC(),
		Body: body, Encoding: encoding, Truncated: truncated,
	}
	e := newEvent(typeRejected, fmt.Sprintf("r_%d-%d", m.Sequence, m.Stored.UnixMilli()), at)
	if name := m.orderName(); name != "" {
		e.SetSubject(name)
	}
	_, attributes, _ := m.unwrap() // as far as it can be read
	return message(n.Rejected(), e, m.trace(attributes), r)
}

// excerpt returns the head of a body, as text where it is UTF-8.
func excerpt(body []byte) (text, encoding string, truncated bool) {
	if !utf8.Valid(body) {
		head := body[:min(len(body), maxRejectedBody)]
		return base64.StdEncoding.EncodeToString(head), "base64", len(head) < len(body)
	}
	head := string(body[:min(len(body), maxRejectedBody)])
	return strings.ToValidUTF8(head, ""), "text", len(head) < len(body)
}
