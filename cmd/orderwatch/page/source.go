package page

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderwatch/orderwatch/cmd/orderwatch/config"
	"github.com/orderwatch/orderwatch/cmd/orderwatch/serve"
	"github.com/orderwatch/orderwatch/events/client"
	"github.com/orderwatch/orderwatch/events/index"
	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/tally"
	"github.com/orderwatch/orderwatch/events/teams"
	"github.com/orderwatch/orderwatch/events/usual"
	"github.com/orderwatch/orderwatch/events/wire"
	"github.com/orderwatch/orderwatch/watcher"
)

// A source is what the page reads. It is safe for concurrent use.
type source struct {
	log    *slog.Logger
	store  *store.Store
	board  *index.Board
	usual  *usual.Keeper
	tally  *tally.Tally
	around surroundings
	client *client.Client
	policy watcher.Policy

	wakeups wakeups

	mu     sync.Mutex
	status wire.Status
	asked  time.Time // when a worker answered last; zero: none did
	failed error     // of the latest question; nil: it was answered, or none was asked
}

func newSource(log *slog.Logger, c config.Config, timing serve.Timing, nc *nats.Conn) (*source, error) {
	settings := serve.StoreConfig(c, timing.Timing)
	settings.Provision, settings.Recall, settings.Names.APIPrefix = false, -1, c.NATS.JSAPIPrefix
	kept, err := store.Open(log, settings, nc, store.NewClock(nil))
	if err != nil {
		return nil, err
	}
	asking, err := client.New(nc, settings.Names)
	if err != nil {
		return nil, err
	}
	s := &source{log: log, store: kept, client: asking, usual: usual.New(log, kept), tally: tally.New(c.Watch.Teams, nil)}
	s.policy = serve.Policy(c, timing)
	s.policy.MaxPayload, s.policy.Payload, s.policy.Sketches = watcher.MinPayload, kept.Limit, s.usual.Sketch
	s.board = index.NewBoard(kept, s.policy)
	return s, nil
}

// run reads what changes until ctx is done, whatever becomes of the connection.
func (s *source) run(ctx context.Context) {
	var reading sync.WaitGroup
	follow := func(ctx context.Context) { s.tally.Follow(ctx, s.store) }
	look := func(ctx context.Context) { s.around.keep(ctx, s.store) }
	for _, run := range []func(context.Context){s.board.Run, s.usual.Follow, s.keepTime, s.keepStatus, follow, look} {
		reading.Go(func() { run(ctx) })
	}
	reading.Wait()
}

// keepTime keeps to the server's time, by which records are judged.
func (s *source) keepTime(ctx context.Context) {
	for {
		if err := s.store.Clock.Refresh(ctx, s.store.JS, s.store.Names.RecordStream()); err != nil && ctx.Err() == nil {
			s.log.Debug("the server's time is not known; asking again", "err", err)
		}
		if !link.Sleep(ctx, s.store.Timing.CheckEvery) {
			return
		}
	}
}

// statusEvery is how often a worker is asked how the installation is.
const statusEvery = 5 * time.Second

// keepStatus asks workers how the installation is.
func (s *source) keepStatus(ctx context.Context) {
	for {
		status, err := s.client.Status(ctx)
		if ctx.Err() != nil {
			return
		}
		s.mu.Lock()
		if s.failed = err; err == nil {
			s.status, s.asked = status, s.store.Clock.Now()
		}
		s.mu.Unlock()
		if !link.Sleep(ctx, statusEvery) {
			return
		}
	}
}

// installation returns how the installation is, by the worker that answered last, and when. The error is that of the latest
// question.
func (s *source) installation() (wire.Status, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status, s.asked, s.failed
}

// timeOf returns the time at which the board's rows are shown: now, or, where the board is not up to date, when it was.
func (s *source) timeOf(board index.Status) time.Time {
	if board.Ready && !board.Connected {
		return board.AsOf
	}
	return s.store.Clock.Now()
}

// lag returns how long ends take to be seen; the zero Lag while events are not followed, since it is not known then.
func (s *source) lag(view teams.View, now time.Time) tally.Lag {
	if _, away := s.tally.State(); away != nil {
		return tally.Lag{}
	}
	return s.tally.Lag(view, now)
}

// record returns the record of an order's watch, if the view shows it, and whether it is known which polls were made since it
// was written. The error is a *[missing] where there is none.
func (s *source) record(ctx context.Context, o watcher.Order, view teams.View) (w watcher.Watch, polls bool, err error) {
	if !s.store.JS.Conn().IsConnected() {
		return w, false, link.ErrNotConnected // what is shown now is not to wait for it
	}
	w, polls, err = s.polled(ctx, o)
	switch {
	case errors.Is(err, watcher.ErrNoRecord):
		return w, false, missingOrder(o)
	case errors.Is(err, watcher.ErrNewerSchema) && view.Project(o.ProjectID):
		return w, false, &missing{"A later version of orderwatch wrote this order's record", []string{o.String(), "This page is of an earlier release, and cannot read it. Start the page of the workers' release."}}
	case errors.Is(err, watcher.ErrBroken) && view.Project(o.ProjectID):
		return w, false, &missing{"This order's record cannot be read", []string{o.String(), "People were told, or will be within minutes. To watch it again: orderwatch watch " + o.String()}}
	case errors.Is(err, watcher.ErrNewerSchema), errors.Is(err, watcher.ErrBroken), err == nil && !view.Owns(&w):
		return w, false, missingOrder(o)
	case err == nil && w.MovedAside() != nil:
		aside := w.MovedAside()
		return w, false, &missing{"This order's record could not be read", []string{o.String(), "It was moved aside at " + aside.At.UTC().Format(time.RFC3339) + ": " + wire.OneLine(aside.Why), "To watch the order again, with a new request: orderwatch watch " + o.String()}}
	}
	return w, polls, err
}
