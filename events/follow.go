package events

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/wire"
)

// A following answers those who ask for events and have no JetStream. It keeps nothing between two questions: the
// cursor says where each goes on, so any worker takes the next one.
type following struct {
	store    *store.Store
	stopping <-chan struct{} // closed when the worker stops: nobody is kept waiting

	reading chan struct{} // holds one for each question whose events are being read

	mu      sync.Mutex
	waiting int
	last    string // the cursor after the last event, as of asked
	asked   time.Time
}

const (
	// mostWaiting is how many a worker lets wait at the same time.
	mostWaiting = 1000
	// followEvery is how often it is looked whether an event came, for all who wait together.
	followEvery = 250 * time.Millisecond
	// mostReading is for how many questions a worker reads events at the same time, a few MiB each, and readingTurn how long
	// another one waits for its turn.
	mostReading = 6
	readingTurn = 5 * time.Second
)

// ask answers the events that the question asks for and the team may see. Where there are none it waits for one, as long
// as the question says.
func (f *following) ask(ctx context.Context, body []byte, maySee func(subject string, event []byte) bool) (wire.EventsAnswer, error) {
	if len(body) == 0 {
		body = []byte("{}")
	}
	q, wait, err := wire.DecodeEvents(body)
	if err != nil {
		return wire.EventsAnswer{}, err
	}
	end := time.Now().Add(wait)
	for {
		answer, err := f.read(ctx, q, maySee)
		if err != nil || len(answer.Events) > 0 || answer.More || !f.wait(ctx, answer.Cursor, end) {
			return answer, err
		}
		q.Cursor = answer.Cursor
	}
}

// read reads events for an answer, when it is the question's turn.
func (f *following) read(ctx context.Context, q wire.EventsQuery, maySee func(subject string, event []byte) bool) (wire.EventsAnswer, error) {
	select {
	case f.reading <- struct{}{}:
		defer func() { <-f.reading }()
		return f.store.EventsFrom(ctx, q, maySee)
	case <-time.After(readingTurn):
		return wire.EventsAnswer{}, &wire.ServiceError{Code: 503, Reason: "this worker reads events for others; ask again"}
	case <-f.stopping:
		return wire.EventsAnswer{}, &wire.ServiceError{Code: 503, Reason: "this worker stops; ask again"}
	case <-ctx.Done():
		return wire.EventsAnswer{}, context.Cause(ctx)
	}
}

// wait waits until an event is stored after the cursor, and reports whether one is. Where too many wait it only lets the one
// who asked pause.
func (f *following) wait(ctx context.Context, cursor string, end time.Time) bool {
	f.mu.Lock()
	tooMany := f.waiting >= mostWaiting
	if !tooMany {
		f.waiting++
		defer func() {
			f.mu.Lock()
			f.waiting--
			f.mu.Unlock()
		}()
	}
	f.mu.Unlock()
	if tooMany {
		link.Sleep(ctx, min(4*followEvery, time.Until(end)))
	}
	for !tooMany && time.Until(end) > 0 {
		select {
		case <-f.stopping:
			return false
		default:
		}
		if !link.Sleep(ctx, min(followEvery, time.Until(end))) {
			return false
		}
		if last, err := f.end(ctx); err == nil && last != cursor {
			return true
		}
	}
	return false
}

// end returns the cursor after the last event, as of a moment ago.
func (f *following) end(ctx context.Context) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.asked) < followEvery {
		return f.last, nil
	}
	last, err := f.store.EventsEnd(ctx)
	if err == nil {
		f.last, f.asked = last, time.Now()
	}
	return last, err
}

// A later request is answered after its handler has returned. Then the library's own answer would write where it reads.
type later struct {
	micro.Request
	nc *nats.Conn
}

// RespondJSON answers with the value.
func (l later) RespondJSON(value any, _ ...micro.RespondOpt) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return l.nc.Publish(l.Reply(), body)
}

// Error answers with the error, as the library does.
func (l later) Error(code, description string, data []byte, _ ...micro.RespondOpt) error {
	m := nats.NewMsg(l.Reply())
	m.Header.Set(micro.ErrorHeader, description)
	m.Header.Set(micro.ErrorCodeHeader, code)
	m.Data = data
	return l.nc.PublishMsg(m)
}
