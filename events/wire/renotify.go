package wire

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/orderwatch/orderwatch/watcher"
)

// A RenotifyRequest asks that people be told again how a watch ended: the watch, or the last one of
// the order that has ended.
type RenotifyRequest struct {
	watcher.Order
	WatchID   string   `json:"watch_id,omitempty"`
	By        string   `json:"by"`                       // person or program, ≤ 200 characters; shown to people
	Channels  []string `json:"slack_channels,omitempty"` // at most 10 that the configuration allows; none: where the watch's requests say
	RequestID string   `json:"request_id,omitempty"`     // ≤ 64 of A-Z a-z 0-9 - _: asked twice it is done once; made where it is empty
}

// A Renotified is the service's answer: the wish is durably stored.
type Renotified struct {
	watcher.Order
	WatchID     string          `json:"watch_id"`
	Outcome     watcher.Outcome `json:"outcome"`
	CompletedAt time.Time       `json:"completed_at"`
	RequestID   string          `json:"request_id"`
}

// maxRenotifyChannels is how many channels one request may name.
const maxRenotifyChannels = 10

var renotifyID = regexp.MustCompile(`^[-_a-zA-Z0-9]{0,64}$`)

// DecodeRenotify reads the request. The error is a *[watcher.FieldError].
func (rules Rules) DecodeRenotify(body []byte) (q RenotifyRequest, err error) {
	err = readFields(body, "this request", append(orderFields(&q.Order),
		field{"watch_id", text(64, &q.WatchID)},
		field{"by", text(200, &q.By)},
		field{"slack_channels", rules.channels(&q.Channels)},
		field{"request_id", text(64, &q.RequestID, isRenotifyID)},
	)...)
	err = cmp.Or(err, refuseIf(q.By == "", "by", "is required: who wants people to be told again"))
	if err == nil && q.WatchID != "" {
		_, err = StartedAt(q.WatchID)
	}
	err = cmp.Or(err, refuseIf(q.Name == "" && q.WatchID == "", "watch_id", "is required, or order_name"))
	if err != nil {
		return q, err
	}
	if q.Name == "" {
		q.Order = watcher.Order{}
		return q, nil
	}
	q.ProjectID = cmp.Or(q.ProjectID, rules.DefaultProject)
	return q, checkOrder(q.Order)
}

func isRenotifyID(field, s string) error {
	return refuseIf(!renotifyID.MatchString(s), field, "must be at most 64 of A-Z a-z 0-9 - _")
}

// channels reads the channels in which people are told again.
func (rules Rules) channels(to *[]string) reader {
	return func(field string, value json.RawMessage) error {
		if err := json.Unmarshal(value, to); err != nil || string(value) == "null" {
			return wrong(field, "must be a list of channel IDs")
		}
		if len(*to) > maxRenotifyChannels {
			return wrong(field, fmt.Sprintf("has more than %d channels", maxRenotifyChannels))
		}
		for _, channel := range *to {
			if channel == "" || !slices.Contains(rules.SlackChannels, channel) && !slices.Contains(rules.RoutedChannels, channel) {
				return wrong(field, fmt.Sprintf("must be IDs of channels that the workers are configured with, and %q is none: add it to ORDERWATCH_SLACK_CHANNELS_ALLOWED", channel))
			}
		}
		return nil
	}
}

// StartedAt returns when the watch was accepted, which its id says.
func StartedAt(watchID string) (time.Time, error) {
	id, err := ulid.ParseStrict(strings.TrimPrefix(watchID, "w_"))
	if err != nil || !strings.HasPrefix(watchID, "w_") {
		return time.Time{}, wrong("watch_id", "is no id of a watch: w_ and 26 letters and digits")
	}
	return ulid.Time(id.Time()), nil
}
