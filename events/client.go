package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// A Client asks orderwatch to watch orders, looks at watches and follows events, as any program can.
// It is safe for concurrent use.
type Client struct {
	nc    *nats.Conn
	js    jetstream.JetStream
	names wire.Names

	mu       sync.Mutex
	underWay map[*call]bool
	// deaf says that answers are denied. NATS says so once, and means it until the connection is made
	// again: as often as deafAt says.
	deaf   *DeniedError
	deafAt uint64
}

// A call is something that NATS may deny.
type call struct {
	subject string // it publishes on what begins so
	deny    context.CancelCauseFunc
}

// Durations of a client. A call ends earlier where its context does.
const (
	jetStreamTimeout = 5 * time.Second  // of one call of JetStream
	callTimeout      = 10 * time.Second // of one request to the service
	publishTry       = 3 * time.Second  // of one try to publish a request
	absentTime       = 5 * time.Second  // without a stream that takes requests, before it counts as missing
	followPause      = 250 * time.Millisecond
	followBatch      = 100             // events that may be on their way
	followPull       = 5 * time.Second // one pull for events
	followHeartbeat  = time.Second
	followSilence    = time.Minute // the server forgets a consumer that has not been heard of for so long
)

// publishBackoff is how long a client waits between two tries to publish.
var publishBackoff = watcher.Backoff{Initial: 100 * time.Millisecond, Multiplier: 2, Max: 5 * time.Second, Jitter: 0.2}

// NewClient returns a client on the connection, which stays the caller's. The client takes over the
// connection's error handler.
func NewClient(nc *nats.Conn, names wire.Names) (*Client, error) {
	js, err := link.JetStream(nc, names.Domain, jetStreamTimeout)
	if err != nil {
		return nil, err
	}
	c := &Client{nc: nc, js: js, names: names, underWay: make(map[*call]bool)}
	nc.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if link.Denied(err) {
			c.deny(err)
		}
	})
	return c, nil
}

// A DeniedError is what the user of a client may not do.
type DeniedError struct {
	Subject string
	Reading bool // what was denied is to subscribe, and not to publish
	Err     error
}

func (e *DeniedError) Error() string {
	if e.Reading {
		return fmt.Sprintf("NATS does not let this user subscribe to %q, where answers come: it needs an inbox prefix that it may use", e.Subject)
	}
	return fmt.Sprintf("NATS does not let this user publish on %q: ask whoever runs NATS for the permission", e.Subject)
}

func (e *DeniedError) Unwrap() error { return e.Err }

// deny ends the calls that NATS denies: they would only time out.
func (c *Client) deny(err error) {
	why := &DeniedError{Err: err}
	why.Subject, why.Reading, _ = link.Violation(err)
	c.mu.Lock()
	defer c.mu.Unlock()
	if why.Reading {
		c.deaf, c.deafAt = why, c.nc.Stats().Reconnects
	}
	for call := range c.underWay {
		if why.Reading || strings.HasPrefix(why.Subject, call.subject) {
			call.deny(why)
		}
	}
}

// undenied returns a context that ends after the timeout, and when NATS denies what begins with
// subject, with a *[DeniedError] as its cause. A timeout of 0 is none.
func (c *Client) undenied(ctx context.Context, subject string, timeout time.Duration) (context.Context, context.CancelFunc) {
	stop := context.CancelFunc(func() {})
	if timeout > 0 {
		ctx, stop = context.WithTimeout(ctx, timeout)
	}
	ctx, end := context.WithCancelCause(ctx)
	call := &call{subject, end}
	c.mu.Lock()
	c.underWay[call] = true
	if c.deaf != nil && c.deafAt == c.nc.Stats().Reconnects {
		end(c.deaf)
	}
	c.mu.Unlock()
	return ctx, func() {
		c.mu.Lock()
		delete(c.underWay, call)
		c.mu.Unlock()
		end(nil)
		stop()
	}
}

