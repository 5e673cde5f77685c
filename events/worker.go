// Package events is a worker: it takes requests, wake-ups that are due, and events, beside any number of other
// workers, and answers the service. What to do with a request or a wake-up is decided in package watcher; here
// are the loops that carry messages to it, and what keeps an installation whole.
//
// It promises that a [Worker] keeps nothing but the polls in flight, so that it can be killed at any moment; that a
// delivery is acknowledged only after what it asked for is stored; that it comes back by itself after any outage of
// NATS; and that [Worker.Ready] says why it does not do its work.
//
// The packages below: wire (messages as they are on NATS), teams (what each team may), link (the connection and the pulling), store (records,
// wake-ups, events, notes and holds in JetStream), index (which watches are open, without reading all records), sweeper (lists orders, so that those that end are asked for at once), usual (how long
// orders take), inspect (looks at an installation), client (what any Go program
// needs). Read the files here in this order:
//
//	worker.go       what runs in a worker, how it begins and how it ends
//	footing.go      whether work may be taken, and why not: streams, consumers, permissions, limits
//	loop.go         how the messages of one consumer are taken and settled
//	deliveries.go   what is done with a message of each consumer
//	gate.go         what a team's request may ask, and whether its limits allow one more
//	rejections.go   which rejected messages are told one by one, and which are summed up
//	pulled.go       how many messages lie in open pulls
//	service.go      what is answered on request and reply
//	follow.go       which events are answered to those who have no JetStream
//	status.go       how the installation is, and what people were not told yet
//	patrol.go       which worker patrols, and which wake-ups are overdue
//	backlog.go      when people are told of overdue watches
//	heartbeat.go    whether somebody outside is told that all is well
//	broken.go       what becomes of records that cannot be read
//	deadwakeups.go  which wake-ups will never be taken
//	rearm.go        when wake-ups are published again at once
//	ledger.go       which streams were emptied or made anew
//	lost.go         what people are told of that
//	attention.go    when people are told of accounts that are not asked
//	metrics.go      what is counted
package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderwatch/orderwatch/events/index"
	"github.com/orderwatch/orderwatch/events/inspect"
	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/sweeper"
	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/events/usual"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// A Config says how a [Worker] works. Every field is required unless it says otherwise.
type Config struct {
	Concurrency int // polls in flight, ≥ 1
	Requests    wire.Rules
	Teams       teams.Teams    // what each team may; none: everybody may all
	Policy      watcher.Policy // its MaxPayload is set from the server's

	// Inboxes are prefixes of requesters' inboxes that the service answers to, besides _INBOX, _INBOX_… and _R_.
	Inboxes []string

	// Sweep says what lists the orders of projects; nil: nothing does, and workers are told of none that is listed.
	Sweep *sweeper.Config

	// Loads returns how many polls are wanted and allowed; nil: that is not known. It must be safe for concurrent use.
	Loads func() []watcher.Load

	// Troubles returns what keeps people from being told at the moment, one a line; nil: nothing. It must be
	// safe for concurrent use.
	Troubles func() []string

	// Heartbeat calls somebody outside who waits for it; nil: nobody does. It is called once a Timing.Beat by the
	// worker that patrols, while the installation does its work. Its error shows no secret.
	Heartbeat func(context.Context) error
}

// A Worker takes requests, wake-ups and completion events, beside any number of others.
type Worker struct {
	log        *slog.Logger
	config     Config
	nc         *nats.Conn
	store      *store.Store
	intake     watcher.Intake
	poller     watcher.Poller
	notifier   watcher.Notifier
	service    *service
	gate       *gate
	metrics    *metrics
	footing    *footing
	loops      []*loop
	index      *index.Index
	patrol     *patrol
	heart      *heartbeat
	sweeper    *sweeper.Sweeper // nil: nothing is listed
	losses     losses           // firstLook's, then watchAssets' alone
	rejections *rejections
	usual      *usual.Keeper
	learning   *loop                // of the consumer history, without which all else works
	counted    map[string]time.Time // when the watches were counted that wait for an account; attend's alone
}

