package events

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderwatch/orderwatch/events/inspect"
	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// A Worker takes requests, wake-ups and completion events, beside any number of others.
type Worker struct {
	log      *slog.Logger
	config   Config
	nc       *nats.Conn
	js       jetstream.JetStream
	clock    *store.Clock
	store    *store.Store
	accounts *store.Accounts
	intake   watcher.Intake
	poller   watcher.Poller
	notifier watcher.Notifier
	service  *service
	metrics  *metrics
	loops    []*loop
	patrol   *patrol

	trouble  atomic.Pointer[error]     // why streams or consumers are not as they must be
	deniedAt atomic.Pointer[time.Time] // the last permissions violation, by the process's clock
	limit    atomic.Pointer[metLimit]  // the last limit that was met
	needs    needs                     // what the worker publishes on
	othersAt atomic.Pointer[time.Time] // when a requester's reply subject was denied that was logged
	warned   sync.Map                  // differences that were logged
	refusals *link.Failures            // of the login
	losses   losses                    // firstLook's, then watchAssets' alone
	counted  map[string]time.Time      // when the watches were counted that wait for an account; attend's alone
	serves   atomic.Bool               // all was as it must be when it began
	held     atomic.Bool               // nothing is taken: something was unfit when all was last looked at
	closed   chan struct{}             // is closed when the connection was closed for good
}

// New returns a worker on the store. The worker takes over the handlers of errors and of its end of the store's
// connection.
func New(log *slog.Logger, config Config, s *store.Store, orders watcher.Orders, notifier watcher.Notifier, registry prometheus.Registerer) *Worker {
	nc, clock, accounts := s.JS.Conn(), s.Clock, s.Accounts()
	w := &Worker{log: log, config: config, nc: nc, js: s.JS, clock: clock, store: s, accounts: accounts, counted: make(map[string]time.Time), notifier: notifier, metrics: newMetrics(registry, clock, accounts)}
	w.patrol = newPatrol(log, s, clock, accounts.ID())
	w.patrol.broken.policy = func() watcher.Policy { return w.intake.Policy }
	w.patrol.broken.number = func(n int) { w.metrics.broken.Set(float64(n)) }
	pulls := &openPulls{slots: config.Concurrency}
	w.poller = watcher.Poller{Log: log, Orders: ratedOrders{measuredOrders{orders, w.metrics.polls}, pulls}, Records: s, Wakeups: s, Events: measuredEvents{s, w.metrics}, Now: clock.Now}
	w.intake = watcher.Intake{Log: log, Records: s, Wakeups: s, Now: clock.Now}
	w.service = &service{log: log, rules: config.Requests, intake: &w.intake, store: s, mayTake: w.mayWrite, answers: w.metrics.answers, status: w.status}
	w.loops = []*loop{
		w.newLoop(s.Names.RequestStream(), wire.IntakeConsumer, config.Concurrency, w.takeRequest),
		w.newLoop(s.Names.WakeupStream(), wire.PollerConsumer, config.Concurrency, w.takeWakeup),
		w.newLoop(s.Names.EventStream(), wire.SlackConsumer, slackSlots, w.takeEvent),
	}
	w.loops[0].pulled = pulls.few
	w.loops[1].pulled = pulls.wanted
	w.refusals = link.NewFailures(log, strings.Join(nc.Servers(), ","))
	nc.SetErrorHandler(w.natsError)
	w.closed, w.needs = make(chan struct{}), inspect.PublishedBy(s)
	told := sync.OnceFunc(func() { close(w.closed) })
	nc.SetClosedHandler(func(*nats.Conn) { told() })
	if nc.IsClosed() {
		told()
	}
	return w
}

// slackSlots is how many events one worker hands to people at a time.
const slackSlots = 4

func (w *Worker) newLoop(stream, consumer string, slots int, handle func(context.Context, *nats.Msg) watcher.Verdict) *loop {
	l := &loop{
		log: w.log, timing: w.store.Timing, js: w.js, stream: stream, consumer: consumer, slots: slots, pulled: func() int { return slots }, most: math.MaxInt,
		pullSubject: w.store.Names.API("CONSUMER.MSG.NEXT." + stream + "." + consumer),
		handle:      handle, refuse: w.refuse, settled: w.metrics.settled(consumer),
		ensure: func(ctx context.Context) error { return w.mayTake(ctx, stream) },
	}
	err := errNotBound
	l.trouble.Store(&err)
	return l
}

// Run works until ctx is done, and then hands over: deliveries not begun are put back at once,
// polls in flight get Timing.Drain, are then cancelled and put back. The error is nil then. Any
// other error is an [store.ErrUnfit] or an [ErrClosed].
func (w *Worker) Run(ctx context.Context) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	go func() {
		select {
		case <-w.closed:
			end(w.Alive())
		case <-ctx.Done():
		}
	}()
	err := w.run(ctx)
	if closed := context.Cause(ctx); errors.Is(closed, ErrClosed) {
		return closed
	}
	return err
}

