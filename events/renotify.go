package events

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
	"github.com/nats-io/nuid"
	"github.com/oklog/ulid/v2"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/orderwatch/orderwatch/watcher"
)

// typeRenotify is the type of events that ask the workers to tell people of a watch again.
const typeRenotify = "io.orderwatch.slack.renotify.v1"

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

// Renotify asks that people be told again how a watch ended.
func (c *Client) Renotify(ctx context.Context, r RenotifyRequest) (Renotified, error) {
	return ask[Renotified](ctx, c, "renotify", r)
}

// renotify stores the wish to tell people again, for the workers that tell them.
func (s *service) renotify(ctx context.Context, r micro.Request) (any, error) {
	if err := s.mayTake(); err != nil {
		return nil, err
	}
	q, err := s.rules.decodeRenotify(r.Data())
	if err != nil {
		return nil, err
	}
	c, sequence, err := s.store.findCompletion(ctx, q)
	if err != nil {
		return nil, err
	}
	again := watcher.Again{
		ID: cmp.Or(q.RequestID, nuid.Next()), WatchID: c.WatchID, ProjectID: c.ProjectID, OrderName: c.OrderName, Sequence: sequence,
		By: q.By, At: s.intake.Now().UTC().Truncate(time.Millisecond), Channels: orEmpty(q.Channels),
	}
	if err := s.store.renotify(ctx, c, again); err != nil {
		return nil, err
	}
	return Renotified{Order: c.Order(), WatchID: c.WatchID, Outcome: c.Outcome, CompletedAt: c.CompletedAt, RequestID: again.ID}, nil
}

func orEmpty(channels []string) []string {
	if channels == nil {
		return []string{}
	}
	return channels
}

var renotifyID = regexp.MustCompile(`^[-_a-zA-Z0-9]{0,64}$`)

// decodeRenotify reads the request. The error is a *[watcher.FieldError].
func (rules RequestRules) decodeRenotify(body []byte) (q RenotifyRequest, err error) {
	err = eachField(body, "", func(name string, value json.RawMessage) error {
		switch name {
		case "watch_id":
			return text(name, value, 64, &q.WatchID)
		case "by":
			return text(name, value, 200, &q.By)
		case "request_id":
			if err := text(name, value, 64, &q.RequestID); err != nil || renotifyID.MatchString(q.RequestID) {
				return err
			}
			return &watcher.FieldError{Field: name, Reason: "must be at most 64 of A-Z a-z 0-9 - _"}
		case "slack_channels":
			return rules.channels(value, &q.Channels)
		}
		return orderField(name, value, &q.Order, ", watch_id, by, slack_channels, request_id")
	})
	if err != nil {
		return q, err
	}
	if q.By == "" {
		return q, &watcher.FieldError{Field: "by", Reason: "is required: who wants people to be told again"}
	}
	if q.WatchID != "" {
		if _, err := startedAt(q.WatchID); err != nil {
			return q, err
		}
	}
	if q.Name == "" && q.WatchID == "" {
		return q, &watcher.FieldError{Field: "watch_id", Reason: "is required, or order_name"}
	}
	if q.Name == "" {
		q.Order = watcher.Order{}
		return q, nil
	}
	q.ProjectID = cmp.Or(q.ProjectID, rules.DefaultProject)
	return q, cmp.Or(missing(q.Order), q.Order.Validate())
}

// channels reads the channels in which people are told again.
func (rules RequestRules) channels(value json.RawMessage, to *[]string) error {
	const field = "slack_channels"
	if err := json.Unmarshal(value, to); err != nil || string(value) == "null" {
		return &watcher.FieldError{Field: field, Reason: "must be a list of channel IDs"}
	}
	if len(*to) > maxRenotifyChannels {
		return &watcher.FieldError{Field: field, Reason: fmt.Sprintf("has more than %d channels", maxRenotifyChannels)}
	}
	for _, channel := range *to {
		if channel == "" || !slices.Contains(rules.SlackChannels, channel) && !slices.Contains(rules.RoutedChannels, channel) {
			return &watcher.FieldError{Field: field, Reason: fmt.Sprintf("must be IDs of channels that the workers are configured with, and %q is none: add it to ORDERWATCH_SLACK_CHANNELS_ALLOWED", channel)}
		}
	}
	return nil
}

