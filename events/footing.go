package events

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderwatch/orderwatch/events/link"
	"github.com/orderwatch/orderwatch/events/store"
	"github.com/orderwatch/orderwatch/events/sweeper"
	"github.com/orderwatch/orderwatch/events/wire"
)

// A footing is what a worker stands on: the connection, what its login may do there, the streams and the consumers. It
// decides whether the loops and the service may take work, and says why not.
type footing struct {
	log      *slog.Logger
	store    *store.Store
	loops    []*loop
	denials  prometheus.Counter
	sweeper  *sweeper.Sweeper
	needs    []string       // the subjects that the worker must be allowed to publish on
	optional []string       // those without which only how long orders take is not known
	lacks    func(error)    // is told that one of these is denied
	refusals *link.Failures // of the login

	serves   atomic.Bool               // all was as it must be when the worker began
	held     atomic.Bool               // nothing is taken: something was unfit when all was last looked at
	trouble  trouble                   // why streams or consumers are not as they must be
	warned   sync.Map                  // differences that were logged
	limit    atomic.Pointer[metLimit]  // the last limit that was met
	deniedAt atomic.Pointer[time.Time] // the last permissions violation, by the process's clock
	othersAt atomic.Pointer[time.Time] // when a denied reply subject of a requester was logged last
}

// A trouble is why something does not work at the moment, nil where it does. It is safe for concurrent use.
type trouble struct{ err atomic.Pointer[error] }

// set notes the error, nil for none, and reports whether the one before it read otherwise.
func (t *trouble) set(err error) (another bool) {
	before := t.err.Swap(&err)
	return before == nil || fmt.Sprint(*before) != fmt.Sprint(err)
}

func (t *trouble) get() error {
	if err := t.err.Load(); err != nil {
		return *err
	}
	return nil
}

// A metLimit is a limit of the account or the server that the worker met.
type metLimit struct {
	at  time.Time // by the process's clock
	err error
}

// ensure checks the server and all streams, creates what is missing, and looks at the server's clock.
func (f *footing) ensure(ctx context.Context) error {
	err := f.ensureStream(ctx, "")
	if errors.Is(err, link.ErrNotConnected) {
		return err
	}
	return cmp.Or(err, f.store.Clock.Refresh(ctx, f.store.JS, f.store.Names.WakeupStream()))
}

// ensureStream does so for one stream and its consumer.
func (f *footing) ensureStream(ctx context.Context, name string) error {
	return f.store.Ensure(ctx, store.Listener{Made: f.made, Differs: f.warn}, name)
}

