package client

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
	team  string // as which it asks the service; empty: as the operator, or as whom NATS makes the user
	*denials
}

// Denials are what NATS denied on a client's connection.
type denials struct {
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
	checkTimeout     = 5 * time.Second  // of a request to the service to check a request
	publishTry       = 3 * time.Second  // of one try to publish a request
	absentTime       = 5 * time.Second  // without a stream that takes requests, before it counts as missing
)

// publishBackoff is how long a client waits between two tries to publish.
var publishBackoff = watcher.Backoff{Initial: 100 * time.Millisecond, Multiplier: 2, Max: 5 * time.Second, Jitter: 0.2}

// New returns a client on the connection, which stays the caller's. The client takes over the
// connection's error handler.
func New(nc *nats.Conn, names wire.Names) (*Client, error) {
	js, err := link.JetStream(nc, names.API(""), jetStreamTimeout)
	if err != nil {
		return nil, err
	}
	c := &Client{nc: nc, js: js, names: names, denials: &denials{underWay: make(map[*call]bool)}}
	nc.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if link.Denied(err) {
			c.deny(err)
		}
	})
	return c, nil
}

// As returns a client on the same connection that asks the service as the team, where NATS lets its user do so; of the empty
// name it is c.
func (c *Client) As(team string) *Client {
	as := *c
	as.team = team
	return &as
}

// A DeniedError is what the user of a client may not do.
type DeniedError struct {
	Subject string
	Reading bool // what was denied is to subscribe, and not to publish
	Err     error
}

func (e *DeniedError) Error() string {
	if e.Reading {
		return fmt.Sprintf("NATS does not let this user subscribe to %q, where answers come: log in as a user that may ask, such as operator or person, or set an inbox prefix that this user may use", e.Subject)
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

// mayPass reports whether a call that failed so is worth another try: the server is away or
// starting, or the answer was lost.
func mayPass(err error) bool {
	if answer, ok := errors.AsType[*jetstream.APIError](err); ok {
		disabled := errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount)
		return answer.Code == http.StatusServiceUnavailable && !disabled
	}
	if answer, ok := errors.AsType[*wire.ServiceError](err); ok {
		return answer.Code == http.StatusServiceUnavailable
	}
	_, isDenied := errors.AsType[*DeniedError](err)
	return !isDenied && !errors.Is(err, nats.ErrMaxPayload) && !errors.Is(err, context.Canceled) && !errors.Is(err, nats.ErrConnectionClosed)
}

// Check asks whether the request may be published: a *[wire.ServiceError] says why it would be rejected. Where nobody answers
// it returns errors as [Client.Get] does. A worker of an earlier release carries the request out at once.
func (c *Client) Check(ctx context.Context, r wire.WatchRequest) error {
	_, err := askWithin[wire.Accepted](ctx, c, checkTimeout, "watch", r, wire.CheckOnly)
	return err
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

// Why says what happened to the order's watch. Workers of the release before do not answer it: then the error is an
// [ErrNoWorker].
func (c *Client) Why(ctx context.Context, order watcher.Order) (wire.Story, error) {
	return ask[wire.Story](ctx, c, "why", order)
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

// Status asks how the installation is. Any worker answers. Like [Client.Get], it returns a *[wire.ServiceError]
// where the service refuses, a *[DeniedError] where NATS does, and an [ErrNoWorker] where nobody answers.
func (c *Client) Status(ctx context.Context) (wire.Status, error) {
	return ask[wire.Status](ctx, c, "status", struct{}{})
}

// History asks how long orders take, after what the request names is forgotten. It returns errors as Status does.
func (c *Client) History(ctx context.Context, r wire.HistoryRequest) (wire.HistoryAnswer, error) {
	return ask[wire.HistoryAnswer](ctx, c, "history", r)
}

// ask makes a request to the service.
func ask[A any](ctx context.Context, c *Client, endpoint string, request any) (answer A, err error) {
	return askWithin[A](ctx, c, callTimeout, endpoint, request)
}

// askWithin is ask for an answer that takes less or more time than others, with headers of the value true.
func askWithin[A any](ctx context.Context, c *Client, timeout time.Duration, endpoint string, request any, headers ...string) (answer A, err error) {
	subject := c.names.Service + "." + endpoint
	if c.team != "" {
		subject += "." + c.team
	}
	body, err := json.Marshal(request)
	if err != nil {
		return answer, err
	}
	ctx, cancel := c.undenied(ctx, subject, timeout)
	defer cancel()
	m := &nats.Msg{Subject: subject, Data: body}
	for _, name := range headers {
		m.Header = nats.Header{name: {"true"}}
	}
	reply, err := c.nc.RequestMsgWithContext(ctx, m)
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
