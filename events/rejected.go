package events

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/orderwatch/orderwatch/watcher"
)

// maxRejectedBody is how much of a rejected message the event carries, in bytes.
const maxRejectedBody = 8 << 10

// A rejection is the data of an orders.rejected event.
type rejection struct {
	Reason    string    `json:"reason"`
	Field     string    `json:"field"` // empty where the whole body is meant
	RequestID string    `json:"request_id"`
	Sequence  uint64    `json:"stream_sequence"`
	Received  time.Time `json:"received_at"`
	Body      string    `json:"body"`
	Encoding  string    `json:"body_encoding"` // text or base64
	Truncated bool      `json:"body_truncated"`
}

// reject publishes why the message is no request. It may be called again after a crash; the
// event's id is the same then.
func (s *store) reject(ctx context.Context, m incoming, why *watcher.FieldError) error {
	body, encoding, truncated := excerpt(m.body)
	r := rejection{
		Reason: why.Error(), Field: why.Field, RequestID: m.requestID(),
		Sequence: m.sequence, Received: m.stored.UTC(),
		Body: body, Encoding: encoding, Truncated: truncated,
	}
	id := fmt.Sprintf("r_%d-%d", m.sequence, m.stored.UnixMilli())
	e := newEvent(typeRejected, id, s.now())
	if name := m.orderName(); name != "" {
		e.SetSubject(name)
	}
	_, attributes, _ := m.unwrap() // as far as it can be read
	event, err := message(s.names.rejected(), e, m.trace(attributes), r)
	if err != nil {
		return err
	}
	_, err = s.publish(ctx, s.names.eventStream(), event)
	passed("rejection", "stored", err)
	return err
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
