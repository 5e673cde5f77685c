package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// Durations of following.
const (
	followPause     = 250 * time.Millisecond
	followBatch     = 100             // events that may be on their way
	followPull      = 5 * time.Second // one pull for events
	followHeartbeat = time.Second
	followSilence   = time.Minute // the server forgets a consumer that has not been heard of for so long

	followWait   = 5 * time.Second // one question to the service for events; a worker that died in it costs as much
	followAnswer = 5 * time.Second // that its answer may take beyond that
	followPage   = 1000            // events of one answer
)

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
	return []string{c.names.Completed("*", order.Key()), c.names.Progress(order.Key()), c.names.Attention("*", order.Key())}
}

// RejectedSubject returns the subject of events about messages that were no request.
func (c *Client) RejectedSubject() string { return c.names.Rejected() }

// Subject returns a subject of events: its tokens after the prefix, such as completed.failed.>.
func (c *Client) Subject(tokens string) string { return c.names.Subjects + "." + tokens }

// ErrStop ends [Client.Follow] without an error.
var ErrStop = errors.New("stop following")

// Follow hands the events to f in the order in which they were stored, each once, until ctx is done, or f returns an
// error. It goes on after any outage: away is told once why it cannot at the moment, and nil when it can again. ready is
// called when it has begun: what is stored from then on is handed out. Both may be nil.
//
// It reads the stream by a consumer of its own where it may. Where the account has no JetStream, where that has no such
// stream, or where the user may make no consumer, it asks the service for the events instead: a team whose account imports
// the service alone follows its events so.
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
		case errors.Is(err, ErrStop):
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

	byService bool   // the service was asked, and answered: it is asked from then on
	cursor    string // of its last answer
}

// follow hands out events until that ends: those that a consumer brings or, where there can be none, that the service
// answers. Where the user may not ask the service either, the error says what is wrong with JetStream, if anything.
func (at *follower) follow(ctx context.Context, ready func()) error {
	if at.byService {
		return at.ask(ctx, ready)
	}
	consumer, err := at.consumer(ctx)
	if err == nil {
		return at.consume(ctx, consumer, ready)
	}
	_, isDenied := errors.AsType[*DeniedError](err)
	disabled := errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount)
	if !isDenied && !disabled && !errors.Is(err, ErrNoWorker) {
		return err
	}
	asked := at.ask(ctx, ready)
	for begin := time.Now(); (isDenied || disabled) && errors.Is(asked, ErrNoWorker) && time.Since(begin) < absentTime && link.Sleep(ctx, followPause); {
		asked = at.ask(ctx, ready) // a worker may just be started again
	}
	_, asksDenied := errors.AsType[*DeniedError](asked)
	switch {
	case asksDenied, errors.Is(asked, ErrNoWorker) && errors.Is(err, ErrNoWorker):
		return err
	case errors.Is(asked, ErrNoWorker) && isDenied:
		return fmt.Errorf("%w; this user may not read the events without one: %v", asked, err)
	}
	return asked
}

// ask asks the service for events, again and again, and hands them out.
func (at *follower) ask(ctx context.Context, ready func()) error {
	q := wire.EventsQuery{Subjects: at.filter.Subjects, Cursor: at.cursor, Limit: followPage}
	if at.cursor == "" {
		if first := max(at.next, at.filter.Sequence); first > 0 {
			q.AfterSequence = first - 1
		} else {
			q.New, q.Since = at.filter.New, at.filter.Since
		}
	}
	for begun := false; ; begun = true {
		answer, err := askWithin[wire.EventsAnswer](ctx, at.client, followWait+followAnswer, "events", q)
		if err != nil {
			return err
		}
		if at.byService = true; !begun {
			ready()
		}
		for _, e := range answer.Events {
			if err := at.hand(Event{Sequence: e.Sequence, StoredAt: e.StoredAt, Encoded: e.Event}); err != nil {
				return err
			}
		}
		at.cursor = answer.Cursor
		if at.filter.Stop && !answer.More {
			return ErrStop
		}
		q = wire.EventsQuery{Subjects: q.Subjects, Cursor: at.cursor, Limit: q.Limit, Wait: followWait.String()}
	}
}

// consume hands out what the consumer brings.
func (at *follower) consume(ctx context.Context, consumer jetstream.Consumer, ready func()) error {
	info := consumer.CachedInfo()
	if info.NumPending == 0 && at.isAnew(ctx) { // all of it is news
		at.next, at.filter.Sequence = 1, 0
		return errors.New("the stream was made anew; reading it from its beginning")
	}
	if at.next == 0 && at.filter.New {
		at.next = max(info.Delivered.Stream+1, 1) // the place is kept from now on
	}
	ready()
	left := info.NumPending
	if at.filter.Stop && left == 0 {
		return ErrStop
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
		if err := at.hand(Event{Sequence: meta.Sequence.Stream, StoredAt: meta.Timestamp, Encoded: m.Data}); err != nil {
			return err
		}
		if left--; at.filter.Stop && left == 0 {
			return ErrStop
		}
	}
}

// isAnew reports whether the stream ends before the follower's place: it is another one, made anew. The consumer does not say
// so: it would wait for that place. Where that is not known, or the user may not ask, it is the same.
func (at *follower) isAnew(ctx context.Context) bool {
	if at.next <= 1 {
		return false
	}
	stream := at.client.names.EventStream()
	ctx, cancel := at.client.undenied(ctx, at.client.names.API("STREAM.INFO."+stream), callTimeout)
	defer cancel()
	found, err := at.client.js.Stream(ctx, stream)
	return err == nil && found.CachedInfo().State.LastSeq+1 < at.next
}

// hand hands out the event, and keeps the place after it.
func (at *follower) hand(e Event) error {
	at.next = e.Sequence + 1
	if json.Unmarshal(e.Encoded, &e.Event) != nil {
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
