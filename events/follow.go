package events

import (
	"context"
	"encoding/json"
	"errors"
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

	mu     sync.Mutex
	shares map[string]*share // of the teams that ask just now; empty is the operator
	// waiting is how many wait. last is the cursor after the last event, as of asked, and failed why it is not known; asking
	// says that somebody looks.
	waiting int
	asking  bool
	last    string
	failed  error
	asked   time.Time
}

// A share is what one team takes of a following.
type share struct {
	reading   chan struct{} // as of the following
	most      int           // how many may wait
	waiting   int
	questions int // that hold the share
}

const (
	// mostWaiting is how many a worker lets wait at the same time, and teamWaiting how many of one team.
	mostWaiting = 1000
	teamWaiting = mostWaiting / 2
	// followEvery is how often it is looked whether an event came, for all who wait together.
	followEvery = 250 * time.Millisecond
	// mostReading is for how many questions a worker reads events at the same time, those for events and those why, some MiB
	// each, teamReading for how many of one team, and readingTurn how long another one waits for its turn.
	mostReading = 6
	teamReading = mostReading / 2
	readingTurn = 5 * time.Second
)

// ask answers the events that the question of the team, or of the operator, asks for and that it may see. Where there are
// none it waits for one, as long as the question says.
func (f *following) ask(ctx context.Context, team string, body []byte, maySee func(subject string, event []byte) bool) (wire.EventsAnswer, error) {
	if len(body) == 0 {
		body = []byte("{}")
	}
	q, wait, err := wire.DecodeEvents(body)
	if err != nil {
		return wire.EventsAnswer{}, err
	}
	mine, leave := f.share(team)
	defer leave()
	end := time.Now().Add(wait)
	for {
		answer, err := f.read(ctx, mine, q, maySee)
		if err != nil || len(answer.Events) > 0 || answer.Omitted > 0 || answer.More || !f.wait(ctx, mine, answer.Cursor, end) {
			return answer, err
		}
		q.Cursor = answer.Cursor
	}
}

// share returns the team's share until leave is called. The operator's is all.
func (f *following) share(team string) (mine *share, leave func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	mine = f.shares[team]
	if mine == nil {
		mine = &share{reading: make(chan struct{}, teamReading), most: teamWaiting}
		if team == "" {
			mine = &share{reading: make(chan struct{}, mostReading), most: mostWaiting}
		}
		if f.shares == nil {
			f.shares = make(map[string]*share)
		}
		f.shares[team] = mine
	}
	mine.questions++
	return mine, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if mine.questions--; mine.questions == 0 {
			delete(f.shares, team)
		}
	}
}

// read reads events for an answer, when it is the question's turn.
func (f *following) read(ctx context.Context, mine *share, q wire.EventsQuery, maySee func(subject string, event []byte) bool) (answer wire.EventsAnswer, err error) {
	err = f.inTurn(ctx, mine, func() (err error) {
		answer, err = f.store.EventsFrom(ctx, q, maySee)
		return err
	})
	return answer, err
}

// inTurn does what reads events when it is the question's turn: first among those of its team, then among all.
func (f *following) inTurn(ctx context.Context, mine *share, do func() error) error {
	tooLate := time.After(readingTurn)
	for _, turn := range []chan struct{}{mine.reading, f.reading} {
		select {
		case turn <- struct{}{}:
			defer func() { <-turn }()
		case <-tooLate:
			return &wire.ServiceError{Code: 503, Reason: "this worker reads events for others; ask again"}
		case <-f.stopping:
			return &wire.ServiceError{Code: 503, Reason: "this worker stops; ask again"}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return do()
}

// wait waits until an event is stored after the cursor, and reports whether one is. Where too many wait, or too many of the
// team, it lets the one who asked pause as long, and not look: it asks again, and may then be among those who wait.
func (f *following) wait(ctx context.Context, mine *share, cursor string, end time.Time) bool {
	leave, ok := f.beginWait(mine)
	if !ok {
		select {
		case <-f.stopping:
		case <-ctx.Done():
		case <-time.After(time.Until(end)):
		}
		return false
	}
	defer leave()
	for time.Until(end) > 0 {
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

// beginWait counts one more who waits until leave is called; ok is false where that is too many.
func (f *following) beginWait(mine *share) (leave func(), ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.waiting >= mostWaiting || mine.waiting >= mine.most {
		return nil, false
	}
	f.waiting, mine.waiting = f.waiting+1, mine.waiting+1
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.waiting, mine.waiting = f.waiting-1, mine.waiting-1
	}, true
}

var errAsking = errors.New("it is being looked at")

// end returns the cursor after the last event, or why it is not known, as of a moment ago. One looks for all, and nobody
// waits for that one.
func (f *following) end(ctx context.Context) (string, error) {
	f.mu.Lock()
	switch {
	case f.asking:
		f.mu.Unlock()
		return "", errAsking
	case time.Since(f.asked) < followEvery:
		defer f.mu.Unlock()
		return f.last, f.failed
	}
	f.asking = true
	f.mu.Unlock()
	last, err := f.store.EventsEnd(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asking, f.last, f.failed, f.asked = false, last, err, time.Now()
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
