package faults_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/rig"
	"github.com/orderwatch/orderwatch/watcher/modelarts/emulator"
)

// A load is requests for scripted orders: one for each order, several for a part of them, at all
// moments of a watch's life, and some of them published twice.
type load struct {
	cloud     *emulator.Emulator
	orders    map[string]scripted
	published map[string]string // the order's name by request id
	channels  map[string]string // of Slack, by the order's name
	cuts      int               // connections that the cloud cuts: net/http asks again by itself
	requests  []plannedRequest
	steps     [stepKinds]chan time.Time // when a worker is about to make such a step

	mu      sync.Mutex
	polls   map[string]*pollTimes
	acked   map[string]bool
	lastAck time.Time
}

// A plannedRequest is when a request is published.
type plannedRequest struct {
	id, order string
	at        time.Duration // since the load began; where there is a moment, at the latest
	moment    moment
	after     time.Duration // since the moment
	again     time.Duration // how much later it is published once more; 0: not
}

// A moment of a watch's life, as the cloud sees it.
type moment int

const (
	anyMoment   moment = iota // the planned time alone counts
	thirdPoll                 // a timer has just fired, the poll is under way
	thirdAnswer               // its answer leaves: the record is about to be written
	looksEnded                // the first poll that shows the order ended: it will settle
	ends                      // the second one: the watch is about to end
	lastAnswer                // its answer leaves
	moments
)

// A stepKind is a step of a worker that a fault is aimed at.
type stepKind int

const (
	takes    stepKind = iota // a request
	stores                   // what a poll brought
	finishes                 // a watch
	stepKinds
)

// pollTimes tell of the moments of an order's life.
type pollTimes struct {
	first   time.Time
	ended   int // polls that showed the order ended
	reached [moments]chan struct{}
}

// newLoad plans so many requests over the span; every choice comes from the seed.
func newLoad(requests int, span time.Duration, seed uint64) *load {
	l := &load{
		orders: make(map[string]scripted), published: make(map[string]string), channels: make(map[string]string),
		polls: make(map[string]*pollTimes), acked: make(map[string]bool),
	}
	for kind := range l.steps {
		l.steps[kind] = make(chan time.Time, 1)
	}
	l.cloud = emulator.New(emulator.Options{Tokens: []string{modelArtsToken}, Fault: l.polled, CallsKept: 100 * requests})
	l.plan(requests, span, seed)
	return l
}

// polled is told of every poll. It opens the order's moments, and makes the answer slow.
func (l *load) polled(c emulator.Call) *emulator.Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	delay := time.Duration(c.Time.UnixNano()%200) * time.Millisecond
	p := l.polls[c.Order]
	if p.first.IsZero() {
		p.first = c.Time
	}
	l.step(stores, c.Time.Add(delay))
	if c.Poll == 3 {
		close(p.reached[thirdPoll])
		time.AfterFunc(delay, func() { close(p.reached[thirdAnswer]) })
	}
	if c.Time.Sub(p.first) >= l.orders[c.Order].end() {
		p.ended++
		switch p.ended {
		case 1:
			close(p.reached[looksEnded])
		case 2:
			close(p.reached[ends])
			time.AfterFunc(delay, func() { close(p.reached[lastAnswer]) })
			l.step(finishes, c.Time.Add(delay))
		}
	}
	return &emulator.Fault{Delay: delay}
}

// step tells whoever aims at such a step when it comes.
func (l *load) step(kind stepKind, at time.Time) {
	select {
	case l.steps[kind] <- at:
	default:
	}
}

// aim waits until some worker has what leads to a step, and a moment longer: it is about to write
// the record, to publish a wake-up or the completion, or to acknowledge.
func (l *load) aim(random *rand.Rand) {
	step := l.steps[random.IntN(int(stepKinds))]
	select {
	case <-step: // perhaps an old one
	default:
	}
	select {
	case at := <-step:
		time.Sleep(time.Until(at) + within(random, 5*time.Millisecond))
	case <-time.After(time.Second): // none comes now
	}
}

// publish publishes these requests of the load, each until it has its PubAck, and waits for the end.
func (l *load) publish(ctx context.Context, js jetstream.JetStream, planned []plannedRequest) error {
	var (
		requests sync.WaitGroup
		begin    = time.Now()
		mu       sync.Mutex
		errs     []error
	)
	for _, r := range planned {
		requests.Go(func() {
			if err := l.publishOne(ctx, js, r, begin); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	requests.Wait()
	return errors.Join(errs...)
}

func (l *load) publishOne(ctx context.Context, js jetstream.JetStream, r plannedRequest, begin time.Time) error {
	select {
	case <-l.polls[r.order].reached[r.moment]:
		if !pause(ctx, r.after) {
			return ctx.Err()
		}
	case <-time.After(time.Until(begin.Add(r.at))):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := l.insist(ctx, js, r); err != nil || r.again == 0 {
		return err
	}
	if !pause(ctx, r.again) {
		return ctx.Err()
	}
	return l.insist(ctx, js, r)
}

// insist publishes the request until it has a PubAck.
func (l *load) insist(ctx context.Context, js jetstream.JetStream, r plannedRequest) error {
	body := fmt.Appendf(nil, `{"project_id":%q,"order_name":%q,"request_id":%q,"slack_channel":%q}`, rig.Project, r.order, r.id, l.channels[r.order])
	for {
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err := js.Publish(try, "orders.watch", body)
		cancel()
		if err == nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.acked[r.id], l.lastAck = true, time.Now()
			l.step(takes, l.lastAck)
			return nil
		}
		if !pause(ctx, 100*time.Millisecond) {
			return fmt.Errorf("publish %s: %w", r.id, err)
		}
	}
}

// accepted returns the requests that have a PubAck.
func (l *load) accepted() map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked
}

// pause waits, and reports whether it was not interrupted.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
