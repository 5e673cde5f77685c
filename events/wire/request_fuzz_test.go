package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/events/wire/wiretest"
	"github.com/orderwatch/orderwatch/watcher"
)

// rules are those of a worker that is configured with two regions and two channels.
func rules() wire.Rules {
	return wire.Rules{
		Regions: []string{"cn-north-4", "cn-east-3"}, TimeoutMax: 48 * time.Hour, SlackChannels: []string{"C0ONCALL"}, RoutedChannels: []string{"C0ROUTED"},
	}
}

// decodeRequest reads a message on orders.watch as the worker does.
func decodeRequest(rules wire.Rules, body []byte, header nats.Header, sequence uint64, stored time.Time) (watcher.Ask, error) {
	made := fmt.Sprintf("seq-%d-%d", sequence, stored.UnixMilli())
	return rules.Decode(wire.Incoming{Body: body, Header: header, Sequence: sequence, Stored: stored, MadeID: made})
}

// FuzzRequest holds whatever is read as a request against the contract's table.
func FuzzRequest(f *testing.F) {
	for _, bad := range wiretest.BadRequests {
		f.Add([]byte(bad.Body), bad.Header.Get("Nats-Msg-Id"), uint64(7))
	}
	for _, right := range wiretest.GoodRequests {
		f.Add([]byte(right.Body), right.Header.Get("Nats-Msg-Id"), uint64(7))
	}
	rules := rules()
	stored := time.Date(2025, 4, 10, 11, 49, 50, 123456789, time.UTC)
	f.Fuzz(func(t *testing.T, body []byte, msgID string, sequence uint64) {
		header := nats.Header{"Nats-Msg-Id": {msgID}}
		ask, err := decodeRequest(rules, body, header, sequence, stored)
		again, errAgain := decodeRequest(rules, body, header, sequence, stored)
		if !reflect.DeepEqual(ask, again) || !reflect.DeepEqual(err, errAgain) {
			t.Errorf("first %+v (%v), then %+v (%v)", ask, err, again, errAgain)
		}
		if err == nil {
			checkAsk(t, rules, body, ask)
			return
		}
		why, ok := errors.AsType[*watcher.FieldError](err)
		if !ok || why.Reason == "" {
			t.Fatalf("the error is no FieldError with a reason: %#v", err)
		}
		wiretest.CheckShown(t, why.Error())
	})
}

var (
	projectIDs = regexp.MustCompile(`\A[A-Za-z0-9-]{1,64}\z`)
	orderNames = regexp.MustCompile(`\A[A-Za-z0-9._=-]{1,128}\z`)
	watchIDs   = regexp.MustCompile(`\Aw_[0-9A-HJKMNP-TV-Z]{26}\z`)
)

// checkAsk checks every rule of the contract's table.
func checkAsk(t *testing.T, rules wire.Rules, body []byte, ask watcher.Ask) {
	t.Helper()
	says := func(ok bool, rule string) {
		t.Helper()
		if !ok {
			t.Errorf("%s: %+v was read from %q", rule, ask, body)
		}
	}
	r := ask.Request
	says(len(body) <= 64<<10, "body ≤ 64 KiB")
	says(projectIDs.MatchString(ask.ProjectID), "project_id")
	says(orderNames.MatchString(ask.Name) && !strings.HasPrefix(ask.Name, ".") && !strings.HasSuffix(ask.Name, ".") && !strings.Contains(ask.Name, ".."), "order_name")
	says(ask.Region == "" || slices.Contains(rules.Regions, ask.Region), "region")
	says(r.ID != "" && readable(r.ID, 128), "request_id ≤ 128")
	says(readable(r.RequestedBy, 200), "requested_by ≤ 200")
	u, err := url.Parse(r.Link)
	says(r.Link == "" || err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && readable(r.Link, 2000), "link")
	says(len(r.Labels) <= 32, "labels ≤ 32")
	for key, value := range r.Labels {
		says(key != "" && readable(key, 64) && readable(value, 256), "label")
	}
	says(ask.ExpectedItems >= 0 && ask.ExpectedItems <= 10000, "expected_items")
	says(ask.Timeout == 0 || ask.Timeout >= time.Second && ask.Timeout <= rules.TimeoutMax, "timeout")
	late := r.LateAt.Sub(r.ReceivedAt)
	says(r.LateAt.IsZero() || late >= time.Second && late <= rules.TimeoutMax, "late_after")
	says(r.SlackChannel == "" || slices.Contains(rules.SlackChannels, r.SlackChannel), "slack_channel")
	says(watchIDs.MatchString(ask.WatchID), "watch_id")
	checkSaid(t, body, ask)

	encoded, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back watcher.Request
	if err := json.Unmarshal(encoded, &back); err != nil {
		t.Fatal(err)
	}
	if len(r.Labels) == 0 {
		r.Labels = nil
	}
	says(reflect.DeepEqual(back, r), "a record gives the request back as it was")
}

func readable(s string, most int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= most && !strings.ContainsFunc(s, unicode.IsControl)
}

// checkSaid checks that the body says what was read, no less and no more.
func checkSaid(t *testing.T, body []byte, ask watcher.Ask) {
	t.Helper()
	var said struct {
		ProjectID     string            `json:"project_id"`
		OrderName     string            `json:"order_name"`
		Region        string            `json:"region"`
		RequestID     string            `json:"request_id"`
		RequestedBy   string            `json:"requested_by"`
		Link          string            `json:"link"`
		Labels        map[string]string `json:"labels"`
		ExpectedItems int               `json:"expected_items"`
		Timeout       string            `json:"timeout"`
		LateAfter     string            `json:"late_after"`
		SlackChannel  string            `json:"slack_channel"`
		Progress      bool              `json:"progress"`
	}
	strict := json.NewDecoder(bytes.NewReader(body))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&said); err != nil {
		t.Fatalf("%q was taken: %v", body, err)
	}
	r := ask.Request
	var timeout time.Duration
	if said.Timeout != "" {
		timeout, _ = time.ParseDuration(said.Timeout)
	}
	var late time.Time
	if said.LateAfter != "" {
		after, _ := time.ParseDuration(said.LateAfter)
		late = r.ReceivedAt.Add(after)
	}
	if said.ProjectID != ask.ProjectID || said.OrderName != ask.Name || said.Region != ask.Region ||
		said.RequestID != "" && said.RequestID != r.ID || said.RequestedBy != r.RequestedBy || said.Link != r.Link ||
		said.ExpectedItems != ask.ExpectedItems || timeout != ask.Timeout || !late.Equal(r.LateAt) || said.SlackChannel != r.SlackChannel ||
		said.Progress != r.Progress ||
		len(said.Labels) != len(r.Labels) {
		t.Errorf("%+v was read from %q", ask, body)
	}
	for key, value := range said.Labels {
		if r.Labels[key] != value {
			t.Errorf("label %q is %q; the body says %q", key, r.Labels[key], value)
		}
	}
}
