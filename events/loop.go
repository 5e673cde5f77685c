package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/watcher"
)

// A loop hands the messages of one consumer to a function, with bounded slots. It comes back by itself after any outage.
type loop struct {
	log        *slog.Logger
	store      *store.Store
	mayTake    func(context.Context) error // whether messages may be taken, after it did not consume
	stream     string
	consumer   string
	slots      int
	pulled     func(free int) int // how many messages may lie in open pulls, as it is now, with so many free slots
	most       int                // as many as the consumer allows in one pull
	handle     func(context.Context, *nats.Msg) watcher.Verdict
	refuse     func(context.Context, *nats.Msg, *watcher.FieldError) error
	deliveries *prometheus.CounterVec // by consumer and what was done
	turned     prometheus.Gauge       // when it last took a message, or heard that the server has none

	trouble trouble                                 // why it does not consume
	silent  atomic.Bool                             // nothing was delivered since a trouble
	untold  bool                                    // the log does not tell of the trouble; run's alone
	end     atomic.Pointer[context.CancelCauseFunc] // ends the consuming that is under way
}

// run consumes until stop is done, and then hands over what it has not begun. Messages are handled under work.
func (l *loop) run(stop, work context.Context) {
	var handlers sync.WaitGroup
	defer handlers.Wait()
	for try := 0; ; {
		begin := time.Now()
		err := l.consume(stop, work, &handlers)
		if time.Since(begin) > l.store.Timing.Rebind.Max {
			try = 0
		}
		for ; err != nil; try++ { // nothing is taken before all is as it must be
			if stop.Err() != nil {
				return
			}
			l.troubled(err)
			if !l.store.Calls.Rest(stop, l.store.Timing.Rebind.Interval(l.consumer, try)) {
				return
			}
			err = l.mayTake(stop)
		}
	}
}

// troubled notes why it does not consume, and tells it. While there is no connection, the log tells that alone.
func (l *loop) troubled(err error) {
	l.silent.Store(true)
	another := l.trouble.set(err) || l.untold
	away := errors.Is(err, link.ErrNotConnected) || !l.store.JS.Conn().IsConnected()
	if l.untold = another && away; another && !away {
		l.log.Error("consumer does not deliver; trying again until it does", "consumer", l.consumer, "stream", l.stream, "err", err)
	}
}

// hold puts back what is not begun and takes nothing more until the footing finds all as it must be.
func (l *loop) hold(why error) {
	if end := l.end.Load(); end != nil {
		(*end)(why)
	}
}

// consume hands messages out until stop is done, the loop is held or the consumer is gone. It always returns an error.
func (l *loop) consume(stop, work context.Context, handlers *sync.WaitGroup) error {
	stop, end := context.WithCancelCause(stop)
	defer end(nil)
	l.end.Store(&end)
	consumer, err := l.store.JS.Consumer(stop, l.stream, l.consumer)
	if err != nil {
		return fmt.Errorf("bind consumer %s of %s: %w", l.consumer, l.stream, err)
	}
	slots := make(chan struct{}, l.slots)
	taken, idle := make(chan *nats.Msg), make(chan struct{}, mostIdle)
	defer close(taken)
	messages, err := l.pull(slots)
	if err != nil {
		return err
	}
	defer messages.Stop()
	draining, leave := context.WithCancel(context.WithoutCancel(stop))
	defer leave()
	defer context.AfterFunc(stop, func() {
		messages.Drain()
		time.AfterFunc(drainTime, leave)
	})()
	if !l.silent.Load() { // after a trouble that is not enough: the server is to take a pull, too
		l.trouble.set(nil)
	}
	ackWait := consumer.CachedInfo().Config.AckWait
	for free := false; ; {
		if !free { // first: a worker that dies takes no more messages with it than it has slots
			select {
			case slots <- struct{}{}:
				free = true
			case <-stop.Done():
			}
		}
		m, err := messages.Next(draining)
		switch {
		case errors.Is(err, link.ErrSilent):
			if err := l.check(stop, consumer); err != nil {
				return err
			}
			continue
		case err != nil && stop.Err() != nil:
			return context.Cause(stop)
		case err != nil:
			return fmt.Errorf("consume: %w", err)
		}
		if stop.Err() != nil {
			l.settle(stop, m, watcher.Verdict{Action: watcher.PutBack, After: handOver})
			continue
		}
		free = false
		select {
		case taken <- m:
		default: // each has a message at hand
			handlers.Go(func() {
				l.takeAll(work, m, taken, idle, ackWait, slots)
			})
		}
	}
}

// mostIdle is how many goroutines wait for messages at the most.
const mostIdle = 16

// takeAll handles a message, and then those that come. A goroutine stays for many of them: the stack of a new one would grow anew
// for each. Where enough others wait, it ends.
func (l *loop) takeAll(work context.Context, m *nats.Msg, more <-chan *nats.Msg, idle chan struct{}, ackWait time.Duration, slots <-chan struct{}) {
	for ok := true; ok; {
		l.take(work, m, ackWait)
		<-slots
		select {
		case idle <- struct{}{}:
			m, ok = <-more
			<-idle
		default:
			return
		}
	}
}