// Publish stores the request durably, and returns its sequence in the stream. It tries again until ctx
// is done. The error is an [ErrPerhapsStored] where the answer to a try did not come.
func (c *Client) Publish(ctx context.Context, r wire.WatchRequest) (sequence uint64, err error) {
	if err := r.Check(); err != nil {
		return 0, err
	}
	body, err := json.Marshal(r)
	if err != nil {
		return 0, err
	}
	m := &nats.Msg{Subject: c.names.Watch(), Data: body}
	var absent time.Time // since when no stream takes requests
	doubt := false       // a try may have been stored
	defer func() {
		if err != nil && doubt {
			err = fmt.Errorf("%w: %w", ErrPerhapsStored, err)
		}
	}()
	for try := 0; ; try++ {
		sequence, err = c.publishOnce(ctx, m)
		doubt = doubt || err != nil && !notStoredFor(err)
		switch {
		case !errors.Is(err, ErrNoWorker):
			absent = time.Time{}
		case absent.IsZero():
			absent = time.Now()
		case time.Since(absent) > absentTime:
			return 0, err
		}
		if err == nil || !mayPass(err) {
			return sequence, err
		}
		if !link.Sleep(ctx, publishBackoff.Interval("publish", try)) {
			return 0, err
		}
	}
}

func (c *Client) publishOnce(ctx context.Context, m *nats.Msg) (uint64, error) {
	ctx, cancel := c.undenied(ctx, m.Subject, publishTry)
	defer cancel()
	ack, err := c.js.PublishMsg(ctx, m)
	switch {
	case err == nil:
		return ack.Sequence, nil
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders):
		return 0, fmt.Errorf("no stream takes requests on %s: %w", m.Subject, ErrNoWorker)
	}
	return 0, fmt.Errorf("publish on %s: %w", m.Subject, because(ctx, err))
}

// because returns why the context ended, where it was for a reason of its own.
func because(ctx context.Context, err error) error {
	if cause, ok := errors.AsType[*DeniedError](context.Cause(ctx)); ok {
		return cause
	}
	return err
}

// ErrPerhapsStored says that a request may have been stored: publish it again with the same id.
var ErrPerhapsStored = errors.New("the request may have been stored")

// notStoredFor reports whether a publish that failed so was certainly not stored.
func notStoredFor(err error) bool {
	_, isDenied := errors.AsType[*DeniedError](err)
	_, isAnswer := errors.AsType[*jetstream.APIError](err)
	return isDenied || isAnswer || errors.Is(err, ErrNoWorker) || errors.Is(err, nats.ErrMaxPayload)
}

// ErrNoWorker says that nobody is there who could do what was asked.
var ErrNoWorker = errors.New("is orderwatch serve running, with the same ORDERWATCH_ prefixes, in this NATS account? At a leaf node, name the JetStream domain or set ORDERWATCH_NATS_JS_DOMAIN")

// mayPass reports whether a publish that failed so is worth another try: the server is away or
// starting, or the answer was lost.
func mayPass(err error) bool {
	if answer, ok := errors.AsType[*jetstream.APIError](err); ok {
		disabled := errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount)
		return answer.Code == http.StatusServiceUnavailable && !disabled
	}
	_, isDenied := errors.AsType[*DeniedError](err)
	return !isDenied && !errors.Is(err, nats.ErrMaxPayload) && !errors.Is(err, context.Canceled) && !errors.Is(err, nats.ErrConnectionClosed)
}

// Renotify asks that people be told again how a watch ended.
func (c *Client) Renotify(ctx context.Context, r wire.RenotifyRequest) (wire.Renotified, error) {
	return ask[wire.Renotified](ctx, c, "renotify", r)
}

// Get shows the order's watch. Like the methods after it, it returns a *[wire.ServiceError] where the
// service refuses, and a *[DeniedError] where NATS does.
func (c *Client) Get(ctx context.Context, order watcher.Order) (watcher.Snapshot, error) {
	return ask[watcher.Snapshot](ctx, c, "get", order)
}

// List shows a page of watches.
func (c *Client) List(ctx context.Context, q wire.ListQuery) (wire.ListAnswer, error) {
	return ask[wire.ListAnswer](ctx, c, "list", q)
}

// Cancel cancels the order's watch.
func (c *Client) Cancel(ctx context.Context, r wire.CancelRequest) (watcher.Snapshot, error) {
	return ask[watcher.Snapshot](ctx, c, "cancel", r)
}

// Poll lets the order's watch be polled at the next opportunity.
func (c *Client) Poll(ctx context.Context, order watcher.Order) (watcher.Snapshot, error) {
	return ask[watcher.Snapshot](ctx, c, "poll", order)
}