// ErrClosed says that the connection to NATS was closed for good: the library does not connect again. The
// process is to end, and to be started again.
var ErrClosed = errors.New("the connection to NATS was closed for good; this worker ends, and is to be started again")

// Alive returns nil unless the connection was closed for good: an [ErrClosed] that says why. It is safe for
// concurrent use.
func (w *Worker) Alive() error {
	if !w.nc.IsClosed() {
		return nil
	}
	if why := w.nc.LastError(); why != nil {
		return fmt.Errorf("%w: the server said: %w", ErrClosed, why)
	}
	return ErrClosed
}

func (w *Worker) run(ctx context.Context) error {
	if err := w.prepare(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	w.serves.Store(true)
	w.firstLook(ctx)
	w.log.Info("orderwatch serves", "server", w.nc.ConnectedUrlRedacted())
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() {
		if w.nc.IsClosed() {
			cancel(ErrClosed) // nothing could be stored or put back
			return
		}
		time.AfterFunc(w.store.Timing.Drain, func() { cancel(errStopping) })
	})()
	answering, err := w.service.begin(work, w.nc, w.store.Version)
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	running.Go(func() {
		<-ctx.Done()
		_ = answering.Stop() // where it fails the connection is gone
		w.service.finish()
	})
	for _, l := range w.loops {
		running.Go(func() { l.run(ctx, work) })
	}
	running.Go(func() { w.watchAssets(ctx) })
	running.Go(func() { w.patrol.run(ctx) })
	rearming := rearming{log: w.log, store: w.store, clock: w.clock, id: w.accounts.ID(), every: min(w.store.Timing.CheckEvery, rearmEvery)}
	running.Go(func() { rearming.run(ctx) })
	running.Go(func() { w.accounts.Run(ctx) })
	running.Go(func() { w.attend(ctx) })
	running.Wait()
	if err := w.nc.FlushTimeout(time.Second); err != nil {
		w.log.Debug("last words not flushed; what they settled comes again", "err", err)
	}
	return nil
}

var errStopping = errors.New("the worker is stopping")

// prepare waits for a server, checks it, and makes sure of streams and consumers.
func (w *Worker) prepare(ctx context.Context) error {
	for try := 0; ; try++ {
		err := w.ensure(ctx)
		if err == nil {
			err = w.accounts.Begin(ctx)
		}
		if err == nil {
			w.setPolicy()
			return nil
		}
		if errors.Is(err, store.ErrUnfit) {
			return err
		}
		if ctx.Err() == nil {
			w.notBegun(err)
		}
		if !link.Sleep(ctx, w.store.Timing.Rebind.Interval("prepare", try)) {
			return nil
		}
	}
}

// notBegun notes why the loops have not begun, and logs it where it is something else than before.
func (w *Worker) notBegun(err error) {
	before := *w.loops[0].trouble.Load()
	if before.Error() != err.Error() && !errors.Is(err, link.ErrNotConnected) { // of that the connection's handlers tell
		w.log.Warn("not ready; trying again until it works", "err", err)
	}
	for _, l := range w.loops {
		l.trouble.Store(&err)
	}
}

// setPolicy gives the decisions what is known only now.
func (w *Worker) setPolicy() {
	policy := w.config.Policy
	policy.MaxPayload, policy.Payload = w.store.Limit(), w.store.Limit
	w.intake.Policy, w.poller.Policy = policy, policy
}

// ensure checks the server and all streams, creates what is missing, and looks at the server's clock.
func (w *Worker) ensure(ctx context.Context) error {
	err := w.ensureStream(ctx, "")
	if errors.Is(err, link.ErrNotConnected) {
		return err
	}
	return cmp.Or(err, w.clock.Refresh(ctx, w.js, w.store.Names.WakeupStream()))
}

// ensureStream does so for one stream and its consumer.
func (w *Worker) ensureStream(ctx context.Context, name string) error {
	return w.store.Ensure(ctx, store.Listener{Made: w.made, Differs: w.warn}, name)
}

// firstLook looks for a loss before anything is written. It is tried again later.
func (w *Worker) firstLook(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*w.store.Timing.Request)
	defer cancel()
	if err := w.lookForLoss(ctx); err != nil {
		w.log.Debug("not known whether the store was lost; looking again", "err", err)
	}
}