// New returns a worker on the store. The worker takes over the handlers of errors and, when it runs, of its end of the
// store's connection.
func New(log *slog.Logger, config Config, s *store.Store, orders watcher.Orders, notifier watcher.Notifier, registry prometheus.Registerer) *Worker {
	nc, now := s.JS.Conn(), s.Clock.Now
	w := &Worker{
		log: log, config: config, nc: nc, store: s, notifier: notifier, metrics: newMetrics(registry, s, config.Requests.Regions),
		counted: make(map[string]time.Time),
	}
	if config.Loads != nil {
		registry.MustRegister(loads(config.Loads))
	}
	w.usual = usual.New(log, s)
	w.index = index.New(s)
	w.patrol = newPatrol(log, s, w.index, s.Accounts().ID(), w.metrics)
	registry.MustRegister(patrolled{&w.patrol.finished})
	w.heart = &heartbeat{log: log, store: s, patrol: w.patrol, untold: w.untold, call: config.Heartbeat, last: w.metrics.heartbeat}
	w.patrol.broken.policy = func() watcher.Policy { return w.intake.Policy }
	if config.Sweep != nil {
		sweep := *config.Sweep
		sweep.Cloud = measuredLists{sweep.Cloud, w.metrics.calls}
		w.sweeper = sweeper.New(log, sweep, s, registry)
		orders = w.sweeper.Orders(orders)
	}
	pulls := &openPulls{}
	w.poller = watcher.Poller{Log: log, Orders: ratedOrders{measuredOrders{orders, w.metrics}, pulls}, Records: s, Wakeups: s, Events: measuredEvents{s, w.metrics}, Now: now, AckWait: s.LeastAckWait()}
	w.poller.Disagreed = func(region string) { w.metrics.disagreed.WithLabelValues(region).Inc() }
	w.intake = watcher.Intake{Log: log, Records: s, Wakeups: s, Now: now}
	gate := &gate{log: log, rules: config.Requests, teams: config.Teams, timeout: config.Policy.Timeout, store: s}
	if !config.Teams.Empty() {
		w.intake.Allow = gate.allow
	}
	w.gate, w.rejections = gate, newRejections(log, s, config.Teams)
	w.footing = &footing{
		log: log, store: s, denials: w.metrics.denials, needs: inspect.PublishedBy(s),
		refusals: &link.Failures{Log: log, URL: strings.Join(nc.Servers(), ",")},
		optional: s.HistoryNeeds(), lacks: w.usual.Denied,
	}
	w.service = &service{log: log, rules: config.Requests, gate: gate, intake: &w.intake, store: s, index: w.index, mayWrite: w.footing.mayWrite, answers: w.metrics.answers, status: w.status, usual: w.usual, follow: following{store: s, reading: make(chan struct{}, mostReading)},
		replies: &link.Replies{Log: log, Inboxes: config.Inboxes, Refused: w.metrics.foreign}}
	w.loops = []*loop{
		{stream: s.Names.RequestStream(), consumer: wire.IntakeConsumer, slots: config.Concurrency, pulled: pulls.few, handle: w.takeRequest},
		{stream: s.Names.WakeupStream(), consumer: wire.PollerConsumer, slots: config.Concurrency, pulled: pulls.wanted, handle: w.takeWakeup},
		{stream: s.Names.EventStream(), consumer: wire.SlackConsumer, slots: slackSlots, pulled: func(free int) int { return free }, handle: w.takeEvent},
	}
	w.learning = &loop{stream: s.Names.EventStream(), consumer: wire.HistoryConsumer, slots: 1, pulled: func(int) int { return learnPulled }, mayTake: w.usual.Ensure, handle: w.usual.Take}
	for _, l := range w.loops {
		l.mayTake = func(ctx context.Context) error { return w.footing.mayTake(ctx, l.stream) }
		l.trouble.set(errors.New("not begun"))
	}
	for _, l := range append([]*loop{w.learning}, w.loops...) {
		l.log, l.store, l.refuse, l.deliveries, l.most = log, s, w.refuse, w.metrics.deliveries, math.MaxInt
		l.turned = w.metrics.turns.WithLabelValues(l.consumer)
	}
	w.footing.loops, w.footing.sweeper = w.loops, w.sweeper
	nc.SetErrorHandler(w.footing.natsError)
	return w
}

// slackSlots is how many events one worker hands to people at a time.
const slackSlots = 4

// beginLearning is how long a worker that creates what is missing waits at its start for what only learning needs.
const beginLearning = 2 * time.Second

// learnPulled is how many events lie in open pulls of the consumer history, which has one in flight: so one pull serves many.
const learnPulled = 32

// Ready returns nil if the worker does its work, and otherwise why not. It is safe for concurrent use.
func (w *Worker) Ready() error { return w.footing.ready() }