// ask makes a request to the service.
func ask[A any](ctx context.Context, c *Client, endpoint string, request any) (answer A, err error) {
	subject := c.names.Service + "." + endpoint
	body, err := json.Marshal(request)
	if err != nil {
		return answer, err
	}
	ctx, cancel := c.undenied(ctx, subject, callTimeout)
	defer cancel()
	reply, err := c.nc.RequestWithContext(ctx, subject, body)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return answer, fmt.Errorf("nobody answers on %s: %w", subject, ErrNoWorker)
	case err != nil:
		return answer, fmt.Errorf("ask on %s: %w", subject, because(ctx, err))
	}
	if reason := reply.Header.Get(micro.ErrorHeader); reason != "" {
		refusal := wire.ServiceError{Reason: reason}
		_ = json.Unmarshal(reply.Data, &refusal) // what can be read of it
		refusal.Code, _ = strconv.Atoi(reply.Header.Get(micro.ErrorCodeHeader))
		return answer, &refusal
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return answer, fmt.Errorf("read the answer on %s: %w", subject, err)
	}
	return answer, nil
}

// An Event is an event as the stream keeps it.
type Event struct {
	event.Event
	Sequence uint64
	StoredAt time.Time
	Encoded  []byte // the CloudEvent's JSON
}

// Completion returns the data of an event that says how a watch ended; false where it is another.
func (e *Event) Completion() (watcher.Completion, bool) { return dataOf[watcher.Completion](e) }

// Progress returns the data of an event that says what changed.
func (e *Event) Progress() (watcher.Progress, bool) { return dataOf[watcher.Progress](e) }

// Rejection returns the data of an event that says why a message was no request.
func (e *Event) Rejection() (wire.Rejection, bool) { return dataOf[wire.Rejection](e) }

// Attention returns the data of an event about an account.
func (e *Event) Attention() (watcher.Attention, bool) { return dataOf[watcher.Attention](e) }

// OrderAttention returns the data of an event about one watch that people should look at.
func (e *Event) OrderAttention() (watcher.OrderAttention, bool) {
	return dataOf[watcher.OrderAttention](e)
}

// Undelivered returns the data of an event about a message that Slack finally refused.
func (e *Event) Undelivered() (watcher.UndeliveredMessage, bool) {
	return dataOf[watcher.UndeliveredMessage](e)
}

// Again returns the data of an event that asks to tell people again.
func (e *Event) Again() (watcher.Again, bool) { return dataOf[watcher.Again](e) }

func dataOf[D wire.Data](e *Event) (D, bool) {
	data, err := wire.DataOf[D](e.Event)
	return data, err == nil
}

// A Filter says which events are followed.
type Filter struct {
	Subjects []string // see the methods of Client; none: all. They must not overlap
	// The first event: by its sequence, or, where that is 0, by when it was stored; where both are
	// zero, the first that is kept. New starts with the next one that is stored.
	Sequence uint64
	Since    time.Time
	New      bool
	// Stop ends the following when all that was stored at the beginning has been handed out.
	Stop bool
}

// OrderSubjects returns the subjects of an order's completions, of its progress, and of what calls
// people's attention to it.
func (c *Client) OrderSubjects(order watcher.Order) []string {
	return []string{c.names.Completed("*", order.Key()), c.names.Progress(order.Key()), c.names.OrderAttention("*", order.Key())}
}

// RejectedSubject returns the subject of events about messages that were no request.
func (c *Client) RejectedSubject() string { return c.names.Rejected() }

// Subject returns a subject of events: its tokens after the prefix, such as completed.failed.>.
func (c *Client) Subject(tokens string) string { return c.names.Subjects + "." + tokens }

// ErrStopFollowing ends [Client.Follow] without an error.
var ErrStopFollowing = errors.New("stop following")