// check does what ensure does while the worker serves, and holds the loops if to take more would lose or repeat work.
// They go on once all was looked at and nothing is unfit: an error that says less of it leaves them as they are.
func (f *footing) check(ctx context.Context) error {
	f.store.KeepLimit(ctx)
	err := f.ensure(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	switch {
	case store.Harmless(err):
		f.held.Store(false)
	case errors.Is(err, store.ErrUnfit):
		f.held.Store(true)
		for _, l := range f.loops {
			l.hold(err)
		}
	}
	if f.trouble.set(err) && err != nil && !errors.Is(err, link.ErrNotConnected) {
		f.log.Error("what the worker needs of NATS is not as it must be; trying again until it is", "err", err)
	}
	return err
}

// mayTake returns nil if the loop on the stream may take messages: it looks at that stream alone,
// and, where the worker is held, at all.
func (f *footing) mayTake(ctx context.Context, stream string) error {
	if f.held.Load() {
		stream = ""
	}
	if err := f.ensureStream(ctx, stream); !store.Harmless(err) {
		return err
	}
	return nil
}

// mayWrite returns why the service may not write now what the loops would take.
func (f *footing) mayWrite() error {
	if f.held.Load() {
		return &wire.ServiceError{Code: 503, Reason: "this worker takes nothing until NATS is as it must be; its log says why"}
	}
	return nil
}

// made logs that what was missing is there.
func (f *footing) made(asset string) {
	if f.serves.Load() {
		f.log.Error("made anew what somebody deleted; what it held, or had not delivered yet, is lost", "asset", asset)
		return
	}
	f.log.Info("created", "asset", asset)
}

// warn logs a difference once.
func (f *footing) warn(asset string, d store.Difference) {
	if _, told := f.warned.LoadOrStore(fmt.Sprint(asset, d), true); !told {
		attributes := []any{"asset", asset, "setting", d.Setting, "found", d.Found, "wanted", d.Wanted}
		if d.Do != "" {
			attributes = append(attributes, "do", d.Do)
		}
		f.log.Warn("setting is not as wanted", attributes...)
	}
}

// ready returns nil if the worker does its work, and otherwise why not.
func (f *footing) ready() error {
	if !f.store.JS.Conn().IsConnected() {
		return link.ErrNotConnected
	}
	if at := f.deniedAt.Load(); at != nil && f.isRecent(*at) {
		return errors.New("NATS denies a permission that the worker needs; the log names it")
	}
	blind := f.store.Accounts().Blind()
	var limit error // why what follows does not work
	if met := f.limit.Load(); met != nil && (blind || f.isRecent(met.at)) {
		limit = met.err
	}
	if err := f.trouble.get(); err != nil {
		return cmp.Or(limit, err)
	}
	if err := f.store.Trouble(time.Now().Add(-f.store.Timing.Denied)); err != nil {
		return err
	}
	if limit != nil {
		return limit
	}
	if blind {
		return errors.New("what workers share cannot be read: bucket " + f.store.Names.AccountStream())
	}
	for _, l := range f.loops {
		if err := l.trouble.get(); err != nil {
			return fmt.Errorf("consumer %s does not deliver: %w", l.consumer, err)
		}
	}
	return nil
}

// isRecent reports whether what NATS refused then, by the process's clock, keeps the worker from being ready.
func (f *footing) isRecent(at time.Time) bool {
	return f.store.Clock.Local().Sub(at) < f.store.Timing.Denied
}

// natsError takes the errors of the connection that no call returns.
func (f *footing) natsError(_ *nats.Conn, _ *nats.Subscription, err error) {
	now := f.store.Clock.Local()
	switch do := link.Limit(err); {
	case link.Refused(err):
		f.refusals.Tell(err)
	case do != "":
		met := metLimit{now, fmt.Errorf("%w: %s", err, do)}
		if before := f.limit.Swap(&met); before == nil || now.Sub(before.at) > f.store.Timing.Denied {
			f.log.Error("NATS refuses what is over a limit", "err", met.err)
		}
	case !link.Denied(err):
		f.log.Warn("error of the NATS connection", "err", err)
	case f.isOptional(err):
		f.lacks(err)
	case f.concernsSweeps(err): // the worker works without
		if f.sweeper != nil {
			f.sweeper.Denied()
		}
	case f.concernsOthers(err):
		if before := f.othersAt.Load(); before != nil && now.Sub(*before) < time.Minute {
			return // a requester that does so can do it often
		}
		f.othersAt.Store(&now)
		f.log.Warn("NATS denies an answer to a requester: the reply subject is none of the worker's, or was answered already; the worker lacks nothing", "err", err)
	default:
		f.denials.Inc()
		f.deniedAt.Store(&now)
		f.log.Error("NATS denies a permission; give the worker's user the permissions that deploy/NATS.md lists", "err", err)
	}
}

// concernsOthers reports whether the violation is about what somebody else chose: the reply subject of a request to the
// service, on which the worker was to answer. The worker then lacks nothing that it needs.
func (f *footing) concernsOthers(violated error) bool {
	published, subscribing, ok := link.Violation(violated)
	needed := func(subject string) bool { return covers(subject, published) }
	return ok && !subscribing && !slices.ContainsFunc(f.needs, needed)
}

// isOptional reports whether the violation is about what the worker does without.
func (f *footing) isOptional(violated error) bool {
	published, subscribing, ok := link.Violation(violated)
	optional := func(subject string) bool { return covers(subject, published) }
	return ok && !subscribing && slices.ContainsFunc(f.optional, optional)
}

// concernsSweeps reports whether the violation is about what workers tell each other of listed orders.
func (f *footing) concernsSweeps(violated error) bool {
	subject, _, ok := link.Violation(violated)
	return ok && strings.HasPrefix(subject, f.store.Names.Listed(""))
}

// covers reports whether a subject, which may have wildcards, covers one without.
func covers(pattern, subject string) bool {
	tokens := strings.Split(subject, ".")
	for i, p := range strings.Split(pattern, ".") {
		switch {
		case p == ">":
			return i < len(tokens)
		case i >= len(tokens) || p != "*" && p != tokens[i]:
			return false
		case i == strings.Count(pattern, "."):
			return len(tokens) == i+1
		}
	}
	return false
}