// pull begins to pull messages: no more than slots are free, with the one that consume has taken for the next message.
func (l *loop) pull(slots chan struct{}) (*link.Puller, error) {
	next := l.store.Names.API("CONSUMER.MSG.NEXT." + l.stream + "." + l.consumer)
	messages, err := link.NewPuller(l.store.JS.Conn(), next, func() int { return min(l.pulled(l.slots-len(slots)+1), l.most) }, l.store.Timing.PullExpiry, l.store.Timing.PullHeartbeat)
	if err != nil {
		return nil, err
	}
	messages.Accepted = func() { // there may be nothing to deliver
		l.trouble.set(nil)
		l.turned.SetToCurrentTime()
	}
	messages.Limited = func(batch int) {
		l.log.Warn("consumer takes smaller pulls than wanted; they are made so", "consumer", l.consumer, "stream", l.stream, "wanted", l.pulled(l.slots), "batch", batch)
		l.most = batch
	}
	return messages, nil
}

const (
	drainTime = time.Second            // for the server's word that all has arrived which was on its way when a subscription ended
	handOver  = 250 * time.Millisecond // a stopping worker's put-back deliveries wait this long
)

// check looks why the server is silent. Only a consumer that is gone is an error: all else passes.
func (l *loop) check(ctx context.Context, consumer jetstream.Consumer) error {
	err := l.store.Calls.Make(ctx, l.store.Timing.Request, func(ctx context.Context) error {
		_, err := consumer.Info(ctx)
		return err
	})
	switch {
	case err == nil: // the next pull shows more
	case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
		return err
	case !errors.Is(err, context.Canceled): // the worker is not stopping
		l.troubled(fmt.Errorf("no heartbeat: %w", err))
	}
	return nil
}

// take handles one message. A panic is a defect of this program, and is to change nothing for other orders.
func (l *loop) take(work context.Context, m *nats.Msg, ackWait time.Duration) {
	l.trouble.set(nil)
	l.turned.SetToCurrentTime()
	if l.silent.Swap(false) {
		l.log.Info("consumer delivers again", "consumer", l.consumer, "stream", l.stream)
	}
	defer l.keep(m, ackWait)()
	store.Passed(l.consumer, "taken", nil)
	defer func() {
		if defect := recover(); defect != nil {
			l.log.Error("panic: this is a defect of orderwatch; please report it", "subject", m.Subject, "panic", defect, "stack", string(debug.Stack()))
			l.settle(work, m, watcher.Verdict{Action: watcher.PutBack})
		}
	}()
	verdict := l.handle(work, m)
	if work.Err() != nil && verdict.Action == watcher.PutBack {
		verdict.After, verdict.Err = handOver, nil
	}
	l.settle(work, m, verdict)
}

// keep tells the server every third of AckWait that the message is being handled, so that it does not come again
// meanwhile. It does so for Timing.Step at the longest, and until the returned function is called.
func (l *loop) keep(m *nats.Msg, ackWait time.Duration) (done func()) {
	if ackWait <= 0 {
		return func() {}
	}
	var (
		mu    sync.Mutex // held while the server is told
		over  bool
		timer *time.Timer
	)
	until := time.Now().Add(l.store.Timing.Step)
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(ackWait/3, func() {
		mu.Lock()
		defer mu.Unlock()
		if over || !time.Now().Before(until) {
			return
		}
		if err := m.InProgress(); err != nil {
			l.log.Debug("delivery not kept; it may come again", "consumer", l.consumer, "subject", m.Subject, "err", err)
		}
		timer.Reset(ackWait / 3)
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		over = true
		timer.Stop()
	}
}

// settle does with the delivery what the verdict says. Where that gets lost, it comes again after AckWait.
func (l *loop) settle(ctx context.Context, m *nats.Msg, v watcher.Verdict) {
	if v.Action == watcher.Refuse {
		why, ok := errors.AsType[*watcher.FieldError](v.Err)
		if !ok {
			why = &watcher.FieldError{Reason: v.Err.Error()}
		}
		if err := l.refuse(ctx, m, why); err != nil {
			v = watcher.Verdict{Action: watcher.PutBack, Err: err}
		}
	}
	l.deliveries.WithLabelValues(l.consumer, actions[v.Action]).Inc()
	store.Passed(l.consumer, "settling", nil)
	var err error
	switch v.Action {
	case watcher.Ack:
		err = m.Ack()
	case watcher.Refuse:
		err = m.Term()
	case watcher.PutBack:
		err = l.putBack(m, v)
	}
	store.Passed(l.consumer, "settled", err)
	if err != nil {
		l.log.Debug("delivery not settled; it comes again", "consumer", l.consumer, "subject", m.Subject, "err", err)
	}
}

func (l *loop) putBack(m *nats.Msg, v watcher.Verdict) error {
	deliveries := attempt(m)
	if v.After == 0 {
		v.After = l.store.Timing.PutBack.Interval(m.Subject, deliveries-1)
	}
	level := slog.LevelWarn
	if _, told := errors.AsType[*watcher.RetryError](v.Err); v.Err == nil || told || errors.Is(v.Err, watcher.ErrConflict) || errors.Is(v.Err, link.ErrNotConnected) {
		level = slog.LevelDebug // nothing is wrong, or somebody else has said what is
	}
	l.log.Log(context.Background(), level, "delivery put back", "consumer", l.consumer, "subject", m.Subject, "delivery", deliveries, "wait", v.After, "err", v.Err)
	return m.NakWithDelay(v.After)
}

// attempt returns how often the message has been delivered, this time included.
func attempt(m *nats.Msg) int {
	meta, err := m.Metadata()
	if err != nil {
		return 1
	}
	return int(meta.NumDelivered)
}