// Follow hands the events to f in the order in which they were stored, each once, until ctx is done, or f
// returns an error. It goes on after any outage: away is told once why it cannot at the moment, and
// nil when it can again. ready is called when it has begun: what is stored from then on is handed
// out. Both may be nil.
func (c *Client) Follow(ctx context.Context, filter Filter, ready func(), away func(error), f func(Event) error) error {
	at := &follower{client: c, filter: filter, f: f}
	begun, isAway := false, false
	for {
		follows := false
		err := at.follow(ctx, func() {
			if !begun && ready != nil {
				ready()
			}
			if isAway && away != nil {
				away(nil)
			}
			begun, isAway, follows = true, false, true
		})
		_, isDenied := errors.AsType[*DeniedError](err)
		switch {
		case errors.Is(err, ErrStopFollowing):
			return nil
		case at.failed, isDenied, !begun && !mayPass(err), !begun && errors.Is(err, ErrNoWorker), errors.Is(err, nats.ErrConnectionClosed):
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		if !follows && !isAway { // what interrupts it for a moment is nothing to tell
			isAway = true
			if away != nil {
				away(err)
			}
		}
		if !link.Sleep(ctx, followPause) {
			return context.Cause(ctx)
		}
	}
}

// A follower keeps its place in the stream, over any number of consumers.
type follower struct {
	client *Client
	filter Filter
	f      func(Event) error
	next   uint64 // the sequence after the last event; 0 before the first
	failed bool   // f returned an error
}

// follow makes a consumer and hands out what it brings, until that ends.
func (at *follower) follow(ctx context.Context, ready func()) error {
	consumer, err := at.consumer(ctx)
	if err != nil {
		return err
	}
	info := consumer.CachedInfo()
	if info.Delivered.Stream+1 < at.next { // the stream is another, made anew: all of it is news
		at.next, at.filter.Sequence = 1, 0
		return errors.New("the stream was made anew; reading it from its beginning")
	}
	if at.next == 0 && at.filter.New {
		at.next = max(info.Delivered.Stream+1, 1) // the place is kept from now on
	}
	ready()
	left := info.NumPending
	if at.filter.Stop && left == 0 {
		return ErrStopFollowing
	}
	ctx, cancel := at.client.undenied(ctx, at.client.names.API("CONSUMER."), 0)
	defer cancel()
	next := at.client.names.API("CONSUMER.MSG.NEXT." + at.client.names.EventStream() + "." + info.Name)
	messages, err := link.NewPuller(at.client.nc, next, func() int { return followBatch }, followPull, followHeartbeat)
	if err != nil {
		return err
	}
	defer messages.Stop()
	for expected := uint64(1); ; expected++ {
		m, err := messages.Next(ctx)
		if err != nil {
			return because(ctx, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if meta.Sequence.Consumer != expected {
			return errors.New("an event was lost on the way; reading it again")
		}
		if err := at.hand(m, meta); err != nil {
			return err
		}
		if left--; at.filter.Stop && left == 0 {
			return ErrStopFollowing
		}
	}
}

func (at *follower) hand(m *nats.Msg, meta *nats.MsgMetadata) error {
	e := Event{Sequence: meta.Sequence.Stream, StoredAt: meta.Timestamp, Encoded: m.Data}
	at.next = e.Sequence + 1
	if json.Unmarshal(m.Data, &e.Event) != nil {
		return nil // only orderwatch may publish here
	}
	err := at.f(e)
	at.failed = err != nil
	return err
}

// consumer makes a consumer from the follower's place on.
func (at *follower) consumer(ctx context.Context) (jetstream.Consumer, error) {
	config := jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, FilterSubjects: at.filter.Subjects,
		MemoryStorage: true, Replicas: 1, InactiveThreshold: followSilence,
	}
	switch {
	case at.next > 0 || at.filter.Sequence > 0:
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, max(at.next, at.filter.Sequence)
	case at.filter.New:
		config.DeliverPolicy = jetstream.DeliverNewPolicy
	case !at.filter.Since.IsZero():
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &at.filter.Since
	}
	ctx, cancel := at.client.undenied(ctx, at.client.names.API("CONSUMER."), callTimeout)
	defer cancel()
	consumer, err := at.client.js.CreateConsumer(ctx, at.client.names.EventStream(), config)
	switch {
	case err == nil:
		return consumer, nil
	case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, nats.ErrNoResponders) && at.client.nc.IsConnected():
		return nil, fmt.Errorf("there is no stream %s: %w", at.client.names.EventStream(), ErrNoWorker)
	}
	return nil, fmt.Errorf("follow %s: %w", strings.Join(at.filter.Subjects, " "), because(ctx, err))
}
