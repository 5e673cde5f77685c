package wire

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// An EventsQuery asks for the events that are stored from a place on: for who has no JetStream. The place is the cursor,
// or else what is set of the three after it, or else the first event that is kept.
type EventsQuery struct {
	Subjects      []string  `json:"subjects,omitempty"`       // of the events, with * and > as NATS has them; none: all. At most 4096
	Cursor        string    `json:"cursor,omitempty"`         // of the answer before: what comes after it
	AfterSequence uint64    `json:"after_sequence,omitempty"` // the events after this one in the stream
	Since         time.Time `json:"since,omitzero"`           // the events that were stored then or later
	New           bool      `json:"new,omitempty"`            // the events that are stored from now on
	Wait          string    `json:"wait,omitempty"`           // a Go duration, 0s to 25s: to wait for the first event where none is there
	Limit         int       `json:"limit,omitempty"`          // 1 to 1000; 0 stands for 100
}

// An EventsAnswer holds events in the order in which they were stored.
type EventsAnswer struct {
	Events []StoredEvent `json:"events"`
	Cursor string        `json:"cursor"`         // asks for what comes after them
	More   bool          `json:"more,omitempty"` // more may be stored already: ask again at once
	// Omitted is how many events before the cursor are larger than an answer may be: they are passed over.
	Omitted int `json:"omitted,omitempty"`
}

// A StoredEvent is an event as the stream of events keeps it.
type StoredEvent struct {
	Subject  string          `json:"subject"`
	Sequence uint64          `json:"sequence"`
	StoredAt time.Time       `json:"stored_at"`
	Event    json.RawMessage `json:"event"` // the CloudEvent
}

// Bounds of a question for events.
const (
	maxWait     = 25 * time.Second // well below what NATS gives an answer
	maxSubjects = 4096
)

// DecodeEvents reads a question for events, and returns how long it is to wait. The error is a *[watcher.FieldError].
func DecodeEvents(body []byte) (q EventsQuery, wait time.Duration, err error) {
	q.Limit = defaultLimit
	err = readFields(body, "an events request",
		field{"subjects", subjects(&q.Subjects)},
		field{"cursor", text(64, &q.Cursor)},
		field{"after_sequence", jsonOf(&q.AfterSequence, "must be a whole number, 0 or more")},
		field{"since", jsonOf(&q.Since, "must be a time such as 2025-04-10T12:00:00Z")},
		field{"new", jsonOf(&q.New, "must be true or false")},
		field{"wait", text(64, &q.Wait, func(field, s string) error {
			wait, err = time.ParseDuration(s)
			return refuseIf(err != nil || wait < 0 || wait > maxWait, field, fmt.Sprintf("must be a duration from 0s to %s", maxWait))
		})},
		field{"limit", wholeNumber(1, maxLimit, &q.Limit)},
	)
	return q, wait, err
}

// jsonOf reads a value of the type as JSON has it.
func jsonOf[T any](to *T, reason string) reader {
	return func(field string, value json.RawMessage) error {
		return refuseIf(string(value) == "null" || json.Unmarshal(value, to) != nil, field, reason)
	}
}

// subjects reads subjects with wildcards.
func subjects(to *[]string) reader {
	return func(field string, value json.RawMessage) error {
		if string(value) == "null" || json.Unmarshal(value, to) != nil {
			return wrong(field, "must be a list of subjects")
		}
		if len(*to) > maxSubjects {
			return wrong(field, fmt.Sprintf("has more than %d subjects", maxSubjects))
		}
		for _, subject := range *to {
			if !isSubject(subject) {
				return wrong(field, "must be subjects as NATS has them, such as orders.completed.*.my-project.>; "+show(subject)+" is none")
			}
		}
		return nil
	}
}

func isSubject(subject string) bool {
	tokens := strings.Split(subject, ".")
	for i, token := range tokens {
		odd := token == "" || strings.ContainsAny(token, " \t\r\n\f\x00") || len(token) > 1 && strings.ContainsAny(token, "*>")
		if odd || token == ">" && i < len(tokens)-1 {
			return false
		}
	}
	return len(subject) <= 512
}