// watchAssets checks the server, the streams and the consumers again and again, and creates what
// has gone missing, where it may.
func (w *Worker) watchAssets(ctx context.Context) {
	for link.Sleep(ctx, w.store.Timing.CheckEvery) {
		w.store.KeepLimit(ctx)
		err := w.ensure(ctx)
		if ctx.Err() != nil {
			return
		}
		before := w.trouble.Swap(&err)
		w.holdIf(err)
		if store.Harmless(err) {
			if err := w.lookForLoss(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, watcher.ErrConflict) { // another worker writes the same
				w.log.Warn("not known whether the store was lost; looking again", "err", err)
			}
		}
		if err == nil {
			if err := w.noteSettled(ctx); err != nil && ctx.Err() == nil {
				w.log.Debug("not noted how far the consumer has come", "consumer", wire.SlackConsumer, "err", err)
			}
		}
		if err != nil && !errors.Is(err, link.ErrNotConnected) && (before == nil || *before == nil || (*before).Error() != err.Error()) {
			w.log.Error("what the worker needs of NATS is not as it must be; trying again until it is", "err", err)
		}
	}
}

// holdIf holds the loops if to take more would lose or repeat work. They go on once all was looked at
// and nothing is unfit: an error that says less of it leaves them as they are.
func (w *Worker) holdIf(err error) {
	switch {
	case store.Harmless(err):
		w.held.Store(false)
	case errors.Is(err, store.ErrUnfit):
		w.held.Store(true)
		for _, l := range w.loops {
			l.hold(err)
		}
	}
}

// mayTake returns nil if the loop on the stream may take messages: it looks at that stream alone,
// and, where the worker is held, at all.
func (w *Worker) mayTake(ctx context.Context, stream string) error {
	if w.held.Load() {
		stream = ""
	}
	if err := w.ensureStream(ctx, stream); !store.Harmless(err) {
		return err
	}
	return nil
}

// mayWrite returns why the service may not write now what the loops would take.
func (w *Worker) mayWrite() error {
	if w.held.Load() {
		return &wire.ServiceError{Code: 503, Reason: "this worker takes nothing until NATS is as it must be; its log says why"}
	}
	return nil
}

// made logs that what was missing is there.
func (w *Worker) made(asset string) {
	if w.serves.Load() {
		w.log.Error("made anew what somebody deleted; what it held, or had not delivered yet, is lost", "asset", asset)
		return
	}
	w.log.Info("created", "asset", asset)
}

// warn logs a difference once.
func (w *Worker) warn(asset string, d store.Difference) {
	if _, told := w.warned.LoadOrStore(fmt.Sprint(asset, d), true); !told {
		w.log.Warn("setting is not as wanted", "asset", asset, "setting", d.Setting, "found", d.Found, "wanted", d.Wanted)
	}
}

// Ready returns nil if the worker does its work, and otherwise why not. It is safe for concurrent use.
func (w *Worker) Ready() error {
	if !w.nc.IsConnected() {
		return link.ErrNotConnected
	}
	if at := w.deniedAt.Load(); at != nil && w.clock.Local().Sub(*at) < w.store.Timing.Denied {
		return errors.New("NATS denies a permission that the worker needs; the log names it")
	}
	var limit error // why what follows does not work
	if met := w.limit.Load(); met != nil && w.accounts.Blind() || met != nil && w.clock.Local().Sub(met.at) < w.store.Timing.Denied {
		limit = met.err
	}
	if trouble := w.trouble.Load(); trouble != nil && *trouble != nil {
		return cmp.Or(limit, *trouble)
	}
	if trouble := w.store.Trouble(time.Now().Add(-w.store.Timing.Denied)); trouble != nil {
		return trouble
	}
	if limit != nil {
		return limit
	}
	if w.accounts.Blind() {
		return errors.New("what workers share cannot be read: bucket " + w.store.Names.AccountStream())
	}
	for _, l := range w.loops {
		if trouble := l.trouble.Load(); trouble != nil {
			return fmt.Errorf("consumer %s does not deliver: %w", l.consumer, *trouble)
		}
	}
	return nil
}

// A metLimit is a limit of the account or the server that the worker met.
type metLimit struct {
	at  time.Time // by the process's clock
	err error
}

// natsError takes the errors of the connection that no call returns.
func (w *Worker) natsError(_ *nats.Conn, _ *nats.Subscription, err error) {
	if link.Refused(err) {
		w.refusals.Tell(err)
		return
	}
	if do := link.Limit(err); do != "" {
		met := metLimit{w.clock.Local(), fmt.Errorf("%w: %s", err, do)}
		if before := w.limit.Swap(&met); before == nil || met.at.Sub(before.at) > w.store.Timing.Denied {
			w.log.Error("NATS refuses what is over a limit", "err", met.err)
		}
		return
	}
	if !link.Denied(err) {
		w.log.Warn("error of the NATS connection", "err", err)
		return
	}
	if w.needs.others(err) {
		now := w.clock.Local()
		if before := w.othersAt.Load(); before != nil && now.Sub(*before) < time.Minute {
			return // whoever does so can do it often
		}
		w.othersAt.Store(&now)
		w.log.Warn("NATS denies an answer to a requester: the reply subject is none of the worker's, or was answered already; the worker lacks nothing", "err", err)
		return
	}
	w.metrics.denials.Inc()
	now := w.clock.Local()
	w.deniedAt.Store(&now)
	w.log.Error("NATS denies a permission; give the worker's user the permissions that deploy/README.md lists", "err", err)
}