// startedAt returns when the watch was accepted, which its id says.
func startedAt(watchID string) (time.Time, error) {
	id, err := ulid.ParseStrict(strings.TrimPrefix(watchID, "w_"))
	if err != nil || !strings.HasPrefix(watchID, "w_") {
		return time.Time{}, &watcher.FieldError{Field: "watch_id", Reason: "is no id of a watch: w_ and 26 letters and digits"}
	}
	return ulid.Time(id.Time()), nil
}

// findCompletion returns the event that the request means, and where it is stored.
func (s *store) findCompletion(ctx context.Context, q RenotifyRequest) (c watcher.Completion, sequence uint64, err error) {
	if q.WatchID != "" {
		return s.completionOf(ctx, q)
	}
	m, err := s.last(ctx, s.names.eventStream(), s.names.completed("*", q.Key()))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return c, 0, &ServiceError{Code: 404, Reason: "no watch of this order has ended, or its event is no longer kept"}
	}
	if err != nil {
		return c, 0, err
	}
	c, err = decodeCompletion(m.Data)
	return c, m.Sequence, err
}

// completionOf looks for the watch's event among those that were stored since it was accepted.
func (s *store) completionOf(ctx context.Context, q RenotifyRequest) (c watcher.Completion, sequence uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timing.List)
	defer cancel()
	since, err := startedAt(q.WatchID)
	if err != nil {
		return c, 0, err
	}
	subject := s.names.completed("*", ">")
	if q.Name != "" {
		subject = s.names.completed("*", q.Key())
	}
	for start := jetstreamext.GetBatchStartTime(since.Add(-time.Minute)); start != nil; {
		batch, err := jetstreamext.GetBatch(ctx, s.js, s.names.eventStream(), recordBatch, start, jetstreamext.GetBatchSubject(subject), jetstreamext.GetBatchMaxBytes(recordBatchBytes))
		if err != nil {
			return c, 0, fmt.Errorf("read completions: %w", err)
		}
		start = nil
		for m, err := range batch {
			if errors.Is(err, jetstreamext.ErrNoMessages) {
				break
			}
			if err != nil {
				return c, 0, fmt.Errorf("read completions: %w", err)
			}
			if c, err := decodeCompletion(m.Data); err == nil && c.WatchID == q.WatchID {
				return c, m.Sequence, nil
			}
			start = jetstreamext.GetBatchSeq(m.Sequence + 1)
		}
		if ctx.Err() != nil { // an answer that does not come ends the batch without an error
			return c, 0, fmt.Errorf("read completions: %w", ctx.Err())
		}
	}
	return c, 0, &ServiceError{Code: 404, Reason: "no event of this watch is kept: it has not ended, or that is too long ago"}
}

// renotify publishes the wish. It carries the trace of the watch.
func (s *store) renotify(ctx context.Context, c watcher.Completion, again watcher.Again) error {
	m, err := message(s.names.renotify(c.Order().Key()), newReport(typeRenotify, "again_"+again.ID, again.At, &c.Report), traceOf(&c.Report), again)
	if err != nil {
		return err
	}
	_, err = s.publish(ctx, s.names.eventStream(), m)
	return err
}

// takeRenotify hands the completion that the event means to the notifier, once more.
func (w *Worker) takeRenotify(ctx context.Context, m *nats.Msg) watcher.Verdict {
	return handOn(ctx, w.log, m, decodeRenotify, func(ctx context.Context, again watcher.Again) error {
		event, err := w.store.get(ctx, w.config.Names.eventStream(), again.Sequence)
		var c watcher.Completion
		if err == nil {
			c, err = decodeCompletion(event.Data)
		}
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound), err == nil && c.WatchID != again.WatchID:
			w.log.Error("people are not told again: the event of the watch is no longer kept", "watch", again.WatchID)
			return nil
		case err != nil:
			return err
		}
		return w.notifier.NotifyAgain(ctx, c, again)
	})
}

// decodeRenotify reads an event that asks to tell people again.
func decodeRenotify(encoded []byte) (again watcher.Again, err error) {
	kind, err := decodeEvent(encoded, &again)
	if err == nil && kind != typeRenotify {
		err = fmt.Errorf("decode event: unknown type %q", kind)
	}
	return again, err
}