// Run works until ctx is done, and then hands over: deliveries not begun are put back at once, polls in flight after
// Timing.Drain. The error is nil then. Any other error is an [store.ErrUnfit] or an [ErrClosed].
func (w *Worker) Run(ctx context.Context) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	w.nc.SetClosedHandler(func(*nats.Conn) { end(w.Alive()) })
	if w.nc.IsClosed() {
		end(w.Alive())
	}
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
	if w.store.Provision { // before it says that it serves: it may be started to create what is missing, and no more
		begin, cancel := context.WithTimeout(ctx, beginLearning)
		w.usual.Begin(begin, 1)
		cancel()
	}
	w.footing.serves.Store(true)
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
	w.service.follow.stopping = ctx.Done()
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
	running.Go(func() { w.learn(ctx, work) })
	rearming := rearming{log: w.log, store: w.store, index: w.index}
	if w.sweeper != nil {
		running.Go(func() { w.sweeper.Run(ctx) })
	}
	for _, run := range []func(context.Context){w.watchAssets, w.patrol.run, w.heart.run, rearming.run, w.store.Accounts().Run, w.attend, w.gate.begin, w.rejections.run} {
		running.Go(func() { run(ctx) })
	}
	running.Wait()
	w.rejections.finish(ctx)
	if err := w.nc.FlushTimeout(time.Second); err != nil {
		w.log.Debug("last words not flushed; what they settled comes again", "err", err)
	}
	return nil
}

// learn learns how long orders take, where NATS has what that needs.
func (w *Worker) learn(ctx, work context.Context) {
	for w.usual.Begin(ctx, math.MaxInt) {
		learning, end := context.WithCancel(ctx)
		var running sync.WaitGroup
		running.Go(func() { w.learning.run(learning, work) })
		w.usual.Watch(learning) // until NATS denies something that it needs
		end()
		running.Wait()
	}
}

var errStopping = errors.New("the worker is stopping")

// prepare waits for a server, checks it, and makes sure of streams and consumers.
func (w *Worker) prepare(ctx context.Context) error {
	for try := 0; ; try++ {
		err := w.footing.ensure(ctx)
		if err == nil {
			err = w.store.Accounts().Begin(ctx)
		}
		if err == nil {
			policy := w.config.Policy
			policy.MaxPayload, policy.Payload, policy.Sketches = w.store.Limit(), w.store.Limit, w.usual.Sketch
			if w.sweeper != nil {
				policy.Swept = w.sweeper.Swept
			}
			w.intake.Policy, w.poller.Policy = policy, policy
			return nil
		}
		if errors.Is(err, store.ErrUnfit) {
			return err
		}
		if ctx.Err() == nil {
			w.notBegun(err)
		}
		if !w.store.Calls.Rest(ctx, w.store.Timing.Rebind.Interval("prepare", try)) {
			return nil
		}
	}
}

// notBegun notes why the loops have not begun, and logs it where it is something else than before.
func (w *Worker) notBegun(err error) {
	another := false
	for _, l := range w.loops {
		another = l.trouble.set(err)
	}
	if another && !errors.Is(err, link.ErrNotConnected) { // of that the connection's handlers tell
		w.log.Warn("not ready; trying again until it works", "err", err)
	}
}

// firstLook looks for a loss before anything is written. It is tried again later.
func (w *Worker) firstLook(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*w.store.Timing.Request)
	defer cancel()
	if err := w.lookForLoss(ctx); err != nil {
		w.log.Debug("not known whether the store was lost; looking again", "err", err)
	}
}

// watchAssets checks the footing again and again, looks for a loss, and notes how far the consumer slack has come.
func (w *Worker) watchAssets(ctx context.Context) {
	turned := w.metrics.turns.WithLabelValues("check")
	for link.Sleep(ctx, w.store.Timing.CheckEvery) {
		turned.SetToCurrentTime()
		err := w.footing.check(ctx)
		if ctx.Err() != nil {
			return
		}
		if store.Harmless(err) {
			if err := w.lookForLoss(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, link.ErrNotConnected) && !errors.Is(err, watcher.ErrConflict) { // another worker writes the same
				w.log.Warn("not known whether the store was lost; looking again", "err", err)
			}
		}
		if err == nil {
			if err := w.noteSettled(ctx); err != nil && ctx.Err() == nil {
				w.log.Debug("not noted how far the consumer has come", "consumer", wire.SlackConsumer, "err", err)
			}
		}
	}
}