// takeRequest handles a message on orders.watch.
func (w *Worker) takeRequest(ctx context.Context, m *nats.Msg) watcher.Verdict {
	in, err := wire.Delivered(m)
	if err != nil {
		return watcher.Verdict{Err: err}
	}
	ask, err := w.config.Requests.Decode(in)
	if err != nil {
		return watcher.Verdict{Action: watcher.Refuse, Err: err}
	}
	return w.intake.Take(ctx, ask)
}

// refuse publishes why a message is no request.
func (w *Worker) refuse(ctx context.Context, m *nats.Msg, why *watcher.FieldError) error {
	in, err := wire.Delivered(m)
	if err != nil {
		return err
	}
	w.log.Warn("request rejected", "request", in.RequestID(), "reason", why.Error())
	return w.store.Reject(ctx, in, why)
}

// takeWakeup handles a message on orders.due.>.
func (w *Worker) takeWakeup(ctx context.Context, m *nats.Msg) watcher.Verdict {
	k, err := store.DecodeWakeup(m.Subject, w.store.Names.Due(""), m.Data)
	if err != nil {
		w.log.Error("dropped what is no wake-up; only orderwatch may publish here", "subject", m.Subject, "err", err)
		return watcher.Verdict{Action: watcher.Ack}
	}
	deliveries := attempt(m)
	if deliveries == 1 {
		w.metrics.late(w.clock.Now().Sub(k.At))
	}
	return w.poller.Wake(ctx, k, deliveries)
}

// takeEvent handles an event of the slack consumer.
func (w *Worker) takeEvent(ctx context.Context, m *nats.Msg) watcher.Verdict {
	switch names := w.store.Names; {
	case strings.HasPrefix(m.Subject, names.Subjects+".completed."):
		return handOn(ctx, w.log, m, wire.Decode[watcher.Completion], func(ctx context.Context, c watcher.Completion) error {
			err := w.notifier.Notify(ctx, c)
			store.Passed("slack", "told", err)
			return err
		})
	case strings.HasPrefix(m.Subject, names.Subjects+".progress."):
		return handOn(ctx, w.log, m, wire.Decode[watcher.Progress], w.notifier.Progress)
	case strings.HasPrefix(m.Subject, names.Renotify("")):
		return w.takeRenotify(ctx, m)
	case names.ConcernsOrder(m.Subject):
		return handOn(ctx, w.log, m, wire.Decode[watcher.OrderAttention], w.notifier.AttendOrder)
	case strings.HasPrefix(m.Subject, names.Subjects+".attention."):
		return handOn(ctx, w.log, m, wire.Decode[watcher.Attention], w.notifier.Attend)
	}
	return watcher.Verdict{Action: watcher.Ack}
}

// handOn hands the event to the notifier's function for its kind.
func handOn[E any](ctx context.Context, log *slog.Logger, m *nats.Msg, decode func([]byte) (E, error), tell func(context.Context, E) error) watcher.Verdict {
	event, err := decode(m.Data)
	if err != nil {
		log.Error("dropped what is no event of its subject; only orderwatch may publish here", "subject", m.Subject, "err", err)
		return watcher.Verdict{Action: watcher.Ack}
	}
	err = tell(ctx, event)
	if err == nil {
		return watcher.Verdict{Action: watcher.Ack}
	}
	verdict := watcher.Verdict{Action: watcher.PutBack, Err: err}
	if retry, ok := errors.AsType[*watcher.RetryError](err); ok {
		verdict.After = retry.After
	}
	return verdict
}

// takeRenotify hands the completion that the event means to the notifier, once more.
func (w *Worker) takeRenotify(ctx context.Context, m *nats.Msg) watcher.Verdict {
	return handOn(ctx, w.log, m, wire.Decode[watcher.Again], func(ctx context.Context, again watcher.Again) error {
		event, err := w.store.Get(ctx, w.store.Names.EventStream(), again.Sequence)
		if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
			return err
		}
		c, err := wire.Decode[watcher.Completion](event.Data)
		if err != nil || c.WatchID != again.WatchID { // nothing is stored there, or another event
			w.log.Error("people are not told again: the event of the watch is no longer kept", "watch", again.WatchID)
			return nil
		}
		return w.notifier.NotifyAgain(ctx, c, again)
	})
}
